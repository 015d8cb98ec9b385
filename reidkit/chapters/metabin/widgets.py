"""Chapter 04, MetaBIN: the losses of its episode on points of a plane that you can push about."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ... import losses
from ...methods import metabin
from ...teach.plots import make_canvas
from ...teach.widgets import Control, Frame, choice, slider
from .figures import MARKS

# Of the plane: three people in each place, three pictures of each person.
PLACES = 3
PEOPLE = 3
PICTURES = 3
LETTERS = "abcdefghi"  # of the people

LOSSES = {
    "scatter": ("scatter",),
    "shuffle": ("shuffle",),
    "triplet": ("triplet",),
    "all three": ("scatter", "shuffle", "triplet"),
}


class Plane(NamedTuple):
    """27 pictures, and what makes up their points."""

    ids: Tensor  # (27,) people, three to a place
    domains: Tensor  # (27,) places
    people: Tensor  # (9, 2) where a person lies within its place
    places: Tensor  # (3, 2) corners of a triangle, on a circle around the origin
    noise: Tensor  # (27, 2) of the pictures


def make_plane() -> Plane:
    """The plane of the explorer; it is always the same."""
    domains = torch.arange(PLACES).repeat_interleave(PEOPLE * PICTURES)  # (27,)
    ids = torch.arange(PLACES * PEOPLE).repeat_interleave(PICTURES)  # (27,)
    turn = torch.arange(PLACES) * 2 * torch.pi / PLACES + torch.pi / 2
    places = torch.stack([turn.cos(), turn.sin()], 1)  # (3,) and (3,) -> (3, 2)
    chance = torch.Generator().manual_seed(2)
    people = torch.randn(PLACES * PEOPLE, 2, generator=chance)
    noise = torch.randn(len(ids), 2, generator=chance)
    return Plane(ids, domains, people, places, noise)


def place_points(plane: Plane, apart: float, centre: float | Tensor) -> Tensor:
    """Where the pictures start.

    Args:
        plane: see `make_plane`.
        apart: how far the places lie from the centre.
        centre: of all points, (2,) or one number for both axes.
    Returns:
        (27, 2) points.
    """
    place = apart * plane.places[plane.domains]
    person = 0.5 * plane.people[plane.ids]
    return centre + place + person + 0.15 * plane.noise


def gradient_steps(
    points: Tensor, ids: Tensor, domains: Tensor, names: Sequence[str], reach: float = 0.05
) -> Iterator[tuple[Tensor, Tensor, dict[str, float]]]:
    """An endless row of steps down the gradient of the named losses.

    The point with the steepest gradient moves by `reach`, the others in proportion: gradients of
    these losses differ a hundredfold.

    Args:
        points: (N, 2) where it starts.
        ids: (N,) people.
        domains: (N,) places.
        names: of the losses, for `metabin.episode_losses`.
        reach: how far the farthest point moves in a step.
    Yields:
        (points, -gradient, {loss: value}), the first before any step.
    """
    while True:
        points = points.detach().requires_grad_()
        parts = metabin.episode_losses(names, _Features(points), ids, domains)
        grad = torch.autograd.grad(sum(parts.values()), points)[0]  # (N, 2)
        yield points.detach(), -grad, {name: value.item() for name, value in parts.items()}
        steepest = grad.norm(dim=1).max().clamp_min(1e-9)
        points = points - reach * grad / steepest


class _Features:
    """What `episode_losses` reads of a network's output."""

    def __init__(self, feature):
        self.feature = feature
        self.logits = None


def neighbours(points: Tensor, ids: Tensor, domains: Tensor) -> float:
    """Of the strangers, how often the nearest is of the same place, in %: by chance it would be 25
    here.

    Args:
        points: (N, 2).
        ids: (N,) people.
        domains: (N,) places.
    """
    same_person = ids[:, None] == ids[None]  # (N, N)
    distance = losses.pairwise_distance(points).masked_fill(same_person, losses.FAR)
    nearest = distance.argmin(1)  # (N,)
    return 100 * (domains[nearest] == domains).float().mean().item()


