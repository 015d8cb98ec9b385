"""Chapters as they are written (notebooks/source/NN_name.py, py:percent) and the forms of a notebook made from them.

A cell begins `# %% key="map-by-hand" tags=["check"]` (`# %% [markdown] key=...` for text); the key becomes the cell's id.
An exercise X is a run of cells: X (card), X-stub (code, ends in its check), X-hint1..3, X-solution (code, no check), X-why.
"""

import ast
import copy
import dataclasses
import hashlib
import pathlib
import re

from .. import files

FORMAT = 2  # raise it when the builder changes what it writes
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
#     minutes_study: 60
#     minutes_compute: 2
#     prerequisites: ["00"]
# ---"""


@dataclasses.dataclass(frozen=True)
class Chapter:
    number: str  # "01", "01b" for a companion
    name: str  # "01_what_is_reid", the file's stem
    header: dict  # title, minutes_study, minutes_compute, prerequisites, and least_checks, least_exercises where lower
    cells: list  # source cells in order, the id of each being its key
    stamp: str  # hash of what the notebook is made from; see stamp()

    @property
    def exercises(self):
        """Names X of the exercises, in order."""
        return [cell.id[:-5] for cell in self.cells if "stub" in tags(cell)]

    def cell(self, key):
        for cell in self.cells:
            if cell.id == key:
                return cell
        raise KeyError(f"chapter {self.number} has no cell with the key {key!r}")


def tags(cell):
    return cell.metadata.get("tags", [])


def folder():
    return files.project_root() / "notebooks" / "source"


def chapters(where=None):
    """All chapters in reading order."""
    return [read(path) for path in sorted(pathlib.Path(where or folder()).glob("[0-9]*.py"))]


def stamp(text, number):
    """What makes a built notebook stale: another chapter text, other checks or drawings of its own, another recorded table,
    another form of notebook. A change elsewhere in the package does not: nbval and the checks tell whether it changed what
    the chapter shows."""
    own = [
        path
        for folder in ("checks", "chapters")
        for path in sorted(pathlib.Path(__file__).parent.glob(f"{folder}/c{number}[._]*py"))
    ]
    own += [
        files.results_dir() / f"{name}.csv"
        for name in sorted(set(re.findall(r'recorded\("(\w+)"', text)))
    ]
    parts = [
        str(FORMAT),
        text,
        *(path.read_text(encoding="utf-8") if path.is_file() else "" for path in own),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def read(path):
    """Parse one chapter; ValueError names the file and the cell whose header, key or exercise group is at fault."""
    import jupytext  # 1.5 s: only builders and boards need it

    path = pathlib.Path(path)
    text = path.read_text(encoding="utf-8")
    notebook = jupytext.reads(text, fmt="py:percent")
    header = dict(notebook.metadata.get("reidkit", {}))
    for field, kind in HEADER.items():
        if not isinstance(header.get(field), kind):
            raise ValueError(
                f"{path.name}: its header has {field} = {header.get(field)!r}; begin the file with\n{TEMPLATE}"
            )
    cells = [_keyed(cell, path.name) for cell in notebook.cells]
    keys = [cell.id for cell in cells]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"{path.name}: these keys stand twice: {', '.join(twice)}")
    chapter = Chapter(header["chapter"], path.stem, header, cells, stamp(text, header["chapter"]))
    for name in chapter.exercises:
        lost = [key for key in (name, f"{name}-hint1", f"{name}-solution") if key not in keys]
        if lost:
            raise ValueError(f"{path.name}: exercise {name!r} lacks the cells {', '.join(lost)}")
    return chapter


def _keyed(cell, file):
    key = cell.metadata.get("key", "")
    if not re.fullmatch(r"[a-z0-9-]{1,64}", key):
        first = cell.source.strip().splitlines()[:1]
        raise ValueError(
            f'{file}: the cell {first} has the key {key!r}; give it key="a-short-name" (a-z, 0-9, -)'
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


def notebook(chapter, form="gallery"):
    """The chapter as a notebook that nobody has run: "gallery" (stubs, hints folded), "work" (gallery, for the student's
    answers) or "solution" (the solution's code and the stub's check in the place of the stub)."""
    import nbformat

    if form not in ("gallery", "work", "solution"):
        raise ValueError(f"form is {form!r}; expected 'gallery', 'work' or 'solution'")
    cells = copy.deepcopy(chapter.cells)
    if form == "solution":
        cells = [
            _solved(chapter, cell) for cell in cells if not {"hint", "solution"} & set(tags(cell))
        ]
    else:
        cells = _folded(cells)
    for cell in cells:
        if "check" in tags(cell):  # the name that nbval looks for
            cell.metadata["tags"] = [*tags(cell), "nbval-check-output"]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    about = {
        "chapter": chapter.number,
        "title": chapter.header["title"],
        "form": form,
        "stamp": chapter.stamp,
    }
    made = nbformat.v4.new_notebook(
        cells=cells,
        metadata={"kernelspec": kernel, "language_info": {"name": "python"}, "reidkit": about},
    )
    if form == "work":
        made.metadata["reidkit"]["cells"] = {cell.id: source_hash(cell.source) for cell in cells}
    return made


def source_hash(text):
    return hashlib.sha256(text.strip().encode()).hexdigest()[:16]


def _folded(cells):
    """Hints of an exercise become one cell of folded blocks, its solution and the reason another."""
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


def check_lines(stub):
    """The statements of a stub cell that call its check: the part that a solution leaves standing."""
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


def calls_check(node):
    return any(isinstance(part, ast.Name) and part.id == "check" for part in ast.walk(node))
