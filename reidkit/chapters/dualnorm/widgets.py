"""Chapter 03, its widgets: where instance norms go and what that brings, and how far two networks
think that a darker person has moved.
"""

import copy
import functools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from ...record import Exam
from ...teach.figures import pixels
from ...teach.plots import make_canvas, name_rows
from ...teach.recorded import Recorded
from ...teach.widgets import Control, Frame, choice, slider, switch
from .experiments import (
    EXAMS,
    OTHERS,
    PLACES,
    WITHOUT,
    before_wall,
    estimate_over,
    in_words,
    read_marks,
    repeated_border,
    split_rows,
)
from .figures import draw_trunk

# ---- placements

SCORES = {"rank-1": "rank1", "mAP": "map"}  # as on the control -> as in the table's columns


def placement_explorer(table: Recorded) -> tuple[Callable, dict[str, Control]]:
    """Choose where the norms go and what is asked: the trunk, and the scores of all rows ->
    (draw, controls).
    """
    rows = split_rows(table)
    names = [name for name in (*PLACES, *OTHERS) if name in rows]
    heights = _heights(names, rows)

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "figure" not in artists:
            _prepare_scores(artists, names, heights)
        column = f"{state['exam']}_{SCORES[state['score']]}"
        estimates = {name: estimate_over(rows[name], column, state["whiskers"]) for name in heights}
        _move_scores(artists, estimates, heights)
        _frame_row(artists, len(names) - 1 - names.index(state["placement"]))
        artists["ax"].set_xlabel(f"{state['score']}, {EXAMS[state['exam']]} (%)")
        chosen = _chosen_row(state, rows)
        text = _readout(state, chosen, estimates[chosen])
        if chosen != "none":
            change = in_words(rows[chosen].change(rows["none"], column))
            text += f" Against none with feature norm, paired by seed: {change}."
        text += f" Whiskers: 95 % over {state['whiskers']}."
        picture = np.concatenate([_trunk_pixels(chosen), pixels(artists["figure"])])
        return Frame(picture, text)

    first = "early and middle" if "early and middle" in names else names[0]
    return draw, {
        "placement": choice(names, first, "instance norm"),
        "exam": choice(list(EXAMS), "away", "exam"),
        "score": choice(list(SCORES), "rank-1", "score"),
        "feature norm": switch(True, "feature norm"),
        "whiskers": choice(["seeds", "people"], "seeds", "whiskers over"),
    }


def _heights(names, rows):
    """{row: its height in the picture}, the first on top; a row without feature norm stands just
    below its partner.
    """
    heights = {}
    for y, name in enumerate(reversed(names)):
        heights[name] = y + 0.13
        if name + WITHOUT in rows:
            heights[name + WITHOUT] = y - 0.13
    return heights


def _chosen_row(state, rows):
    """The row that the controls ask for; some exist with the feature norm only."""
    without = state["placement"] + WITHOUT
    if not state["feature norm"] and without in rows:
        return without
    return state["placement"]


def _readout(state, chosen, estimate):
    exam = EXAMS[state["exam"]]
    return f"{chosen}, {exam}: {state['score']} {estimate.mean:.1f} %."


def _prepare_scores(artists, names, heights):
    """Axes, whiskers, dots and the frame around the chosen row, to be moved with each frame."""
    artists["figure"] = make_canvas((7.4, 3.2), layout="none")
    ax = artists["figure"].add_axes([0.2, 0.15, 0.78, 0.83])
    name_rows(ax, names)
    ax.tick_params(axis="y", labelsize=8)
    artists["ax"] = ax
    artists["whiskers"] = ax.hlines(list(heights.values()), 0, 1, color="C0")
    dots = {"marker": "o", "markerfacecolor": "C0", "label": "with feature norm"}
    squares = {"marker": "s", "markerfacecolor": "white", "label": "without"}
    artists["with"] = ax.plot([], [], color="C0", linestyle="none", **dots)[0]
    artists["without"] = ax.plot([], [], color="C0", linestyle="none", **squares)[0]
    artists["frame"] = ax.axhspan(0, 1, facecolor="none", edgecolor="black", linestyle="--")
    ax.legend(fontsize=7, loc="lower left")


def _move_scores(artists, estimates, heights):
    segments = []
    points = {"with": [], "without": []}
    for name, y in heights.items():
        estimate = estimates[name]
        segments.append([(estimate.lowest, y), (estimate.highest, y)])
        side = "without" if name.endswith(WITHOUT) else "with"
        points[side].append((estimate.mean, y))
    artists["whiskers"].set_segments(segments)
    for side, places in points.items():
        artists[side].set_data(*zip(*places))
    highest = max(estimate.highest for estimate in estimates.values())
    artists["ax"].set_xlim(0, 1.05 * highest)


