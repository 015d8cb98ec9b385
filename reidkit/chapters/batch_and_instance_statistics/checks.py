"""Checks of chapter 02: small fixed tensors."""

import torch
from torch import nn

from ...teach.exercises import exercise, expect
from .experiments import by_formula


def _like(answer, wanted, message, atol=1e-4):
    """Go on where the answer's numbers are the wanted ones, else tell the student `message`."""
    expect(torch.allclose(answer, wanted, atol=atol), message)


def _unlike(answer, mistake, message, atol=1e-4):
    """Tell the student `message` where the answer's numbers are those of a mistake."""
    expect(not torch.allclose(answer, mistake, atol=atol), message)


# ---- exercise 2.1


@exercise("02-normalise")
def normalise_over(answer):
    x = torch.randn(3, 2, 4, 3, generator=torch.Generator().manual_seed(2)) * 2 + 5
    before = x.clone()
    axes = (0, 2, 3)
    normed = answer(x, axes)
    unchanged = torch.equal(x, before)
    expect(unchanged, "your function changed the tensor it was given: build a new one")
    of_this_shape = isinstance(normed, torch.Tensor) and normed.shape == x.shape
    expect(of_this_shape, "return a tensor of the shape of x")
    _usual_mistakes(normed, x, axes)
    message = "over axes (0, 2, 3) the numbers are not those of batch norm"
    _like(normed, by_formula(x, axes), message)
    message = "right over (0, 2, 3), wrong over (2, 3): the axes are given, do not fix them"
    _like(answer(x, (2, 3)), by_formula(x, (2, 3)), message)
    flat = torch.tensor([[1.0, 3.0], [5.0, 7.0], [6.0, 2.0]])
    message = "right for maps, wrong for a pooled feature (N, C)"
    _like(answer(flat, (0,)), by_formula(flat, (0,)), message)
    message = "with a large eps the numbers are wrong: eps is added to the variance, under the root"
    _like(answer(x, axes, 3.0), by_formula(x, axes, 3.0), message)


def _usual_mistakes(normed, x, axes):
    """Whether the answer is one of five known mistakes."""
    mean = x.mean(axes, keepdim=True)
    centred = x - mean
    _unlike(normed, centred, "the mean is gone, but nothing was divided")
    variance = x.var(axes, keepdim=True, unbiased=False) + 1e-5
    only_divided = x / variance.sqrt()
    _unlike(normed, only_divided, "you divided, but the mean is still in")
    no_root = centred / variance
    _unlike(normed, no_root, "you divided by the variance: take its square root")
    over_everything = by_formula(x, (0, 1, 2, 3))
    message = "one mean for everything: use the axes that are asked for"
    _unlike(normed, over_everything, message)
    unbiased = x.var(axes, keepdim=True) + 1e-5
    message = "almost: your variance is the unbiased one, divided by n - 1"
    _unlike(normed, centred / unbiased.sqrt(), message, atol=1e-5)


# ---- exercise 2.2


@exercise("02-twins")
def gap(answer):
    shape = torch.zeros(3, 6, 4)
    shape[:, 1:5, 1:3] = 1
    mid_grey = 0.4 * shape
    light_grey = 0.8 * shape
    value = answer(nn.BatchNorm2d(3), mid_grey, light_grey)
    expect(not isinstance(value, torch.Tensor), "return a Python float, not a tensor: .item()")
    kind = type(value).__name__
    expect(isinstance(value, float), f"return a Python float; yours is {kind}")
    together = nn.BatchNorm2d(3)(torch.stack([mid_grey, light_grey]))  # (2, 3, H, W)
    difference = together[0] - together[1]
    _other_gaps(value, mid_grey, light_grey, difference)
    wanted = difference.abs().mean().item()
    message = f"for a mid-grey and a light person BN gives {wanted:.2f}, you say {value:.2f}"
    expect(abs(value - wanted) < 1e-4, message)
    by_instance = answer(nn.InstanceNorm2d(3), mid_grey, light_grey)
    message = "IN should find almost no difference here: use the norm that is given"
    expect(by_instance < 0.01, message)


def _other_gaps(value, mid_grey, light_grey, difference):
    """Whether the answer is one of five known mistakes; difference (3, H, W), after BN."""
    not_normed = (mid_grey - light_grey).abs().mean().item()
    message = "this is the difference of the pictures as they came: the norm is missing"
    expect(abs(value - not_normed) > 1e-4, message)
    mid_alone = nn.BatchNorm2d(3)(mid_grey[None])  # (1, 3, H, W)
    light_alone = nn.BatchNorm2d(3)(light_grey[None])
    each_alone = (mid_alone - light_alone).abs().mean().item()
    message = (
        "you normalised each picture alone: a batch of one, in which BN is IN. "
        "Both go into one batch"
    )
    expect(abs(value - each_alone) > 1e-4, message)
    message = "the difference must count without its sign: take absolute values before the mean"
    expect(value > 0, message)
    added_up = difference.abs().sum().item()
    expect(abs(value - added_up) > 1e-3, "you added up: the mean is asked for")
    squared = difference.square().mean().item()
    message = "you squared the differences: absolute values are asked for"
    expect(abs(value - squared) > 1e-3, message)


# ---- exercise 2.3


@exercise("02-repair")
def features_of(answer):
    torch.manual_seed(0)
    model = _small_network()
    images = torch.randn(6, 3, 5, 5)
    model(images)  # running statistics of its own
    model.eval()
    wanted = model(images).detach()
    for training, frozen in ((True, False), (False, False), (True, True)):
        norm_trains = training and not frozen
        model.train(training)
        # A frozen BN keeps its statistics while the rest learns.
        model[1].train(norm_trains)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        features = answer(model, images)
        _right_features(features, wanted)
        _same_state(model, before)
        message = "a picture's feature is not the one in evaluation mode: it depends on the others"
        _like(features, wanted, message, atol=1e-5)
        message = "the features carry a graph of gradients: no_grad is missing"
        expect(not features.requires_grad, message)
        _same_modes(model, training, norm_trains)
    message = "with batches of 5 and 1 the features change"
    _like(answer(model, images, 5), wanted, message, atol=1e-5)


def _small_network():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def _right_features(features, wanted):
    shape = tuple(wanted.shape)
    of_this_shape = isinstance(features, torch.Tensor) and features.shape == wanted.shape
    expect(of_this_shape, f"expected features of shape {shape}, one row a picture")


def _same_state(model, before):
    """Whether parameters and buffers are as they were; before: {name: value}."""
    for name, value in model.state_dict().items():
        unchanged = torch.equal(value, before[name])
        expect(unchanged, f"looking has changed the model: its {name} moved")


def _same_modes(model, training, norm_trains):
    """Whether the model and its BN are in the modes that they came in."""
    was = "training" if training else "evaluation"
    now = "training" if model.training else "evaluation"
    same_mode = model.training == training
    expect(same_mode, f"the model came in {was} mode and is left in {now} mode")
    message = (
        "a model in training mode had its BN frozen in evaluation mode: you woke it, "
        "and the next step would move its statistics"
    )
    expect(model[1].training == norm_trains, message)
