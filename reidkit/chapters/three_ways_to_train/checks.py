"""Checks of chapter 01b."""

import torch

from ...teach.exercises import exercise, expect
from . import experiments


@exercise("01b-contrastive")
def contrastive(answer):
    def losses_of(distances, same, **options):
        values = answer(torch.tensor(distances), torch.tensor(same), **options)
        is_tensor = isinstance(values, torch.Tensor)
        expect(
            is_tensor and values.shape == (len(distances),),
            "return one value a pair, a tensor of the shape of d",
        )
        return values.tolist()

    (identical,) = losses_of([0.0], [True])
    expect(identical == 0, "identical pictures of one person must cost nothing")
    (pulled,) = losses_of([0.5], [True])
    expect(
        abs(pulled - 0.25) < 1e-6,
        "one person, distance 0.5: the loss is d^2 = 0.25",
    )
    (far,) = losses_of([5.0], [False])
    expect(
        far == 0,
        "strangers five apart are far enough: their loss must be 0, but yours is "
        f"{far:.2f}, which moves them back together",
    )
    (touching,) = losses_of([0.0], [False])
    expect(abs(touching - 1) < 1e-6, "identical pictures of strangers must cost m^2 = 1")
    (near,) = losses_of([0.25], [False])
    expect(abs(near - 0.5625) < 1e-6, "strangers 0.25 apart: [1 - 0.25]^2 = 0.5625")
    near, far = losses_of([0.5, 3.0], [False, False], margin=2.0)
    expect(
        abs(near - 2.25) < 1e-6 and far == 0,
        "right for a margin of 1, wrong for a margin of 2: is the margin used?",
    )


@exercise("01b-batch-hard")
def batch_hard(answer):
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    ids = torch.tensor([0, 0, 1, 1])
    distance = torch.cdist(points, points)  # (4, 4)
    hardest = answer(distance, ids)
    expect(
        isinstance(hardest, tuple) and len(hardest) == 2,
        "return two tensors: hardest positive, hardest negative",
    )
    positive, negative = hardest
    are_tensors = isinstance(positive, torch.Tensor) and isinstance(negative, torch.Tensor)
    expect(
        are_tensors,
        "return two tensors (amax and amin give values alone; max and min give values and indices)",
    )
    shape = tuple(positive.shape)
    other_shape = tuple(negative.shape)
    expect(
        shape == other_shape == (4,),
        f"one value an anchor, shape (4,); yours are {shape} and {other_shape}",
    )
    zeros = torch.zeros(4)
    expect(
        not torch.allclose(positive, zeros),
        "the hardest positive is 0 everywhere: you took the anchor itself (the nearest, not the "
        "farthest)",
    )
    farthest = torch.tensor([5.0, 5.0, 5.0**0.5, 5.0**0.5])
    values = _rounded(positive)
    expect(
        torch.allclose(positive, farthest),
        "the hardest positive is the farthest picture of the same person: 5, 5, 2.24, 2.24; "
        f"yours are {values}",
    )
    nearest = torch.tensor([1.0, 13**0.5, 1.0, 2.0])
    values = _rounded(negative)
    expect(
        torch.allclose(negative, nearest),
        f"the hardest negative is the nearest stranger: 1, 3.61, 1, 2; yours are {values}",
    )


def _rounded(values):
    return [round(value, 2) for value in values.tolist()]


@exercise("01b-rescue")
def rescue(answer):
    settings = answer()
    keys = experiments.COLLAPSED.keys()
    words = ", ".join(keys)
    is_dict = isinstance(settings, dict)
    expect(is_dict and settings.keys() == keys, f"return a dict with the keys {words}")
    expect(
        settings != experiments.COLLAPSED,
        "these are the settings of the collapsed run: change at least one",
    )
    mining = settings["mining"]
    expect(mining in ("hard", "weighted"), f"mining is {mining!r}; expected 'hard' or 'weighted'")
    curves = experiments.collapse_lab(None, **settings)
    distance = curves["distance"][-1]
    expect(distance > 0.1, f"still one point: the mean distance ends at {distance:.3f}")
    loss = curves["loss"][-1]
    expect(
        loss < 0.25,
        f"the triplet loss ends at {loss:.3f}; get it clearly below the margin of 0.3",
    )
