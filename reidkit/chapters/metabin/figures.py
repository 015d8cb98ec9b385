"""Chapter 04, MetaBIN: its pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...record import ReIDData
from ...teach import grid
from ...teach.plots import EXAM_LOOKS, LOOKS, PAPER_LINE, Look, dot, line, make_figure, name_rows
from ...teach.recorded import Recorded
from .experiments import Reading, gates_by_stage
from .results import PAPER_LADDER, runs_by_travel

# A marker for each place or person; colours are those of the course's cycle, in turn.
MARKS = "o^sDvPX*"
LENGTH_LOOKS = (Look("C0", "o", "-"), Look("C1", "s", "--"))  # runs of all steps, of half the steps
THEIRS = Look("C3", "D", "none")
OURS = Look("C0", "o", "none")


# ---- the two exams


def exams_picture(style: ReIDData, tone: ReIDData) -> np.ndarray:
    """What both exams show: above two people in four cameras each, below eight people who differ
    by tone.

    Args:
        style: 8 pictures of the style exam, two people in four cameras.
        tone: 8 pictures of the tone exam, one of each person.
    """
    labels = [f"person {person} camera {camera}" for person in (1, 2) for camera in (1, 2, 3, 4)]
    labels += [f"person {person}" for person in range(1, 9)]
    pictures = torch.cat([style.pictures(), tone.pictures()])  # (16, 3, H, W)
    return grid(pictures, columns=8, labels=labels)


# ---- recorded tables


def row_picture(
    runs: Mapping[str, Recorded],
    names: Sequence[str],
    exams: Mapping[str, str],
    lines: Mapping[str, float] | None = None,
) -> Any:
    """Rank-1 of networks: a line for each row of the table, a marker for each exam.

    Args:
        runs: {row: its runs}, see `results.runs_by_row`.
        names: rows that are shown, the first on top.
        exams: {exam as it stands in the columns: label}.
        lines: dotted ones, {label: %}.
    Returns:
        The figure.
    """
    fig, ax = make_figure(size=(6.4, 0.42 * len(names) + 1.5))
    name_rows(ax, names, xlim=(0, 100), xlabel="rank-1 (%)")
    for index, (exam, label) in enumerate(exams.items()):
        # Markers of one row stand a little above each other, every second one is open.
        shift = 0.16 * (len(exams) / 2 - index - 0.5)
        is_filled = index % 2 == 0
        for y, name in enumerate(reversed(names)):
            estimate = runs[name].estimate(f"{exam}_rank1")
            label_once = label if y == 0 else None
            dot(ax, estimate, y + shift, EXAM_LOOKS[exam], filled=is_filled, label=label_once)
    for label, value in (lines or {}).items():
        ax.axvline(value, **PAPER_LINE)
        ax.text(value + 0.5, len(names) - 0.55, label, fontsize=7, va="top")
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8, loc="outside lower center", ncols=len(exams))
    return fig


def travel_picture(table: Recorded) -> Any:
    """How far gates may come in a run against rank-1 and the gates' mean, on drawn validation
    places.

    Args:
        table: 04_gates.
    Returns:
        The figure.
    """
    runs = runs_by_travel(table)
    lengths = sorted({length for _, length in runs}, reverse=True)
    travels = sorted({travel for travel, _ in runs})
    fig, axes = make_figure(1, 2, size=(8, 2.9))
    for index, length in enumerate(lengths):
        travels_of_length = [travel for travel in travels if (travel, length) in runs]
        # A little to the right, so that whiskers do not cover each other.
        places = [travel * (1 + 0.06 * index) for travel in travels_of_length]
        label = "half the steps" if length < 1 else "all steps"
        for ax, column in zip(axes, ("validation_rank1", "gate_mean")):
            estimates = [runs[travel, length].estimate(column) for travel in travels_of_length]
            line(ax, places, estimates, LENGTH_LOOKS[index], label=label)
    for ax, label in zip(axes, ("rank-1, validation places (%)", "mean gate (1: BN, 0: IN)")):
        ax.set(xscale="log", xlabel="travel = gate rate x steps", ylabel=label)
        ax.set_xticks(travels, [f"{travel:g}" for travel in travels])
        ax.minorticks_off()
    axes[1].set_ylim(0, 1.02)
    axes[0].legend(fontsize=8)
    return fig


def ladder_picture(rungs: Mapping[str, Recorded], column: str = "away_rank1") -> Any:
    """MetaBIN's ingredients: the paper's rank-1 beside ours.

    Args:
        rungs: {rung: its runs}, see `results.ladder`.
        column: of ours.
    Returns:
        The figure.
    """
    names = list(reversed(rungs))
    heights = range(len(names))
    fig, (theirs, ours) = make_figure(1, 2, size=(8, 0.34 * len(names) + 1.1), sharey=True)
    theirs.plot([PAPER_LADDER[name] for name in names], heights, **THEIRS.keywords())
    theirs.set(title="the paper's, real people", xlabel="rank-1 (%), mean of four sets")
    theirs.set(yticks=heights, yticklabels=names)
    for y, name in zip(heights, names):
        dot(ours, rungs[name].estimate(column), y, OURS)
    ours.set(title="ours, drawn people", xlabel="rank-1 (%), unseen places")
    return fig


# ---- gates


def gates_picture(tensors: Mapping[str, Tensor], names: Sequence[str] = ("BIN", "MetaBIN")) -> Any:
    """Where the gates ended, stage by stage: a dot for each channel, a bar for the mean.

    Args:
        tensors: see `experiments.load_features`.
        names: of the networks.
    Returns:
        The figure.
    """
    fig, axes = make_figure(1, len(names), size=(8, 2.9), sharey=True)
    chance = torch.Generator().manual_seed(0)
    for ax, name in zip(axes, names):
        stages = gates_by_stage(tensors, name)
        for x, gates in enumerate(stages.values()):
            _draw_stage(ax, x, gates, LOOKS[name], chance)
        ax.set(xticks=range(len(stages)), xticklabels=["stem", *list(stages)[1:]])
        ax.set_ylim(-0.05, 1.14)
        ax.set_title(name, pad=10)
    axes[0].set_ylabel("gate (1: BN, 0: IN)")
    return fig


def _draw_stage(ax, x, gates, look, chance):
    """Gates (C,) of one stage around x, spread out at random, with their mean."""
    spread = x + 0.3 * (2 * torch.rand(len(gates), generator=chance) - 1)
    ax.scatter(spread, gates, s=5, marker=look.marker, color=look.color, alpha=0.45)
    mean = gates.mean()
    bar = {"color": "black", "linewidth": 2, "linestyle": "-", "marker": "none"}
    ax.plot([x - 0.38, x + 0.38], [mean, mean], **bar)
    ax.text(x, 1.06, f"{mean:.2f}", ha="center", fontsize=8)


# ---- maps of features


def map_titles(readings: Mapping[str, Mapping[str, Reading]]) -> dict[str, str]:
    """{network: "place 45 %, person 80 %"}: what a linear classifier reads of its features.

    Args:
        readings: {network: what `experiments.probe_numbers` gives}.
    """
    titles = {}
    for name, reading in readings.items():
        place = reading["place"].share
        person = reading["person"].share
        titles[name] = f"place {place:.0f} %, person {person:.0f} %"
    return titles


def map_picture(
    maps: Mapping[str, Tensor],
    labels: Tensor,
    kind: str,
    titles: Mapping[str, str],
    most: int = 8,
) -> Any:
    """Maps of features, a panel for each network, a marker and colour for each label.

    Args:
        maps: {network: (N, 2) places on a plane}.
        labels: (N,) places or people.
        kind: of label, "place" or "person".
        titles: {network: second line above its panel}.
        most: how many labels are marked; the rest is grey.
    Returns:
        The figure.
    """
    fig, axes = make_figure(1, len(maps), size=(2.3 * len(maps), 2.9))
    shown = _spread_over(labels.unique(), most)
    for ax, (name, points) in zip(axes, maps.items()):
        _draw_map(ax, points, labels, shown, kind)
        ax.set_title(f"{name}\n{titles[name]}", fontsize=8)
        ax.set(xticks=[], yticks=[], xlabel="map axis 1 (no unit)")
    axes[0].set_ylabel("map axis 2")
    handles, words = axes[0].get_legend_handles_labels()
    place = "outside lower center"
    fig.legend(handles, words, loc=place, ncols=len(words), fontsize=7, markerscale=1.6)
    return fig


def _spread_over(values, most):
    """At most so many of some values, from the first to the last at equal distances."""
    count = min(most, len(values))
    return values[torch.linspace(0, len(values) - 1, count).round().long()]


def _draw_map(ax, points, labels, shown, kind):
    """Points (N, 2), those of the labels `shown` marked, the others grey."""
    is_grey = ~torch.isin(labels, shown)
    ax.scatter(*points[is_grey].T, s=3, color="0.8", marker="o")
    some_are_grey = bool(is_grey.any())
    size = 12 if some_are_grey else 6
    for index, label in enumerate(shown.tolist()):
        word = "ABCDEFGH"[index] if some_are_grey else label
        ax.scatter(
            *points[labels == label].T,
            s=size,
            marker=MARKS[index],
            color=f"C{index % 7}",
            label=f"{kind} {word}",
            linewidths=0.4,
        )
