"""A lecture copy of a chapter: code hidden, large type, notes, a "Next example" at each widget.

    python -m reidkit.teach.lecture 01 --route 15 --seed 0 --open voila

Both routes run all the code. The 45-minute route shows all but exercises and cells tagged `skip`,
the 15-minute route the cells tagged `slide`. Cells tagged `notes` are folded in the copy, and stand
in a text file of their own beside it. The examples come in a row that the seed fixes.
"""

from __future__ import annotations

import argparse
import copy
import importlib.util
import pathlib
import re
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import console, files
from ..console import explain
from . import source
from .messages import say
from .parameters import Refused, find

if TYPE_CHECKING:
    from nbformat import NotebookNode

ROUTES = (15, 45)  # minutes
EXERCISE_PARTS = {"exercise", "hint", "solution"}

# The first cell of a copy; with the seed set, every widget gets its "Next example" button.
STYLE = """from IPython.display import HTML
import os
os.environ["REIDKIT_LECTURE_SEED"] = "{seed}"       # every widget gets its "Next example" button
HTML('''<style>
:root, body {{
  --jp-content-font-size1: 23px; --jp-code-font-size: 19px; --jp-widgets-font-size: 20px;
  --jp-widgets-inline-height: 44px; --jp-widgets-inline-width: 620px;
  --jp-widgets-inline-label-width: auto; }}
.widget-image {{ min-width: 60vw; }}
.jupyter-button {{ width: auto !important; }}
</style>''')"""


def lecture_form(
    chapter: source.Chapter, route: int = 45, seed: int = 0
) -> tuple[NotebookNode, str]:
    """Make a chapter's lecture copy.

    Args:
        chapter: as it is written.
        route: 15 or 45, the minutes that the lecture has.
        seed: of the row of examples at each widget.
    Returns:
        (the notebook, the speaker's notes as Markdown)
    Raises:
        ValueError: there is no such route.
    """
    if route not in ROUTES:
        raise ValueError(f"route is {route!r}; there are 15 and 45 (minutes)")
    cells = [_style_cell(seed)]
    notes = [f"# {chapter.header['title']}: notes, {route} minutes"]
    for cell in copy.deepcopy(chapter.cells):
        tags = set(source.tags(cell))
        is_code = cell.cell_type == "code"
        is_shown = _is_shown(tags, route)
        if tags & EXERCISE_PARTS or not (is_shown or is_code):
            continue
        heading = re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)
        if heading and not is_code:
            notes.append(f"## {heading[1]}")
        if "notes" in tags:
            notes.append(cell.source)
            cell.source = _folded(cell.source)
        if not is_shown:  # later cells need what it computes
            cell.source = f"%%capture\n{cell.source}"
        if is_code:
            cell.metadata["jupyter"] = {"source_hidden": True}
        cells.append(cell)
    notebook = source.notebook(chapter)
    notebook.cells = cells
    notebook.metadata["reidkit"]["form"] = f"lecture, {route} minutes"
    return notebook, "\n\n".join(notes) + "\n"


def _style_cell(seed):
    import nbformat

    return nbformat.v4.new_code_cell(
        STYLE.format(seed=int(seed)),
        id="lecture-style",
        metadata={"jupyter": {"source_hidden": True}},
    )


def _is_shown(tags, route):
    if "skip" in tags:
        return False
    return route == 45 or bool(tags & {"slide", "notes"})


def _folded(text):
    return f"<details><summary>{say('lecture notes')}</summary>\n\n{text}\n\n</details>"


def write(
    chapter: source.Chapter, route: int = 45, seed: int = 0
) -> tuple[pathlib.Path, pathlib.Path]:
    """Write the copy and its notes into build/lecture/.

    Where the course's folder can only be read, they go into work/lecture/.

    Args:
        chapter: as it is written.
        route: 15 or 45, the minutes that the lecture has.
        seed: of the row of examples at each widget.
    Returns:
        (path of the notebook, path of the notes)
    Raises:
        OSError: neither folder can be written.
    """
    import nbformat

    notebook, notes = lecture_form(chapter, route, seed)
    name = f"{chapter.name}-{route}.ipynb"
    for folder in (files.project_root() / "build", files.work_dir()):
        path = folder / "lecture" / name
        path_of_notes = path.with_suffix(".notes.md")
        try:
            files.write_atomic(path, nbformat.writes(notebook))
            files.write_atomic(path_of_notes, notes)
            return path, path_of_notes
        except OSError as error:
            reason = explain(error)
    raise OSError(say("lecture place", folder=str(folder), reason=reason))


def command(path: pathlib.Path, program: str) -> list[str]:
    """The command that shows a copy.

    Both serve this machine alone, and whoever knows the token in the address that they print and
    open: a page runs code, and other people may be logged in here.

    Args:
        path: of the copy.
        program: "voila" for a page of its own, "jupyterlab" for a single document (there, run all
            cells first).
    """
    options = {
        # --token makes a new one at each start; JupyterLab does so by itself.
        "voila": [
            str(path),
            "--token",
            "--Voila.ip=127.0.0.1",
            "--VoilaConfiguration.show_tracebacks=True",
        ],
        "jupyterlab": [
            f"--ServerApp.root_dir={path.parent}",
            f"--LabApp.default_url=/doc/tree/{path.name}",
        ],
    }
    return [sys.executable, "-m", program, *options[program]]


@console.command
def main(words: Sequence[str] | None = None) -> int:
    """Make the copy that a command line asks for, and show it; returns an exit status."""
    asked = _parser().parse_args(words)
    if asked.open != "no" and importlib.util.find_spec(asked.open) is None:
        print(say("lecture program", program=asked.open), file=sys.stderr)
        return 2
    try:
        chapter = find(asked.chapter)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    path, notes = write(chapter, asked.route, asked.seed)
    place = f"{path.parents[1].name}/lecture/{path.name}"
    print(say("lecture made", path=place, route=asked.route, notes=notes.name))
    if asked.open == "no":
        print(say("lecture open", chapter=asked.chapter, route=asked.route))
        return 0
    return subprocess.run(command(path, asked.open)).returncode


def _parser():
    parser = argparse.ArgumentParser(
        "python -m reidkit.teach.lecture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapter", help="its number, e.g. 01, or the path of a source")
    parser.add_argument(
        "--route", type=int, choices=ROUTES, default=45, help="minutes (default 45)"
    )
    parser.add_argument(
        "--seed", type=console.whole_number(0), default=0, help="of the row of examples (default 0)"
    )
    parser.add_argument(
        "--open", choices=("voila", "jupyterlab", "no"), default="no", help="show it at once"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
