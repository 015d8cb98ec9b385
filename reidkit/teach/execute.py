"""Runs a notebook in a kernel of its own, and keeps of it what a reader sees.

The builder, the rerun tool and the tests all run chapters in these surroundings. An executed
notebook is stripped of whatever would differ tomorrow or elsewhere, and `dump` writes it the same
on every system.
"""

from __future__ import annotations

import contextlib
import copy
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING
from unittest import mock

from .. import console, files
from . import source
from .messages import say

if TYPE_CHECKING:
    from nbformat import NotebookNode

CLAIM = "application/x-reidkit-claim+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"

# Lines of stderr that are no news: progress bars, empty lines, a word of Jupyter about its sockets.
NOISE = re.compile(r"Kernel is running over TCP|it/s|s/it|\r|^\s*$|%\|")


def gallery_folder() -> pathlib.Path:
    """The folder of the built notebooks, which is also the working folder of every run."""
    return files.project_root() / "notebooks"


@contextlib.contextmanager
def surroundings(fresh: bool = True) -> Iterator[None]:
    """Give a `with` block the environment of a run that must come out the same again.

    It has one thread unless the chapter says otherwise, no student progress, and plain pictures
    for widgets.

    Args:
        fresh: with an empty cache, so that training is live; else the usual cache is used.
    """
    search_path = [str(files.project_root())]
    if os.environ.get("PYTHONPATH"):
        search_path.append(os.environ["PYTHONPATH"])
    variables = {
        "REIDKIT_PROGRESS": "off",
        "REIDKIT_STATIC": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": os.pathsep.join(search_path),
    }
    with tempfile.TemporaryDirectory(prefix="reidkit-", ignore_cleanup_errors=True) as empty_cache:
        if fresh:
            variables["REIDKIT_CACHE_DIR"] = empty_cache
        with mock.patch.dict(os.environ, variables):
            yield


def execute(
    notebook: NotebookNode,
    label: str = "",
    timeout: int = 900,
    progress: bool = True,
    allow_errors: bool = False,
) -> NotebookNode:
    """Run a notebook in notebooks/, in a kernel of this Python.

    Args:
        notebook: what to run; it stays as it is.
        label: what the progress bar and an error call it.
        timeout: seconds that one cell may take.
        progress: show a bar that counts the cells.
        allow_errors: go on after a cell or a widget's callback that raised.
    Returns:
        The executed copy, stripped of transient output.
    Raises:
        RuntimeError: a widget's callback failed. (A cell that raises stops the run with
            nbclient's CellExecutionError.)
    """
    import nbclient

    notebook = copy.deepcopy(notebook)
    total = len(notebook.cells)
    bar = console.bar(show=progress, total=total, desc=label, unit="cell", leave=False)
    with bar:
        client = nbclient.NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            allow_errors=allow_errors,
            # How a kernel cuts its output into messages changes from run to run.
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(gallery_folder())}},
            on_cell_complete=lambda **_: bar.update(),
        )
        client.execute()
    errors = widget_errors(notebook)
    if errors and not allow_errors:
        raise RuntimeError(f"{label}: a widget's callback failed: {errors[0]}")
    return strip(notebook)


def widget_errors(notebook: NotebookNode) -> list[str]:
    """Errors inside widgets, which a headless run swallows: they stand in the widget state only."""
    all_state = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {})
    errors = []
    for model in all_state.get("state", {}).values():
        for output in model["state"].get("outputs", []):
            if isinstance(output, dict) and output.get("output_type") == "error":
                errors.append(f"{output['ename']}: {output['evalue']}")
    return errors


def strip(notebook: NotebookNode) -> NotebookNode:
    """Take out, in place, what would differ tomorrow or elsewhere; the rest stays as it came.

    A cell tagged `local` shows what holds for one machine and moment only (what the doctor says,
    for instance, differs from hour to hour): a sentence stands for its output.
    """
    import nbformat

    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        _tell_what_stderr_said(cell)
        cell.outputs = [output for output in cell.outputs if _is_seen_by_a_reader(output)]
        if "local" in source.tags(cell):
            sentence = say("local output") + "\n"
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=sentence)]
    return notebook


def _tell_what_stderr_said(cell):
    """Print to stderr what a cell wrote there, unless it is noise alone: the notebook drops it."""
    for output in cell.outputs:
        if output.get("name") != "stderr":
            continue
        if not all(NOISE.search(line) for line in output.text.splitlines()):
            beginning = output.text.strip()[:300]
            print(f"  {cell.id} wrote to stderr (left out): {beginning}", file=sys.stderr)


def _is_seen_by_a_reader(output):
    return output.get("name") != "stderr" and WIDGET not in output.get("data", {})


def claims(notebook: NotebookNode) -> list[tuple[str, dict]]:
    """Every claim that an executed notebook made.

    Returns:
        [(cell id, {"state": "held" | "not held" | "not tested here", "sentence", ...})]
    """
    collected = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if CLAIM in output.get("data", {}):
                collected.append((cell.id, output["data"][CLAIM]))
    return collected


def dump(notebook: NotebookNode) -> str:
    """The notebook's text, the same on every system: one order of keys, one kind of line end."""
    import nbformat

    notebook = copy.deepcopy(notebook)
    notebook.nbformat = 4
    notebook.nbformat_minor = 5
    return nbformat.writes(notebook).rstrip("\n") + "\n"