def loss_explorer() -> tuple[Callable, dict[str, Control]]:
    """Three places on a plane; arrows show where a step of each loss would move every picture.

    Returns:
        (draw, controls) for `teach.explore`.
    """
    plane = make_plane()
    centre = torch.tensor([3.0, 2.6])

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "fig" not in artists:
            _prepare(artists, plane)
        start = state["loss"], state["apart"]
        if start not in artists:
            points = place_points(plane, state["apart"], centre)
            names = LOSSES[state["loss"]]
            artists[start] = ([], gradient_steps(points, plane.ids, plane.domains, names))
        taken, coming = artists[start]
        # Steps once taken are kept: the slider only draws.
        while len(taken) <= state["steps"]:
            taken.append(next(coming))
        points, descent, parts = taken[state["steps"]]
        _move(artists, plane, points, descent)
        return Frame(artists["fig"], _readout(plane, points, parts))

    controls = {
        "loss": choice(list(LOSSES), "scatter", "loss"),
        "apart": slider(0.0, 2.0, 0.25, 1.5, "places apart"),
        "steps": slider(0, 40, 2, 0, "steps downhill"),
    }
    return draw, controls


def _readout(plane, points, parts):
    """The losses in numbers, and whom a picture lies next to."""
    words = ", ".join(f"{name} {value:.3f}" for name, value in parts.items())
    share = neighbours(points, plane.ids, plane.domains)
    return (
        f"{words}. The nearest stranger is of the same place for {share:.0f} % "
        "of the points (by chance 25 %)."
    )


def _move(artists, plane, points, descent):
    """Move everything that a state can move: points, arrows, letters."""
    for place in range(PLACES):
        artists[place].set_offsets(points[plane.domains == place].numpy())
    longest = descent.norm(dim=1, keepdim=True).max().clamp_min(1e-9)
    arrows = (0.8 * descent / longest).numpy()  # (27, 2), the longest is 0.8 long
    artists["arrows"].set_offsets(points.numpy())
    artists["arrows"].set_UVC(*arrows.T)
    beside = torch.tensor([0.12, 0.12])
    for person, letter in enumerate(artists["letters"]):
        middle = points[plane.ids == person].mean(0)  # (2,)
        letter.set_position((middle + beside).tolist())


def _prepare(artists, plane):
    """The figure with everything in it; nothing is where it belongs yet."""
    fig = make_canvas((5.2, 4.2), layout="none")  # a fixed layout draws twice as fast
    fig.subplots_adjust(left=0.1, right=0.99, bottom=0.11, top=0.98)
    ax = fig.add_subplot()
    artists["fig"] = fig
    for place in range(PLACES):
        zeros = [0.0] * int((plane.domains == place).sum())
        look = {"marker": MARKS[place], "color": f"C{place}", "s": 30, "edgecolor": "black"}
        artists[place] = ax.scatter(zeros, zeros, label=f"place {place + 1}", **look)
    zeros = [0.0] * len(plane.ids)
    in_data = {"angles": "xy", "scale_units": "xy", "scale": 1}  # an arrow of 0.8 is 0.8 long
    artists["arrows"] = ax.quiver(zeros, zeros, zeros, zeros, width=0.005, color="black", **in_data)
    artists["letters"] = [ax.text(0, 0, letter, fontsize=8) for letter in LETTERS]
    cross = {"marker": "+", "color": "black", "markersize": 10, "linestyle": "none"}
    ax.plot(0, 0, label="origin", **cross)
    ax.set(xlabel="first feature", ylabel="second feature")
    ax.set(xlim=(-0.5, 7), ylim=(-0.5, 6), aspect="equal")
    ax.legend(fontsize=7, loc="upper right")
    ax.grid(True, linewidth=0.4)
