"""Chapter 03: paired differences by hand, what a row has where, the tone exam's helpers, both widgets at every end."""

import numpy as np
import pytest
import torch
from widget_frames import frames

from reidkit.augment import normalize
from reidkit.chapters.dualnorm import figures as c03
from reidkit.methods.baseline import Baseline
from reidkit.recipes import exams
from reidkit.recipes.norms import TABLES, network
from reidkit.teach.figures import pixels
from reidkit.teach.recorded import Recorded


def made_up(seeds=3, names=None):
    """A table in which a later row scores two points less, a seed one more, and unseen places 30 less than home."""
    lines = []
    for seed in range(seeds):
        for index, name in enumerate(TABLES["places"]):
            base = 80 - 2 * index + seed + 0.5 * (seed == 2) * index
            line = {"row": name, "SEED": seed}
            for shift, exam in ((0, "home"), (30, "away"), (60, "tone")):
                for key in ("rank1", "map"):
                    line |= {
                        f"{exam}_{key}": base - shift,
                        f"{exam}_{key}_low": base - shift - 6,
                        f"{exam}_{key}_high": base - shift + 6,
                    }
            lines.append({key: str(value) for key, value in line.items()})
    return Recorded("03_places", [line for line in lines if names is None or line["row"] in names])


@pytest.fixture(scope="module")
def tone():
    return exams.tone_exam((64, 32), bodies=3)


def test_differences_are_paired_by_seed():
    found = c03.rows(made_up())
    assert list(found) == list(TABLES["places"])
    assert c03.paired(found["stem"], found["none"], "home_rank1") == [-2, -2, -1.5]
    less = Recorded("03_places", [row for row in found["stem"].rows if row["SEED"] != "1"][::-1])
    assert c03.paired(less, found["none"], "home_rank1") == [
        -2,
        -1.5,
    ]  # in the order of the seeds, partners only
    assert c03.lower([3.0]) == 3 and c03.lower([1.0, 3.0]) == pytest.approx(2 - 12.706)
    assert c03.words([1.0, 3.0]) == "+2.0 points, 95 % interval -10.7 to +14.7 over 2 seeds"
    assert c03.words([1.5]) == "+1.5 points over 1 seed"


def test_marks_are_read_from_the_networks():
    none = dict.fromkeys(c03.STAGES, "")
    assert c03.marks("none") == none | {"feature": "norm"}
    assert c03.marks("none" + c03.WITHOUT) == none | {"feature": ""}
    early = none | {
        "bn1": "replaced",
        "layer1": "behind the sum",
        "layer2": "behind the sum",
        "feature": "norm",
    }
    assert c03.marks("early") == c03.marks("IBN-b") == early
    assert c03.marks("everywhere") == early | {
        "layer3": "behind the sum",
        "layer4": "behind the sum",
    }
    assert c03.marks("the rule for ResNets") == early | {"bn1": "", "layer3": "behind the sum"}
    assert c03.marks("IBN-a") == none | {
        "layer1": "half",
        "layer2": "half",
        "layer3": "half",
        "feature": "norm",
    }


@pytest.mark.parametrize("seeds", [1, 3])
def test_pictures(seeds):
    from matplotlib import pyplot

    table = made_up(seeds)
    for fig, axes in (
        (c03.goal_picture(table), 2),
        (c03.changes_picture(table), 3),
        (c03.blocks_picture(), 3),
        (c03.trunks_picture(), 8),
    ):
        assert len(fig.axes) == axes and np.array(pixels(fig)).std() > 5
        pyplot.close(fig)
    fig = c03.changes_picture(made_up(seeds, ("none", "early", "none" + c03.WITHOUT)))
    assert [label.get_text() for label in fig.axes[0].get_yticklabels()] == [
        "feature norm, IN none",
        "early",
    ]
    pyplot.close(fig)


