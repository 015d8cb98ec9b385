"""Chapter 11: real people's numbers, outlines, colours and features, and the study, as pictures."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import stats
from ...pictures import read_picture
from ...recipes import study
from ...stats import Estimate
from ...teach.figures import grid
from ...teach.plots import Look, dot, make_figure, name_rows
from ...teach.recorded import Recorded
from . import experiments, results, sets

# Beginning of a column -> what the exam is called, and its look.
EXAMS = {
    "validation": ("drawn people", Look("C0", "o", "-")),
    "pku_development": ("real people", Look("C1", "s", "--")),
    "pku_development_camera": ("real, statistics per camera", Look("C2", "^", "-.")),
}
OURS = {"untrained": "ours, not trained at all", "drawn-laptop": "ours, drawn people only"}

# As trained, and with statistics per camera: what is said, look, filled, above or below the line.
WAYS = (
    ("as trained", Look("C0", "o", "-"), True, 1),
    ("statistics per camera (transductive)", Look("C1", "s", "--"), False, -1),
)
# Every real set: look, and whether the marker is filled.
NETWORKS = {
    sets.OURS: (Look("C0", "o", "-"), True),
    sets.OURS_PER_CAMERA: (Look("C0", "o", "-"), False),
    "OSNet x0.25, Market-1501": (Look("C1", "s", "--"), True),
    "OSNet x0.25, MSMT17": (Look("C2", "^", "-."), True),
    "Intel 0288": (Look("C3", "D", ":"), True),
    "Intel 0287": (Look("C4", "v", "-"), True),
}
UNDECIDED = "0.65"  # the grey of a difference whose interval holds 0
CAMERA_MARKERS = "o^"
CAMERA_GREYS = ("0.82", "0.5")


# ---- the number


def final_numbers(models: Recorded, half: str = "report") -> Any:
    """Rank-1 on a half of PKU-Reid: published networks, and ours with its interval over people ->
    figure.

    Args:
        models: 11_models.
        half: "report" or "development".
    """
    rows = _published(half) | _ours(models, half)
    names = sorted(rows, key=lambda name: rows[name][0].mean, reverse=True)  # the best on top
    figure, axes = make_figure(size=(8, 0.55 * len(names) + 1.1))
    for y, name in enumerate(reversed(names)):
        for score, (_, look, filled, side) in zip(rows[name], WAYS):
            if score is None:
                continue
            dot(axes, score, y + 0.12 * side, look, filled=filled, markersize=7)
            text = f"{score.mean:.0f}"
            axes.text(score.mean, y + 0.36 * side, text, ha="center", va="center", fontsize=8)
    for words, look, filled, _ in WAYS:
        keywords = look.keywords(filled) | {"linestyle": "none"}
        axes.plot([], [], **keywords, markersize=7, label=words)
    name_rows(axes, names, xlim=(-2, 100), xlabel=f"rank-1 on PKU-Reid, {half} half (%)")
    axes.legend(fontsize=8, loc="lower right")
    return figure


def _published(half):
    """{name: (as trained, per camera)}; None where it was not measured."""
    rows = {}
    for name, values in results.PUBLISHED.items():
        scores = []
        for key in (half, f"{half}_camera"):
            measured = values.get(key)
            scores.append(Estimate(measured[0], None, None, 1) if measured else None)
        rows[name] = scores
    return rows


def _ours(models, half):
    """{name: (as trained, per camera)}, the intervals being those over other people."""
    rows = {}
    for model in dict.fromkeys(row["model"] for row in models.rows):
        runs = models.where(model=model)
        columns = (f"pku_{half}_rank1", f"pku_{half}_camera_rank1")
        rows[OURS[model]] = [results.over_people(runs, column) for column in columns]
    return rows


# ---- every real set


def every_set(reals: Recorded, models: Recorded) -> Any:
    """Rank-1 and mAP of the committed network on every real set, beside networks that learnt from
    real people -> figure.

    Args:
        reals: 11_reals.
        models: 11_models.
    """
    figure, (left, right) = make_figure(1, 2, size=(8.8, 6.4), sharey=True)
    names = list(sets.EXAMS)
    for y, exam in enumerate(reversed(names)):
        if y:
            for axes in (left, right):
                axes.axhline(y - 0.5, color="0.6", linewidth=0.8, linestyle="-", marker="none")
        for score in sets.scores(exam, reals, models):
            look, filled = NETWORKS[score.network]
            place = y + _lane(score.network)
            for axes, estimate in ((left, score.rank1), (right, score.ap)):
                dot(axes, estimate, place, look, filled=filled, markersize=6)
                rounded = int(estimate.mean + 0.5)  # 46.5 is 47, as 49.5 is 50
                axes.text(estimate.highest + 3, place, rounded, va="center", size=7)
    for axes, words in ((left, "rank-1 (%)"), (right, "mAP (%)")):
        name_rows(axes, [sets.EXAMS[exam] for exam in names], xlim=(0, 103), xlabel=words)
        axes.tick_params("y", length=0)
        axes.grid(False, axis="y")
    for network, (look, filled) in NETWORKS.items():
        keywords = look.keywords(filled) | {"linestyle": "none"}
        left.plot([], [], **keywords, markersize=6, label=network)
    figure.legend(fontsize=8, loc="outside lower center", ncols=3)
    return figure


def _lane(network):
    """How far above or below the middle of its set a network is drawn, the first on top."""
    lanes = len(NETWORKS)
    return 0.8 * (0.5 - (list(NETWORKS).index(network) + 0.5) / lanes)


# ---- two worlds


def outlines(deviations: Mapping[str, Tensor]) -> Any:
    """Maps of deviation side by side -> figure.

    Args:
        deviations: {title: (H, W) grey levels}, two of them.
    """
    figure, row = make_figure(1, 2, size=(5, 4))
    for axes, (title, deviation) in zip(row, deviations.items()):
        shown = axes.imshow(deviation, vmin=0, vmax=80)
        axes.set(title=title, xticks=[], yticks=[])
    figure.colorbar(shown, ax=row, label="deviation (grey levels)")
    return figure


def colour_clouds(clouds: Mapping[str, tuple[Tensor, Tensor, Tensor]]) -> Any:
    """Red minus blue against brightness, a marker for each camera, and what the nearest stranger
    tells -> figure.

    Args:
        clouds: {title: (styles (N, 6), ids (N,), cameras (N,))}, three of them.
    """
    figure, row = make_figure(1, 3, size=(9, 3.3))
    for axes, (title, (values, ids, cameras)) in zip(row, clouds.items()):
        for camera, marker in enumerate(CAMERA_MARKERS):
            red, green, blue = values[cameras == camera, :3].T  # mean of each colour, per picture
            label = f"camera {camera + 1}"
            brightness = (red + green + blue) / 3
            axes.scatter(red - blue, brightness, s=9, marker=marker, alpha=0.5, label=label)
        share, chance = experiments.same_camera(values / values.std(0), ids, cameras)
        probe = f"nearest stranger in same\ncamera: {share:.0f} % (chance {chance:.0f})"
        axes.set(title=f"{title}\n{probe}", xlabel="red minus blue", ylabel="brightness")
    row[0].legend(fontsize=7)
    return figure


def scores_of_norms(norm: Mapping[str, Recorded]) -> Any:
    """Dots of mAP with t intervals, for each norm in three exams -> figure.

    Args:
        norm: {name: rows of the study}.
    """
    figure, axes = make_figure(size=(7, 3.4))
    for index, (exam, (words, look)) in enumerate(EXAMS.items()):
        for y, cell in enumerate(reversed(norm.values())):
            score = cell.estimate(f"{exam}_map")
            label = None if y else words  # once in the legend
            dot(axes, score, y + 0.2 * (1 - index), look, label=label)
    name_rows(axes, list(norm), xlabel="mAP (%)", xlim=(0, None))
    axes.legend(fontsize=8)
    return figure


# ---- features


def feature_planes(recorded: Mapping[str, Tensor]) -> Any:
    """The real features on two principal axes: BN above, BIN below, plain left, per camera right ->
    figure.

    Args:
        recorded: see `results.recorded_features`.
    """
    ids = recorded["ids"]
    cameras = recorded["cameras"]
    figure, square = make_figure(2, 2, size=(7.2, 5.6))
    for axes, name in zip(square.flat, ("bn", "bn_camera", "bin", "bin_camera")):
        features = recorded[name]
        plane = _on_two_axes(features)
        _draw_crowd(axes, plane, ids, cameras)
        _draw_four_people(axes, plane, ids, cameras)
        norm, _, per_camera = name.partition("_")
        way = "statistics per camera" if per_camera else "as trained"
        same, _ = experiments.same_camera(features, ids, cameras)
        mean_ap = 100 * experiments.first_in_second(features, ids, cameras).map
        probes = f"stranger in same camera {same:.0f} %, mAP {mean_ap:.0f} %"
        axes.set_title(f"{norm.upper()}, {way}\n{probes}", fontsize=9)
        axes.set(xticklabels=[], yticklabels=[], xlabel="first axis", ylabel="second axis")
    square[0, 0].legend(fontsize=7)
    return figure


def _on_two_axes(features):
    """(N, D) -> (N, 2): along the two directions in which the features spread most."""
    centred = features - features.mean(0)
    directions = torch.linalg.svd(centred, full_matrices=False).Vh
    return centred @ directions[:2].T


def _draw_crowd(axes, plane, ids, cameras):
    """A third of the people, so that dots stay apart, in grey."""
    crowd = torch.isin(ids, ids.unique()[::3])
    for camera, marker in enumerate(CAMERA_MARKERS):
        x, y = plane[crowd & (cameras == camera)].T
        label = f"camera {camera + 1}"
        axes.scatter(x, y, s=9, marker=marker, color=CAMERA_GREYS[camera], label=label)


def _draw_four_people(axes, plane, ids, cameras):
    """People A to D: a line from the mean in camera 1 to the mean in camera 2, a letter at both
    ends.
    """
    four = ids.unique()[1::10].tolist()
    for index, person in enumerate(four):
        ends = []
        for camera, marker in enumerate(CAMERA_MARKERS):
            dots = plane[(cameras == camera) & (ids == person)]  # (n, 2)
            axes.scatter(*dots.T, s=22, marker=marker, color=f"C{index}")
            ends.append(dots.mean(0))
        x, y = torch.stack(ends).T  # (2,) each
        axes.plot(x, y, color="black", linewidth=1.2, linestyle="-", marker="none")
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white"}
        for end in ends:
            axes.text(*end, "ABCD"[index], fontsize=7, bbox=box)


# ---- the study


def study_rows(table: Recorded) -> Any:
    """Every value of every knob, by family: the change of mAP against the usual recipe, real left,
    drawn right -> figure.

    Args:
        table: 11_study.
    """
    real = _estimates(results.changes(table, "pku_development_map"))
    drawn = _estimates(results.changes(table, "validation_map"))
    rows = _rows_by_family(real)
    figure, (left, right) = make_figure(1, 2, size=(8.6, 0.22 * len(rows) + 1.1), sharey=True)
    _draw_changes(left, rows, real, EXAMS["pku_development"][1])
    _draw_changes(right, rows, drawn, EXAMS["validation"][1])
    left.set(title="real people")
    right.set(title="drawn people")
    labels = [row.upper() if isinstance(row, str) else f"{row[0]}: {row[1]}" for row in rows]
    left.set_yticks(range(len(rows)), labels, fontsize=7.5)
    return figure


def _estimates(changes):
    return {key: stats.estimate(differences) for key, differences in changes.items()}


def _rows_by_family(real):
    """From the lowest row upwards: the (knob, value) of a family, best last, then its name."""
    by_change = sorted(real, key=lambda key: real[key].mean)
    rows = []
    for family, knobs in reversed(study.FAMILIES.items()):
        rows += [(knob, value) for knob, value in by_change if knob in knobs]
        rows.append(family)
    return rows


def _draw_changes(axes, rows, estimates, look):
    """Dots with whiskers; grey and open where the interval holds 0."""
    undecided = Look(UNDECIDED, look.marker, look.linestyle)
    thin = {"markersize": 5, "capsize": 2, "linewidth": 1.1}
    for y, row in enumerate(rows):
        if isinstance(row, str):  # a family
            axes.axhspan(y - 0.5, y + 0.5, color="0.92")
        elif row in estimates:
            change = estimates[row]
            decided = change.sign != 0
            dot(axes, change, y, look if decided else undecided, filled=decided, **thin)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="change of mAP (points)", ylim=(-0.6, len(rows) - 0.4))


# ---- your own pictures


def most_alike(
    folder: str | pathlib.Path, names: Sequence[str], rankings: Sequence[tuple[Tensor, Tensor]]
) -> np.ndarray:
    """A row for each query: the pictures most alike, with name and cosine -> uint8 (H', W', 3).

    Args:
        folder: of the pictures.
        names: of the pictures.
        rankings: for each query, numbers of pictures (n,), the query first, and their cosines (n,).
    """
    pictures = []
    labels = []
    for numbers, cosines in rankings:
        for number, cosine in zip(numbers.tolist(), cosines.tolist()):
            name = names[number]
            pictures.append(read_picture(f"{folder}/{name}", (128, 64)))
            stem, _, _ = name.rpartition(".")
            labels.append(f"{stem[-20:]}\n{cosine:.2f}")
    columns = len(pictures) // len(rankings)
    return grid(torch.stack(pictures), columns=columns, labels=labels)
