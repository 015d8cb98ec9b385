"""Run a chapter over a grid of parameters and collect what it records into one table and a picture.

    python -m reidkit.teach.rerun 01 -p SEED=0,1,2 -p PRESET=smoke --jobs 2 --out runs/

Every run has a kernel of its own, through papermill, on the chapter's solution form. A finished run is a file: kill
this at any moment, say the same line again, and only what is missing runs.
"""

import argparse
import datetime
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
from ..code_digest import modules_digest
from . import collect, source
from .messages import say
from .start import check_parameter, nearest

READERS = {
    "int": int,
    "float": float,
    "str": str,
    "bool": {"True": True, "False": False}.__getitem__,
}


class Refused(Exception):
    """A wish that cannot be run; said before anything starts."""


def find(word):
    """Chapter "01", or the path of a chapter's source -> source.Chapter."""
    if word.endswith(".py"):
        return source.read(word)
    paths = {path.stem: path for path in sorted(source.folder().glob("[0-9]*.py"))}
    found = [path for name, path in paths.items() if name.startswith(f"{word}_")]
    if len(found) != 1:
        raise Refused(say("rerun chapter", chapter=word, known=", ".join(paths)))
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


def grid(wishes, known, separator=","):
    """["SEED=0,1", "PRESET=smoke"] -> [{"SEED": 0, "PRESET": "smoke"}, ...], in the types that the notebook declares.

    separator: between values of a wish; "\\n" where each has one only.
    Raises Refused for an unknown parameter, one named twice, or a value of the wrong type or one that no chapter takes.
    """
    values = {}
    for wish in wishes:
        name, _, words = wish.partition("=")
        if not words:
            raise Refused(say("rerun wish", wish=wish))
        if name not in known:
            raise Refused(
                say(
                    "rerun unknown",
                    parameter=name,
                    known=", ".join(known),
                    hint=nearest(name, known),
                )
            )
        if name in values:
            raise Refused(say("rerun twice", parameter=name))
        values[name] = [
            _typed(name, word, known[name]["inferred_type_name"]) for word in words.split(separator)
        ]
    return [dict(zip(values, combination)) for combination in itertools.product(*values.values())]


def _typed(name, word, kind):
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
    return checked if name == "DATA" else value  # a full path: runs have a folder of their own


