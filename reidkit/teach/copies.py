"""The student's own copies in work/, brought up to date without losing an answer.

Copies are made from the chapters without outputs. A copy remembers the hash of each cell as the
course wrote it. On `update` a cell that only one side changed keeps that change; one that both
changed keeps the student's answer (in a stub) or the course's text, with the other version beneath
it. Where a program has dropped what the copy remembers, cells are recognised by their text, and
what differs from the course counts as the student's.

What the student has built (work/mine/) stays where it is. `update` copies it into a dated backup,
and tries it again where its checks have changed.
"""

from __future__ import annotations

import argparse
import copy
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .. import console, files
from . import copy_file, solutions, source
from .execute import dump
from .messages import say
from .recognised import (
    has_all_texts,
    hashes_as_written,
    is_edited,
    is_of_this_version,
    name_cells,
    touched,
)

if TYPE_CHECKING:
    from nbformat import NotebookNode


# ---- two versions become one


def merge(mine: NotebookNode, fresh: NotebookNode) -> tuple[NotebookNode, int]:
    """Carry the student's cells over into the newer chapter.

    Args:
        mine: the student's copy, its cells named by `recognised.name_cells`.
        fresh: the chapter as it is now, in its "work" form; changed in place.
    Returns:
        (fresh with the student's cells, how many of them)
    """
    hashes = hashes_as_written(mine, fresh)
    cells, edited_count = _with_edits(mine, fresh, hashes)
    added_count = 0
    for id_before, cell in _cells_without_place(mine, fresh, hashes):
        ids = [other.id for other in cells]
        if cell.id in ids:
            twin = cells[ids.index(cell.id)]
            if twin.source == cell.source:  # a note of an earlier update, made again by this one
                continue
            cell.id = _free_id(cell.id, ids)
        cells.insert(_place_behind(id_before, ids), cell)
        added_count += 1
    fresh.cells = cells
    return fresh, edited_count + added_count


def _with_edits(mine, fresh, hashes):
    """(the newer chapter's cells with what the student edited in them, how many edits)"""
    students_cells = {cell.id: cell for cell in mine.cells}
    cells = []
    edited_count = 0
    for cell in fresh.cells:
        old = students_cells.get(cell.id)
        if old is None or not is_edited(old, cell, hashes):
            cells.append(cell)  # it is new, or the student left it as it came
            continue
        edited_count += 1
        is_stub = "stub" in source.tags(cell)
        written = hashes.get(cell.id)
        if written is None:  # whether the course changed it, nobody knows: both versions stay
            cells.append(_taken_over(cell, old))
            if not (is_stub and _answers(old.source, cell.source)):
                cells.append(_note(cell.id, "course differs", cell))
        elif written == source.source_hash(cell.source):
            cells.append(_taken_over(cell, old))
        elif is_stub:
            cells += [_taken_over(cell, old), _note(cell.id, "course changed", cell)]
        else:
            cells += [cell, _note(cell.id, "you changed", old)]
    return cells, edited_count


def _answers(answer, stub):
    """Whether an answer holds every line of a stub but its blanks: then it is one to this stub."""
    lines = {line.strip() for line in answer.splitlines()}
    return all(line.strip() in lines for line in stub.splitlines() if "..." not in line)


def _taken_over(cell, old):
    """The student's cell, with its outputs, in the place of the course's."""
    taken = copy.deepcopy(old)
    taken.id = cell.id
    taken.metadata = cell.metadata
    return taken


def _cells_without_place(mine, fresh, hashes):
    """Cells of the student's own, and edited cells that the course dropped.

    Returns:
        [(id of the course's or student's cell before it, or None, the cell)]
    """
    course = {cell.id: cell for cell in fresh.cells}
    pairs = []
    id_before = None
    for cell in mine.cells:
        is_own = cell.id not in hashes and cell.id not in course
        is_dropped = cell.id in hashes and cell.id not in course
        if is_own or (is_dropped and is_edited(cell, None, hashes)):
            if is_dropped:
                cell.metadata = {}
            pairs.append((id_before, cell))
            id_before = cell.id
        elif not is_dropped:
            id_before = cell.id
    return pairs


def _place_behind(id_before, ids):
    """The place behind a cell and the notes that belong to it; 0 where there is no such cell."""
    if id_before not in ids:
        return 0
    place = ids.index(id_before) + 1
    while place < len(ids) and ids[place].startswith(f"{id_before[:50]}-old-"):
        place += 1
    return place


def _free_id(key, taken):
    number = 2
    while f"{key[:58]}-{number}" in taken:
        number += 1
    return f"{key[:58]}-{number}"


def _note(key, message, cell):
    """A cell that says whose other version this is, and shows it, whatever it holds, as code."""
    from nbformat.v4 import new_markdown_cell

    runs = [len(run) for run in re.findall("`+", cell.source)]
    fence = "`" * max(3, *(length + 1 for length in runs), 3)
    text = f"{say(message)}\n\n{fence}python\n{cell.source.strip()}\n{fence}"
    mark = source.source_hash(cell.source)[:8]
    note = new_markdown_cell(text, id=f"{key[:50]}-old-{mark}")
    if "attachments" in cell:
        note.attachments = cell.attachments
    return note


