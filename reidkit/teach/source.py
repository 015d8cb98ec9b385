"""Chapters as they are written (notebooks/source/NN_name.py, py:percent) and the forms of a
notebook made from them.

A cell begins `# %% key="map-by-hand" tags=["check"]` (`# %% [markdown] key=...` for text); the key
becomes the cell's id. An exercise X is a run of cells: X (card), X-stub (code, ends in its check),
X-hint1..3, X-solution (code, no check), X-why. A station of a build is an exercise whose card and
stub have the tag `build`.
"""

from __future__ import annotations

import ast
import copy
import csv
import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import code_digest, files
from . import questions, rooms

if TYPE_CHECKING:
    import os

    from nbformat import NotebookNode

FORMAT = 2  # raise it when the builder changes what it writes
FORMS = ("gallery", "work", "handout", "solution")
FIXED = {"editable": False, "deletable": False}  # hints and solutions are read, not edited
HEADER = {
    "chapter": str,
    "title": str,
    "minutes_study": (int, float),
    "minutes_compute": (int, float),
    "prerequisites": list,
}
TEMPLATE = """# ---
# jupyter:
#   reidkit:
#     chapter: "01"
#     title: What is person re-identification?
#     about: "Protocol, baseline, the fall in an unseen place"
#     row: the task
#     map: "what is re-ID?"
#     minutes_study: 60
#     minutes_compute: 2
#     prerequisites: ["00"]
# ---"""


@dataclasses.dataclass(frozen=True)
class Chapter:
    number: str  # "01", "01b" for a companion
    name: str  # "01_what_is_reid", the file's stem
    # title, minutes_study, minutes_compute, prerequisites, and least_checks, least_exercises where
    # lower
    header: dict
    cells: list  # source cells in order, the id of each being its key
    stamp: str  # hash of the code that the notebook is made from; see stamps()
    words: str  # hash of its text

    @property
    def exercises(self) -> list[str]:
        """Names X of the exercises, in order."""
        return [cell.id[:-5] for cell in self.cells if "stub" in tags(cell)]

    @property
    def builds(self) -> list[str]:
        """Those of the exercises that are stations of a build, in order."""
        return [name for name in self.exercises if "build" in tags(self.cell(f"{name}-stub"))]

    def cell(self, key: str) -> NotebookNode:
        """The source cell with this key.

        Raises:
            KeyError: there is none.
        """
        for cell in self.cells:
            if cell.id == key:
                return cell
        raise KeyError(f"chapter {self.number} has no cell with the key {key!r}")


