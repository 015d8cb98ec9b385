"""Run a chapter over a grid of parameters and collect what it records into one table and a picture.

    python -m reidkit.teach.rerun 01 -p SEED=0,1,2 -p PRESET=smoke --jobs 2 --out runs/

Every run is its own process through papermill, on the chapter's solution form. A finished run is a file: kill this at any
moment, say the same line again, and only what is missing runs.
"""

import argparse
import csv
import datetime
import io
import itertools
import json
import os
import pathlib
import re
import sys
import tempfile
import time
from unittest import mock

from .. import files, runtime
from . import source
from .messages import say
from .recorded import t_interval
from .start import STYLE, check_parameter, nearest

RECORD = "application/x-reidkit-record+json"
READERS = {"int": int, "float": float, "str": str, "bool": {"True": True, "False": False}.__getitem__}


class Refused(Exception):
    """A wish that cannot be run; said before anything starts."""


def find(word):
    """Chapter "01", or the path of a chapter's source -> source.Chapter."""
    if word.endswith(".py"):
        return source.read(word)
    found = sorted(source.folder().glob(f"{word}_*.py"))
    if len(found) != 1:
        raise Refused(say("rerun chapter", chapter=word, known=", ".join(path.stem for path in sorted(source.folder().glob("*.py")))))
    return source.read(found[0])


def declared(notebook):
    """The parameters cell -> dict name -> papermill's {"inferred_type_name", "default", "help"}."""
    import nbformat
    import papermill
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chapter.ipynb")
        nbformat.write(notebook, path)
        found = papermill.inspect_notebook(path)
    if not found:
        raise Refused(say("rerun no parameters"))
    return found


def grid(wishes, known):
    """["SEED=0,1", "PRESET=smoke"] -> [{"SEED": 0, "PRESET": "smoke"}, ...], every value of the type its notebook declares.

    Raises Refused for an unknown parameter, one named twice, or a value of the wrong type or outside what the course takes.
    """
    values = {}
    for wish in wishes:
        name, equals, words = wish.partition("=")
        if not equals or not words:
            raise Refused(say("rerun wish", wish=wish))
        if name not in known:
            raise Refused(say("rerun unknown", parameter=name, known=", ".join(known), hint=nearest(name, known)))
        if name in values:
            raise Refused(say("rerun twice", parameter=name))
        values[name] = [_typed(name, word, known[name]) for word in words.split(",")]
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def _typed(name, word, parameter):
    kind = parameter["inferred_type_name"]
    if kind not in READERS:
        raise Refused(say("rerun annotate", parameter=name))
    try:
        value = READERS[kind](word)
    except (KeyError, ValueError):
        raise Refused(say("rerun type", parameter=name, word=word, kind=kind)) from None
    try:
        checked = check_parameter(name, value)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    return checked if name == "DATA" else value             # a data folder travels as a full path: the run has its own folder


def code_stamp():
    """Changes when the package's code changes: a run made by other code does not count as finished."""
    home = pathlib.Path(__file__).resolve().parents[1]
    return files.digest([files.sha256_file(path) for path in sorted(home.rglob("*.py")) if path.parent.name != "teach"])