def test_the_placement_explorer_answers_every_control():
    draw, controls = c03.placement_explorer(made_up())
    seen = list(frames(draw, controls))
    assert controls["placement"].values == (*c03.PLACES, *c03.OTHERS)
    for name in controls:
        alike = {
            text
            for state, _, text in seen
            if all(state[other] == seen[0][0][other] for other in controls if other != name)
        }
        assert len(alike) > 1, name
    first = seen[0][0]
    early = draw(first | {"placement": "early"}, {}).text
    assert (
        "early, new people, unseen places: rank-1 47.3 %" in early
    )  # 50 - 4, a mean of seeds 0, 1, 2 with 1 more on the last
    assert "-3.7 points" in early and "3 seeds" in early
    assert "no feature norm" in draw(first | {"feature norm": False}, {}).text
    lone = draw(
        first | {"placement": "IBN-a", "feature norm": False}, {}
    ).text  # this row exists with the feature norm only
    assert lone.startswith("IBN-a, new")
    assert "Against" not in draw(first | {"placement": "none"}, {}).text
    draw, controls = c03.placement_explorer(made_up(1))
    assert len(list(frames(draw, controls))) > 10


def test_the_tone_explorer_answers_every_control(tone):
    torch.manual_seed(0)
    models = {"BN": Baseline(4), "IN": network(TABLES["places"]["everywhere"], 4)}
    for model in models.values():  # statistics of these pictures: random features differ by little
        for _ in range(20):
            model.train()(normalize(tone.query.pictures()))
    draw, controls = c03.tone_explorer(models, tone)
    seen = list(frames(draw, controls))
    for name in controls:
        pictures = [
            picture
            for state, picture, _ in seen
            if all(state[other] == seen[0][0][other] for other in controls if other != name)
        ]
        assert any(not np.array_equal(picture, pictures[0]) for picture in pictures[1:]), name
    same = draw(seen[0][0] | {"tone": 1.0}, {})
    assert same.text.count(": 0.00 to herself") == 2


def test_instance_norm_behind_repeated_edges_cannot_tell_the_tone(tone):
    """The chapter's detective story on untrained networks: the stem's zeros tell the tone, and nothing else does."""
    torch.manual_seed(0)
    model, x = network(TABLES["places"]["stem"], 4).eval(), tone.query.pictures([0]).float()
    repeated = c03.repeated_border(model)
    assert (
        repeated.trunk.conv1.weight.equal(model.trunk.conv1.weight)
        and model.trunk.conv1.padding_mode == "zeros"
    )

    def gap(net):
        with torch.inference_mode():
            return (net(normalize(x)).feature - net(normalize(x / 2)).feature).abs().max().item()

    assert gap(repeated) < 1e-2 * gap(model)


def test_another_wall_leaves_the_people_alone(tone):
    grey = c03.before_wall(tone.query, 90)
    person = tone.query.masks[:, None].expand_as(grey.images) > 0
    assert (grey.images[~person] == 90).all() and grey.images[person].equal(
        tone.query.images[person]
    )
    assert (
        tone.query.images[~person] == 0
    ).float().mean() > 0.9  # the black wall before, and soft edges of people
    assert c03.tones_picture(tone).shape[2] == 3


def test_by_chance():
    """What the chapter prints for who knows the body only, against features that know no more."""
    from reidkit import retrieval

    exam, noise = exams.tone_exam((64, 32)), torch.Generator().manual_seed(0)
    bodies = int(exam.query.attributes["body"].max()) + 1
    rivals, found = 2 * len(exams.TONES) - 1, []
    for _ in range(60):
        q, g = (
            torch.cat(
                [
                    9 * torch.nn.functional.one_hot(side.attributes["body"], bodies).float(),
                    torch.randn(len(side), 8, generator=noise),
                ],
                1,
            )
            for side in (exam.query, exam.gallery)
        )
        m = retrieval.evaluate(
            q, exam.query.ids, exam.query.cameras, g, exam.gallery.ids, exam.gallery.cameras
        )
        found.append((m.cmc[1], m.map))
    rank1, mean_ap = torch.tensor(found).mean(0).tolist()
    assert rank1 == pytest.approx(1 / rivals, abs=0.02)
    assert mean_ap == pytest.approx(sum(1 / r for r in range(1, rivals + 1)) / rivals, abs=0.02)
