"""The student's own copies in work/, brought up to date without losing an answer.

Copies are made from the chapters without outputs. A copy remembers the hash of each cell as the
course wrote it. On `update` a cell that only one side changed keeps that change; one that both
changed keeps the student's answer (in a stub) or the course's text, with the other version beneath
it.
"""

from __future__ import annotations

import argparse
import datetime
import difflib
import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import files
from . import source
from .execute import dump
from .messages import say

if TYPE_CHECKING:
    from nbformat import NotebookNode


# ---- whose text a cell holds


def name_cells(mine: NotebookNode, fresh: NotebookNode) -> None:
    """Give the cells of a copy their ids again where a program dropped them.

    (One that saves as nbformat 4.4 does.) Cells are recognised by their text, a stub by its check,
    and what lies between two such cells by its order. A cell without partner counts as the
    student's own.

    Args:
        mine: the student's copy; changed in place.
        fresh: the chapter as it is now, in its "work" form.
    """
    hashes = _hashes_as_written(mine)
    all_have_ids = all("id" in cell for cell in mine.cells)
    if all_have_ids and any(cell.id in hashes for cell in mine.cells):
        return
    course_cells = [cell for cell in fresh.cells if cell.id in hashes]
    checks = {}  # id of a stub -> the lines that call its check
    for cell in course_cells:
        if "stub" in source.tags(cell):
            checks[cell.id] = source.check_lines(cell.source)
    # A mark for each cell, equal on both sides where the cell is the same one.
    course_marks = [cell.id if cell.id in checks else hashes[cell.id] for cell in course_cells]
    copy_marks = [_mark(cell, checks) for cell in mine.cells]
    for place, cell in enumerate(mine.cells):
        cell.id = f"own-{place}"
    matcher = difflib.SequenceMatcher(None, course_marks, copy_marks, autojunk=False)
    for _, first, last, start, end in matcher.get_opcodes():
        if last - first == end - start:  # equal, or as many cells with other text in their place
            for course_cell, cell in zip(course_cells[first:last], mine.cells[start:end]):
                cell.id = course_cell.id


def _mark(cell, checks):
    """The id of the stub whose check a cell calls, else the hash of its text."""
    for key, check in checks.items():
        if check and check in cell.source:
            return key
    return source.source_hash(cell.source)


def _hashes_as_written(notebook):
    """Cell id -> hash of its text as the course wrote it into this copy."""
    return notebook.metadata["reidkit"]["cells"]


def _is_edited(cell, hashes):
    """Whether a cell is one of the course's, but no longer with the course's text."""
    return cell.id in hashes and source.source_hash(cell.source) != hashes[cell.id]


def touched(notebook: NotebookNode) -> bool:
    """Whether the student changed, added or removed anything beside running cells."""
    hashes_now = {cell.id: source.source_hash(cell.source) for cell in notebook.cells}
    return hashes_now != dict(_hashes_as_written(notebook))


# ---- two versions become one


def merge(mine: NotebookNode, fresh: NotebookNode) -> tuple[NotebookNode, int]:
    """Carry the student's cells over into the newer chapter.

    Args:
        mine: the student's copy.
        fresh: the chapter as it is now, in its "work" form; changed in place.
    Returns:
        (fresh with the student's cells, how many of them)
    """
    cells, edited_count = _with_edits(mine, fresh)
    added_count = 0
    for id_before, cell in _cells_without_place(mine, fresh):
        ids = [other.id for other in cells]
        if cell.id in ids:  # a note of an earlier update, made again by this one
            continue
        place = ids.index(id_before) + 1 if id_before in ids else 0
        cells.insert(place, cell)
        added_count += 1
    fresh.cells = cells
    return fresh, edited_count + added_count


def _with_edits(mine, fresh):
    """(the newer chapter's cells with what the student edited in them, how many edits)"""
    hashes = _hashes_as_written(mine)
    students_cells = {cell.id: cell for cell in mine.cells}
    cells = []
    edited_count = 0
    for cell in fresh.cells:
        cells.append(cell)
        old = students_cells.get(cell.id)
        if old is None or not _is_edited(old, hashes):
            continue  # it is new, or the student left it as it came
        edited_count += 1
        course_text = cell.source
        course_changed = _is_edited(cell, hashes)
        if "stub" in source.tags(cell) or not course_changed:
            _take_over(cell, old)
            if course_changed:
                cells.append(_note(cell.id, "course changed", course_text))
        else:
            cells.append(_note(cell.id, "you changed", old.source))
    return cells, edited_count


def _take_over(cell, old):
    """Put the student's text, and what it gave, into a cell."""
    cell.source = old.source
    if cell.cell_type == old.cell_type == "code":
        cell.outputs = old.outputs
        cell.execution_count = old.execution_count


def _cells_without_place(mine, fresh):
    """Cells of the student's own, and edited cells that the course dropped.

    Returns:
        [(id of the course's or student's cell before it, or None, the cell)]
    """
    hashes = _hashes_as_written(mine)
    fresh_ids = {cell.id for cell in fresh.cells}
    pairs = []
    id_before = None
    for cell in mine.cells:
        is_own = cell.id not in hashes
        is_dropped = not is_own and cell.id not in fresh_ids
        if is_own or (is_dropped and _is_edited(cell, hashes)):
            if is_dropped:
                cell.metadata = {}
            pairs.append((id_before, cell))
        if not is_dropped:
            id_before = cell.id
    return pairs


def _note(key, message, code):
    from nbformat.v4 import new_markdown_cell

    text = f"{say(message)}\n\n```python\n{code.strip()}\n```"
    mark = source.source_hash(code)[:8]
    return new_markdown_cell(text, id=f"{key[:50]}-old-{mark}")


# ---- files


def refresh(chapter: source.Chapter, update: bool = False) -> str:
    """Make the student's copy of a chapter where there is none.

    Args:
        chapter: as it is now.
        update: bring a newer chapter in where there is an older copy; else leave that as it is.
    Returns:
        A line that says what was done.
    """
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
    about = mine.metadata["reidkit"]
    if about.get("stamp") == chapter.stamp and about.get("words") == chapter.words:
        return say("current", name=chapter.name)
    if not update:
        return say("waiting", name=chapter.name)
    name_cells(mine, fresh)
    if not touched(mine):
        _write(path, fresh)
        return say("replaced", name=chapter.name)
    backup = _backup(path, folder)
    merged, count = merge(mine, fresh)
    _write(path, merged)
    return say("updated", name=chapter.name, kept=count, backup=backup)


def _read(path):
    """The notebook, or None where the file holds none that the course made."""
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        return notebook if "cells" in notebook.metadata["reidkit"] else None
    except Exception:  # whatever a broken file raises: it is set aside, not lost
        return None


def _write(path, notebook):
    files.write_atomic(path, dump(notebook))


def _backup(path, folder):
    """Keep the file as it is under work/backups/DATE_TIME/ -> its place, relative to work/.

    The time goes down to the microsecond, so that nothing is there yet.
    """
    time = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")
    place = folder / "backups" / time / path.name
    place.parent.mkdir(parents=True)
    shutil.copy2(path, place)
    return place.relative_to(folder).as_posix()


def main(words: Sequence[str] | None = None) -> int:
    """Refresh the copy of every chapter and print what was done; returns an exit status."""
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
