"""What the rerun tool's runs recorded, as one table and a picture."""

import csv
import io
import json
import pathlib

from .. import files
from ..stats import t_interval
from .figures import pixels, png
from .start import STYLE

RECORD = "application/x-reidkit-record+json"


def records(path):
    """Everything that teach.record handed over in an executed notebook; {} where it was never written."""
    try:
        cells = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["cells"]
    except (OSError, ValueError):
        return {}
    found = {}
    for output in (output for cell in cells for output in cell.get("outputs", [])):
        found |= output.get("data", {}).get(RECORD, {})
    return found


def write(rows, table):
    """Rows -> the CSV `table`, and beside it a PNG where numbers were recorded."""
    files.write_atomic(table, to_csv(rows))
    figure = picture(rows)
    if figure is not None:
        files.write_atomic(table.with_suffix(".png"), png(pixels(figure)))


def to_csv(rows):
    """Rows -> CSV text: parameters, recorded values, then status, error, seconds and what the run stood on."""
    flat = [{**row["parameters"], **row["records"], **row} for row in rows]
    names = [name for part in ("parameters", "records") for row in rows for name in row[part]]
    names = [
        name for name in dict.fromkeys([*names, *rows[0]]) if name not in ("parameters", "records")
    ]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return stream.getvalue()


def picture(rows):
    """One panel for each recorded number: each run a point, means and 95 % intervals over seeds -> figure, or None."""
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = [row for row in rows if row["status"] == "ok"]
    names = [
        name
        for name in dict.fromkeys(name for row in rows for name in row["records"])
        if all(isinstance(row["records"].get(name, 0), (int, float)) for row in rows)
    ][:9]
    if not names:
        return None
    varied = [
        name
        for name in rows[0]["parameters"]
        if len({str(row["parameters"][name]) for row in rows}) > 1
    ]
    axis = next((name for name in varied if name != "SEED"), "SEED")
    others = [name for name in varied if name not in (axis, "SEED")]
    down, across = -(-len(names) // 3), min(3, len(names))
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(4.2 * across, 3.2 * down))
        FigureCanvasAgg(figure)
        for place, name in enumerate(names, 1):
            _panel(
                figure.add_subplot(down, across, place, xlabel=axis, ylabel=name),
                rows,
                name,
                axis,
                others,
            )
    return figure


def _panel(panel, rows, name, axis, others):
    """One line for each setting of the other parameters, over the values of the axis."""
    places = list(dict.fromkeys(str(row["parameters"].get(axis, "")) for row in rows))
    lines = {}
    for row in (row for row in rows if name in row["records"]):
        label = ", ".join(f"{other} = {row['parameters'][other]}" for other in others)
        points = lines.setdefault(label, {})
        points.setdefault(places.index(str(row["parameters"].get(axis, ""))), []).append(
            float(row["records"][name])
        )
    for shift, (label, points) in enumerate(lines.items()):
        x = [place + 0.08 * shift for place in points]
        means = [sum(values) / len(values) for values in points.values()]
        highs = [t_interval(values)[1] for values in points.values()]
        halves = [0 if high is None else high - mean for high, mean in zip(highs, means)]
        line = {"linestyle": "none"} if axis == "SEED" else {}  # seeds have no order
        colour = panel.errorbar(x, means, yerr=halves, capsize=4, label=label, **line)[
            0
        ].get_color()
        for at, values in zip(x, points.values()):
            panel.plot(
                [at] * len(values),
                values,
                ".",
                color=colour,
                alpha=0.5,
                linestyle="none",
                label="_",
            )
    panel.set_xticks(range(len(places)), places)
    if others:
        panel.legend()
