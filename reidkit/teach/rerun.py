"""Run a chapter over a grid of parameters and collect what it records into one table and a picture.

    python -m reidkit.teach.rerun 01 -p SEED=0,1,2 -p PRESET=smoke --jobs 2 --out runs/

Every run has a kernel of its own, through papermill, on the chapter's solution form. A finished run
is a file: kill this at any moment, say the same line again, and only what is missing runs. A run
that another rerun is computing is waited for.
"""

import argparse
import os
import pathlib
import re
import sys
from collections.abc import Sequence

from .. import console, files, runtime, table_files
from ..code_digest import modules_digest
from ..console import whole_number
from ..workers import side_by_side
from . import collect, source
from .messages import say
from .one_run import STATES, USUAL, VERSIONS, Conditions, damages, finished_row, run_one
from .parameters import declared, find, grid


def run_grid(
    chapter: source.Chapter,
    wishes: Sequence[str],
    out: str | os.PathLike,
    jobs: int = 1,
    conditions: Conditions = USUAL,
    retry: bool = False,
    progress: bool = True,
) -> list[dict]:
    """Run what is missing of a grid of parameters.

    Args:
        chapter: its solution form is run.
        wishes: ["SEED=0,1", "PRESET=smoke"]; every combination is a run.
        out: folder of the runs; each chapter has a folder of its own in it.
        jobs: runs at a time.
        conditions: under what each run computes.
        retry: run failed runs again; else they count as finished.
        progress: show a bar that counts the runs.
    Returns:
        Rows of the whole grid, those of earlier runs included, in the order of the grid.
    Raises:
        Refused: a wish cannot be run; before anything starts.
    """
    import nbformat

    notebook = source.notebook(chapter, "solution")
    parameters = declared(notebook)
    tasks = grid(wishes, parameters)
    if "THREADS" in parameters:
        tasks = [{"THREADS": conditions.threads} | task for task in tasks]
    folder = pathlib.Path(out).resolve() / chapter.name
    stamp = _stamp(chapter)
    targets = []
    for task in tasks:
        key = files.digest(stamp, task, conditions.threads)
        targets.append(folder / _file_name(task, key))
    template = folder / f"{stamp}.ipynb"
    files.write_atomic(template, nbformat.writes(notebook))
    for name, reason in damages(targets):
        console.say(say("rerun damaged", file=name, reason=reason))
    rows = [finished_row(target, retry) for target in targets]
    missing = [number for number, row in enumerate(rows) if row is None]
    kept = len(rows) - len(missing)
    print(say("rerun plan", total=len(rows), kept=kept, missing=len(missing)))
    calls = [
        (str(template), tasks[number], str(targets[number]), conditions, retry)
        for number in missing
    ]
    for number, row in _run_all(calls, jobs, progress):
        place = missing[number]
        rows[place] = finished_row(targets[place]) or row  # a stopped run has no file
    defaults = {name: about["default"].strip("\"'") for name, about in parameters.items()}
    return [row | {"parameters": defaults | row["parameters"]} for row in rows]


def _stamp(chapter):
    """What all runs of a chapter have in common: with another source or other code, other runs."""
    code = modules_digest(source.modules_of(chapter))
    return files.digest(chapter.stamp, code, runtime.versions(VERSIONS))


def _run_all(calls, jobs, progress):
    """Make these calls of `run_one`, `jobs` at a time -> (number, row) as they end.

    A line says which of them failed.
    """
    done = side_by_side(run_one, calls, jobs)
    for number, row in console.bar(done, show=progress, total=len(calls), unit="run"):
        if row["status"] != "ok":
            what = "rerun failed" if row["status"] in STATES else "rerun stopped"
            console.say(say(what, parameters=row["parameters"], error=row["error"]))
        yield number, row


def _file_name(task, key):
    """Readable, and unlike any other run: "SEED=0,PRESET=smoke-1f2e3d4c"."""
    words = ",".join(f"{name}={value}" for name, value in task.items() if name != "THREADS")
    safe = re.sub(r"[^A-Za-z0-9=,._-]", "_", words)
    return f"{safe[-100:]}-{key}"


@console.command
def main(words: Sequence[str] | None = None) -> int:
    """Run the grid that a command line asks for and write its table; returns an exit status."""
    asked = _parser().parse_args(words)
    conditions = Conditions(asked.threads, asked.cache, asked.timeout)
    out = pathlib.Path(asked.out)
    if out.exists() and not out.is_dir():
        raise ValueError(say("rerun out", out=asked.out))
    if asked.record:
        _check_record(asked.record)
    chapter = find(asked.chapter)
    rows = run_grid(chapter, asked.p, out, asked.jobs, conditions, asked.retry)
    failed = sum(row["status"] != "ok" for row in rows)
    table = out / f"{chapter.name}.csv"
    collect.write(rows, table)
    if asked.record and not failed:
        recorded = _recorded_table(asked.record)
        with files.locked(recorded):
            table_files.write_table(recorded, collect.flat(rows))
    print(say("rerun done", ok=len(rows) - failed, failed=failed, table=table.as_posix()))
    if any(row["status"] not in STATES for row in rows):
        console.say(say("rerun again"))
    return int(failed > 0)


def _recorded_table(name):
    return files.results_dir() / f"{files.check_name(name, '--record')}.csv"


def _check_record(name):
    """An error where the table could not be recorded: before the runs, which take hours."""
    with files.locked(_recorded_table(name)):
        pass


def _parser():
    parser = argparse.ArgumentParser(
        "python -m reidkit.teach.rerun",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapter", help="its number, e.g. 01, or the path of a source")
    parser.add_argument(
        "-p",
        action="append",
        default=[],
        metavar="NAME=A,B",
        help="a parameter and its values; where a value has commas, a list of JSON: "
        "-p 'DATA=[\"pku-reid:/data/Smith, J/pku-reid\"]'",
    )
    count = whole_number(1, 1024)
    parser.add_argument("--jobs", type=count, default=1, help="runs at a time (default 1)")
    parser.add_argument(
        "--threads", type=count, default=1, help="torch threads of each run (default 1)"
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
    parser.add_argument("--timeout", type=whole_number(1), help="seconds that one cell may take")
    return parser


if __name__ == "__main__":
    sys.exit(main())
