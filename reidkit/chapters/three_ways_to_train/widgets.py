"""Chapter 01b: the triplet explorer."""

from collections.abc import Callable

import torch

from ... import losses
from ...teach.plots import make_canvas
from ...teach.widgets import Control, Frame, choice, slider

CORNERS = torch.tensor([[0.0, 1.0], [-0.87, -0.5], [0.87, -0.5]])  # (3, 2) where people stand


def triplet_explorer() -> tuple[Callable, dict[str, Control]]:
    """Three people on a plane, four pictures each; arrows show where a step of the loss would move
    them.

    Returns:
        (draw, controls) for `teach.explore`.
    """
    ids = torch.arange(3).repeat_interleave(4)  # (12,)
    draws = torch.Generator().manual_seed(4)
    noise = torch.randn(12, 2, generator=draws)

    def draw(state, artists=None):
        points = state["apart"] * CORNERS[ids] + state["spread"] * noise  # (12, 2)
        loss, step = _loss_and_step(points, ids, state["loss"], state["margin"])
        artists = {} if artists is None else artists
        if "axes" not in artists:
            artists["figure"] = make_canvas((4.5, 3.8))
            artists["axes"] = artists["figure"].add_subplot()
        _draw_points(artists["axes"], points, ids, step)
        active = int((loss > 0).sum())
        distance = losses.pairwise_distance(points).mean()
        text = (
            f"mean loss {loss.mean():.3f}, margin {state['margin']:.1f}; "
            f"{active} of 12 anchors are active, mean distance {distance:.2f}."
        )
        return Frame(artists["figure"], text)

    controls = {
        "apart": slider(0.0, 2.0, 0.1, 0.8, "people apart"),
        "spread": slider(0.0, 1.0, 0.05, 0.4, "spread of one person"),
        "margin": slider(0.0, 1.0, 0.1, 0.3, "margin"),
        "loss": choice(["hard", "weighted"], "hard", "mining"),
    }
    return draw, controls


def _loss_and_step(points, ids, mining, margin):
    """(12,) loss of each anchor; (12, 2) the way against the gradient of their sum."""
    triplet = losses.batch_hard_triplet if mining == "hard" else losses.weighted_triplet
    points = points.clone().requires_grad_()
    loss = triplet(points, ids, margin=margin)
    (grad,) = torch.autograd.grad(loss.sum(), points)
    return loss, -grad


def _draw_points(axes, points, ids, step):
    axes.clear()
    for person, marker in enumerate("o^s"):
        x, y = points[ids == person].T.numpy()
        color = f"C{person}"
        label = f"person {person}"
        axes.scatter(x, y, marker=marker, s=50, color=color, label=label, edgecolor="black")
    x, y = points.T.numpy()
    right, up = step.T.numpy()
    axes.quiver(
        x,
        y,
        right,
        up,
        angles="xy",
        scale_units="xy",
        scale=4,
        width=0.006,
        color="black",
    )
    axes.set(xlim=(-3, 3), ylim=(-2.6, 2.6), xlabel="first feature", ylabel="second feature")
    axes.legend(fontsize=7, loc="upper right")
