"""Exercises and widgets of the chapters: solutions pass, planted wrong answers fail for the right reason, widgets draw every state."""

import importlib
import itertools
import pathlib

import numpy as np
import pytest
import torch
from widget_frames import frames

from reidkit import world
from reidkit.record import Exam
from reidkit.teach import source
from reidkit.teach.chapters import c00, c01, c01b, c11
from reidkit.teach.start import Run

WRONG = {  # exercise -> [(answer, a word of the verdict)]
    "00-same-person": [
        ("def same_person(ids): return (ids[:, None] == ids[None]).float()", "booleans"),
        ("def same_person(ids): return ids == ids", "shape"),
        (
            "def same_person(ids): return (ids[:, None] == ids[None]) & ~torch.eye(len(ids), dtype=torch.bool)",
            "diagonal",
        ),
        ("def same_person(ids): return torch.eye(len(ids), dtype=torch.bool)", "person 3"),
    ],
    "00-cross-camera-pairs": [
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]) & (cameras[:, None] != cameras[None])).sum().item()",
            "halve",
        ),
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]).sum().item() - len(ids)) // 2",
            "two cameras",
        ),
        ("def f(ids, cameras): return torch.tensor(3)", "Python int"),
        ("def f(ids, cameras): return 3", "no pair"),
        (
            "def f(ids, cameras): return ((ids[:, None] == ids[None]) & (cameras[:, None] != cameras[None])).sum().item() / 2",
            "float",
        ),
    ],
    "01-keep": [
        ("def keep(i, c, ids, cams): return ids != -1", "junk rule"),
        (
            "def keep(i, c, ids, cams): return (cams != c) & (ids != -1)",
            "stranger in the query's camera",
        ),
        ("def keep(i, c, ids, cams): return ~((ids == i) & (cams == c))", "-1"),
        (
            "def keep(i, c, ids, cams): return ~((ids <= 0) | ((ids == i) & (cams == c)))",
            "distractor",
        ),
        ("def keep(i, c, ids, cams): return (ids == -1) | ((ids == i) & (cams == c))", "junk rule"),
        ("def keep(i, c, ids, cams): return [True] * len(ids)", "tensor"),
        (
            "def keep(i, c, ids, cams): return ~((ids == -1) | ((ids == 1) & (cams == 0)))",
            "query_id",
        ),
    ],
    "01-average-precision": [
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1))[right].sum().item() / len(right)",
            "number of right answers",
        ),
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1))[right].mean()",
            "float",
        ),
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1)).mean().item()",
            "at the top",
        ),
        (
            "def ap(right):\n    r = torch.nonzero(right).squeeze(1).tolist()\n"
            "    return sum(((i + 1) / (k + 1) + (1 if k == 0 else i / k)) / 2 for i, k in enumerate(r)) / len(r)",
            "trapezoid",
        ),
    ],
    "01-first-rank": [
        ("def f(s, right): return 1 + (s > s[right].max()).sum().item() + 0", "constant"),
        ("def f(s, right): return (s >= s[right].max()).sum().item()", "push each other"),
        ("def f(s, right): return 1 + (s[~right] >= s[right].max()).sum()", "Python int"),
        (
            "def f(s, right): return 1 + (s[~right] >= s[right].min()).sum().item()",
            "worst right answer",
        ),
        ("def f(s, right): return 1 + (s[~right] <= s[right].max()).sum().item()", "rank is 3"),
    ],
    "01b-contrastive": [
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (d - margin).clamp_min(0) ** 2)",
            "far enough",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d, (margin - d).clamp_min(0) ** 2)",
            "0.25",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (1 - d).clamp_min(0) ** 2)",
            "margin of 2",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (margin - d).clamp_min(0) ** 2).mean()",
            "one value a pair",
        ),
    ],
    "01b-batch-hard": [
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.masked_fill(~same, 1e9).amin(1), d.masked_fill(same, 1e9).amin(1)",
            "anchor itself",
        ),
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.masked_fill(~same, 0).amax(1), d.masked_fill(same, 0).amax(1)",
            "nearest stranger",
        ),
        ("def f(d, ids): return d.amax(1)", "two tensors"),
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.amax(1), d.masked_fill(same, 1e9).amin(1)",
            "farthest picture",
        ),
    ],
    "01b-rescue": [
        ("def f(): return {'rate': 0.1}", "keys"),
        (
            "def f():\n    from reidkit.teach.chapters import c01b\n    return dict(c01b.COLLAPSED)",
            "at least one",
        ),
        (
            "def f():\n    from reidkit.teach.chapters import c01b\n    return {**c01b.COLLAPSED, 'mining': 'soft'}",
            "hard",
        ),
        (
            "def f():\n    from reidkit.teach.chapters import c01b\n    return {**c01b.COLLAPSED, 'rate': 0.1}",
            "one point",
        ),
    ],
    "11-per-camera": [
        (
            "def f(features, cameras):\n    for c in cameras.unique():\n        features[cameras == c] -= features[cameras == c].mean(0)\n"
            "    return torch.nn.functional.normalize(features, dim=1)",
            "changed the features",
        ),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features - features.mean(0), dim=1)",
            "mean of all pictures",
        ),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features, dim=1)",
            "only the lengths",
        ),
        (
            "def f(features, cameras):\n    made = features.clone()\n    for c in cameras.unique():\n        made[cameras == c] -= features[cameras == c].mean(0)\n"
            "    return made",
            "renormalise",
        ),
        (
            "def f(features, cameras):\n    made = torch.nn.functional.normalize(features, dim=1)\n    for c in cameras.unique():\n"
            "        made[cameras == c] -= made[cameras == c].mean(0)\n    return made",
            "other way round",
        ),
        ("def f(features, cameras): return 2 * features", "length 1"),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features - features.mean(1, keepdim=True), dim=1)",
            "direction",
        ),
        (
            "def f(features, cameras):\n    parts = [features[cameras == c] for c in (5, 0)]\n"
            "    return torch.nn.functional.normalize(torch.cat([part - part.mean(0) for part in parts]), dim=1)",
            "mixed",
        ),
        ("def f(features, cameras): return features.mean(0)", "shape"),
    ],
    "11-most-alike": [
        (
            "def f(features, query, count): return torch.nn.functional.cosine_similarity(features, features[[query]]).argsort(descending=True, stable=True)[1:count + 1]",
            "leaving out",
        ),
        (
            "def f(features, query, count):\n    s = features @ features[query]\n    s[query] = -torch.inf\n    return s.topk(count).indices",
            "lengths",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    return s.argsort()[:count]",
            "least alike",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = 0\n"
            "    return s.topk(count).indices",
            "minus infinity",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.topk(count).values",
            "picture numbers",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.argsort(descending=True)",
            "asked for 2",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.topk(count).indices.flip(0)",
            "first",
        ),
    ],
}

