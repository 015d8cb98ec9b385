"""Chapter 02: what it measures in layers, in company and in pixels."""

import pytest
import torch
from torch import nn

from reidkit.chapters.batch_and_instance_statistics import experiments
from reidkit.methods.baseline import Baseline
from reidkit.record import Exam, ReIDData

# ---- one formula


def test_the_formula_by_hand():
    """Two pictures of two pixels, (1, 3) and (5, 7): the pencil of section 2."""
    tiny = torch.tensor([[1.0, 3], [5, 7]]).view(2, 1, 1, 2)

    def normed(axes, eps=1e-5):
        return experiments.by_formula(tiny, axes, eps).flatten().tolist()

    by_batch = [value / 5**0.5 for value in (-3, -1, 1, 3)]
    assert normed((2, 3)) == pytest.approx([-1, 1, -1, 1], abs=1e-4)
    assert normed((0, 2, 3)) == pytest.approx(by_batch, abs=1e-4)
    assert normed((2, 3), eps=3.0) == pytest.approx([-0.5, 0.5, -0.5, 0.5])


def test_the_gap_of_a_pair_by_hand():
    pair = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), 5.0)])
    assert experiments.pair_gap(nn.Identity(), pair) == pytest.approx(4)
    assert experiments.pair_gap(nn.Identity(), pair.flip(0)) == pytest.approx(4)  # without its sign
    # Mean 3, deviation 2: -1 and 1.
    assert experiments.pair_gap(nn.BatchNorm2d(3), pair) == pytest.approx(2, abs=1e-4)


def test_the_grey_pair_is_one_shape_before_black():
    mid_grey, light_grey = experiments.draw_grey_pair()
    assert mid_grey.shape == (3, 64, 32)
    assert mid_grey.unique().tolist() == pytest.approx([0, 0.4])
    assert torch.allclose(light_grey, 2 * mid_grey)


# ---- layers and divergence


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Baseline(2).eval()


def test_activations_are_those_of_the_network(model):
    pictures = torch.randint(0, 256, (5, 3, 64, 32), dtype=torch.uint8)
    maps = experiments.activations(model, pictures, batch=2)
    assert len(maps) == len(experiments.LAYERS)
    assert [layer.shape[1] for layer in maps] == [3, 24, 24, 48, 96, 192]
    assert torch.allclose(maps[-1], model.trunk(maps[0]), atol=1e-4)


def test_mean_shares_are_means_over_channels_and_crowds(model):
    pictures = torch.zeros(2, 3, 64, 32, dtype=torch.uint8)
    labels = torch.tensor([0, 1])
    crowds = [
        ReIDData(pictures, labels, labels, place * labels, name="by hand") for place in (0, 1)
    ]
    shares = iter([torch.tensor([0.1, float("nan"), 0.3]), torch.tensor([0.6, 0.6, 0.6])])
    share_of_crowd = {id(crowd): next(shares) for crowd in crowds}
    means = experiments.mean_shares(
        model, crowds, lambda maps, crowd: {"part": share_of_crowd[id(crowd)]}
    )
    assert list(means) == list(experiments.LAYERS)
    # A channel without a share is left out: 20 % and 60 %.
    assert means["stem"]["part"] == pytest.approx(40)


def test_style_and_content_by_hand():
    """Means 0, 2 through one chain and 10, 12 through the other: style far apart, halves of equal
    people not at all.
    """
    light = torch.tensor([True, True, False, False]).repeat(2)
    base = torch.tensor([0.0, 2, 0, 2]).repeat(2).view(8, 1, 1, 1)
    content = base + 4 * light.view(8, 1, 1, 1)
    curves = experiments.style_and_content([[content] * 6, [content + 10] * 6], light)
    # Means 4 apart, variances 1: (4^2)(1 + 1) / 2.
    assert curves["content"] == pytest.approx([16.0] * 6)
    assert curves["style"] == pytest.approx([100 / 5.0] * 6)  # 10 apart, variance 1 + 4
    assert curves["nothing"][0] > 10  # pairs of this tiny set follow the tops


def test_chains_change_nothing_but_the_imaging():
    crowd, who, chains = experiments.draw_through_chains(3, 2, (64, 32), 0)
    assert len(crowd) == 3
    assert who.tolist() == [0, 0, 1, 1, 2, 2]
    assert len(chains) == 2
    assert chains[0].shape == (6, 3, 64, 32)
    assert not torch.equal(chains[0], chains[1])


# ---- company and scores


def test_company_takes_the_statistics_of_each_batch_and_leaves_the_model_alone(model):
    pictures = 128 + 60 * torch.randn(6, 3, 64, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def embed(*batches):
        batches = [torch.tensor(batch) for batch in batches]
        return experiments.embed_in_company(model, pictures, batches)

    features, moved = embed([0, 2, 4], [1, 3, 5])
    again, _ = embed([4, 0, 2], [5, 3, 1])
    other, _ = embed([0, 1, 2, 3, 4, 5])
    assert torch.allclose(features, again, atol=1e-4)
    assert not torch.allclose(features, other, atol=1e-2)
    assert torch.allclose(features.norm(dim=1), torch.ones(6), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not torch.equal(moved.neck.running_mean, before["neck.running_mean"])
    assert not moved.training


def test_scores_pool_places_or_keep_them_apart():
    def data(cameras):
        ids = torch.tensor([0, 1, 2, 3])
        places = torch.tensor([0, 0, 1, 1])
        pictures = torch.zeros(4, 3, 8, 8, dtype=torch.uint8)
        return ReIDData(pictures, ids, 2 * places + cameras, places, name="by hand")

    exam = Exam(data(0), data(1))
    # Place 1 lies beside place 0.
    query = torch.tensor([[0.0, 0], [5, 0], [0, 1], [5, 1]])
    # Its gallery pictures lie where the other place asks.
    gallery = torch.tensor([[0.0, 1.1], [5, 1.1], [0, 0.1], [5, 0.1]])
    scores = experiments.score_exam(torch.cat([query, gallery]), exam)
    assert scores["by place"] == (100, 100)
    assert scores["pooled"] == (0, 50)
    assert experiments.score_columns(scores) == "   100.0 /100.0     0.0 / 50.0"


def test_a_table_that_is_not_there_is_none():
    assert experiments.recorded("02_no_such_table", "x") is None
    assert experiments.recorded("01_chapter", "home_rank1").mean() > 0


# ---- pixels through the norms


def test_a_crowd_has_mean_0_and_deviation_1_after_bn_and_every_picture_after_in():
    norms = experiments.PixelNorms((64, 32), people=8)
    pictures = norms.draw(range(8), range(8), [norms.camera] * 8)
    normed = norms(pictures)
    by_batch = normed["BN"]
    by_instance = normed["IN"]
    assert torch.allclose(by_batch.mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(by_batch.std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-4)
    assert torch.allclose(by_instance.mean((2, 3)), torch.zeros(8, 3), atol=1e-4)
    assert torch.allclose(by_instance.std((2, 3)), torch.ones(8, 3), atol=2e-3)
