"""Checks of chapter 4: a few points on a plane, places with different numbers of pictures, gates
that sit on the clamp.
"""

import torch
import torch.nn.functional as F

from ... import losses
from ...methods import metabin
from ...teach.exercises import exercise, expect

POINTS = torch.tensor([[0.0, 0], [3, 4], [1, 0], [0, 2]]) + 0.1
UNEVEN = torch.tensor([[0.1, 1], [2, 0.3], [3, 3.5], [4, 1], [0.2, 5]])
PLACES = torch.tensor([7, 7, 7, 2, 2])  # of UNEVEN


def _equal(values, expected):
    return torch.allclose(values, expected, atol=1e-5)


def _refuse(values, mistake, message):
    """Tell the student `message` where an answer's values are those of a known mistake."""
    expect(not _equal(values, mistake), message)


# ---- scatter


@exercise("04-scatter")
def scatter(answer):
    features = POINTS.clone().requires_grad_()
    loss = answer(features, torch.tensor([0, 0, 1, 1]))
    _expect_a_loss(loss)
    expect(
        loss > -0.5,
        "a cosine near 1 must give a loss near 1: this loss is minimised, so that similarity to "
        "the centre falls; mind the sign",
    )
    loss = answer(UNEVEN, PLACES)
    _refuse_wrong_centres(loss)
    right = metabin.scatter_loss(UNEVEN, PLACES)
    expect(
        torch.isclose(loss, right, atol=1e-5),
        f"two places with 3 and 2 pictures: your loss is {loss:.4f}, not the mean cosine to the "
        "places' centres",
    )
    loss = answer(torch.ones(4, 3), torch.tensor([0, 0, 1, 1]))
    expect(
        torch.isclose(loss, torch.ones(()), atol=1e-5),
        f"where every place is one point the loss is 1; yours is {loss:.4f}",
    )


def _expect_a_loss(loss):
    """One number for the batch, through which a gradient can flow."""
    kind = type(loss).__name__
    expect(
        isinstance(loss, torch.Tensor),
        f"return a tensor, so that a gradient can flow back; yours is a {kind}",
    )
    shape = tuple(loss.shape)
    expect(
        loss.ndim == 0,
        f"one number for the whole batch is asked for; yours has shape {shape}",
    )
    expect(
        loss.requires_grad,
        "the gradient is cut off: no .item(), .detach() or torch.tensor(...) on the way",
    )


def _refuse_wrong_centres(loss):
    """The losses of four mistakes about the centres, on the places of different size."""
    unit = F.normalize(UNEVEN, dim=1)  # (5, 2)
    cosines = []  # of each place: (n_z,)
    of_any_length = []
    dot_products = []
    for place in (7, 2):
        is_here = PLACES == place
        centre = unit[is_here].mean(0, keepdim=True)  # (1, 2)
        cosines.append(F.cosine_similarity(UNEVEN[is_here], centre))
        long_centre = UNEVEN[is_here].mean(0, keepdim=True)  # (1, 2)
        of_any_length.append(F.cosine_similarity(UNEVEN[is_here], long_centre).mean())
        dot_products.append((unit[is_here] @ centre[0]).mean())
    one_centre = F.cosine_similarity(unit, unit.mean(0, keepdim=True))  # (5,)
    _refuse(
        loss,
        one_centre.mean(),
        "you measure against one centre of all pictures: each place has a centre of its own",
    )
    _refuse(
        loss,
        torch.cat(cosines).mean(),
        "right centres, but you average over pictures at once: first within each place, then over "
        "the places, else a large place counts more",
    )
    _refuse(
        loss,
        torch.stack(of_any_length).mean(),
        "your centre is the mean of features of any length, so that long ones pull it their way: "
        "bring features to length 1 first",
    )
    _refuse(
        loss,
        torch.stack(dot_products).mean(),
        "a mean of unit vectors is shorter than 1: a dot product with it is not yet the cosine; "
        "divide by the centre's length",
    )


# ---- shuffle


@exercise("04-shuffle")
def shuffle(answer):
    points = torch.tensor([[0.0, 0], [3, 4], [1, 0], [0, 2], [0.5, 0.2], [3, 3]])
    ids = torch.tensor([0, 1, 2, 3, 0, 1])
    domains = torch.tensor([0, 0, 1, 1, 0, 0])
    distance = losses.pairwise_distance(points)
    values = answer(distance, ids, domains)
    shape = tuple(getattr(values, "shape", ()))
    expect(
        isinstance(values, torch.Tensor) and values.shape == (6,),
        f"one value a picture is asked for, shape (6,) here; yours is {shape}",
    )
    _refuse_wrong_choices(values, distance, ids, domains)


