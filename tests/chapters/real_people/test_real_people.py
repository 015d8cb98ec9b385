"""The chapter's study, its pictures and its probes."""

import pytest
import torch
from widget_frames import frames

from reidkit.chapters.real_people import figures as c11


@pytest.fixture
def table(monkeypatch):
    """A made-up study of three seeds and two knobs, in which a longer name scores higher."""
    from reidkit.recipes import study
    from reidkit.teach.recorded import Recorded

    monkeypatch.setattr(
        study,
        "STUDY",
        {
            "normalisation": {"IN": {"norm": "in"}, "IN, BN last": {"norm": "in"}, "BIN": {}},
            "stripes": {"0": {"stripes": 0}, "4": {}, "8": {"stripes": 8}},
        },
    )
    rows = []
    for case in study.cases([0, 1, 2]):
        base = 40 + len(case["value"]) + case["SEED"]
        scores = {
            f"{exam}_{key}{end}": base + 10 * n + width
            for n, exam in enumerate(c11.EXAMS)
            for key in ("rank1", "map")
            for end, width in (("", 0), ("_low", -6), ("_high", 6))
        }
        rows.append({name: str(value) for name, value in {**case, **scores}.items()})
    return Recorded("11_study", rows)


def test_the_knob_explorer_shows_every_value_of_a_knob(table):
    draw, controls = c11.knob_explorer(table)
    assert controls["knob"].values == ("normalisation", "stripes")
    seen = list(frames(draw, controls))
    for name in controls:
        assert (
            len(
                {
                    text
                    for state, _, text in seen
                    if all(state[other] == seen[0][0][other] for other in controls if other != name)
                }
            )
            > 1
        )
    assert (
        "BIN 41.0" in seen[0][2] and "IN, BN last 52.0" in seen[0][2]
    )  # the usual recipe has its own name in each group
    assert "4 41.0" in draw(seen[0][0] | {"knob": "stripes"}, {}).text


def test_changes_are_paired_by_seed(table):
    found = c11.changes(table, "validation_map")
    assert (
        found["stripes", "0"] == [1, 1, 1] and ("stripes", "4") not in found
    )  # 4 is the usual one
    assert c11.surely([1, 1.1, 0.9]) and not c11.surely([1, -1, 0.5]) and not c11.surely([5])
    assert c11.agreement(table) == pytest.approx(1)
    less = type(table)(
        table.name, [row for row in table.rows if (row["knob"], row["SEED"]) != ("usual", "1")]
    )
    assert c11.changes(less, "validation_map")["stripes", "8"] == [
        1,
        1,
    ]  # a seed without its usual row is left out


def test_the_study_picture_sorts_within_families(table):
    fig = c11.study_picture(table)
    from_top = [label.get_text() for label in fig.axes[0].get_yticklabels()][::-1]
    assert from_top[:3] == [
        "NETWORK",
        "normalisation: IN, BN last",
        "normalisation: IN",
    ]  # 11 and 2 points up
    assert set(from_top[3:5]) == {"stripes: 0", "stripes: 8"} and from_top[5:] == [
        "TRAINING",
        "HOW MANY ARE DRAWN",
        "WORLD",
    ]
    from matplotlib import pyplot

    pyplot.close(fig)


def test_camera_probes_by_hand():
    ids, cameras = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1])
    by_camera = torch.tensor([[0.0, 0], [9, 0], [0, 1], [9, 1]])
    assert (
        c11.same_camera(by_camera, ids, cameras) == (100, 50)
        and c11.camera_told(by_camera, ids, cameras) == 100
    )
    by_person = torch.tensor(
        [[0.0, 0], [1, 0], [1, 9], [0, 9]]
    )  # the nearest stranger stands in the other camera
    assert c11.same_camera(by_person, ids, cameras) == (0, 50)
    assert c11.first_in_second(by_person, ids, cameras).cmc[1] == 1
    scaled = c11.scaled_per_camera(by_camera, cameras)
    assert (
        torch.allclose(scaled[:, 1], torch.tensor([-1.0, -1, 1, 1]) / 2**0.5)
        and scaled[:, 0].isnan().all()
    )


def test_the_drawn_exam_has_the_form_of_the_real_one(tmp_path):
    exam = c11.drawn_exam(3, 2, (64, 32))
    assert (
        len(exam.query) == len(exam.gallery) == 6
        and set(exam.query.cameras.tolist()) == {0}
        and set(exam.gallery.cameras.tolist()) == {1}
    )
    assert c11.style(exam.query.images).shape == (6, 6) and c11.outline(
        exam.query.images, exam.query.cameras
    ).shape == (64, 32)
    c11.draw_album(tmp_path)
    assert len(list(tmp_path.glob("p?_c?_?.png"))) == 36
