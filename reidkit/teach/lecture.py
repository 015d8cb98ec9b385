"""A copy of a chapter for the lecture room: code hidden, large type, notes, a seeded "Next example" at each widget.

    python -m reidkit.teach.lecture 01 --route 15 --seed 0 --open voila

Both routes run all the code. The 45-minute route shows all but exercises and cells tagged `skip`, the 15-minute route
the cells tagged `slide`. Cells tagged `notes` are folded in the copy, and stand in a text file of their own beside it.
"""

import argparse
import copy
import re
import subprocess
import sys

from .. import files
from . import source
from .messages import say
from .rerun import Refused, find

STYLE = """from IPython.display import HTML
import os
os.environ["REIDKIT_LECTURE_SEED"] = "{seed}"       # every widget gets its "Next example" button
HTML('''<style>
:root, body {{ --jp-content-font-size1: 23px; --jp-code-font-size: 19px; --jp-widgets-font-size: 20px;
  --jp-widgets-inline-height: 44px; --jp-widgets-inline-width: 620px; --jp-widgets-inline-label-width: auto; }}
.widget-image {{ min-width: 60vw; }}
.jupyter-button {{ width: auto !important; }}
</style>''')"""


def lecture_form(chapter, route=45, seed=0):
    """The chapter as a lecture copy -> (notebook, notes). Raises ValueError for a route other than 15 or 45."""
    import nbformat

    if route not in (15, 45):
        raise ValueError(f"route is {route!r}; there are 15 and 45 (minutes)")
    style = nbformat.v4.new_code_cell(
        STYLE.format(seed=int(seed)),
        id="lecture-style",
        metadata={"jupyter": {"source_hidden": True}},
    )
    cells, notes = [style], [f"# {chapter.header['title']}: notes, {route} minutes"]
    for cell in copy.deepcopy(chapter.cells):
        marks, code = set(source.tags(cell)), cell.cell_type == "code"
        shown = "skip" not in marks and (route == 45 or bool(marks & {"slide", "notes"}))
        if marks & {"exercise", "hint", "solution"} or not (shown or code):
            continue
        heading = None if code else re.search(r"^#+ (.+)$", cell.source, re.MULTILINE)
        notes += [f"## {heading[1]}"] if heading else []
        if "notes" in marks:
            notes.append(cell.source)
            cell.source = (
                f"<details><summary>{say('lecture notes')}</summary>\n\n{cell.source}\n\n</details>"
            )
        if not shown:  # later cells need what it computes
            cell.source = f"%%capture\n{cell.source}"
        if code:
            cell.metadata["jupyter"] = {"source_hidden": True}
        cells.append(cell)
    made = source.notebook(chapter)
    made.cells, made.metadata["reidkit"]["form"] = cells, f"lecture, {route} minutes"
    return made, "\n\n".join(notes) + "\n"


def write(chapter, route=45, seed=0):
    """Write the copy and its notes into build/lecture/ -> (path of the notebook, path of the notes)."""
    import nbformat

    notebook, notes = lecture_form(chapter, route, seed)
    path = files.project_root() / "build" / "lecture" / f"{chapter.name}-{route}.ipynb"
    files.write_atomic(path, nbformat.writes(notebook))
    files.write_atomic(path.with_suffix(".notes.md"), notes)
    return path, path.with_suffix(".notes.md")


def command(path, with_what):
    """What shows a copy: Voila as a page of its own, JupyterLab as a single document (there, run all cells first)."""
    words = {
        "voila": [path, "--VoilaConfiguration.show_tracebacks=True"],
        "jupyterlab": [
            f"--ServerApp.root_dir={path.parent}",
            f"--LabApp.default_url=/doc/tree/{path.name}",
        ],
    }
    return [sys.executable, "-m", with_what, *map(str, words[with_what])]


def main(words=None):
    parser = argparse.ArgumentParser(
        "python -m reidkit.teach.lecture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("chapter", help="its number, e.g. 01, or the path of a source")
    parser.add_argument(
        "--route", type=int, choices=(15, 45), default=45, help="minutes (default 45)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the row of examples (default 0)")
    parser.add_argument(
        "--open", choices=("voila", "jupyterlab", "no"), default="no", help="show it at once"
    )
    asked = parser.parse_args(words)
    try:
        chapter = find(asked.chapter)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    path, notes = write(chapter, asked.route, asked.seed)
    print(
        say("lecture made", path=f"build/lecture/{path.name}", route=asked.route, notes=notes.name)
    )
    if asked.open == "no":
        print(say("lecture open", chapter=asked.chapter, route=asked.route))
        return 0
    return subprocess.run(command(path, asked.open)).returncode


if __name__ == "__main__":
    sys.exit(main())