for path in sorted(
    pathlib.Path(__file__).parent.glob("answers_*.py")
):  # later chapters: answers_NN.py
    WRONG |= importlib.import_module(path.stem).WRONG


def checks(number):
    return {
        value.key: value
        for value in vars(importlib.import_module(f"reidkit.teach.checks.c{number}")).values()
        if hasattr(value, "key")
    }


def defined(code):
    names = {"torch": torch, "c01b": c01b}
    before = set(names)
    exec(code, names)
    return next(value for name, value in names.items() if name not in before and callable(value))


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")


@pytest.mark.parametrize(
    "key, code, word", [(key, *answer) for key, answers in WRONG.items() for answer in answers]
)
def test_a_wrong_answer_fails_and_learns_why(key, code, word, capsys):
    verdict = checks(key.partition("-")[0])[key](defined(code))
    said = capsys.readouterr().out
    assert verdict.state == "wrong", said
    assert word in said and said.count("\n") == 1


@pytest.mark.parametrize("key", list(WRONG))
def test_the_solution_passes_and_the_stub_does_not(key, capsys):
    number, _, name = key.partition("-")
    chapter = next(chapter for chapter in source.chapters() if chapter.number == number)
    check = checks(number)[key]
    assert check(defined(chapter.cell(f"{name}-solution").source)).state == "well done", (
        capsys.readouterr().out
    )
    stub = chapter.cell(f"{name}-stub").source.replace(
        source.check_lines(chapter.cell(f"{name}-stub").source), ""
    )
    assert check(defined(stub)).state in ("not yet", "wrong")

    def raising(*_, **__):
        raise RuntimeError("planted")

    assert check(raising).state == "error"


def test_every_exercise_has_planted_wrong_answers():
    assert all(
        word for answers in WRONG.values() for _, word in answers
    )  # an empty word would stand in every verdict
    assert set(WRONG) == set(
        itertools.chain.from_iterable(checks(chapter.number) for chapter in source.chapters())
    )


# ---- widgets: least, middle and greatest of every control


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


def test_world_walk_shows_what_was_asked_for():
    seen = list(frames(*c00.world_walk()))
    first = seen[0]
    for state, picture, text in seen[1:]:
        changed = [name for name in state if state[name] != first[0][name]]
        assert np.array_equal(picture, first[1]) == (not changed), changed
        assert f"place {state['place']}, camera {state['camera']}" in text


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


def test_the_triplet_explorer_counts_active_anchors():
    draw, controls = c01b.triplet_explorer()
    assert len(list(frames(draw, controls))) > 8
    far = draw({"apart": 2.0, "spread": 0.0, "margin": 0.3, "loss": "hard"}, {})
    assert "0 of 12 anchors are active" in far.text
    one_point = draw({"apart": 0.0, "spread": 0.0, "margin": 0.3, "loss": "hard"}, {})
    assert "mean loss 0.300" in one_point.text and "12 of 12" in one_point.text


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


def test_the_search_picture_and_the_map():
    drawn, masks = c00.one_person_many_cameras()
    assert drawn.shape == (16, 3, 128, 64) and (masks == masks[:, :1]).all()
    assert c00.search_picture(drawn[0], drawn[1:9]).shape[2] == 3
    from matplotlib import pyplot

    figure, ready = c00.course_map()
    assert {"00", "01", "01b"} <= set(ready) and len(figure.axes) == 1
    pyplot.close(figure)