def run_one(chapter, parameters, target, threads, cached, timeout):
    """One run, in a kernel of its own; writes target.ipynb, then target.json, the row that marks it as finished."""
    import papermill

    from .build import surroundings

    began, error, folder = time.perf_counter(), "", files.project_root() / "notebooks"
    runtime.set_threads(threads)
    wanted = {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "REIDKIT_STATIC": "1",
    }
    wanted |= {} if cached else {"REIDKIT_CACHE": "off"}
    made = f"{target}.running.ipynb"
    with surroundings(fresh=False), mock.patch.dict(os.environ, wanted):
        try:
            papermill.execute_notebook(
                chapter,
                made,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=timeout,
                cwd=str(folder if folder.is_dir() else folder.parent),
            )
        except Exception as problem:  # whatever it is, it is this run's row and stops no other
            name = getattr(problem, "ename", type(problem).__name__)
            error = f"{name}: {getattr(problem, 'evalue', problem)}".strip().splitlines()[0]
    records = collect.records(made)
    if os.path.exists(made):  # not where the kernel never came up
        os.replace(made, f"{target}.ipynb")
    device = runtime.device_name(runtime.pick_device(parameters.get("DEVICE", "auto")))
    row = {
        "parameters": parameters,
        "records": records,
        "status": "failed" if error else "ok",
        "error": error,
        "seconds": round(time.perf_counter() - began, 1),
        "threads": threads,
        "device": device,
        **runtime.versions(("torch", "numpy")),
        "commit": runtime.git_commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    if "DATA" in parameters:  # the table names the data set, not a folder of this machine
        row["parameters"] = parameters | {"DATA": parameters["DATA"].partition(":")[0]}
    files.write_atomic(f"{target}.json", json.dumps(row))
    return row


def run_grid(
    chapter, wishes, out, jobs=1, threads=1, cached=False, timeout=None, retry=False, progress=True
):
    """Run what is missing of the grid, `jobs` at a time -> rows of the whole grid; before anything starts, Refused."""
    import joblib
    import nbformat
    from tqdm import tqdm

    notebook = source.notebook(chapter, "solution")
    known = declared(notebook)
    tasks = grid(wishes, known)
    defaults = {name: parameter["default"].strip("\"'") for name, parameter in known.items()}
    if "THREADS" in known:
        tasks = [{"THREADS": threads} | task for task in tasks]
    code = modules_digest(source.modules_of(chapter))  # other code, other runs
    stamp = files.digest(chapter.stamp, code, runtime.versions(("torch", "numpy")))
    folder = pathlib.Path(out).resolve() / chapter.name
    targets = [folder / _file_name(task, files.digest(stamp, task, threads)) for task in tasks]
    files.write_atomic(folder / f"{stamp}.ipynb", nbformat.writes(notebook))
    todo = [(task, target) for task, target in zip(tasks, targets) if not _finished(target, retry)]
    print(say("rerun plan", total=len(tasks), kept=len(tasks) - len(todo), missing=len(todo)))
    template = str(folder / f"{stamp}.ipynb")
    runs = joblib.Parallel(n_jobs=min(jobs, max(1, len(todo))), return_as="generator_unordered")(
        joblib.delayed(run_one)(template, task, str(target), threads, cached, timeout)
        for task, target in todo
    )
    for row in tqdm(runs, total=len(todo), unit="run", disable=not progress):
        if row["status"] != "ok":
            print(
                say("rerun failed", parameters=row["parameters"], error=row["error"]),
                file=sys.stderr,
            )
    rows = [_row(target) for target in targets]
    return [row | {"parameters": defaults | row["parameters"]} for row in rows]


def _file_name(task, key):
    """Readable, and unlike any other run: "SEED=0,PRESET=smoke-1f2e3d4c"."""
    words = ",".join(f"{name}={value}" for name, value in task.items() if name != "THREADS")
    return f"{re.sub(r'[^A-Za-z0-9=,._-]', '_', words)[-100:]}-{key}"


def _row(target):
    return json.loads(pathlib.Path(f"{target}.json").read_text(encoding="utf-8"))


def _finished(target, retry):
    try:
        return _row(target)["status"] == "ok" or not retry
    except (OSError, ValueError):
        return False


def main(words=None):
    parser = argparse.ArgumentParser(
        "python -m reidkit.teach.rerun",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapter", help="its number, e.g. 01, or the path of a source")
    parser.add_argument(
        "-p", action="append", default=[], metavar="NAME=A,B", help="a parameter and its values"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (default 1)")
    parser.add_argument(
        "--threads", type=int, default=1, help="torch threads of each run (default 1)"
    )
    parser.add_argument("--out", default="runs", help="folder of the runs (default runs/)")
    parser.add_argument(
        "--record", metavar="NAME", help="write data/results/NAME.csv too, if no run failed"
    )
    parser.add_argument(
        "--cache",
        action="store_true",
        help="load trained weights where they lie, instead of training",
    )
    parser.add_argument("--retry", action="store_true", help="run failed runs again")
    parser.add_argument("--timeout", type=int, help="seconds that one cell may take")
    asked = parser.parse_args(words)
    try:
        chapter = find(asked.chapter)
        rows = run_grid(
            chapter,
            asked.p,
            asked.out,
            asked.jobs,
            asked.threads,
            asked.cache,
            asked.timeout,
            asked.retry,
        )
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    failed = sum(row["status"] != "ok" for row in rows)
    table = pathlib.Path(asked.out) / f"{chapter.name}.csv"
    collect.write(rows, table)
    if asked.record and not failed:
        files.write_atomic(files.results_dir() / f"{asked.record}.csv", table.read_bytes())
    print(say("rerun done", ok=len(rows) - failed, failed=failed, table=table.as_posix()))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
