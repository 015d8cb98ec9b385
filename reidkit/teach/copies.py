"""The student's own copies in work/: made from the chapters without outputs, brought up to date without losing an answer.

A copy remembers the hash of each cell as the course wrote it. On `update` a cell that only one side changed keeps that change;
one that both changed keeps the student's answer (in a stub) or the course's text, with the other version beneath it.
"""

import argparse
import datetime
import difflib
import shutil

from .. import files
from . import build, source
from .messages import say


def _read(path):
    """The notebook, or None where the file holds none that the course made."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        return notebook if "cells" in notebook.metadata["reidkit"] else None
    except Exception:  # whatever a broken file raises: it is set aside, not lost
        return None


def _write(path, notebook):
    files.write_atomic(path, build.dump(notebook))


def name_cells(mine, fresh):
    """Give cells their ids again where a program dropped them (one that saves as nbformat 4.4): by their text, a
    stub by its check, and what lies between two such cells in order. A cell without partner counts as the student's own."""
    known = mine.metadata["reidkit"]["cells"]
    if all("id" in cell for cell in mine.cells) and any(cell.id in known for cell in mine.cells):
        return
    course = [cell for cell in fresh.cells if cell.id in known]
    checks = {
        cell.id: source.check_lines(cell.source) for cell in course if "stub" in source.tags(cell)
    }
    before = [cell.id if cell.id in checks else known[cell.id] for cell in course]
    now = [
        next(
            (key for key, check in checks.items() if check and check in cell.source),
            source.source_hash(cell.source),
        )
        for cell in mine.cells
    ]
    for place, cell in enumerate(mine.cells):
        cell.id = f"own-{place}"
    for _, first, last, start, end in difflib.SequenceMatcher(
        None, before, now, autojunk=False
    ).get_opcodes():
        for old, cell in (
            zip(course[first:last], mine.cells[start:end]) if last - first == end - start else ()
        ):
            cell.id = old.id


def touched(notebook):
    """Whether the student changed, added or removed anything beside running cells."""
    known = notebook.metadata["reidkit"]["cells"]
    return {cell.id: source.source_hash(cell.source) for cell in notebook.cells} != dict(known)


def merge(mine, fresh):
    """(the newer chapter with the student's cells carried over, how many of them)"""
    known, kept = mine.metadata["reidkit"]["cells"], 0
    written = {cell.id: cell for cell in mine.cells}
    cells = []
    for cell in fresh.cells:
        old, was = written.get(cell.id), known.get(cell.id)
        cells.append(cell)
        if old is None or was is None or source.source_hash(old.source) == was:
            continue  # the student left it as it came, or it is new
        kept += 1
        course_changed, newer = source.source_hash(cell.source) != was, cell.source
        if "stub" in source.tags(cell) or not course_changed:
            cell.source = old.source
            if cell.cell_type == old.cell_type == "code":
                cell.outputs, cell.execution_count = old.outputs, old.execution_count
            if course_changed:
                cells.append(_note(cell.id, "course changed", newer))
        else:
            cells.append(_note(cell.id, "you changed", old.source))
    added, after = [], None
    for cell in mine.cells:  # cells of the student's own, and edited cells that the course dropped
        gone = cell.id in known and all(cell.id != new.id for new in fresh.cells)
        if cell.id not in known or (gone and source.source_hash(cell.source) != known[cell.id]):
            if gone:
                cell.metadata = {}
            added.append((after, cell))
        if not gone:
            after = cell.id
    for after, cell in added:
        if any(
            cell.id == other.id for other in cells
        ):  # a note of an earlier update, made again by this one
            continue
        kept += 1
        place = next((index for index, other in enumerate(cells) if other.id == after), -1)
        cells.insert(place + 1, cell)
    fresh.cells = cells
    return fresh, kept


def _note(key, message, code):
    from nbformat.v4 import new_markdown_cell

    mark = source.source_hash(code)[:8]
    return new_markdown_cell(
        f"{say(message)}\n\n```python\n{code.strip()}\n```", id=f"{key[:50]}-old-{mark}"
    )


def refresh(chapter, update=False):
    """Make the copy where there is none; with `update` bring a newer chapter in. Returns a line that says what was done."""
    folder = files.work_dir()
    path = folder / f"{chapter.name}.ipynb"
    fresh = source.notebook(chapter, "work")
    if not path.exists():
        _write(path, fresh)
        return say("copied", name=chapter.name, folder=folder.name)
    mine = _read(path)
    if mine is None:
        backup = _backup(path, folder)
        _write(path, fresh)
        return say("unreadable", name=chapter.name, backup=backup)
    if mine.metadata["reidkit"].get("stamp") == chapter.stamp:
        return say("current", name=chapter.name)
    if not update:
        return say("waiting", name=chapter.name)
    name_cells(mine, fresh)
    if not touched(mine):
        _write(path, fresh)
        return say("replaced", name=chapter.name)
    backup = _backup(path, folder)
    merged, kept = merge(mine, fresh)
    _write(path, merged)
    return say("updated", name=chapter.name, kept=kept, backup=backup)


def _backup(path, folder):
    """Keep the file as it is under work/backups/DATE_TIME/ (to the microsecond, so that nothing is there yet) -> its place."""
    place = folder / "backups" / datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S_%f") / path.name
    place.parent.mkdir(parents=True)
    shutil.copy2(path, place)
    return place.relative_to(folder).as_posix()


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.teach.copies", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="bring newer chapters in; answers are kept, with a dated backup",
    )
    asked = parser.parse_args(words)
    for chapter in source.chapters():
        print(refresh(chapter, asked.update))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
