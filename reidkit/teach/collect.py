"""What the rerun tool's runs recorded, as one table and a picture.

A row is what `rerun.run_one` returns: {"parameters": {name: value}, "records": {name: value},
"status": "ok" | "failed", "error", "seconds", ...}.
"""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
from typing import TYPE_CHECKING

from .. import files
from ..stats import t_interval
from .figures import pixels, png
from .plots import as_words
from .start import STYLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECORD = "application/x-reidkit-record+json"
NESTED = ("parameters", "records")  # the parts of a row whose entries become columns
MOST_PANELS = 9
PANELS_IN_A_ROW = 3
SHIFT = 0.08  # from one line's points to the next line's, so that error bars do not hide each other


def records(path: str | os.PathLike) -> dict:
    """Everything that teach.record handed over in an executed notebook.

    Returns:
        name -> value; {} where the notebook was never written.
    """
    try:
        notebook = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        cells = notebook["cells"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    values = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            found = output.get("data", {}).get(RECORD)
            if isinstance(found, dict):
                values |= found
    return values


def write(rows: list[dict], table: pathlib.Path) -> None:
    """Write rows to the CSV `table`, and beside it a PNG where numbers were recorded.

    Args:
        rows: one for each run.
        table: path of the CSV; the PNG has the same one, with its own suffix.
    """
    with files.locked(table):  # two reruns side by side: table and picture are of the same one
        files.write_atomic(table, to_csv(rows))
        figure = picture(rows)
        if figure is not None:
            files.write_atomic(table.with_suffix(".png"), png(pixels(figure)))


def flat(rows: list[dict]) -> list[dict]:
    """Rows with one level only.

    The columns: parameters, recorded values, then status, error, seconds and what the run stood on.
    """
    columns = {}  # in this order, each once
    for part in NESTED:
        for row in rows:
            columns |= dict.fromkeys(row[part])
    columns |= dict.fromkeys(rows[0])
    names = [name for name in columns if name not in NESTED]
    made = []
    for row in rows:
        merged = {**row["parameters"], **row["records"], **row}
        made.append({name: merged.get(name, "") for name in names})
    return made


def to_csv(rows: list[dict]) -> str:
    """Rows as CSV text, with the columns of `flat`."""
    lines = flat(rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return stream.getvalue()


def picture(rows: list[dict]) -> Figure | None:
    """One panel for each recorded number: every run a point, means and 95 % intervals over seeds.

    The first parameter that varies (but for SEED) is the axis; each setting of the other ones has a
    line of its own.

    Returns:
        None where no run recorded a number.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["status"] == "ok"]
    numbers = _recorded_numbers(rows)[:MOST_PANELS]
    if not numbers:
        return None
    varied = _varied_parameters(rows)
    axis = next((name for name in varied if name != "SEED"), "SEED")
    line_names = [name for name in varied if name not in (axis, "SEED")]
    down = -(-len(numbers) // PANELS_IN_A_ROW)  # rounded up
    across = min(PANELS_IN_A_ROW, len(numbers))
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(4.2 * across, 3.2 * down))
        FigureCanvasAgg(figure)
        for place, number in enumerate(numbers, 1):
            panel = figure.add_subplot(down, across, place, xlabel=axis, ylabel=as_words(number))
            _draw_panel(panel, rows, number, axis, line_names)
    return figure


def _recorded_numbers(rows):
    """Names of what is a number in every row that recorded it, in order."""
    names = {}
    for row in rows:
        names |= dict.fromkeys(row["records"])
    numbers = []
    for name in names:
        values = [row["records"][name] for row in rows if name in row["records"]]
        if all(isinstance(value, (int, float)) for value in values):
            numbers.append(name)
    return numbers


def _varied_parameters(rows):
    """Names of the parameters that have more than one value."""
    varied = []
    for name in rows[0]["parameters"]:
        values = {str(row["parameters"][name]) for row in rows}
        if len(values) > 1:
            varied.append(name)
    return varied


def _draw_panel(panel, rows, number, axis, line_names):
    """One line for each setting of the other parameters, over the values of the axis."""
    ticks = list(dict.fromkeys(_tick(row, axis) for row in rows))
    lines = {}  # label -> {place of the tick: values of its runs}
    for row in rows:
        if number not in row["records"]:
            continue
        label = as_words(", ".join(f"{name} = {row['parameters'][name]}" for name in line_names))
        place = ticks.index(_tick(row, axis))
        points = lines.setdefault(label, {})
        points.setdefault(place, []).append(float(row["records"][number]))
    style = {"linestyle": "none"} if axis == "SEED" else {}  # seeds have no order
    for index, (label, points) in enumerate(lines.items()):
        _draw_line(panel, points, SHIFT * index, label, style)
    panel.set_xticks(range(len(ticks)), ticks)
    if line_names:
        panel.legend()


def _tick(row, axis):
    return as_words(row["parameters"].get(axis, ""))


def _draw_line(panel, points, shift, label, style):
    """Means with 95 % t intervals, and in the same colour a dot for each run."""
    x = [place + shift for place in points]
    means = [sum(values) / len(values) for values in points.values()]
    halves = []
    for mean, values in zip(means, points.values()):
        _, high = t_interval(values)
        halves.append(0 if high is None else high - mean)
    bars = panel.errorbar(x, means, yerr=halves, capsize=4, label=label, **style)
    colour = bars[0].get_color()
    dots = {"color": colour, "alpha": 0.5, "linestyle": "none", "label": "_"}
    for at, values in zip(x, points.values()):
        panel.plot([at] * len(values), values, ".", **dots)
