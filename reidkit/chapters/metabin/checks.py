"""Checks of chapter 4: a few points on a plane, places with different numbers of pictures, gates that sit on the clamp."""

import torch
import torch.nn.functional as F

from ... import losses
from ...methods import metabin
from ...teach.exercises import exercise, expect

POINTS = torch.tensor([[0.0, 0], [3, 4], [1, 0], [0, 2]]) + 0.1
UNEVEN = torch.tensor([[0.1, 1], [2, 0.3], [3, 3.5], [4, 1], [0.2, 5]])  # places 7, 7, 7, 2, 2
PLACES = torch.tensor([7, 7, 7, 2, 2])


@exercise("04-scatter")
def scatter(answer):
    features = POINTS.clone().requires_grad_()
    got = answer(features, torch.tensor([0, 0, 1, 1]))
    expect(
        isinstance(got, torch.Tensor),
        f"return a tensor, so that a gradient can flow back; yours is a {type(got).__name__}",
    )
    expect(
        got.ndim == 0,
        f"one number for the whole batch is asked for; yours has shape {tuple(got.shape)}",
    )
    expect(
        got.requires_grad,
        "the gradient is cut off: no .item(), .detach() or torch.tensor(...) on the way",
    )
    expect(
        got > -0.5,
        "a cosine near 1 must give a loss near 1: this loss is minimised, so that similarity to the centre falls; mind the sign",
    )
    got = answer(UNEVEN, PLACES)
    unit = F.normalize(UNEVEN, dim=1)
    centres = {place: unit[PLACES == place].mean(0, keepdim=True) for place in (7, 2)}
    each = torch.stack(
        [
            F.cosine_similarity(one[None], centres[place])[0]
            for one, place in zip(UNEVEN, PLACES.tolist())
        ]
    )  # (5,)
    raw = [
        F.cosine_similarity(
            UNEVEN[PLACES == place], UNEVEN[PLACES == place].mean(0, keepdim=True)
        ).mean()
        for place in (7, 2)
    ]
    expect(
        not torch.isclose(
            got, F.cosine_similarity(unit, unit.mean(0, keepdim=True)).mean(), atol=1e-5
        ),
        "you measure against one centre of all pictures: each place has a centre of its own",
    )
    expect(
        not torch.isclose(got, each.mean(), atol=1e-5),
        "right centres, but you average over pictures at once: first within each place, then over the places, else a large place counts more",
    )
    expect(
        not torch.isclose(got, torch.stack(raw).mean(), atol=1e-5),
        "your centre is the mean of features of any length, so that long ones pull it their way: bring features to length 1 first",
    )
    plain = [(unit[PLACES == place] @ centres[place][0]).mean() for place in (7, 2)]
    expect(
        not torch.isclose(got, torch.stack(plain).mean(), atol=1e-5),
        "a mean of unit vectors is shorter than 1: a dot product with it is not yet the cosine; divide by the centre's length",
    )
    right = metabin.scatter_loss(UNEVEN, PLACES)
    expect(
        torch.isclose(got, right, atol=1e-5),
        f"two places with 3 and 2 pictures: your loss is {got:.4f}, not the mean cosine to the places' centres",
    )
    one = answer(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    expect(
        torch.isclose(one, torch.ones(()), atol=1e-5),
        f"where every place is one point the loss is 1; yours is {one:.4f}",
    )


@exercise("04-shuffle")
def shuffle(answer):
    points = torch.tensor([[0.0, 0], [3, 4], [1, 0], [0, 2], [0.5, 0.2], [3, 3]])
    ids, domains = torch.tensor([0, 1, 2, 3, 0, 1]), torch.tensor([0, 0, 1, 1, 0, 0])
    distance = losses.pairwise_distance(points)
    got = answer(distance, ids, domains)
    expect(
        isinstance(got, torch.Tensor) and got.shape == (6,),
        f"one value a picture is asked for, shape (6,) here; yours is {tuple(getattr(got, 'shape', ()))}",
    )
    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]
    far = distance.masked_fill(home, 0).amax(1)
    near = distance.masked_fill(~(home & other), losses.FAR).amin(1)
    anywhere = distance.masked_fill(~other, losses.FAR).amin(1)
    away = distance.masked_fill(home, losses.FAR).amin(1)
    self_ = distance.masked_fill(~home, losses.FAR).amin(1)

    def is_(value):
        return torch.allclose(got, value, atol=1e-5)

    expect(
        not is_(F.softplus(near - far)) and not is_(F.softplus(anywhere - far)),
        "the sign is turned round: the loss must be large where other places are far and the home stranger is near",
    )
    expect(
        not is_(F.softplus(far - anywhere)),
        "the nearest stranger may come from any place in yours; f- is the nearest stranger of the picture's own place",
    )
    expect(
        not is_(F.softplus(away - near)),
        "f+ is the farthest picture of the other places; you took the nearest",
    )
    expect(
        not is_(F.softplus(far - self_)),
        "in its own place a picture is nearest to itself or to the same person: f- must be another person",
    )
    expect(
        not is_(far - near),
        "the gap is right, but softplus is gone: without it the loss could fall for ever",
    )
    expect(
        is_(F.softplus(far - near)),
        f"for the first picture the loss is {F.softplus(far - near)[0]:.3f}; yours is {got[0]:.3f}",
    )


@exercise("04-outer-step")
def outer_step(answer):
    gates, moved = torch.tensor([0.5, 0.9, 0.1, 1.0, 0.4]), torch.tensor([0.3, 1.0, 0.0, 1.0, 0.7])
    goal, weight = torch.tensor([0.6, 0.7, 0.3, 0.2, 0.0]), torch.tensor([1.0, 2, 1, 1, 8])

    def loss(at):
        return (weight * (at - goal) ** 2).sum()

    slope, here, rate = 2 * weight * (moved - goal), 2 * weight * (gates - goal), 0.2
    before = gates.clone(), moved.clone()
    got = answer(gates, moved, loss, rate)
    expect(
        torch.equal(gates, before[0]) and torch.equal(moved, before[1]),
        "your function changed its inputs: build a new tensor",
    )
    expect(
        isinstance(got, torch.Tensor) and got.shape == (5,),
        "return a tensor with one gate a channel, shape (5,) here",
    )
    got, step = got.detach(), rate * slope

    def is_(value):
        return torch.allclose(got, value, atol=1e-5)

    held = (moved == 0) | (moved == 1)
    expect(not is_(gates - step), "a gate has left [0, 1]: clamp the result")
    expect(
        not is_((gates + step).clamp(0, 1)),
        "you walked uphill: a step against the gradient makes the loss smaller",
    )
    expect(
        not is_((gates - rate * here).clamp(0, 1)),
        "you took the gradient at the gates where we stand; it belongs to the gates after the trial step",
    )
    expect(
        not is_((moved - step).clamp(0, 1)),
        "you stepped from the trial gates; the trial is thrown away, the step starts at `gates`",
    )
    expect(
        not is_((gates - step.masked_fill(held, 0)).clamp(0, 1)),
        "gates that the trial pushed to 0 or 1 got no gradient in yours: the clamp limits the value, not the gradient",
    )
    expect(not is_((gates - slope).clamp(0, 1)), "the rate is missing")
    expect(
        is_((gates - step).clamp(0, 1)),
        f"expected {[round(x, 2) for x in (gates - step).clamp(0, 1).tolist()]}, got "
        f"{[round(x, 2) for x in got.tolist()]}",
    )
