"""A student's copy as a file: read whatever an editor, a merge or a full disk has left of it.

What JupyterLab opens is read as it is. Of anything else the cells are looked for: behind a byte
order mark or in UTF-16, before trailing garbage, between the marks of a conflict, up to the place
where the file is cut, as a percent script, or in a notebook of format 3.
"""

import datetime
import json
import pathlib
import re
from typing import Any, NamedTuple

from .. import files

KINDS = ("code", "markdown", "raw")
MOST_ATTEMPTS = 20_000  # opening braces that are tried as the beginning of a cell
CELL_BEGINS = re.compile(r'\{\s*"(?:attachments|cell_type|execution_count|id|metadata|source)"')
NEXT_CELL = re.compile(r'\{\s*"(?:attachments|cell_type)"')
SOURCE = re.compile(r'(?<!\\)"source"\s*:\s*\[?')
STRINGS = re.compile(r'\s*("(?:[^"\\]|\\.)*")\s*,?')
# Lines that git leaves in a file where two versions meet; and lines of a list that lack a comma.
MARKS = re.compile(r"(?m)^(?:<{7}|={7}|>{7}|\|{7})(?: .*)?\n?")
NO_COMMA = re.compile(r'"(\s*\n\s*)"')
ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what nbformat 4.5 allows


class Copy(NamedTuple):
    """What was read."""

    notebook: Any  # a NotebookNode of nbformat 4; a cell whose id is missing or odd has none
    opens: bool  # whether JupyterLab opens the file as it is
    is_whole: bool  # whether the file was whole JSON; else cells may be missing


def read(path: pathlib.Path) -> Copy | None:
    """Read a copy.

    Args:
        path: of the file.
    Returns:
        The copy, or None where the file holds no cell that can be read.
    Raises:
        OSError: the file cannot be read at all.
    """
    content = path.read_bytes()
    text = _text(content)
    raw_cells, metadata, is_whole = _raw_notebook(text)
    opens = is_whole and _opens(content)
    if not raw_cells and not opens:
        return None
    import nbformat

    notebook = nbformat.NotebookNode(nbformat=4, nbformat_minor=5, metadata=_metadata(metadata))
    notebook.cells = [_cell(raw) for raw in raw_cells]
    return Copy(notebook, opens, is_whole)


def back_up(path: pathlib.Path, root: pathlib.Path | None = None) -> pathlib.Path:
    """Copy a file as it is to backups/DATE_TIME/ beside it, under a name that nothing has yet.

    Args:
        path: of the file.
        root: the folder whose backups/ takes it, with the folders between; None for the file's own.
    Returns:
        The path of the backup.
    """
    root = root or path.parent
    backup = dated_folder(root) / path.relative_to(root)
    files.write_atomic(backup, path.read_bytes())
    return backup


def dated_folder(root: pathlib.Path) -> pathlib.Path:
    """Make a new folder backups/DATE_TIME in `root`; its path."""
    date = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S_%f")
    number = 0
    while True:
        name = f"{date}-{number}" if number else date
        folder = root / "backups" / name
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            if not folder.is_dir():  # backups is a file
                raise
            number += 1


# ---- from bytes to cells


def _text(content):
    """The text of a file in whichever coding it is."""
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.strip("\ufeff\0 \t\r\n")


def _raw_notebook(text):
    """(cells as they are in the file, metadata, whether the file was whole JSON)"""
    decoder = json.JSONDecoder(strict=False)
    try:
        value, _ = decoder.raw_decode(text)
        cells = _cells_of(value)
        if cells is not None:
            return cells, value.get("metadata"), True
    except (ValueError, RecursionError):
        pass
    if MARKS.search(text):  # both sides of a conflict are kept
        text = NO_COMMA.sub(r'",\1"', MARKS.sub("", text.replace("\r\n", "\n")))
    cells = _cells_in(text, decoder)
    if not cells and re.search(r"(?m)^# %%", text):
        cells = _cells_of_script(text)
    return cells, None, False


def _cells_of(value):
    """The cells of a notebook of format 4 or 3; None where a value is no notebook."""
    if not isinstance(value, dict):
        return None
    cells = value.get("cells")
    if isinstance(value.get("worksheets"), list):
        cells = []
        for sheet in value["worksheets"]:
            cells += (isinstance(sheet, dict) and sheet.get("cells")) or []
    if not isinstance(cells, list):
        return None
    return [cell for cell in cells if isinstance(cell, dict)]


