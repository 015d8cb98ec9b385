"""Chapter 03: paired differences by hand, what a row has where, pictures, and the tone exam."""

import numpy as np
import pytest
import torch
from dualnorm_case import make_table, make_tone_exam

from reidkit import retrieval
from reidkit.chapters.dualnorm import experiments, figures
from reidkit.recipes import exams
from reidkit.recipes.norms import TABLES, make_network
from reidkit.stats import estimate
from reidkit.teach.figures import pixels
from reidkit.teach.plots import make_figure
from reidkit.teach.recorded import Recorded


@pytest.fixture(scope="module")
def tone():
    return make_tone_exam()


# ---- recorded rows


def test_differences_are_paired_by_seed():
    rows = experiments.split_rows(make_table())
    assert list(rows) == list(TABLES["places"])
    assert rows["stem"].differences(rows["none"], "home_rank1") == [-2, -2, -1.5]
    fewer = [run for run in rows["stem"].rows if run["SEED"] != "1"]
    backwards = Recorded("03_places", fewer[::-1])
    # Partners only, in the order of the first.
    assert backwards.differences(rows["none"], "home_rank1") == [-1.5, -2]


def test_changes_in_words():
    assert estimate([3.0]).lowest == 3
    assert estimate([1.0, 3.0]).lowest == pytest.approx(2 - 12.706)
    two_seeds = "+2.0 points, 95 % interval -10.7 to +14.7 over 2 seeds"
    assert experiments.in_words(estimate([1.0, 3.0])) == two_seeds
    assert experiments.in_words(estimate([1.5])) == "+1.5 points over 1 seed"


def test_claims_are_judged_by_interval_or_by_every_seed(capsys):
    rows = experiments.split_rows(make_table())
    # The differences none - stem are 2, 2 and 1.5: mean 11 / 6, deviation the root of 1 / 12.
    half = 4.303 * (1 / 12) ** 0.5 / 3**0.5
    experiments.claim_rise(rows, "None is better", "none", "stem", "away_rank1")
    said = capsys.readouterr().out
    assert "None is better [held]" in said
    assert f"{11 / 6 - half:.2f} points, lower end of the interval" in said
    experiments.claim_rise_in_every_seed(rows, "Stem is better", "stem", "none", "home_map")
    said = capsys.readouterr().out
    assert "Stem is better [not held]" in said
    assert "-2 points, mildest seed" in said


def test_the_lead_of_a_row_over_the_next():
    rows = experiments.split_rows(make_table())
    assert experiments.lead(rows, "none", "away_rank1") == pytest.approx(11 / 6)
    assert experiments.lead(rows, "stem", "away_rank1") == pytest.approx(-11 / 6)


def test_the_papers_numbers_stand_beside_ours():
    rows = experiments.split_rows(make_table())
    lines = experiments.paper_rows(rows, 3.5)
    assert [len(line) for line in lines] == [6] * 7
    agreement = [line[4] for line in lines]
    assert agreement == [False, None, None, True, True, False, True]
    assert lines[2][3] == "51.0/51.0"  # 80 - 30, a mean of seeds 0, 1, 2 with a point each
    assert lines[-1][3] == "+3.5 mAP"


# ---- networks and pictures


def test_marks_are_read_from_the_networks():
    none = dict.fromkeys(experiments.STAGES, "")
    with_feature_norm = none | {"feature": "norm"}
    assert experiments.read_marks("none") == with_feature_norm
    assert experiments.read_marks("none" + experiments.WITHOUT) == none | {"feature": ""}
    behind = {"layer1": "behind the sum", "layer2": "behind the sum"}
    early = with_feature_norm | behind | {"bn1": "replaced"}
    assert experiments.read_marks("early") == experiments.read_marks("IBN-b") == early
    late = {"layer3": "behind the sum", "layer4": "behind the sum"}
    assert experiments.read_marks("everywhere") == early | late
    rule = early | {"bn1": "", "layer3": "behind the sum"}
    assert experiments.read_marks("the rule for ResNets") == rule
    halves = {"layer1": "half", "layer2": "half", "layer3": "half"}
    assert experiments.read_marks("IBN-a") == with_feature_norm | halves