# ---- files


class _Step(NamedTuple):
    """What is to be done with one copy."""

    message: str  # its name in messages.toml
    notebook: NotebookNode | None = None  # what to write; None: the file stays as it is
    is_backed_up: bool = False
    kept: int = 0  # cells of the student's that were carried over


def refresh(chapter: source.Chapter, update: bool = False) -> str:
    """Make the student's copy of a chapter where there is none.

    A file that JupyterLab would not open is made anew, with every cell that can be read of it.

    Args:
        chapter: as it is now.
        update: bring a newer chapter in where there is an older copy; else leave that as it is.
    Returns:
        A line that says what was done.
    Raises:
        OSError: the file cannot be read, or the folder not be written.
    """
    return _refresh(chapter, update)[0]


def _refresh(chapter, update):
    """(the line of `refresh`, whether a copy that was there is another now)"""
    folder = files.work_dir()
    path = folder / f"{chapter.name}.ipynb"
    step = _next_step(path, chapter, update)
    backup = ""
    if step.notebook is not None:
        with files.locked(path):
            step = _next_step(path, chapter, update)  # another update may have been faster
            if step.is_backed_up:
                backup = copy_file.back_up(path).relative_to(folder).as_posix()
            if step.notebook is not None:
                files.write_atomic(path, dump(step.notebook))
    values = {"name": chapter.name, "folder": folder.name, "kept": step.kept, "backup": backup}
    is_updated = step.notebook is not None and step.message != "copied"
    return say(step.message, **values), is_updated


def _next_step(path, chapter, update):
    fresh = source.notebook(chapter, solutions.copy_form())
    if not path.exists():
        return _Step("copied", fresh)
    found = copy_file.read(path)
    if found is None:
        return _Step("unreadable", fresh, is_backed_up=True)
    mine = found.notebook
    remembers = isinstance(mine.metadata["reidkit"].get("cells"), dict)
    is_current = is_of_this_version(mine, fresh) and (remembers or not update)
    if found.opens and is_current:
        return _Step("current")
    name_cells(mine, fresh)
    if found.opens and not update:
        return _Step("current" if has_all_texts(mine, fresh) else "waiting")
    if found.opens and remembers and not touched(mine, fresh):
        return _Step("replaced", fresh)
    merged, count = merge(mine, fresh)
    message = "updated"
    if not found.opens:
        message = "mended" if found.is_whole else "rescued"
    return _Step(message, merged, is_backed_up=True, kept=count)


@console.command
def main(words: Sequence[str] | None = None) -> int:
    """Refresh the copy of every chapter and print what was done.

    A chapter or a copy that fails does not stop the others.

    Returns:
        An exit status: 1 where one failed.
    """
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.teach.copies", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--update",
        action="store_true",
        help="bring newer chapters in; answers are kept, with a dated backup",
    )
    parser.add_argument(
        "--solutions",
        action=argparse.BooleanOptionalAction,
        help="give solutions with the copies, or leave them out; kept until you say the other",
    )
    asked = parser.parse_args(words)
    is_update = asked.update
    if asked.solutions is not None and solutions.withhold(not asked.solutions):
        is_update = True  # copies that are there change their form
    failed = []
    is_updated = False
    for path in source.paths():
        try:
            sentence, is_new = _refresh(source.read(path), is_update)
            print(sentence, flush=True)
            is_updated = is_updated or is_new
        except Exception as error:  # whatever it is: the others are brought up to date
            if os.environ.get("REIDKIT_DEBUG") == "1":
                raise
            failed.append(error)
            print(
                say("not refreshed", name=path.stem, reason=_in_a_sentence(error)), file=sys.stderr
            )
    if is_update:
        failed += _carry_builds(is_updated)
    if any(isinstance(error, OSError) for error in failed):
        print(say("no room for copies", folder=str(files.work_dir())), file=sys.stderr)
    return int(bool(failed))


def _carry_builds(is_updated):
    """Back the student's builds up and try them with today's checks; the errors that this met.

    The files stay where they are.
    """
    from . import mine_state  # the checks of every chapter: only an update needs them
    from .mine import back_up, outdated, renew

    failed = []
    try:
        places = outdated()
        backup = back_up() if places or is_updated else ""
        if backup:
            print(say("mine saved", backup=backup), flush=True)
        for place in places:
            sentence = renew(place)
            if sentence:
                print(sentence, flush=True)
    except Exception as error:  # a copy that is brought up to date is worth having without them
        if os.environ.get("REIDKIT_DEBUG") == "1":
            raise
        failed.append(error)
        name = mine_state.PACKAGE
        print(say("not refreshed", name=name, reason=_in_a_sentence(error)), file=sys.stderr)
    return failed


def _in_a_sentence(error):
    if isinstance(error, console.MENDABLE):
        return console.sentence(error)
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    raise SystemExit(main())