def _frame_row(artists, y):
    artists["frame"].set_y(y - 0.45)
    artists["frame"].set_height(0.9)


@functools.cache
def _trunk_pixels(name):
    """The trunk of a row, drawn once and kept as pixels."""
    figure = make_canvas((7.4, 1.3), layout="none")
    ax = figure.add_axes([0.2, 0.0, 0.78, 0.85], title=name)
    draw_trunk(ax, read_marks(name))
    return pixels(figure)


# ---- tones


def tone_explorer(
    models: dict[str, torch.nn.Module], exam: Exam
) -> tuple[Callable, dict[str, Control]]:
    """Make a person darker and read how far two networks think she moved, beside the distance to
    somebody else -> (draw, controls).

    Args:
        models: {name: model}; distances are 1 - cosine of the features that retrieval uses.
        exam: a tone exam.
    """
    as_trained = {name: copy.deepcopy(model).eval().cpu() for name, model in models.items()}
    repeated = {name: repeated_border(model).cpu() for name, model in models.items()}
    tones = exam.gallery.attributes["tone"]
    brightest = exam.gallery[(tones == 0) & (exam.gallery.cameras == 0)]
    people = len(brightest)

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        person = state["person"]
        three = brightest[[person, person, (person + 1) % people]]
        pictures = _darken_second(three, state["tone"], state["wall"])
        networks = repeated if state["border"] else as_trained
        distances = {name: _distances(model, pictures) for name, model in networks.items()}
        if "figure" not in artists:
            _prepare_tones(artists, pictures, list(models))
        _move_tones(artists, pictures, distances)
        text = "; ".join(
            f"{name}: {darker:.2f} to herself, {other:.2f} to the other"
            for name, (darker, other) in distances.items()
        )
        return Frame(artists["figure"], f"Distances at tone {state['tone']:.2f}. {text}.")

    return draw, {
        "tone": slider(0.3, 1.0, 0.05, 0.5, "tone"),
        "person": slider(0, people - 1, 1, 0, "person"),
        "wall": slider(0, 200, 20, 0, "wall (grey level)"),
        "border": switch(False, "edge pixels repeated in the stem"),
    }


def _darken_second(data, tone, wall):
    """Pictures of three people, (3, 3, H, W), the second in this tone, all before this wall."""
    factors = torch.tensor([1.0, tone, 1.0])[:, None, None, None]
    darkened = (data.images * factors).round().byte()
    return before_wall(replace(data, images=darkened), wall).images


@torch.inference_mode()
def _distances(model, pictures):
    """[distance of the first picture to the second, to the third]"""
    output = model(pictures)
    features = output.feature if output.neck is None else output.neck
    unit = F.normalize(features, dim=1)  # (3, D)
    return (1 - unit[0] @ unit[1:].T).tolist()


def _prepare_tones(artists, pictures, names):
    """Three pictures and a pair of bars for each network, to be changed with each frame."""
    figure = make_canvas((7.4, 3.1), layout="none")
    artists["figure"] = figure
    artists["pictures"] = []
    for index, title in enumerate(("she", "she, darker", "the other")):
        ax = figure.add_axes([0.02 + 0.14 * index, 0.1, 0.13, 0.74])
        ax.set(title=title, xticks=[], yticks=[])
        artists["pictures"].append(ax.imshow(_as_shown(pictures[0])))
    ax = figure.add_axes([0.6, 0.2, 0.38, 0.62])
    count = len(names)
    heights = [y + side for y in range(count) for side in (0.18, -0.18)]
    style = {"edgecolor": "black", "color": ["C0", "white"] * count, "hatch": ["", "//"] * count}
    artists["bars"] = ax.barh(heights, 1, height=0.32, **style)
    ax.set(yticks=range(count), yticklabels=names)
    ax.set(xlim=(0, 1.4), xlabel="distance to her (1 − cosine)")
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 2}
    ax.legend(artists["bars"][:2], ["herself, darker", "the other"], fontsize=7, **place)


def _move_tones(artists, pictures, distances):
    for image, picture in zip(artists["pictures"], pictures):
        image.set_data(_as_shown(picture))
    widths = [distance for pair in distances.values() for distance in pair]
    for bar, width in zip(artists["bars"], widths):
        bar.set_width(width)


def _as_shown(picture):
    return picture.permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
