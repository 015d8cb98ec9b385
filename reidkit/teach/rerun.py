"""Run a chapter over a grid of parameters and collect what it records into one table and a picture.

    python -m reidkit.teach.rerun 01 -p SEED=0,1,2 -p PRESET=smoke --jobs 2 --out runs/

Every run has a kernel of its own, through papermill, on the chapter's solution form. A finished run
is a file: kill this at any moment, say the same line again, and only what is missing runs.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from unittest import mock

from .. import files, runtime
from ..code_digest import modules_digest
from . import collect, source
from .execute import gallery_folder, surroundings
from .messages import say
from .parameters import Refused, declared, find, grid

VERSIONS = ("torch", "numpy")  # what a row says its numbers stand on, beside Python


@dataclass(frozen=True)
class Conditions:
    """Under what each run of a grid computes."""

    threads: int = 1  # torch's; numbers depend on it, so runs with other threads are other runs
    cached: bool = False  # load trained weights where they lie, instead of training
    timeout: int | None = None  # seconds that one cell may take; None: as long as it needs


USUAL = Conditions()


def run_one(template: str, parameters: dict, target: str, conditions: Conditions = USUAL) -> dict:
    """Run a chapter once, in a kernel of its own; an error is noted in its row and stops no other.

    Args:
        template: path of the notebook to run.
        parameters: name -> value, put below the parameters cell.
        target: the executed notebook goes to target.ipynb, then the row to target.json, which marks
            the run as finished.
    Returns:
        The row: parameters, records, status "ok" or "failed", and what the run stood on.
    """
    began = time.perf_counter()
    runtime.set_threads(conditions.threads)
    unfinished = f"{target}.running.ipynb"
    error = _run_notebook(template, parameters, unfinished, conditions)
    records = collect.records(unfinished)
    if os.path.exists(unfinished):  # not where the kernel never came up
        os.replace(unfinished, f"{target}.ipynb")
    device = runtime.pick_device(parameters.get("DEVICE", "auto"))
    row = {
        "parameters": parameters,
        "records": records,
        "status": "failed" if error else "ok",
        "error": error,
        "seconds": round(time.perf_counter() - began, 1),
        "threads": conditions.threads,
        "device": runtime.device_name(device),
        **runtime.versions(VERSIONS),
        "commit": runtime.git_commit(),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    if "DATA" in parameters:  # the table names the data set, not a folder of this machine
        data_set = parameters["DATA"].partition(":")[0]
        row["parameters"] = parameters | {"DATA": data_set}
    files.write_atomic(f"{target}.json", json.dumps(row))
    return row


def _run_notebook(template, parameters, target, conditions):
    """Execute with papermill -> "", or one line that says what stopped the run."""
    import papermill

    folder = gallery_folder()
    variables = {
        "OMP_NUM_THREADS": str(conditions.threads),
        "MKL_NUM_THREADS": str(conditions.threads),
        "REIDKIT_STATIC": "1",
    }
    if not conditions.cached:
        variables["REIDKIT_CACHE"] = "off"
    with surroundings(fresh=False), mock.patch.dict(os.environ, variables):
        try:
            papermill.execute_notebook(
                template,
                target,
                parameters,
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=conditions.timeout,
                cwd=str(folder if folder.is_dir() else folder.parent),
            )
        except Exception as problem:  # whatever it is, it is this run's row and stops no other
            name = getattr(problem, "ename", type(problem).__name__)
            reason = getattr(problem, "evalue", problem)
            return f"{name}: {reason}".strip().splitlines()[0]
    return ""


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
    missing = []
    for task, target in zip(tasks, targets):
        if not _is_finished(target, retry):
            missing.append((task, target))
    finished_before = len(tasks) - len(missing)
    print(say("rerun plan", total=len(tasks), kept=finished_before, missing=len(missing)))
    _run_all(template, missing, jobs, conditions, progress)
    defaults = {name: about["default"].strip("\"'") for name, about in parameters.items()}
    rows = [_read_row(target) for target in targets]
    return [row | {"parameters": defaults | row["parameters"]} for row in rows]


def _stamp(chapter):
    """What all runs of a chapter have in common: with another source or other code, other runs."""
    code = modules_digest(source.modules_of(chapter))
    return files.digest(chapter.stamp, code, runtime.versions(VERSIONS))


def _run_all(template, missing, jobs, conditions, progress):
    """Run these (task, target), `jobs` at a time, and say which of them failed."""
    import joblib
    from tqdm import tqdm

    workers = joblib.Parallel(
        n_jobs=min(jobs, max(1, len(missing))), return_as="generator_unordered"
    )
    rows = workers(
        joblib.delayed(run_one)(str(template), task, str(target), conditions)
        for task, target in missing
    )
    for row in tqdm(rows, total=len(missing), unit="run", disable=not progress):
        if row["status"] != "ok":
            sentence = say("rerun failed", parameters=row["parameters"], error=row["error"])
            print(sentence, file=sys.stderr)


def _file_name(task, key):
    """Readable, and unlike any other run: "SEED=0,PRESET=smoke-1f2e3d4c"."""
    words = ",".join(f"{name}={value}" for name, value in task.items() if name != "THREADS")
    safe = re.sub(r"[^A-Za-z0-9=,._-]", "_", words)
    return f"{safe[-100:]}-{key}"


def _read_row(target):
    return json.loads(pathlib.Path(f"{target}.json").read_text(encoding="utf-8"))


def _is_finished(target, retry):
    try:
        status = _read_row(target)["status"]
    except (OSError, ValueError):
        return False
    return status == "ok" or not retry


def main(words: Sequence[str] | None = None) -> int:
    """Run the grid that a command line asks for and write its table; returns an exit status."""
    asked = _parser().parse_args(words)
    conditions = Conditions(asked.threads, asked.cache, asked.timeout)
    try:
        chapter = find(asked.chapter)
        rows = run_grid(chapter, asked.p, asked.out, asked.jobs, conditions, asked.retry)
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


def _parser():
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
    return parser


if __name__ == "__main__":
    sys.exit(main())
