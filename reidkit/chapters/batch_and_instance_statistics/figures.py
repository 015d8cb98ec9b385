"""Chapter 02: its pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ... import world
from ...teach.figures import grid
from ...teach.plots import make_figure
from .deep_nets import DEPTH, SATURATED
from .experiments import LAYERS, PixelNorms, root_mean_square

LABEL_BOX = {"boxstyle": "round,pad=0.1", "facecolor": "white"}


# ---- one person through several imaging chains


def goal_picture(
    size: tuple[int, int], seed: int, chains: int = 4
) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """One person through the chains of several places, then a stranger; as pixels, after BN, after
    IN.

    Args:
        size: (height, width) of a picture.
        seed: of the people.
        chains: how many.
    Returns:
        (montage, {norm: (mean distance of the chains to the first, the stranger's)}).
    """
    norms = PixelNorms(size, seed)
    cameras = [world.make_cameras(world.make_place("demo", place), 1) for place in range(chains)]
    people = [0] * chains + [1]  # A, then the stranger B
    poses = [0] * (chains + 1)
    pictures = norms.draw(people, poses, [*cameras, cameras[0]])
    rows = []
    labels = []
    distances = {}
    for name, row in norms(pictures).items():
        to_the_first = [root_mean_square(row[0], picture) for picture in row]
        *same_person, stranger = to_the_first
        distances[name] = (sum(same_person[1:]) / (chains - 1), stranger)
        rows.append(_as_brightness(name, row))
        for number, distance in enumerate(same_person, 1):
            labels.append(f"{name}: A, chain {number}\n{distance:.2f}")
        labels.append(f"{name}: B, chain 1\n{stranger:.2f}")
    montage = (255 * torch.cat(rows)).round().to(torch.uint8)  # (3 * (chains + 1), 3, H, W)
    return grid(montage, chains + 1, labels, height=110), distances


def _as_brightness(name, x):
    """Values 0..1 to look at: of normalised pictures, grey is the mean, and three deviations lead
    to black and to white."""
    if name == "pixels":
        return x
    return (0.5 + x / 6).clamp(0, 1)


# ---- deep nets


def histogram_picture(plain: dict, normed: dict, columns: Sequence[tuple[str, str, int]]) -> Any:
    """What tanh is given, by depth: without batch norm above, with it below.

    Args:
        plain: result of `train_deep_nets` without batch norm.
        normed: the same with it.
        columns: (title, "before" or "after" training, number of the run) of each column.
    Returns:
        The figure.
    """
    fig, axes = make_figure(2, len(columns), (8.4, 5.0), sharex=True)
    for row, (name, runs) in enumerate((("without BN", plain), ("with BN", normed))):
        for ax, (title, when, run) in zip(axes[row], columns):
            _histograms(ax, [layer[run] for layer in runs[when]])
            # The legend stands between title and axes: a share ends at 1.
            ax.set_title(f"{name}, {title}", fontsize=9, pad=42)
            ax.set_xlabel("input of tanh (ends: and beyond)" if row else "", fontsize=8)
        axes[row, 0].set_ylabel("share of values")
    return fig


def _histograms(ax, inputs_of_tanh):
    """A line for the first layer, the middle one and the last; inputs_of_tanh: (N, WIDTH) of each
    layer."""
    edges = torch.linspace(-4, 4, 41)
    centres = (edges[1:] + edges[:-1]) / 2
    for layer in (0, DEPTH // 2 - 1, DEPTH - 1):
        values = inputs_of_tanh[layer].flatten()
        counts, _ = torch.histogram(values.clamp(-4, 4), edges)
        saturated = 100 * (values.tanh().abs() > SATURATED).float().mean()
        label = f"layer {layer + 1}: {saturated:.0f} % saturated"
        ax.plot(centres, counts / len(values), marker="none", label=label)
    ax.set_yscale("symlog", linthresh=0.02, linscale=0.6)
    ax.set(ylim=(0, 1.02), yticks=[0, 0.02, 0.1, 1], yticklabels=["0", "0.02", "0.1", "1"])
    ax.legend(
        fontsize=6.5, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, frameon=False
    )


def rates_picture(nets: Mapping[str, dict], rates: Sequence[float], scales: Sequence[float]) -> Any:
    """Tables of the loss after training, by size of the first weights and learning rate.

    Args:
        nets: {title: result of `train_deep_nets` with these rates and scales}.
        rates: learning rates.
        scales: of the first weights.
    Returns:
        The figure.
    """
    fig, axes = make_figure(1, 2, (8.4, 2.6), sharey=True)
    for ax, (title, runs) in zip(axes, nets.items()):
        loss = runs["loss"].mean(2)  # (scales, rates, seeds) -> (scales, rates)
        ax.imshow(loss.nan_to_num(9).clamp(0, 3.5), vmin=0, vmax=3.5, aspect="auto")
        _write_numbers(ax, loss)
        ax.set(xlabel="learning rate", title=title)
        ax.set(xticks=range(len(rates)), xticklabels=rates)
        ax.set(yticks=range(len(scales)), yticklabels=[f"{scale:g} x" for scale in scales])
        ax.grid(False)
    axes[0].set_ylabel("first weights")
    return fig


def _write_numbers(ax, table):
    """Each number of a table (rows, columns) into its field, dark on light fields."""
    for y, row in enumerate(table.tolist()):
        for x, value in enumerate(row):
            color = "black" if value > 1.8 else "white"
            ax.text(x, y, f"{value:.1f}", ha="center", va="center", fontsize=9, color=color)


# ---- what stands in a layer


def shares_picture(shares: Mapping[str, Mapping[str, float]]) -> Any:
    """How much of a channel's variance lies between pictures, and who explains it.

    Args:
        shares: {layer: {"between", "camera", "person"}} in %, of `experiments.mean_shares`.
    Returns:
        The figure.
    """
    fig, (left, right) = make_figure(1, 2, (8.4, 3.2), width_ratios=[1, 1.5])
    layers = list(shares)
    between = [row["between"] for row in shares.values()]
    left.bar(layers, between, color="0.75", edgecolor="black")
    left.set(ylabel="of all variance (%)", title="between pictures: IN deletes it", ylim=(0, 100))
    camera = torch.tensor([row["camera"] for row in shares.values()])  # (layers,)
    person = torch.tensor([row["person"] for row in shares.values()])
    rest = torch.tensor([100 - row["camera"] - row["person"] for row in shares.values()])
    _stack(right, layers, "camera", camera, base=0 * camera, color="C1", hatch="//")
    _stack(right, layers, "person", person, base=camera, color="C0", hatch="..")
    _stack(right, layers, "rest", rest, base=camera + person, color="0.9", hatch="")
    right.set(ylabel="of that part (%)", title="what that part is made of", ylim=(0, 100))
    right.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    for ax in (left, right):
        ax.tick_params(axis="x", labelsize=8)
    return fig


def _stack(ax, layers, name, heights, base, **look):
    """One part of the stacked bars, standing on `base`, its height written into it."""
    bars = ax.bar(layers, heights, bottom=base, edgecolor="black", label=name, **look)
    ax.bar_label(bars, fmt="%.0f", label_type="center", fontsize=8, bbox=LABEL_BOX)


def depth_picture(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> Any:
    """Divergence by layer: style, content, and two random halves.

    Args:
        curves: {title: {"style", "content", "nothing"}} of `experiments.style_and_content`.
    Returns:
        The figure.
    """
    fig, axes = make_figure(1, 2, (8.4, 3.2), sharey=True)
    for ax, (title, lines) in zip(axes, curves.items()):
        ax.plot(lines["style"], label="style: two chains", markersize=7)
        ax.plot(lines["content"], label="content: light, dark tops", markersize=7)
        ax.plot(lines["nothing"], label="random halves", markersize=7)
        ax.set(yscale="log", title=title, xticks=range(len(LAYERS)), xticklabels=LAYERS)
    axes[0].set_ylabel("divergence (nats), median channel")
    axes[1].legend(fontsize=8)
    return fig


# ---- in whose company a picture is normalised


def company_picture(scores: Mapping[str, float]) -> Any:
    """Dots of mAP: a circle where a score is not below the first one, a cross where it is.

    Args:
        scores: {label: mAP in %}, evaluation mode first; the first row stands on top.
    Returns:
        The figure.
    """
    fig, ax = make_figure(size=(7.5, 2.7))
    first, *_ = scores.values()
    box = LABEL_BOX | {"edgecolor": "none"}
    for y, value in enumerate(reversed(scores.values())):
        marker, color = ("o", "C0") if value >= first else ("X", "C1")
        ax.plot(value, y, marker=marker, color=color, markersize=8, linestyle="none")
        ax.text(value + 1.5, y, f"{value:.0f}", va="center", fontsize=9, bbox=box)
    ax.axvline(first, color="black", linewidth=0.9, linestyle=":", marker="none")
    ax.set(yticks=range(len(scores)), yticklabels=list(scores)[::-1])
    ax.set(xlabel="mAP in new places, one gallery a place (%)", xlim=(0, max(scores.values()) + 8))
    return fig
