"""Checks of chapter 01b."""

import torch

from ...teach.exercises import exercise, expect


@exercise("01b-contrastive")
def contrastive(answer):
    def loss(d, same):
        got = answer(torch.tensor(d), torch.tensor(same))
        expect(
            isinstance(got, torch.Tensor) and got.shape == (len(d),),
            "return one value a pair, a tensor of the shape of d",
        )
        return got.tolist()

    expect(loss([0.0], [True])[0] == 0, "identical pictures of one person must cost nothing")
    expect(
        abs(loss([0.5], [True])[0] - 0.25) < 1e-6,
        "one person, distance 0.5: the loss is d^2 = 0.25",
    )
    far = loss([5.0], [False])[0]
    expect(
        far == 0,
        f"strangers five apart are far enough: their loss must be 0, but yours is {far:.2f}, which moves them back together",
    )
    expect(
        abs(loss([0.0], [False])[0] - 1) < 1e-6, "identical pictures of strangers must cost m^2 = 1"
    )
    expect(
        abs(loss([0.25], [False])[0] - 0.5625) < 1e-6, "strangers 0.25 apart: [1 - 0.25]^2 = 0.5625"
    )
    got = answer(torch.tensor([0.5, 3.0]), torch.tensor([False, False]), margin=2.0).tolist()
    expect(
        abs(got[0] - 2.25) < 1e-6 and got[1] == 0,
        "right for a margin of 1, wrong for a margin of 2: is the margin used?",
    )


@exercise("01b-batch-hard")
def batch_hard(answer):
    points = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    ids = torch.tensor([0, 0, 1, 1])
    got = answer(torch.cdist(points, points), ids)
    expect(
        isinstance(got, tuple) and len(got) == 2,
        "return two tensors: hardest positive, hardest negative",
    )
    positive, negative = got
    expect(
        isinstance(positive, torch.Tensor) and isinstance(negative, torch.Tensor),
        "return two tensors (amax and amin give values alone; max and min give values and indices)",
    )
    expect(
        positive.shape == (4,) and negative.shape == (4,),
        f"one value an anchor, shape (4,); yours are {tuple(positive.shape)} and {tuple(negative.shape)}",
    )
    expect(
        not torch.allclose(positive, torch.zeros(4)),
        "the hardest positive is 0 everywhere: you took the anchor itself (the nearest, not the farthest)",
    )
    expect(
        torch.allclose(
            positive, torch.tensor([5.0, 5.0, 5.0, 5.0]).where(ids == 0, torch.tensor(5.0**0.5))
        ),
        f"the hardest positive is the farthest picture of the same person: 5, 5, 2.24, 2.24; yours are {[round(x, 2) for x in positive.tolist()]}",
    )
    expect(
        torch.allclose(negative, torch.tensor([1.0, 13**0.5, 1.0, 2.0])),
        f"the hardest negative is the nearest stranger: 1, 3.61, 1, 2; yours are {[round(x, 2) for x in negative.tolist()]}",
    )


@exercise("01b-rescue")
def rescue(answer):
    from . import figures

    settings = answer()
    expect(
        isinstance(settings, dict) and set(settings) == set(figures.COLLAPSED),
        f"return a dict with the keys {', '.join(figures.COLLAPSED)}",
    )
    expect(
        settings != figures.COLLAPSED,
        "these are the settings of the collapsed run: change at least one",
    )
    expect(
        settings["mining"] in ("hard", "weighted"),
        f"mining is {settings['mining']!r}; expected 'hard' or 'weighted'",
    )
    rows = figures.collapse_lab(None, **settings)
    expect(
        rows["distance"][-1] > 0.1,
        f"still one point: the mean distance ends at {rows['distance'][-1]:.3f}",
    )
    expect(
        rows["loss"][-1] < 0.25,
        f"the triplet loss ends at {rows['loss'][-1]:.3f}; get it clearly below the margin of 0.3",
    )
