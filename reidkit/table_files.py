"""Recorded tables on disk: CSV files that are written whole and looked at before they are believed.

A table of this package has an entry in hashes.json beside it, with a short digest of each row, so
that a cut file, a row too many and a changed digit are noticed and named. A table without an entry,
such as one of your own, is checked for its form alone.

    python -m reidkit.table_files data/results/looks.csv

takes a table as it is now for the recorded one: after a change that was made on purpose.
"""

import argparse
import csv
import hashlib
import io
import pathlib
import time
from collections.abc import Callable, Sequence

from . import files, store
from .console import command

LETTERS = 8  # of a row's digest
FEW = 3  # cells that tell which row a message is about
TRIES = 3  # to read a table that another process is just writing
REMEDY = (
    "get it from the course's repository (git checkout {path}), or delete it and record it again: "
    "{command}"
)
ON_PURPOSE = "; if it was changed on purpose: python -m reidkit.table_files {path}"


class Damaged(ValueError):
    """A table that is not as it was recorded, or (without `has_form`) no table at all."""

    has_form = False


# ---- reading


def read_table(
    path: str | pathlib.Path, command_of: Callable[[str], str] | None = None
) -> list[dict]:
    """Rows of a CSV file as dicts of text, after a look at its form and at what was recorded.

    Args:
        path: of the file.
        command_of: takes the name of the table and returns the command that records it, or ""; for
            the error.
    Returns:
        The rows; [] where there is no file.
    Raises:
        Damaged: it is no table as `write_table` writes them, or not the one that hashes.json beside
            it knows. The error names the file, the row and the remedy.
    """
    path = pathlib.Path(path)
    for remaining in reversed(range(TRIES)):
        if not path.exists():
            return []
        try:
            return _read_checked(path)
        except Damaged as damage:
            if remaining:  # it may have been replaced between a look at it and one at hashes.json
                time.sleep(0.02)
                continue
            made_by = (command_of and command_of(path.stem)) or "the command that made it"
            remedy = REMEDY + (ON_PURPOSE if damage.has_form else "")
            remedy = remedy.format(path=path.as_posix(), command=made_by)
            raise Damaged(f"{path}: {damage}; {remedy}") from None


def _read_checked(path):
    content = path.read_bytes()
    columns, rows = _parse(content)
    entry = _entry_of(path)
    if "rows" in entry:
        fault = _difference(columns, rows, entry)
        if fault and _difference(columns, rows, entry.get("before") or entry):
            damage = Damaged(fault)
            damage.has_form = True
            raise damage
    return [dict(zip(columns, cells)) for cells in rows]


def _entry_of(path):
    try:
        entry = store.hashes(path).get(path.name, {})
    except (ValueError, AttributeError) as error:
        raise Damaged(f"hashes.json beside it is damaged ({error})") from None
    return entry if isinstance(entry, dict) else {}


def _parse(content):
    """(columns, rows) of a file's bytes; Damaged says what is wrong, and in which row."""
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start)
        raise Damaged(f"{_place(row)} holds bytes that are no UTF-8 text") from None
    if not text.strip():
        raise Damaged("it is empty")
    if text.startswith("\ufeff"):
        raise Damaged("it begins with a byte order mark, as a spreadsheet writes it")
    if not text.endswith("\n"):
        raise Damaged(f"it ends in the middle of {_place(text.count(chr(10)))}")
    lines = []
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), strict=True):
            lines.append(cells)
    except csv.Error as error:
        raise Damaged(f"{_place(len(lines))} cannot be read ({error})") from None
    columns, *rows = lines
    _check_columns(columns)
    _check_rows(columns, rows)
    return columns, rows


def _place(line):
    """A line's number, from 0, as a reader counts."""
    return f"row {line}" if line else "the row of column names"


def _check_columns(columns):
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        raise Damaged(f"its cells are not separated by commas: {columns[0][:60]!r}")
    if "" in columns or len(set(columns)) < len(columns):
        raise Damaged(f"a column has no name, or the name of another: {columns}")