def tags(cell: NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def folder() -> pathlib.Path:
    return rooms.source_folder()


def paths(where: str | os.PathLike | None = None) -> list[pathlib.Path]:
    """The sources of all chapters in reading order."""
    return sorted(pathlib.Path(where or folder()).glob("[0-9]*.py"))


def chapters(where: str | os.PathLike | None = None) -> list[Chapter]:
    """All chapters in reading order."""
    return [read(path) for path in paths(where)]


def stamps(cells: Sequence[NotebookNode], number: str) -> tuple[str, str]:
    """What makes a built notebook stale, and what makes only its words stale.

    code: the syntax trees of the code cells, tags and order of the cells, the room's modules and
    figures.toml, the recorded tables that they name, the form of a notebook. Whoever changes one of
    these runs the chapter again. A change elsewhere in the package is for nbval and the checks to
    notice. words: the text of all cells. Changed prose enters the built notebook without a run
    (`build.refresh`).

    Args:
        cells: source cells in order.
        number: of the chapter.
    Returns:
        (code, words)
    """
    parts = [str(FORMAT)]
    for cell in cells:
        parts += [cell.id, *tags(cell), code_of(cell.source) if cell.cell_type == "code" else ""]
    parts += _room(number)
    parts += _recorded_tables(cells, number)
    parts += _recalled(cells, number)
    code = _short_hash("\0".join(parts))
    words = _short_hash("\0".join(cell.source for cell in cells))
    return code, words


def code_of(text: str) -> str:
    """A name for what a cell does; of a cell that is not plain Python (a magic), for its text."""
    try:
        return code_digest.code_digest(text)
    except SyntaxError:
        return _short_hash(text)


def _room(number):
    """Names for the modules of a chapter's room, and its captions; [] for a chapter that has none
    (in tests).
    """
    try:
        folder = rooms.room_folder(number)
    except KeyError:
        return []
    captions = folder / "figures.toml"
    parts = [code_digest.folder_digest(folder)]
    return parts + ([captions.read_text(encoding="utf-8")] if captions.is_file() else [])


def _recorded_tables(cells, number):
    """Names for every file of data/results that the chapter or its room names."""
    texts = [cell.source for cell in cells]
    if _room(number):
        modules = rooms.room_folder(number).glob("*.py")
        texts += [path.read_text(encoding="utf-8") for path in modules]
    words = set(re.findall(r"\w+", "\n".join(texts)))
    paths = sorted(files.results_dir().glob("[0-9]*.*"))
    return [f"{path.name} {_content_hash(path)}" for path in paths if path.stem in words]


def _recalled(cells, number):
    """A name for the questions of earlier chapters that this one shows, if it asks any."""
    if not any("teach.recall(" in cell.source for cell in cells if cell.cell_type == "code"):
        return []
    return [questions.digest_of_first(number)]


def _content_hash(path):
    """Of a recorded file; a table's column of stamps does not count: it names code, not numbers."""
    if path.suffix != ".csv":
        return files.sha256_file(path)
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = [list(row.items()) for row in csv.DictReader(stream)]
    except (ValueError, csv.Error):  # damaged: the chapter that reads it will say so
        return files.sha256_file(path)
    return files.digest([[pair for pair in row if pair[0] != "stamp"] for row in rows])


def _short_hash(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def modules_of(chapter: Chapter) -> list[str]:
    """The package's modules that a chapter's code imports, its room among them."""
    code = [cell.source for cell in chapter.cells if cell.cell_type == "code"]
    return code_digest.modules_in(re.sub(r"(?m)^\s*[%!].*$", "", "\n".join(code)))


def read(path: str | os.PathLike) -> Chapter:
    """Parse one chapter; ValueError names the file and the cell whose header, key or exercise group
    is at fault.
    """
    import jupytext  # 1.5 s: only builders and boards need it

    path = pathlib.Path(path)
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    header = dict(notebook.metadata.get("reidkit", {}))
    for field, kind in HEADER.items():
        if not isinstance(header.get(field), kind):
            raise ValueError(
                f"{path.name}: its header has {field} = {header.get(field)!r}; begin the file "
                f"with\n{TEMPLATE}"
            )
    cells = [_keyed(cell, path.name) for cell in notebook.cells]
    keys = [cell.id for cell in cells]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"{path.name}: these keys stand twice: {', '.join(twice)}")
    chapter = Chapter(
        header["chapter"], path.stem, header, cells, *stamps(cells, header["chapter"])
    )
    for name in chapter.exercises:
        lost = [key for key in (name, f"{name}-hint1", f"{name}-solution") if key not in keys]
        if lost:
            raise ValueError(f"{path.name}: exercise {name!r} lacks the cells {', '.join(lost)}")
        marked = ["build" in tags(chapter.cell(key)) for key in (name, f"{name}-stub")]
        if marked[0] != marked[1]:
            raise ValueError(
                f"{path.name}: exercise {name!r}: card and stub of a build both have the tag build"
            )
    return chapter


def _keyed(cell, file):
    key = cell.metadata.get("key", "")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", key):
        first = cell.source.strip().splitlines()[:1]
        raise ValueError(
            f"{file}: the cell {first} has the key {key!r}; "
            'give it key="a-short-name" (a-z, 0-9, -)'
        )
    if ("stub" in tags(cell)) != key.endswith("-stub"):
        raise ValueError(
            f"{file}: cell {key!r}: the tag stub and a key that ends in -stub belong together"
        )
    kept = {
        name: value
        for name, value in cell.metadata.items()
        if name not in ("key", "lines_to_next_cell")
    }
    cell = copy.deepcopy(cell)
    cell.id, cell.metadata = key, type(cell.metadata)(kept)
    return cell


def notebook(chapter: Chapter, form: str = "gallery") -> NotebookNode:
    """The chapter as a notebook that nobody has run.

    Args:
        chapter: as it is written.
        form: "gallery" (stubs, hints folded), "work" (gallery, for the student's answers),
            "handout" (work without solutions) or "solution" (the solution's code and the stub's
            check in the place of the stub).
    Raises:
        ValueError: there is no such form.
    """
    import nbformat

    if form not in FORMS:
        raise ValueError(f"form is {form!r}; expected one of {', '.join(FORMS)}")
    cells = copy.deepcopy(chapter.cells)
    if form == "solution":
        cells = [
            _solved(chapter, cell) for cell in cells if not {"hint", "solution"} & set(tags(cell))
        ]
    else:
        cells = _folded(cells)
    if form == "handout":
        cells = [cell for cell in cells if "solution" not in tags(cell)]
    for cell in cells:
        if "check" in tags(cell):  # the name that nbval looks for
            cell.metadata["tags"] = [*tags(cell), "nbval-check-output"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {
        "chapter": chapter.number,
        "title": chapter.header["title"],
        "form": form,
        "stamp": chapter.stamp,
        "words": chapter.words,
    }
    made = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}, "reidkit": about},
    )
    if form in ("work", "handout"):
        made.metadata["reidkit"]["cells"] = {cell.id: source_hash(cell.source) for cell in cells}
    return made


def source_hash(text: str) -> str:
    return _short_hash(text.strip())


def _folded(cells):
    """Hints of an exercise become one cell of folded blocks, solution and reason another."""
    made = []
    for cell in cells:
        if not {"hint", "solution"} & set(tags(cell)):
            made.append(cell)
            continue
        exercise, part = re.fullmatch(r"(.+)-(hint\d|solution|why)", cell.id).groups()
        title = {"why": "Why", "solution": "Solution"}.get(part, f"Hint {part[-1]}")
        body = (
            f"```python\n{cell.source.strip()}\n```"
            if cell.cell_type == "code"
            else cell.source.strip()
        )
        block = f"<details><summary>{title}</summary>\n\n{body}\n\n</details>"
        key = f"{exercise}-{'hints' if part.startswith('hint') else 'solution'}"
        if made and made[-1].id == key:
            made[-1].source += f"\n{block}"
            continue
        kept = {name: value for name, value in cell.metadata.items() if name == "tags"} | FIXED
        made.append(
            type(cell)(
                cell_type="markdown", id=key, source=block, metadata=type(cell.metadata)(kept)
            )
        )
    return made


def check_lines(stub: str) -> str:
    """The statements of a stub cell that call its check: a solution leaves them standing."""
    lines = stub.splitlines()
    calls = [node for node in ast.parse(stub).body if calls_check(node)]
    return "\n".join(line for node in calls for line in lines[node.lineno - 1 : node.end_lineno])


def _solved(chapter, cell):
    if "stub" in tags(cell):
        cell.source = (
            chapter.cell(f"{cell.id[:-5]}-solution").source.rstrip()
            + "\n\n"
            + check_lines(cell.source)
        )
    return cell


def calls_check(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Name) and part.id == "check" for part in ast.walk(node))