@pytest.mark.parametrize("seeds", [1, 3])
def test_pictures(seeds):
    from matplotlib import pyplot

    table = make_table(seeds)
    for figure, count in (
        (figures.goal_picture(table), 2),
        (figures.changes_picture(table), 3),
        (figures.blocks_picture(), 3),
        (figures.trunks_picture(), 8),
    ):
        assert len(figure.axes) == count
        assert np.array(pixels(figure)).std() > 5
        pyplot.close(figure)
    some = make_table(seeds, ("none", "early", "none" + experiments.WITHOUT))
    figure = figures.changes_picture(some)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["feature norm, IN none", "early"]
    pyplot.close(figure)


def test_a_trunk_without_a_mark_is_drawn_plain():
    from matplotlib import pyplot

    figure, ax = make_figure()
    figures.draw_trunk(ax, experiments.read_marks("none" + experiments.WITHOUT))
    assert len(ax.patches) == len(figures.SIZES)
    pyplot.close(figure)


def test_told_picture_writes_every_share():
    from matplotlib import pyplot

    shares = {}
    for index, way in enumerate(figures.WAYS):
        shares["none", way] = 50.0 + index
        shares["everywhere", way] = 20.0 + index
    figure = figures.told_picture(shares, 6)
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written == ["50 %", "51 %", "52 %", "20 %", "21 %", "22 %"]
    pyplot.close(figure)


# ---- the tone exam


def test_instance_norm_behind_repeated_edges_cannot_tell_the_tone(tone):
    """The chapter's detective story on untrained networks: the stem's zeros tell the tone, and
    nothing else does.
    """
    torch.manual_seed(0)
    model = make_network(TABLES["places"]["stem"], 4).eval()
    x = tone.query.pictures([0]).float()
    repeated = experiments.repeated_border(model)
    assert repeated.trunk.conv1.weight.equal(model.trunk.conv1.weight)
    assert model.trunk.conv1.padding_mode == "zeros"

    def gap(net):
        with torch.inference_mode():
            whole = net(x).feature
            half = net(x / 2).feature
        return (whole - half).abs().max().item()

    assert gap(repeated) < 1e-2 * gap(model)


def test_another_wall_leaves_the_people_alone(tone):
    query = tone.query
    grey = experiments.before_wall(query, 90)
    person = query.masks[:, None].expand_as(grey.images) > 0
    assert (grey.images[~person] == 90).all()
    assert grey.images[person].equal(query.images[person])
    # The black wall before, and soft edges of people.
    assert (query.images[~person] == 0).float().mean() > 0.9
    assert figures.tones_picture(tone).shape[2] == 3


def test_by_chance():
    """What the chapter prints for who knows the body only, against features that know no more."""
    exam = exams.make_tone_exam((64, 32))
    noise = torch.Generator().manual_seed(0)
    rivals = 2 * len(exams.TONES) - 1
    scores = []
    for _ in range(60):
        query = _body_features(exam.query, noise)
        gallery = _body_features(exam.gallery, noise)
        metrics = retrieval.evaluate(
            query,
            exam.query.ids,
            exam.query.cameras,
            gallery,
            exam.gallery.ids,
            exam.gallery.cameras,
        )
        scores.append((metrics.cmc[1], metrics.map))
    rank1, mean_ap = torch.tensor(scores).mean(0).tolist()
    assert rank1 == pytest.approx(1 / rivals, abs=0.02)
    by_chance = sum(1 / rank for rank in range(1, rivals + 1)) / rivals
    assert mean_ap == pytest.approx(by_chance, abs=0.02)


def _body_features(side, noise):
    """Features that tell bodies apart and nothing else."""
    body = side.attributes["body"]
    of_body = 9 * torch.nn.functional.one_hot(body).float()
    return torch.cat([of_body, torch.randn(len(side), 8, generator=noise)], 1)