def _check_rows(columns, rows):
    known = {}
    for number, cells in enumerate(rows, 1):
        name = name_row(number, cells)
        if len(cells) != len(columns):
            raise Damaged(f"{name} has {len(cells)} cells, expected {len(columns)}")
        if any("\0" in cell for cell in cells):
            raise Damaged(f"{name} holds zero bytes")
        first = known.setdefault(tuple(cells), number)
        if first != number:
            raise Damaged(f"{name} is a copy of row {first}")


def name_row(number: int, cells: Sequence[str]) -> str:
    """What a message calls a row: "row 3 (0, laptop, world)".

    Args:
        number: of the row, from 1.
        cells: of which the first few are shown.
    """
    return f"row {number} ({', '.join(cells[:FEW])})"


def _difference(columns, rows, entry):
    """What is not as an entry of hashes.json has it, in a sentence; "" for nothing."""
    if entry.get("columns") != _digest(columns):
        return f"its columns are not those that were recorded, they begin {columns[:FEW]}"
    expected = str(entry["rows"]).split()
    counts = f"{len(rows)} rows instead of {len(expected)}"
    for number, (cells, digest) in enumerate(zip(rows, expected), 1):
        if _digest(cells) != digest:
            more = f" ({counts})" if len(rows) != len(expected) else ""
            return f"{name_row(number, cells)} is not as it was recorded{more}"
    if len(rows) < len(expected):
        return f"row {len(rows) + 1} is missing ({counts})"
    if len(rows) > len(expected):
        number = len(expected) + 1
        return f"{name_row(number, rows[len(expected)])} was not recorded ({counts})"
    return ""


def _digest(cells):
    text = "\0".join(cells)
    return hashlib.sha256(text.encode()).hexdigest()[:LETTERS]


# ---- writing


def write_table(path: str | pathlib.Path, rows: Sequence[dict]) -> None:
    """Write rows as CSV, whole or not at all, and note them in hashes.json beside it.

    A kill at any moment leaves a file that `read_table` takes. Whoever changes a table that other
    processes change, too, calls `update_table`.

    Args:
        path: of the file.
        rows: dicts, one at least; a column that a row lacks is empty.
    """
    path = pathlib.Path(path)
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8")
    entry = _make_entry(content)
    # Between these steps a kill leaves the old table or the new one, and an entry that knows both.
    before = _entry_of(path)
    before.pop("before", None)
    store.note_entry(path, entry | {"before": before})
    files.write_atomic(path, content)
    store.note_entry(path, entry)


def _make_entry(content):
    columns, rows = _parse(content)
    return {
        "size": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "columns": _digest(columns),
        "rows": " ".join(_digest(cells) for cells in rows),
    }


def update_table(
    path: str | pathlib.Path, change: Callable[[list[dict]], Sequence[dict]]
) -> list[dict]:
    """Read a table, change it and write it back, while no other process does.

    Args:
        path: of the file.
        change: takes the rows that stand there, [] where there is no file, and returns those that
            shall stand there. It must be quick: others wait.
    Returns:
        The new rows.
    Raises:
        Damaged: see `read_table`; the file stays as it is.
        OSError: the disk does not take it.
    """
    with files.locked(path):
        before = read_table(path)
        rows = list(change([dict(row) for row in before]))
        if rows and rows != before:
            write_table(path, rows)
    return rows


def note_table(path: str | pathlib.Path) -> None:
    """Take a table as it is for the recorded one: note it in hashes.json beside it.

    Args:
        path: of the file.
    Raises:
        Damaged: it has not the form of a table.
    """
    path = pathlib.Path(path)
    content = path.read_bytes()  # before the lock, which makes the folder
    try:
        entry = _make_entry(content)
    except Damaged as damage:
        raise Damaged(f"{path}: {damage}; expected a table as read_table takes it") from None
    with files.locked(path):
        store.note_entry(path, entry)


@command
def main(words: Sequence[str] | None = None) -> None:
    """Take the tables that a command line names for the recorded ones."""
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.table_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("table", nargs="+", type=pathlib.Path, help="a CSV file")
    for path in parser.parse_args(words).table:
        note_table(path)
        print(f"{path}: noted in {path.with_name('hashes.json')}")


if __name__ == "__main__":
    raise SystemExit(main())
