"""One run of a chapter with one setting of its parameters, and the file that says it is finished.

A run is finished where its row is on disk, whole and with the digest of its content. It is not
where it was killed, where the disk was full, or where another process has damaged the file.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from unittest import mock

from .. import console, files, runtime
from . import collect
from .execute import gallery_folder, surroundings
from .messages import say

VERSIONS = ("torch", "numpy")  # what a row says its numbers stand on, beside Python
STATES = ("ok", "failed")  # of a finished run
NESTED = ("parameters", "records")  # the parts of a row that are dicts


@dataclass(frozen=True)
class Conditions:
    """Under what each run of a grid computes."""

    threads: int = 1  # torch's; numbers depend on it, so runs with other threads are other runs
    cached: bool = False  # load trained weights where they lie, instead of training
    timeout: int | None = None  # seconds that one cell may take; None: as long as it needs


USUAL = Conditions()


def run_one(
    template: str,
    parameters: dict,
    target: str,
    conditions: Conditions = USUAL,
    retry: bool = False,
) -> dict:
    """Run a chapter once, in a kernel of its own; an error is noted in its row and stops no other.

    Where another process is computing this very run, wait for it and take its row.

    Args:
        template: path of the notebook to run.
        parameters: name -> value, put below the parameters cell.
        target: the executed notebook goes to target.ipynb, then the row to target.json, which marks
            the run as finished.
        conditions: under what it computes.
        retry: run again where the finished run has failed.
    Returns:
        The row: parameters, records, status, and what the run stood on. The status is "ok",
        "failed" (a cell raised, or took too long) or "stopped": the run was killed, or the disk was
        full. A stopped run has no file: the next call runs it again.
    """
    with _alone(target):
        row = finished_row(target, retry)
        if row is None:
            row = _compute(template, parameters, target, conditions)
        return row


@contextlib.contextmanager
def _alone(target):
    """Hold the lock of a run; a line says that somebody else has it."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.locked(target, 1))
        except TimeoutError:
            console.say(say("rerun busy", run=os.path.basename(target)))
            stack.enter_context(files.locked(target, -1))
        yield


def _compute(template, parameters, target, conditions):
    began = time.perf_counter()
    runtime.set_threads(conditions.threads)
    unfinished = f"{target}.running.ipynb"
    status, error = _run_notebook(template, parameters, unfinished, conditions)
    device = runtime.pick_device(parameters.get("DEVICE", "auto"))
    row = {
        "parameters": parameters,
        "records": collect.records(unfinished),
        "status": status,
        "error": error,
        "seconds": round(time.perf_counter() - began, 1),
        "threads": conditions.threads,
        "device": runtime.device_name(device),
        **runtime.versions(VERSIONS),
        "commit": runtime.git_commit(),
        "date": runtime.today(),
    }
    if "DATA" in parameters:  # the table names the data set, not a folder of this machine
        data_set = parameters["DATA"].partition(":")[0]
        row["parameters"] = parameters | {"DATA": data_set}
    if status in STATES:
        if os.path.exists(unfinished):
            os.replace(unfinished, f"{target}.ipynb")
        write_row(target, row)
    return row


def _run_notebook(template, parameters, target, conditions):
    """Execute with papermill -> (status, "" or one line that says what stopped the run)."""
    import papermill
    from nbclient.exceptions import CellTimeoutError

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
                _literal(template),
                _literal(target),
                parameters,
                kernel_name="python3",
                progress_bar=False,
                execution_timeout=conditions.timeout,
                cwd=str(folder if folder.is_dir() else folder.parent),
            )
        except (papermill.PapermillExecutionError, CellTimeoutError) as problem:
            return "failed", _in_a_line(problem)  # the chapter's own fault: it would come again
        except Exception as problem:  # of the machine; it stops no other run
            return "stopped", _in_a_line(problem)
    return "ok", ""


def _literal(path):
    """A path as papermill takes it, which would fill in what stands in braces."""
    return path.replace("{", "{{").replace("}", "}}")


def _in_a_line(problem):
    name = getattr(problem, "ename", type(problem).__name__)
    reason = getattr(problem, "evalue", problem)
    return f"{name}: {reason}".strip().splitlines()[0]


# ---- the file of a finished run


def write_row(target: str | os.PathLike, row: dict) -> None:
    """Write a run's row with a digest of it to target.json: from then on the run is finished."""
    files.write_atomic(f"{target}.json", json.dumps({"row": row, "digest": files.digest(row)}))


def read_row(target: str | os.PathLike) -> dict:
    """The row of a finished run.

    Raises:
        FileNotFoundError: the run is not finished.
        ValueError: the file is damaged; the error says in what.
    """
    text = pathlib.Path(f"{target}.json").read_text(encoding="utf-8")
    held = json.loads(text)
    if not isinstance(held, dict) or not isinstance(held.get("row"), dict):
        raise ValueError("it holds no row")
    row = held["row"]
    if files.digest(row) != held.get("digest"):
        raise ValueError("its row does not match its digest")
    if row.get("status") not in STATES or not all(isinstance(row.get(p), dict) for p in NESTED):
        raise ValueError("its row lacks the status, the parameters or the records")
    return row


def finished_row(target: str | os.PathLike, retry: bool = False) -> dict | None:
    """The row of a run, or None where it has to run.

    Args:
        target: of the run.
        retry: whether a failed run has to run again.
    """
    try:
        row = read_row(target)
    except (OSError, ValueError):
        return None
    return None if retry and row["status"] != "ok" else row


def damages(targets: list) -> Iterator[tuple[str, str]]:
    """(name of the file, what is wrong with it) of each row that is there and cannot be read."""
    for target in targets:
        try:
            read_row(target)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            yield f"{os.path.basename(target)}.json", str(error)
