"""Checks of chapter 02: small fixed tensors."""

import torch
from torch import nn

from ...teach.exercises import exercise, expect


def _by_axes(x, axes, eps=1e-5):
    mean = x.mean(axes, keepdim=True)
    return (x - mean) / ((x - mean).square().mean(axes, keepdim=True) + eps).sqrt()


@exercise("02-normalise")
def normalise_over(answer):
    x = torch.randn(3, 2, 4, 3, generator=torch.Generator().manual_seed(2)) * 2 + 5
    kept, axes = x.clone(), (0, 2, 3)
    got = answer(x, axes)
    expect(torch.equal(x, kept), "your function changed the tensor it was given: build a new one")
    expect(
        isinstance(got, torch.Tensor) and got.shape == x.shape, "return a tensor of the shape of x"
    )
    mean, var = x.mean(axes, keepdim=True), x.var(axes, keepdim=True, unbiased=False)
    expect(
        not torch.allclose(got, x - mean, atol=1e-4), "the mean is gone, but nothing was divided"
    )
    expect(
        not torch.allclose(got, x / (var + 1e-5).sqrt(), atol=1e-4),
        "you divided, but the mean is still in",
    )
    expect(
        not torch.allclose(got, (x - mean) / (var + 1e-5), atol=1e-4),
        "you divided by the variance: take its square root",
    )
    expect(
        not torch.allclose(got, _by_axes(x, (0, 1, 2, 3)), atol=1e-4),
        "one mean for everything: use the axes that are asked for",
    )
    unbiased = x.var(axes, keepdim=True)
    expect(
        not torch.allclose(got, (x - mean) / (unbiased + 1e-5).sqrt(), atol=1e-5),
        "almost: your variance is the unbiased one, divided by n - 1",
    )
    expect(
        torch.allclose(got, _by_axes(x, axes), atol=1e-4),
        "over axes (0, 2, 3) the numbers are not those of batch norm",
    )
    expect(
        torch.allclose(answer(x, (2, 3)), _by_axes(x, (2, 3)), atol=1e-4),
        "right over (0, 2, 3), wrong over (2, 3): the axes are given, do not fix them",
    )
    flat = torch.tensor([[1.0, 3.0], [5.0, 7.0], [6.0, 2.0]])
    expect(
        torch.allclose(answer(flat, (0,)), _by_axes(flat, (0,)), atol=1e-4),
        "right for maps, wrong for a pooled feature (N, C)",
    )
    expect(
        torch.allclose(answer(x, axes, 3.0), _by_axes(x, axes, 3.0), atol=1e-4),
        "with a large eps the numbers are wrong: eps is added to the variance, under the root",
    )


@exercise("02-twins")
def gap(answer):
    shape = torch.zeros(3, 6, 4)
    shape[:, 1:5, 1:3] = 1
    a, b = 0.4 * shape, 0.8 * shape
    bn, instance = nn.BatchNorm2d(3), nn.InstanceNorm2d(3)
    together, alone = bn(torch.stack([a, b])), [nn.BatchNorm2d(3)(each[None])[0] for each in (a, b)]
    wanted, got = (together[0] - together[1]).abs().mean().item(), answer(nn.BatchNorm2d(3), a, b)
    expect(not isinstance(got, torch.Tensor), "return a Python float, not a tensor: .item()")
    expect(isinstance(got, float), f"return a Python float; yours is {type(got).__name__}")
    expect(
        abs(got - (a - b).abs().mean().item()) > 1e-4,
        "this is the difference of the pictures as they came: the norm is missing",
    )
    expect(
        abs(got - (alone[0] - alone[1]).abs().mean().item()) > 1e-4,
        "you normalised each picture alone: a batch of one, in which BN is IN. Both go into one batch",
    )
    expect(
        got > 0, "the difference must count without its sign: take absolute values before the mean"
    )
    expect(
        abs(got - (together[0] - together[1]).abs().sum().item()) > 1e-3,
        "you added up: the mean is asked for",
    )
    expect(
        abs(got - (together[0] - together[1]).square().mean().item()) > 1e-3,
        "you squared the differences: absolute values are asked for",
    )
    expect(
        abs(got - wanted) < 1e-4,
        f"for a mid-grey and a light person BN gives {wanted:.2f}, you say {got:.2f}",
    )
    expect(
        answer(instance, a, b) < 0.01,
        "IN should find almost no difference here: use the norm that is given",
    )


@exercise("02-repair")
def features_of(answer):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    images = torch.randn(6, 3, 5, 5)
    model(images)  # running statistics of its own
    model.eval()
    wanted = model(images).detach()
    for training, frozen in ((True, False), (False, False), (True, True)):
        model.train(training)
        model[1].train(
            training and not frozen
        )  # a frozen BN keeps its statistics while the rest learns
        kept = {name: value.clone() for name, value in model.state_dict().items()}
        got = answer(model, images)
        expect(
            isinstance(got, torch.Tensor) and got.shape == wanted.shape,
            f"expected features of shape {tuple(wanted.shape)}, one row a picture",
        )
        moved = [
            name for name, value in model.state_dict().items() if not torch.equal(value, kept[name])
        ]
        expect(not moved, f"looking has changed the model: its {moved[0] if moved else ''} moved")
        expect(
            torch.allclose(got, wanted, atol=1e-5),
            "a picture's feature is not the one in evaluation mode: it depends on the others",
        )
        expect(not got.requires_grad, "the features carry a graph of gradients: no_grad is missing")
        was, now = ("training" if mode else "evaluation" for mode in (training, model.training))
        expect(
            model.training == training, f"the model came in {was} mode and is left in {now} mode"
        )
        expect(
            model[1].training == (training and not frozen),
            "a model in training mode had its BN frozen in evaluation mode: you woke it, and the next step would move its statistics",
        )
    expect(
        torch.allclose(answer(model, images, 5), wanted, atol=1e-5),
        "with batches of 5 and 1 the features change",
    )
