"""How the course draws: one look for each norm and method from the first chapter to the last, dots
with whiskers.

Nothing depends on colour alone: every look has a marker and a line style of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..stats import Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER_LINE = {"color": "0.4", "linewidth": 0.9, "linestyle": ":", "marker": "none"}


@dataclass(frozen=True)
class Look:
    """Colour (of the course's cycle), marker and line style of one thing that is compared."""

    color: str
    marker: str
    linestyle: str

    def keywords(self, filled: bool = True) -> dict:
        """For matplotlib's `plot` and `errorbar`; `filled` False leaves the marker white inside."""
        face = self.color if filled else "white"
        return {
            "color": self.color,
            "marker": self.marker,
            "linestyle": self.linestyle,
            "markerfacecolor": face,
        }


# A norm or method keeps its look through the whole course.
LOOKS = {
    "BN": Look("C0", "o", "-"),
    "BIN": Look("C1", "s", "--"),
    "IN": Look("C2", "^", "-."),
    "MetaBIN": Look("C3", "D", ":"),
    "half and half": Look("C4", "v", "-"),
    "DualNorm": Look("C5", "P", "--"),
    "IBN-a": Look("C6", "X", "-."),
    "IBN-b": Look("C6", "*", ":"),
}

# Where a model is examined: the same people's places, places never seen, two exams of one question
# each.
EXAM_LOOKS = {
    "home": Look("C0", "o", "-"),
    "away": Look("C1", "s", "--"),
    "tone": Look("C2", "^", "-."),
    "style": Look("C3", "D", ":"),
}


def make_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] | None = None, **options: Any
) -> tuple[Figure, Any]:
    """A figure and its axes: pyplot.subplots with matplotlib imported only now.

    Args:
        rows: of axes.
        columns: of axes.
        size: (width, height) in inches.
        **options: of pyplot.subplots.
    Returns:
        (figure, axes): one axes, or an array of them.
    """
    from matplotlib import pyplot

    return pyplot.subplots(rows, columns, figsize=size, **options)


def make_canvas(size: tuple[float, float], dpi: int = 90, **options: Any) -> Figure:
    """A figure for a widget's frames, drawn in memory: it is not pyplot's, so nobody has to close
    it.

    Args:
        size: (width, height) in inches.
        dpi: pixels per inch.
        **options: of matplotlib's Figure; layout="none" saves the layout engine's time, half of a
            frame.
    Returns:
        The figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi, **options)
    FigureCanvasAgg(figure)
    return figure


def dot(
    axes: Axes, estimate: Estimate, y: float, look: Look, *, filled: bool = True, **options: Any
) -> None:
    """A dot at height y with its interval as whiskers.

    Args:
        axes: to draw on.
        estimate: mean and interval; without an interval, the dot alone.
        y: height.
        look: colour and marker.
        filled: False leaves the dot white inside (say, where an interval holds 0).
        **options: of `errorbar`, such as label.
    """
    keywords = look.keywords(filled) | {"linestyle": "none", "capsize": 3} | options
    axes.errorbar(estimate.mean, y, xerr=estimate.whiskers, **keywords)


def line(
    axes: Axes,
    places: Sequence[float],
    estimates: Sequence[Estimate],
    look: Look,
    **options: Any,
) -> None:
    """A line through means with their intervals as whiskers.

    Args:
        axes: to draw on.
        places: x of each estimate.
        estimates: as many.
        look: colour, marker and line style.
        **options: of `errorbar`, such as label.
    """
    means = [estimate.mean for estimate in estimates]
    down = [estimate.mean - estimate.lowest for estimate in estimates]
    up = [estimate.highest - estimate.mean for estimate in estimates]
    keywords = look.keywords() | {"capsize": 3} | options
    axes.errorbar(places, means, yerr=[down, up], **keywords)


def as_words(text: object) -> str:
    """A text from outside, for a label: matplotlib takes what stands between two $ for a formula.

    Args:
        text: anything; str turns it into words.
    """
    return str(text).replace("$", r"\$")


def name_rows(axes: Axes, names: Sequence[str], **options: Any) -> None:
    """Names of rows on the y axis, the first on top: row i stands at y = len(names) - 1 - i.

    Args:
        axes: to write on.
        names: of the rows.
        **options: of `axes.set`, such as xlabel.
    """
    axes.set(
        yticks=range(len(names)),
        yticklabels=[as_words(name) for name in reversed(names)],
        ylim=(-0.6, len(names) - 0.4),
        **options,
    )
