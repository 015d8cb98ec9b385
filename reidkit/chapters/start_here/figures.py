"""Chapter 00: the search picture and the map of the course."""

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ...teach import toc
from ...teach.figures import grid
from ...teach.plots import make_figure

INK = "#1a1a1a"
WRITTEN = {"facecolor": "#dce9f5", "linestyle": "-"}
UNWRITTEN = {"facecolor": "white", "linestyle": "--"}

# Chapters that have no source yet: number, row of the map, text in the box. A chapter that has one
# says its row and text in its header.
COMING = (
    ("05", "adaptation", "ECN: learn from the\nnew place, unlabelled"),
    ("06", "parts", "MGN: stripes\nof the body"),
    ("07", "parts", "SPReID: masks\nof body parts"),
    ("08", "parts", "bilinear: what\nand where"),
    ("09", "neighbours", "SGGNN: pairs\nask pairs"),
    ("10", "neighbours", "re-ranking by\nneighbours"),
    ("12", "the real world", "scaling up:\nthe bag of tricks"),
)


@dataclass(frozen=True)
class Box:
    """A chapter on the map."""

    number: str
    row: str  # the title of its row
    text: str  # what it repairs or explains
    written: bool


def search_picture(query: Tensor, gallery: Tensor) -> np.ndarray:
    """The query beside rows of eight gallery pictures.

    Args:
        query: uint8 (3, H, W).
        gallery: uint8 (N, 3, H, W).
    Returns:
        uint8 (H', W', 3).
    """
    left = grid(query[None], labels=["Where is she?"])
    right = grid(gallery, columns=8)
    height = max(len(left), len(right))
    rule = np.full((height, 4, 3), 90, dtype=np.uint8)
    return np.concatenate([_pad(left, height), rule, _pad(right, height)], axis=1)


def _pad(page, height):
    """White below a page (h, w, 3) until it is (height, w, 3)."""
    below = (0, height - len(page))
    return np.pad(page, (below, (0, 0), (0, 0)), constant_values=255)


def course_map() -> tuple:
    """The chapters as boxes in rows: solid where a chapter is written, dashed where it will be.

    Returns:
        (figure, numbers of the chapters that are written).
    """
    boxes = boxes_of_map()
    rows = list(dict.fromkeys(box.row for box in boxes))  # each title once, in reading order
    figure, axes = make_figure(size=(8, 5.6))
    for depth, title in enumerate(rows):
        axes.text(0.0, -depth, title, va="center", fontsize=10, fontweight="bold")
        in_row = [box for box in boxes if box.row == title]
        for column, box in enumerate(in_row):
            _draw_box(axes, 2.5 + 2.0 * column, -depth, box)
        if depth:
            _draw_arrow_to_row(axes, depth)
    axes.set(xlim=(-0.2, 7.6), ylim=(-len(rows) + 0.4, 0.6))
    axes.axis("off")
    written = [box.number for box in boxes if box.written]
    return figure, written


def boxes_of_map() -> list[Box]:
    """All chapters in reading order: those that are written, from their headers, and COMING."""
    boxes = {}
    for number, row, text in COMING:
        boxes[number] = Box(number, row, text, written=False)
    for entry in toc.read_entries():
        boxes[entry.number] = Box(entry.number, entry.row, entry.map, written=True)
    return [boxes[number] for number in sorted(boxes)]


def _draw_box(axes, x, y, box):
    look = WRITTEN if box.written else UNWRITTEN
    frame = {"boxstyle": "round,pad=0.35", "edgecolor": INK, **look}
    label = f"{box.number}\n{box.text}"
    axes.text(x, y, label, ha="center", va="center", fontsize=8.5, color=INK, bbox=frame)


def _draw_arrow_to_row(axes, depth):
    """From the title of the row above."""
    head = (0.5, -depth + 0.22)
    tail = (0.5, -depth + 0.78)
    axes.annotate("", head, tail, arrowprops={"arrowstyle": "->", "color": INK})