def run_one(chapter, parameters, target, threads, cached, timeout):
    """One run in this process's own kernel; writes target.ipynb, then target.json, the row that marks it as finished."""
    import papermill

    from .build import surroundings
    began, error = time.perf_counter(), ""
    runtime.set_threads(threads)
    wanted = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "REIDKIT_STATIC": "1"}
    with surroundings(fresh=False), mock.patch.dict(os.environ, wanted if cached else wanted | {"REIDKIT_CACHE": "off"}):
        with files.atomic_path(f"{target}.ipynb") as made:
            try:
                folder = files.project_root() / "notebooks"
                papermill.execute_notebook(chapter, str(made), parameters, kernel_name="python3", progress_bar=False,
                                           execution_timeout=timeout, cwd=str(folder if folder.is_dir() else files.project_root()))
            except Exception as problem:                    # whatever it is, it is this run's row and stops no other
                name = getattr(problem, "ename", type(problem).__name__)
                error = f"{name}: {getattr(problem, 'evalue', problem)}".strip().splitlines()[0]
            records = recorded_in(made)
    found = runtime.versions(("torch", "numpy"))
    row = {"parameters": parameters, "records": records, "status": "failed" if error else "ok", "error": error,
           "seconds": round(time.perf_counter() - began, 1), "threads": threads,
           "device": runtime.device_name(runtime.pick_device(parameters.get("DEVICE", "auto"))), **found,
           "commit": runtime.git_commit(), "date": datetime.datetime.now(datetime.UTC).date().isoformat()}
    if isinstance(row["parameters"].get("DATA"), str):      # the table names the data set, not a folder of this machine
        row["parameters"] = row["parameters"] | {"DATA": row["parameters"]["DATA"].partition(":")[0]}
    files.write_atomic(f"{target}.json", json.dumps(row))
    return row


def recorded_in(path):
    """Everything that teach.record handed over in an executed notebook; {} where it was never written."""
    try:
        cells = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["cells"]
    except ValueError:
        return {}
    found = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            found |= output.get("data", {}).get(RECORD, {})
    return found


def run_grid(chapter, wishes, out, jobs=1, threads=1, cached=False, timeout=None, retry=False, progress=True):
    """Run what is missing of the grid, `jobs` at a time -> rows of the whole grid, in its order. Raises Refused first of all."""
    import joblib
    import nbformat
    from tqdm import tqdm
    notebook = source.notebook(chapter, "solution")
    known = declared(notebook)
    tasks = grid(wishes, known)
    defaults = {name: parameter["default"] for name, parameter in known.items()}
    if "THREADS" in known:
        tasks = [{"THREADS": threads} | task for task in tasks]
    folder = pathlib.Path(out).resolve() / chapter.name
    folder.mkdir(parents=True, exist_ok=True)
    stamp = files.digest(chapter.stamp, code_stamp(), runtime.versions(("torch", "numpy")), defaults)
    targets = [folder / _file_name(task, files.digest(stamp, task, threads)) for task in tasks]
    template = folder / f"{stamp}.ipynb"
    files.write_atomic(template, nbformat.writes(notebook))
    todo = [(task, target) for task, target in zip(tasks, targets) if not _finished(target, retry)]
    print(say("rerun plan", total=len(tasks), kept=len(tasks) - len(todo), missing=len(todo)))
    parallel = joblib.Parallel(n_jobs=min(jobs, max(1, len(todo))), return_as="generator_unordered")
    runs = parallel(joblib.delayed(run_one)(str(template), task, str(target), threads, cached, timeout) for task, target in todo)
    for row in tqdm(runs, total=len(todo), unit="run", disable=not progress):
        if row["status"] != "ok":
            print(say("rerun failed", parameters=row["parameters"], error=row["error"]), file=sys.stderr)
    rows = [json.loads(pathlib.Path(f"{target}.json").read_text(encoding="utf-8")) for target in targets]
    constants = {name: _plain_default(value) for name, value in defaults.items()}
    return [row | {"parameters": constants | row["parameters"]} for row in rows]


def _plain_default(text):
    return text.strip("\"'")


def _file_name(task, key):
    """Readable, and unlike any other run: "SEED=0,PRESET=smoke-1f2e3d4c"."""
    words = ",".join(f"{name}={value}" for name, value in task.items() if name != "THREADS")
    return f"{re.sub(r'[^A-Za-z0-9=,._-]', '_', words)[-100:]}-{key}"


