"""The chapter's explorers: rankings and the world."""

import numpy as np
import pytest
import torch
from widget_frames import frames

from reidkit import world
from reidkit.chapters.what_is_reid import figures as c01
from reidkit.record import Exam
from reidkit.teach.start import Run


class Preset:
    size, name = (64, 32), "smoke"


@pytest.fixture(scope="module")
def drawn():
    exam = world.make_exam(
        [("demo", 0)], people=5, cameras=3, pictures=2, size=(64, 32), cache=False
    )
    features = [
        torch.nn.functional.normalize(part.images.float().flatten(1) - 90, dim=1)
        for part in (exam.query, exam.gallery)
    ]
    return exam, *features


def test_the_ranking_explorer_leaves_out_a_camera(drawn):
    exam, query, gallery = drawn
    draw, controls = c01.ranking_explorer(exam, query, gallery)
    texts = [text for _, _, text in frames(draw, controls)]
    assert all("AP" in text or "does not count" in text for text in texts)
    lonely = Exam(exam.query, exam.gallery[exam.gallery.cameras < 2])
    draw, controls = c01.ranking_explorer(lonely, query, gallery[exam.gallery.cameras < 2])
    state = {
        "query": 0,
        "without": "1",
    }  # camera 0's own pictures are junk, camera 1 is left out: nothing is right
    assert "does not count" in draw(state).text


def test_the_world_explorer_finds_the_untouched_picture_identical():
    from reidkit.methods.baseline import Baseline

    torch.manual_seed(0)
    draw, controls = c01.world_explorer(
        Baseline(4).eval(), Run("01", Preset, 0, "world", "cpu", 1), people=3
    )
    seen = list(frames(draw, controls))
    assert "similarity 1.00" in seen[0][2]
    changed = {
        name
        for state, picture, _ in seen
        for name in state
        if state[name] != seen[0][0][name] and not np.array_equal(picture, seen[0][1])
    }
    assert changed == set(controls)  # every control changes the picture