def _cells_in(text, decoder):
    """Whatever cells a broken file still holds, in their order; of a broken one, its lines."""
    found = []
    place = text.find("{")
    attempts = 0
    while place >= 0 and attempts < MOST_ATTEMPTS:
        attempts += 1
        try:
            value, end = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            part, end = _part_of_cell(text, place)
            found += part
        else:
            is_cell = "cell_type" in value and ("source" in value or "input" in value)
            found += [value] if is_cell else _cells_of(value) or []
        place = text.find("{", end)
    return found


def _part_of_cell(text, place):
    """([the cell that begins here, with the lines that are whole] or [], where to look on)"""
    if not CELL_BEGINS.match(text, place):
        return [], place + 1
    next_cell = NEXT_CELL.search(text, place + 1)
    end = next_cell.start() if next_cell else len(text)
    begins = list(SOURCE.finditer(text, place, end))
    lines = []
    line = STRINGS.match(text, begins[-1].end(), end) if begins else None
    while line:
        try:
            lines.append(json.loads(line[1], strict=False))
        except ValueError:  # an escape that is none
            lines.append(line[1])
        line = STRINGS.match(text, line.end(), end)
    if not lines:
        return [], place + 1
    cell = {"source": lines}
    for name in ("cell_type", "id"):
        value = re.compile(rf'(?<!\\)"{name}"\s*:\s*"([\w-]+)"').search(text, place, end)
        if value:
            cell[name] = value[1]
    return [cell], end


def _cells_of_script(text):
    import jupytext

    try:
        return jupytext.reads(text, fmt="py:percent").cells
    except Exception:  # whatever a broken script raises: there is nothing to read in it
        return []


def _opens(content):
    """Whether JupyterLab opens a file: UTF-8, whole JSON, and everything of the right type."""
    try:
        value = json.loads(content.decode("utf-8"))
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # fails at half of a pair
    except (ValueError, RecursionError):  # a byte order mark is a ValueError, too
        return False
    if not isinstance(value.get("nbformat_minor"), int) or not _is_dict(value.get("metadata")):
        return False
    if value.get("nbformat") == 3:
        return isinstance(value.get("worksheets"), list)
    return value.get("nbformat") == 4 and all(map(_is_sound, value["cells"]))


def _is_dict(value):
    return isinstance(value, dict)


def _is_sound(cell):
    if not _is_dict(cell) or not _is_dict(cell.get("metadata")):
        return False
    source = cell.get("source")
    is_text = isinstance(source, str)
    if isinstance(source, list):
        is_text = all(isinstance(line, str) for line in source)
    has_outputs = cell.get("cell_type") != "code" or isinstance(cell.get("outputs"), list)
    return cell.get("cell_type") in KINDS and is_text and has_outputs


# ---- from what a file holds to a cell of nbformat 4.5


def _cell(raw):
    """A sound cell; outputs and metadata that are none are left out, its text never."""
    text = _joined(raw["source"] if "source" in raw else raw.get("input"))
    kind = raw.get("cell_type")
    if kind == "heading":  # of format 3
        level = raw.get("level")
        text = f"{'#' * (level if level in range(1, 7) else 1)} {text}"
        kind = "markdown"
    if kind not in KINDS:
        kind = "markdown" if kind == "html" else "code"
    plain = {"cell_type": kind, "metadata": {}, "source": text}
    full = plain | {"metadata": raw.get("metadata")}
    if kind == "code":
        plain |= {"outputs": [], "execution_count": None}
        full |= {name: raw.get(name) for name in ("outputs", "execution_count")}
    elif raw.get("attachments"):
        full["attachments"] = raw["attachments"]
    cell = _checked(full) or _checked(full | {"metadata": {}}) or _checked(plain)
    key = raw.get("id")
    if isinstance(key, str) and ID.fullmatch(key):
        cell.id = key
    else:
        del cell["id"]
    return cell


def _joined(source):
    """The text of a cell; what is no text in it is left out."""
    lines = source if isinstance(source, list) else [source]
    text = "".join(line for line in lines if isinstance(line, str))
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.encode("utf-8", "replace").decode("utf-8")  # no half of a pair


def _checked(cell):
    """The cell as nbformat reads it; None where nbformat finds a fault, or cannot write it."""
    import nbformat

    shell = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell | {"id": "x"}]}
    try:
        notebook = nbformat.v4.reads(json.dumps(shell))
        nbformat.validate(notebook)
        nbformat.v4.writes(notebook).encode("utf-8")
    except Exception:  # jsonschema's, or whatever its reader does with odd types
        return None
    return notebook.cells[0]


def _metadata(metadata):
    """What the course wrote into a notebook's metadata, as far as it is there."""
    import nbformat

    about = metadata.get("reidkit") if _is_dict(metadata) else None
    return nbformat.from_dict({"reidkit": about if _is_dict(about) else {}})
