"""Chapter 02: the deep nets that are trained side by side."""

import torch
from torch import nn

from reidkit.chapters.batch_and_instance_statistics import deep_nets


def random_pictures():
    """64 pictures of 6 numbers, of 3 people: as known ones and as new ones."""
    torch.manual_seed(0)
    pictures = torch.randn(64, 6), torch.randint(3, (64,))
    return pictures, pictures


def test_a_deep_net_is_what_torch_computes():
    """One of the nets trained side by side, against torch's own layers with the same weights."""
    nets = deep_nets.DeepNets([3, 4], [1.0, 2.0], inputs=6, classes=2, norm="before")
    x = torch.randn(2, 10, 6)
    nets.out[0] = torch.randn(2, deep_nets.WIDTH, 2)
    run = 1
    layers = []
    for weight in nets.weights:
        linear = nn.Linear(weight.shape[1], deep_nets.WIDTH, bias=False)
        linear.weight.data = weight[run].detach().T
        layers += [linear, nn.BatchNorm1d(deep_nets.WIDTH), nn.Tanh()]
    net = nn.Sequential(*layers)
    for training in (True, False):  # the second: by running statistics after one batch
        net.train(training)
        logits = nets.forward(x, training)[run]
        assert torch.allclose(logits, net(x[run]) @ nets.out[0][run], atol=1e-4)


def test_runs_do_not_meet():
    pictures = random_pictures()
    alone = deep_nets.train_deep_nets(pictures, "before", rates=(0.03,), steps=4)
    beside = deep_nets.train_deep_nets(
        pictures, "before", rates=(1e4, 0.03), scales=(1.0, 2.0), seeds=(5, 0), steps=4
    )
    assert beside["loss"].shape == (2, 2, 2)
    assert torch.allclose(alone["loss"][0, 0, 0], beside["loss"][0, 1, 1], atol=1e-4)
    assert len(beside["before"]) == deep_nets.DEPTH
    assert beside["before"][0].shape == (8, 32, deep_nets.WIDTH)


def test_runs_are_numbered_as_their_numbers_are_kept():
    pictures = random_pictures()
    rates = (0.01, 0.03)
    scales = (1.0, 4.0)
    runs = deep_nets.train_deep_nets(pictures, None, rates, scales, seeds=(0, 1), steps=1)
    alone = deep_nets.train_deep_nets(pictures, None, (0.03,), (4.0,), seeds=(1,), steps=1)
    number = deep_nets.number_runs(scales, rates, (0, 1))[4.0, 0.03, 1]
    assert number == 7
    assert torch.allclose(runs["after"][-1][number], alone["after"][-1][0], atol=1e-5)


def test_an_unnormed_net_depends_on_the_scale_of_its_weights_and_a_normed_one_does_not():
    pictures = random_pictures()
    for norm, same in (("before", True), (None, False)):
        runs = deep_nets.train_deep_nets(pictures, norm, scales=(1.0, 4.0), steps=1)
        inputs = runs["before"][-1]
        assert torch.allclose(inputs[0], inputs[1], atol=1e-2) == same


def test_thumbnails_keep_pictures_apart():
    (x, y), (x_new, y_new) = deep_nets.make_thumbnails(3, 0)
    assert x.shape == (54, 384)
    assert x_new.shape == (18, 384)
    assert set(y.tolist()) == set(y_new.tolist()) == {0, 1, 2}