def _refuse_wrong_choices(values, distance, ids, domains):
    """The losses of mistakes about f+ and f-, then the right one."""
    home = domains[:, None] == domains[None]  # (6, 6) the same place
    stranger = ids[:, None] != ids[None]  # (6, 6) another person
    far = distance.masked_fill(home, 0).amax(1)  # (6,) to f+
    near = distance.masked_fill(~(home & stranger), losses.FAR).amin(1)  # (6,) to f-
    nearest_stranger = distance.masked_fill(~stranger, losses.FAR).amin(1)  # of any place
    nearest_elsewhere = distance.masked_fill(home, losses.FAR).amin(1)
    nearest_at_home = distance.masked_fill(~home, losses.FAR).amin(1)  # itself
    turned_round = (
        "the sign is turned round: the loss must be large where other places are far and the home "
        "stranger is near"
    )
    _refuse(values, F.softplus(near - far), turned_round)
    _refuse(values, F.softplus(nearest_stranger - far), turned_round)
    _refuse(
        values,
        F.softplus(far - nearest_stranger),
        "the nearest stranger may come from any place in yours; f- is the nearest stranger of the "
        "picture's own place",
    )
    _refuse(
        values,
        F.softplus(nearest_elsewhere - near),
        "f+ is the farthest picture of the other places; you took the nearest",
    )
    _refuse(
        values,
        F.softplus(far - nearest_at_home),
        "in its own place a picture is nearest to itself or to the same person: f- must be another "
        "person",
    )
    _refuse(
        values,
        far - near,
        "the gap is right, but softplus is gone: without it the loss could fall for ever",
    )
    right = F.softplus(far - near)
    first = f"{right[0]:.3f}; yours is {values[0]:.3f}"
    expect(_equal(values, right), f"for the first picture the loss is {first}")


# ---- the outer step


@exercise("04-outer-step")
def outer_step(answer):
    gates = torch.tensor([0.5, 0.9, 0.1, 1.0, 0.4])
    moved = torch.tensor([0.3, 1.0, 0.0, 1.0, 0.7])
    goal = torch.tensor([0.6, 0.7, 0.3, 0.2, 0.0])
    weight = torch.tensor([1.0, 2, 1, 1, 8])
    lr = 0.2

    def loss(at):
        return (weight * (at - goal) ** 2).sum()

    gates_before = gates.clone()
    moved_before = moved.clone()
    after = answer(gates, moved, loss, lr)
    expect(
        torch.equal(gates, gates_before) and torch.equal(moved, moved_before),
        "your function changed its inputs: build a new tensor",
    )
    expect(
        isinstance(after, torch.Tensor) and after.shape == (5,),
        "return a tensor with one gate a channel, shape (5,) here",
    )
    after = after.detach()
    grad = 2 * weight * (moved - goal)  # of the loss, at the trial gates
    grad_at_gates = 2 * weight * (gates - goal)
    right = _refuse_wrong_steps(after, gates, moved, lr, grad, grad_at_gates)
    expect(_equal(after, right), f"expected {_rounded(right)}, got {_rounded(after)}")


def _refuse_wrong_steps(after, gates, moved, lr, grad, grad_at_gates):
    """The gates after six mistakes -> where the right step leads, (5,)."""
    step = lr * grad
    step_at_gates = lr * grad_at_gates
    sits_on_the_clamp = (moved == 0) | (moved == 1)
    step_off_the_clamp = step.masked_fill(sits_on_the_clamp, 0)
    _refuse(after, gates - step, "a gate has left [0, 1]: clamp the result")
    _refuse(
        after,
        (gates + step).clamp(0, 1),
        "you walked uphill: a step against the gradient makes the loss smaller",
    )
    _refuse(
        after,
        (gates - step_at_gates).clamp(0, 1),
        "you took the gradient at the gates where we stand; it belongs to the gates after the "
        "trial step",
    )
    _refuse(
        after,
        (moved - step).clamp(0, 1),
        "you stepped from the trial gates; the trial is thrown away, the step starts at `gates`",
    )
    _refuse(
        after,
        (gates - step_off_the_clamp).clamp(0, 1),
        "gates that the trial pushed to 0 or 1 got no gradient in yours: the clamp limits the "
        "value, not the gradient",
    )
    _refuse(after, (gates - grad).clamp(0, 1), "the rate is missing")
    return (gates - step).clamp(0, 1)


def _rounded(gates):
    return [round(value, 2) for value in gates.tolist()]