def _finished(target, retry):
    try:
        row = json.loads(pathlib.Path(f"{target}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return row["status"] == "ok" or not retry


def to_csv(rows):
    """Rows -> CSV text: parameters, recorded values, then status, error, seconds and what the run stood on."""
    parts = [{**row["parameters"], **row["records"], **{k: v for k, v in row.items() if k not in ("parameters", "records")}} for row in rows]
    names = list(dict.fromkeys(name for key in ("parameters", "records") for row in rows for name in row[key]))
    names += [name for name in parts[0] if name not in names and name not in rows[0]["records"]]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(parts)
    return stream.getvalue()


def picture(rows):
    """One panel for each recorded number: every run as a point, mean and 95 % interval over seeds -> a figure, or None."""
    import matplotlib.style
    from matplotlib.figure import Figure
    rows = [row for row in rows if row["status"] == "ok"]
    names = [name for name in dict.fromkeys(name for row in rows for name in row["records"])
             if all(isinstance(row["records"].get(name, 0), (int, float)) for row in rows)][:9]
    varied = [name for name in (rows[0]["parameters"] if rows else ()) if len({str(row["parameters"][name]) for row in rows}) > 1]
    axis = next((name for name in varied if name != "SEED"), "SEED")
    others = [name for name in varied if name not in (axis, "SEED")]
    if not names:
        return None
    with matplotlib.style.context(STYLE):
        figure = Figure(figsize=(4.2 * min(3, len(names)), 3.2 * -(-len(names) // 3)))
        for place, name in enumerate(names, 1):
            panel = figure.add_subplot(-(-len(names) // 3), min(3, len(names)), place)
            panel.set(xlabel=axis, ylabel=name)
            _panel(panel, rows, name, axis, others)
    return figure


def _panel(panel, rows, name, axis, others):
    lines = {}
    for row in rows:
        if name in row["records"]:
            line = lines.setdefault(", ".join(f"{other} = {row['parameters'][other]}" for other in others), {})
            line.setdefault(str(row["parameters"].get(axis, "")), []).append(float(row["records"][name]))
    for shift, (label, points) in enumerate(lines.items()):
        means = [sum(values) / len(values) for values in points.values()]
        highs = [t_interval(values)[1] for values in points.values()]
        halves = [0 if high is None else high - mean for high, mean in zip(highs, means)]
        places = [index + 0.08 * shift for index in range(len(points))]
        drawn = panel.errorbar(places, means, yerr=halves, capsize=4, label=label or None)
        for at, values in zip(places, points.values()):
            panel.plot([at] * len(values), values, ".", color=drawn[0].get_color(), alpha=0.5, linestyle="none", label="_")
    panel.set_xticks(range(len(points)), list(points))
    if len(lines) > 1:
        panel.legend()


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m reidkit.teach.rerun", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", help="its number, e.g. 01, or the path of a source")
    parser.add_argument("-p", action="append", default=[], metavar="NAME=A,B", help="a parameter and its values")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each run (default 1)")
    parser.add_argument("--out", default="runs", help="folder of the runs (default runs/)")
    parser.add_argument("--record", metavar="NAME", help="write the table to data/results/NAME.csv too, if no run failed")
    parser.add_argument("--cache", action="store_true", help="load trained weights where they lie (default: train afresh)")
    parser.add_argument("--retry", action="store_true", help="run failed runs again")
    parser.add_argument("--timeout", type=int, help="seconds that one cell may take")
    asked = parser.parse_args(words)
    try:
        chapter = find(asked.chapter)
        rows = run_grid(chapter, asked.p, asked.out, asked.jobs, asked.threads, asked.cache, asked.timeout, asked.retry)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    table = pathlib.Path(asked.out) / f"{chapter.name}.csv"
    files.write_atomic(table, to_csv(rows))
    failed = sum(row["status"] != "ok" for row in rows)
    if asked.record and not failed:
        files.write_atomic(files.results_dir() / f"{asked.record}.csv", to_csv(rows))
    figure = picture(rows)
    if figure is not None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        from .figures import pixels, png
        FigureCanvasAgg(figure)
        files.write_atomic(table.with_suffix(".png"), png(pixels(figure)))
    print(say("rerun done", ok=len(rows) - failed, failed=failed, table=table.as_posix()))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
