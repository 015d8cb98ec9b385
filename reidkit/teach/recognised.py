"""Which cell of a student's copy is which of the chapter, and which of them the student edited."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from . import source

if TYPE_CHECKING:
    from nbformat import NotebookNode


def hashes_as_written(mine: NotebookNode, fresh: NotebookNode) -> dict[str, str]:
    """What a copy remembers of each cell as the course wrote it.

    Args:
        mine: the student's copy.
        fresh: the chapter as it is now, in its "work" or "handout" form.
    Returns:
        Cell id -> hash of its text; {} where nothing is known any more.
    """
    if is_of_this_version(mine, fresh):
        return dict(fresh.metadata["reidkit"]["cells"])
    hashes = mine.metadata["reidkit"].get("cells")
    if not isinstance(hashes, dict):
        return {}
    return {key: value for key, value in hashes.items() if isinstance(value, str)}


def is_of_this_version(mine: NotebookNode, fresh: NotebookNode) -> bool:
    """Whether a copy says that it was made from the chapter as it is now, with or without
    solutions as that is."""
    now = fresh.metadata["reidkit"]
    about = mine.metadata["reidkit"]
    has_solutions = about.get("form") != "handout"
    is_of_form = has_solutions == (now["form"] != "handout")
    return is_of_form and about.get("stamp") == now["stamp"] and about.get("words") == now["words"]


def essence(text: str) -> str:
    """A text without what programs change by themselves: blanks at the ends of lines."""
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def is_edited(cell: NotebookNode, now: NotebookNode | None, hashes: dict[str, str]) -> bool:
    """Whether a cell of the course's has a text that the course did not give it, then or now.

    Args:
        cell: of the copy.
        now: the chapter's cell of that id; None: the course has dropped it.
        hashes: as `hashes_as_written` gives them.
    """
    if source.source_hash(cell.source) == hashes.get(cell.id):
        return False
    return now is None or essence(cell.source) != essence(now.source)


def touched(mine: NotebookNode, fresh: NotebookNode) -> bool:
    """Whether the student changed, added or removed anything beside running cells."""
    hashes = hashes_as_written(mine, fresh)
    course = {cell.id: cell for cell in fresh.cells}
    if {cell.id for cell in mine.cells} != set(hashes):
        return True
    return any(is_edited(cell, course.get(cell.id), hashes) for cell in mine.cells)


def has_all_texts(mine: NotebookNode, fresh: NotebookNode) -> bool:
    """Whether a copy has every text of the chapter as it is now, but for answered stubs."""
    texts = {cell.id: essence(cell.source) for cell in mine.cells}
    return all(
        cell.id in texts and ("stub" in source.tags(cell) or texts[cell.id] == essence(cell.source))
        for cell in fresh.cells
    )


def name_cells(mine: NotebookNode, fresh: NotebookNode) -> None:
    """Give every cell of a copy the id of the course's cell that it is, or an id of its own.

    Cells are recognised by their ids; else by their text, wherever it is; else, a stub, by the
    check that it calls. Where a program has dropped all ids, what lies between two cells that were
    recognised is so by its order. A cell without partner is the student's own. Of two cells with
    one id, the one that holds nothing of the student's is dropped.

    Args:
        mine: the student's copy; changed in place.
        fresh: the chapter as it is now, in its "work" or "handout" form.
    """
    hashes = hashes_as_written(mine, fresh)
    course = {cell.id: cell for cell in fresh.cells}
    known = set(course) | set(hashes)
    names = _by_id(mine.cells, known, course, hashes)
    have_ids = bool(names)
    _by_text(mine.cells, names, course, hashes)
    _by_check(mine.cells, names, fresh)
    if not have_ids:
        # What the copy cannot have had, because the course was shorter then, is out of the way.
        written = [cell for cell in fresh.cells if not hashes or cell.id in hashes]
        _by_order(mine.cells, names, written)
    taken = known | {cell.get("id") for cell in mine.cells}
    cells = []
    for place, cell in enumerate(mine.cells):
        name = names.get(place)
        if name is None and cell.get("id") in {kept.id for kept in cells} | known:
            if _holds_nothing_new(cell, cells, course):
                continue
            name = _free_name(f"own-{place}", taken)
        elif name is None:
            kept = cell.get("id") if have_ids else None
            name = kept or _free_name(f"own-{place}", taken)
        cell.id = name
        taken.add(name)
        cells.append(cell)
    mine.cells = cells


def _by_id(cells, known, course, hashes):
    """{place of a cell: its id}; of several with one id, the first that the student edited."""
    names = {}
    places = {}  # id -> places of the cells that have it
    for place, cell in enumerate(cells):
        if cell.get("id") in known:
            places.setdefault(cell.id, []).append(place)
    for key, candidates in places.items():
        edited = [place for place in candidates if is_edited(cells[place], course.get(key), hashes)]
        names[(edited or candidates)[0]] = key
    return names


def _by_text(cells, names, course, hashes):
    """Recognise cells whose text is that of the course, then or now."""
    keys = {}  # hash of a text -> ids of the cells that had or have it
    for key, cell in course.items():
        keys.setdefault(source.source_hash(essence(cell.source)), []).append(key)
    for key, value in hashes.items():
        keys.setdefault(value, []).append(key)
    for place, cell in enumerate(cells):
        if place in names:
            continue
        candidates = []
        for text in (cell.source, essence(cell.source)):
            candidates += keys.get(source.source_hash(text), [])
        free = [key for key in candidates if key not in names.values()]
        if free:
            names[place] = free[0]


def _by_check(cells, names, fresh):
    """Recognise stubs by the lines that call their checks; of several, the longest cell."""
    for stub in fresh.cells:
        if "stub" not in source.tags(stub) or stub.id in names.values():
            continue
        check = source.check_lines(stub.source)
        candidates = [
            place
            for place, cell in enumerate(cells)
            if place not in names and check and check in cell.source
        ]
        if candidates:
            names[max(candidates, key=lambda place: len(cells[place].source))] = stub.id


def _by_order(cells, names, written):
    """Recognise as many cells with other text as the course has between the same two."""
    course_marks = [cell.id for cell in written]
    copy_marks = [names.get(place, place) for place in range(len(cells))]
    matcher = difflib.SequenceMatcher(None, course_marks, copy_marks, autojunk=False)
    for _, first, last, start, end in matcher.get_opcodes():
        if last - first != end - start:
            continue
        for cell, place in zip(written[first:last], range(start, end)):
            is_free = place not in names and cell.id not in names.values()
            if is_free and cell.cell_type == cells[place].cell_type:
                names[place] = cell.id


def _holds_nothing_new(cell, kept, course):
    """Whether a second cell of one id has the text of the first, or of the course."""
    texts = {essence(other.source) for other in kept if other.id == cell.id}
    if cell.id in course:
        texts.add(essence(course[cell.id].source))
    return essence(cell.source) in texts


def _free_name(name, taken):
    number = 2
    free = name
    while free in taken:
        free = f"{name}-{number}"
        number += 1
    return free
