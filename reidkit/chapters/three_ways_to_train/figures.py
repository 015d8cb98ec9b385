"""Chapter 01b: scores of the ways, loss curves, the collapse, and a table of attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ... import world
from ...record import ReIDData
from ...teach.display import emit, table
from ...teach.plots import EXAM_LOOKS, dot, make_figure, name_rows
from ...teach.recorded import Recorded
from .experiments import MARGIN, Curves, recorded_ways

EXAMS = {"home": "new people, same places", "away": "unseen places"}
SHIFTS = {"home": 0.12, "away": -0.12}  # of a dot, off the middle of its row
LINESTYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1)))


def scores_of_ways(recorded: Recorded) -> Any:
    """Dots with intervals: rank-1 at home and in unseen places of every recorded way -> figure.

    Args:
        recorded: 01b_ways.
    """
    ways = recorded_ways(recorded)
    figure, axes = make_figure(size=(6.5, 3))
    for exam, words in EXAMS.items():
        look = EXAM_LOOKS[exam]
        for y, way in enumerate(reversed(ways)):
            score = recorded.estimate(f"{way}_{exam}_rank1")
            label = None if y else words  # once in the legend
            dot(axes, score, y + SHIFTS[exam], look, filled=exam == "home", label=label)
    name_rows(axes, ways, xlabel="rank-1 (%)", xlim=(0, 100))
    axes.legend(fontsize=8)
    return figure


def relative_losses(histories: Mapping[str, Sequence[Mapping[str, float]]]) -> Any:
    """The loss of each way, divided by its first value, over the steps -> figure.

    Args:
        histories: {way: rows of its training}; the parts of a joined way are added.
    """
    figure, axes = make_figure(size=(6, 2.8))
    for way, history in histories.items():
        parts = way.split("+")
        total = torch.tensor([sum(row[part] for part in parts) for row in history])
        steps = [row["step"] for row in history]
        axes.plot(steps, total / total[0], label=way, markevery=40)
    axes.set(xlabel="step", ylabel="loss / its first value", ylim=(0, None))
    axes.legend()
    return figure


def collapse_curves(lab: Mapping[str, Curves]) -> Any:
    """Loss and mean distance by step of every run of the lab -> figure."""
    figure, (left, right) = make_figure(1, 2, size=(8.5, 3.2))
    for index, (name, curves) in enumerate(lab.items()):
        style = {
            "markevery": 12,
            "color": f"C{index}",
            "linestyle": LINESTYLES[index % len(LINESTYLES)],
            "label": name,
        }
        left.plot(curves["loss"], **style)
        right.plot(curves["distance"], **style)
    steps = len(curves["loss"])
    left.axhline(MARGIN, color="black", linewidth=0.8, linestyle="--")
    left.text(steps * 0.6, MARGIN * 1.05, "margin", fontsize=8)
    left.set(xlabel="step", ylabel="triplet loss", ylim=(0, 1))
    right.set(xlabel="step", ylabel="mean distance in the batch", yscale="log")
    right.legend(fontsize=7)
    return figure


def attribute_table(data: ReIDData) -> None:
    """Show each attribute of the training people: how many values it has, and what a blind guess
    earns, which is the share of the commonest.
    """
    if not data.attributes:
        emit("These pictures come without attributes: the third way cannot be trained on them.")
        return
    rows = []
    for name, values in data.attributes.items():
        words = world.ATTRIBUTES[name]
        counts = values.bincount(minlength=len(words))
        commonest = words[counts.argmax()]
        share = 100 * counts.max() / counts.sum()
        balanced = 100 / (counts > 0).sum()  # right for one of the values that occur
        rows.append([name, str(len(counts)), f"{commonest} ({share:.0f} %)", f"{balanced:.0f} %"])
    accuracy = "commonest value: accuracy of a blind guess"
    headers = ["attribute", "values", accuracy, "its balanced accuracy"]
    text, markup = table(headers, rows)
    emit(text, markup)
