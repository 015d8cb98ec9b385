"""Chapter 01: pictures of the exams, of people by protocol, of features, of inflated scores."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ... import retrieval
from ...record import Exam, ReIDData
from ...teach.figures import grid, strip
from ...teach.plots import EXAM_LOOKS, make_figure, name_rows
from ...teach.recorded import Recorded

# Column of the table 01_baseline -> words under its bar, colour and hatch of the bar.
EXAM_BARS = {
    "home_rank1": ("new people,\nsame places", EXAM_LOOKS["home"].color, ""),
    "away_rank1": ("new people,\nunseen places", EXAM_LOOKS["away"].color, "//"),
    "pku_rank1": ("real people\n(PKU-Reid)", "C2", ".."),
}
CAMERA_MARKERS = "o^sD"


def three_exams(table: Recorded) -> Any:
    """Bars of rank-1 in three exams, with t intervals over the seeds -> figure.

    Args:
        table: 01_baseline.
    """
    figure, axes = make_figure(size=(6, 3))
    for x, (column, (_, color, hatch)) in enumerate(EXAM_BARS.items()):
        score = table.estimate(column)
        axes.bar(x, score.mean, color=color, hatch=hatch, edgecolor="black")
        axes.errorbar(x, score.mean, yerr=score.whiskers, fmt="none", color="black", capsize=5)
        axes.text(x + 0.08, score.mean + 1.5, f"{score.mean:.0f}", fontsize=11)
    names = [name for name, _, _ in EXAM_BARS.values()]
    axes.set(xticks=range(3), xticklabels=names, ylabel="rank-1 (%)", ylim=(0, 105))
    return figure


def labelled_people(data: ReIDData) -> np.ndarray:
    """Pictures in rows of eight, each with person and camera -> uint8 (H', W', 3)."""
    people = data.ids.tolist()
    cameras = data.cameras.tolist()
    labels = [f"person {who + 1} camera {where}" for who, where in zip(people, cameras)]
    return grid(data.images, columns=8, labels=labels)


def query_and_six(trio: ReIDData, ids: Tensor, cameras: Tensor) -> np.ndarray:
    """A query of person 1 by camera 0 and six gallery pictures -> uint8 (H', W', 3).

    Args:
        trio: three people, two pictures in each camera; they play the identities 1, 2 and 3.
        ids: (6,) identities of the gallery; -1 is a bad box around person 2.
        cameras: (6,) their cameras.
    """
    actors = {1: 0, 2: 1, 3: 2, -1: 1}  # which drawn person plays which identity
    pictures = [trio.images[0]]
    labels = ["query: person 1 camera 0"]
    pairs = zip(ids.tolist(), cameras.tolist())
    for position, (identity, camera) in enumerate(pairs, 1):
        shots = (trio.ids == actors[identity]) & (trio.cameras == camera)
        picture = trio.images[shots][1]
        pictures.append(_legs_only(picture) if identity == -1 else picture)
        labels.append(f"position {position}: id {identity}, camera {camera}")
    return grid(torch.stack(pictures), columns=7, labels=labels)


def _legs_only(picture):
    """The lower half of a picture (3, 128, W), stretched to its height: a bad box."""
    return picture[:, 64:].repeat_interleave(2, dim=1)


def loss_curves(history: Sequence[Mapping[str, float]]) -> Any:
    """Both losses of the baseline over the steps -> figure."""
    figure, axes = make_figure(size=(6, 2.6))
    steps = [row["step"] for row in history]
    for name in ("identity", "triplet"):
        values = [row[name] for row in history]
        axes.plot(steps, values, label=name, markevery=40)
    axes.set(xlabel="step", ylabel="loss")
    axes.legend()
    return figure


def ranked_strips(
    exam: Exam, query_features: Tensor, gallery_features: Tensor, precisions: Tensor
) -> np.ndarray:
    """Ranked strips of a hard, a middling and an easy query -> uint8 (H', W', 3).

    Args:
        exam: the pictures.
        query_features: (Q, D).
        gallery_features: (G, D).
        precisions: (Q,) average precision of each query; nan where it has no right answer.
    """
    by_difficulty = precisions.nan_to_num(2).argsort()  # those without an answer at the end
    last = len(by_difficulty) - 1
    chosen = by_difficulty[[0, len(by_difficulty) // 3, last]]
    query = exam.query[chosen]
    gallery = exam.gallery
    best, right = retrieval.ranking(
        query_features[chosen],
        query.ids,
        query.cameras,
        gallery_features,
        gallery.ids,
        gallery.cameras,
        top=8,
    )
    strips = []
    for i in range(3):
        strips.append(strip(query.pictures([i]), gallery.pictures(best[i]), right[i]))
    return np.concatenate(strips)


def features_by_camera(panels: Mapping[str, tuple[Tensor, Tensor]]) -> Any:
    """Features of one place on their two principal axes, a marker for each camera -> figure.

    Args:
        panels: {title: (features (n, D), cameras (n,))}, two of them.
    """
    figure, row = make_figure(1, 2, size=(8, 3.4))
    for axes, (title, (features, cameras)) in zip(row, panels.items()):
        flat = _on_two_axes(features)
        first_four = cameras.unique()[:4].tolist()
        for camera, marker in zip(first_four, CAMERA_MARKERS):
            x, y = flat[cameras == camera].T.numpy()
            axes.scatter(x, y, s=16, marker=marker, label=f"camera {camera}")
        axes.set(title=title, xlabel="first axis", ylabel="second axis")
        axes.legend(fontsize=7)
    return figure


def _on_two_axes(features):
    """(n, D) -> (n, 2): along the two directions in which the features spread most."""
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    return centred @ directions[:2].T


def inflated_scores(tricks: Mapping[str, tuple[float, float]]) -> Any:
    """A row a trick: a dot for the plain score, a square for the inflated one -> figure.

    Args:
        tricks: {name: (plain, inflated)} in %.
    """
    figure, axes = make_figure(size=(6.5, 2.8))
    rows = range(len(tricks) - 1, -1, -1)  # the first trick on top
    for y, (plain, inflated) in zip(rows, tricks.values()):
        axes.plot([plain, inflated], [y, y], "-", color="black", linewidth=1, marker="none")
        text = f"{plain:.0f} to {inflated:.0f}"
        axes.text(max(plain, inflated) + 1.5, y, text, va="center", fontsize=8)
    plain_scores, inflated_scores = zip(*tricks.values())
    axes.plot(plain_scores, rows, "o", color="C0", label="plain")
    axes.plot(inflated_scores, rows, "s", color="C1", label="by the trick")
    xlabel = "rank-1 (last row: mAP, trapezoid and rectangle), %"
    name_rows(axes, list(tricks), xlabel=xlabel, xlim=(0, 115))
    axes.legend(loc="lower left", fontsize=8)
    return figure
