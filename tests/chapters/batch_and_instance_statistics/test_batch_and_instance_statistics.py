"""Chapter 02: the widget, the deep nets and the helpers of its pictures."""

import time

import numpy as np
import pytest
import torch
from torch import nn

from reidkit.chapters.batch_and_instance_statistics import figures as c02
from reidkit.methods.baseline import Baseline
from reidkit.record import Exam, ReIDData
from reidkit.teach import widgets


def test_the_explorer_shows_what_each_norm_forgets():
    draw, controls = c02.normalisation_explorer((64, 32), seed=0, people=3)
    kept, seen = {}, []
    for state in widgets.states(controls):
        frame = draw(state, kept)
        assert frame.picture.dtype == np.uint8 and frame.picture.std() > 5
        seen.append((state, frame.picture.copy(), frame.text))
    first = seen[0]
    changed = {
        name
        for state, picture, _ in seen
        for name in state
        if state[name] != first[0][name] and not np.array_equal(picture, first[1])
    }
    assert changed == set(controls)  # every control changes the picture
    pixels, bn, instance = draw(first[0] | {"gain": 1.0}, kept).text.split("; ")
    assert "STRANGER closer" in pixels and "STRANGER closer" in bn and "own closer" in instance
    assert np.array_equal(
        draw(first[0], kept).picture, first[1]
    )  # nothing of a state is left behind


def test_the_explorer_is_quick():
    draw, controls = c02.normalisation_explorer((64, 32), people=3)
    kept, state = {}, {name: control.value for name, control in controls.items()}
    draw(state, kept)
    times = []
    for step in range(5):
        began = time.process_time()
        draw(state | {"gain": 0.1 * step}, kept)
        times.append(time.process_time() - began)
    assert min(times) < 0.1


def test_a_crowd_has_mean_0_and_deviation_1_after_bn_and_every_picture_after_in():
    norms = c02.PixelNorms((64, 32), people=8)
    pictures = norms.draw(range(8), range(8), [norms.camera] * 8)
    found = norms(pictures)
    assert torch.allclose(found["BN"].mean((0, 2, 3)), torch.zeros(3), atol=1e-4)
    assert torch.allclose(found["BN"].std((0, 2, 3), unbiased=False), torch.ones(3), atol=1e-4)
    assert torch.allclose(found["IN"].mean((2, 3)), torch.zeros(8, 3), atol=1e-4)
    assert torch.allclose(found["IN"].std((2, 3)), torch.ones(8, 3), atol=2e-3)


def test_the_goal_picture_measures_what_it_says():
    montage, distances = c02.goal_picture((64, 32), 0)
    assert montage.shape[2] == 3 and set(distances) == {"pixels", "BN", "IN"}
    ratio = {name: own / stranger for name, (own, stranger) in distances.items()}
    assert (
        ratio["IN"] < ratio["BN"] == pytest.approx(ratio["pixels"], rel=0.1)
    )  # BN divides three colours by nearly one number


# ---- deep nets


def test_a_deep_net_is_what_torch_computes():
    """One of the nets trained side by side, against torch's own layers with the same weights."""
    nets = c02.DeepNets([3, 4], [1.0, 2.0], inputs=6, classes=2, norm="before")
    x = torch.randn(2, 10, 6)
    nets.out[0] = torch.randn(2, c02.WIDTH, 2)
    run, layers = 1, []
    for weight in nets.weights:
        linear = nn.Linear(weight.shape[1], c02.WIDTH, bias=False)
        linear.weight.data = weight[run].detach().T
        layers += [linear, nn.BatchNorm1d(c02.WIDTH), nn.Tanh()]
    net = nn.Sequential(*layers)
    for training in (True, False):  # the second: by running statistics after one batch
        net.train(training)
        assert torch.allclose(
            nets.forward(x, training)[run], net(x[run]) @ nets.out[0][run], atol=1e-4
        )


def test_runs_do_not_meet():
    torch.manual_seed(0)
    known = torch.randn(64, 6), torch.randint(3, (64,))
    alone = c02.deep_runs(known, known, "before", rates=(0.03,), steps=4)
    beside = c02.deep_runs(
        known, known, "before", rates=(1e4, 0.03), scales=(1.0, 2.0), seeds=(5, 0), steps=4
    )
    assert beside["loss"].shape == (2, 2, 2) and torch.allclose(
        alone["loss"][0, 0, 0], beside["loss"][0, 1, 1], atol=1e-4
    )
    assert len(beside["before"]) == c02.DEPTH and beside["before"][0].shape == (8, 32, c02.WIDTH)


def test_an_unnormed_net_depends_on_the_scale_of_its_weights_and_a_normed_one_does_not():
    torch.manual_seed(0)
    known = torch.randn(64, 6), torch.randint(3, (64,))
    for norm, same in (("before", True), (None, False)):
        inputs = c02.deep_runs(known, known, norm, scales=(1.0, 4.0), steps=1)["before"][-1]
        assert torch.allclose(inputs[0], inputs[1], atol=1e-2) == same


def test_thumbnails_keep_pictures_apart():
    (x, y), (x_new, y_new) = c02.thumbnails(3, 0)
    assert (
        x.shape == (54, 384)
        and x_new.shape == (18, 384)
        and set(y.tolist()) == set(y_new.tolist()) == {0, 1, 2}
    )


# ---- one formula, layers, divergence, company, scores


