"""The chapter's explorers: rankings and the world."""

import numpy as np
import pytest
import torch
from widget_frames import frames

from reidkit import world
from reidkit.chapters.what_is_reid import widgets
from reidkit.methods.baseline import Baseline
from reidkit.record import Exam
from reidkit.teach.start import Run


class Preset:
    size = (64, 32)
    name = "smoke"


@pytest.fixture(scope="module")
def drawn():
    """An exam of drawn people, and their pixels as features of its query and its gallery."""
    exam = world.make_exam(
        [("demo", 0)], people=5, cameras=3, pictures=2, size=(64, 32), cache=False
    )
    features = []
    for part in (exam.query, exam.gallery):
        flat = part.images.float().flatten(1) - 90
        features.append(torch.nn.functional.normalize(flat, dim=1))
    return exam, *features


def test_the_ranking_explorer_leaves_out_a_camera(drawn):
    exam, query, gallery = drawn
    draw, controls = widgets.ranking_explorer(exam, query, gallery)
    for _, _, text in frames(draw, controls):
        assert "AP" in text or "does not count" in text
    two_cameras = exam.gallery.cameras < 2
    lonely = Exam(exam.query, exam.gallery[two_cameras])
    draw, controls = widgets.ranking_explorer(lonely, query, gallery[two_cameras])
    # Camera 0's own pictures are junk and camera 1 is left out: nothing is right.
    state = {"query": 0, "without": "1"}
    assert "does not count" in draw(state).text


def test_the_only_camera_cannot_be_left_out(drawn):
    exam, query, gallery = drawn
    one_camera = exam.gallery.cameras == 1
    lonely = Exam(exam.query, exam.gallery[one_camera])
    _, controls = widgets.ranking_explorer(lonely, query, gallery[one_camera])
    assert controls["without"].values == ("none",)


def test_the_world_explorer_finds_the_untouched_picture_identical():
    torch.manual_seed(0)
    model = Baseline(4).eval()
    run = Run("01", Preset, 0, "world", "cpu", 1)
    draw, controls = widgets.world_explorer(model, run, people=3)
    shown = list(frames(draw, controls))
    first_state, first_picture, first_text = shown[0]
    assert "similarity 1.00" in first_text
    changing = set()  # the controls that change the picture
    for state, picture, _ in shown:
        if not np.array_equal(picture, first_picture):
            changing |= {name for name in state if state[name] != first_state[name]}
    assert changing == set(controls)