def test_the_formula_by_hand():
    """Two pictures of two pixels, (1, 3) and (5, 7): the pencil of section 2."""
    tiny = torch.tensor([[1.0, 3], [5, 7]]).view(2, 1, 1, 2)
    assert c02.by_formula(tiny, (2, 3)).flatten().tolist() == pytest.approx(
        [-1, 1, -1, 1], abs=1e-4
    )
    assert c02.by_formula(tiny, (0, 2, 3)).flatten().tolist() == pytest.approx(
        [v / 5**0.5 for v in (-3, -1, 1, 3)], abs=1e-4
    )
    assert c02.by_formula(tiny, (2, 3), eps=3.0).flatten().tolist() == pytest.approx(
        [-0.5, 0.5, -0.5, 0.5]
    )


def test_the_gap_of_a_pair_by_hand():
    pair = torch.stack([torch.full((3, 2, 2), 1.0), torch.full((3, 2, 2), 5.0)])
    assert c02.pair_gap(nn.Identity(), pair) == pytest.approx(4)
    assert c02.pair_gap(nn.Identity(), pair.flip(0)) == pytest.approx(4)  # without its sign
    assert c02.pair_gap(nn.BatchNorm2d(3), pair) == pytest.approx(
        2, abs=1e-4
    )  # mean 3, deviation 2: -1 and 1


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return Baseline(2).eval()


def test_activations_are_those_of_the_network(model):
    pictures = torch.randint(0, 256, (5, 3, 64, 32), dtype=torch.uint8)
    maps = c02.activations(model, pictures, batch=2)
    assert len(maps) == len(c02.LAYERS) and [each.shape[1] for each in maps] == [
        3,
        24,
        24,
        48,
        96,
        192,
    ]
    assert torch.allclose(maps[-1], model.trunk(maps[0]), atol=1e-4)


def test_style_and_content_by_hand():
    """Means 0, 2 through one chain and 10, 12 through the other: style far apart, halves of equal people not at all."""
    light = torch.tensor([True, True, False, False]).repeat(2)
    base = torch.tensor([0.0, 2, 0, 2]).repeat(2).view(8, 1, 1, 1)
    content = base + 4 * light.view(8, 1, 1, 1)
    found = c02.style_and_content([[content] * 6, [content + 10] * 6], light)
    assert found["content"] == pytest.approx(
        [16.0] * 6
    )  # means 4 apart, variances 1: (4^2)(1 + 1) / 2
    assert found["style"] == pytest.approx([100 / 5.0] * 6)  # 10 apart, variance 1 + 4
    assert found["nothing"][0] > 10  # pairs of this tiny set follow the tops


def test_chains_change_nothing_but_the_imaging():
    crowd, who, chains = c02.crowd_through_chains(3, 2, (64, 32), 0)
    assert len(crowd) == 3 and who.tolist() == [0, 0, 1, 1, 2, 2] and len(chains) == 2
    assert chains[0].shape == (6, 3, 64, 32) and not torch.equal(chains[0], chains[1])


def test_company_takes_the_statistics_of_each_batch_and_leaves_the_model_alone(model):
    images = torch.randn(6, 3, 64, 32)
    kept = {name: value.clone() for name, value in model.state_dict().items()}
    features, moved = c02.company(model, images, [torch.tensor([0, 2, 4]), torch.tensor([1, 3, 5])])
    again, _ = c02.company(model, images, [torch.tensor([4, 0, 2]), torch.tensor([5, 3, 1])])
    other, _ = c02.company(model, images, [torch.arange(6)])
    assert torch.allclose(features, again, atol=1e-4) and not torch.allclose(
        features, other, atol=1e-2
    )
    assert torch.allclose(features.norm(dim=1), torch.ones(6), atol=1e-5)
    assert all(torch.equal(value, kept[name]) for name, value in model.state_dict().items())
    assert (
        not torch.equal(moved.state_dict()["neck.running_mean"], kept["neck.running_mean"])
        and not moved.training
    )


def test_scores_pool_places_or_keep_them_apart():
    def data(cameras):
        ids, places = torch.tensor([0, 1, 2, 3]), torch.tensor([0, 0, 1, 1])
        return ReIDData(
            torch.zeros(4, 3, 8, 8, dtype=torch.uint8),
            ids,
            2 * places + cameras,
            places,
            name="by hand",
        )

    exam = Exam(data(0), data(1))
    apart = torch.tensor([[0.0, 0], [5, 0], [0, 1], [5, 1]])  # place 1 lies beside place 0
    crossed = torch.tensor(
        [[0.0, 1.1], [5, 1.1], [0, 0.1], [5, 0.1]]
    )  # its gallery pictures lie where the other place asks
    found = c02.scores(torch.cat([apart, crossed]), exam)
    assert found["by place"] == (100, 100) and found["pooled"] == (0, 50)


def test_a_table_that_is_not_there_is_none():
    assert c02.recorded("02_no_such_table", "x") is None
    assert c02.recorded("01_chapter", "home_rank1").mean() > 0


def test_the_histogram_picture_counts_saturation():
    inputs = {
        "before": [
            torch.zeros(1, 10, c02.WIDTH) + (9 if layer == 5 else 0) for layer in range(c02.DEPTH)
        ]
    }
    fig = c02.histogram_picture(inputs, inputs, [("made up", "before", 0)] * 2)
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert all(ax.get_ylim()[1] < 1.1 for ax in fig.axes)  # shares
    assert labels == [
        "layer 1: 0 % saturated",
        "layer 6: 100 % saturated",
        "layer 12: 0 % saturated",
    ]
    from matplotlib import pyplot

    pyplot.close(fig)
