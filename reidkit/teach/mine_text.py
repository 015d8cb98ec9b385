"""The text of a build: what of a notebook's cell goes into its file, and what must stand above it.

A file of `work/mine/` begins with the imports that its cells need. Below, each station (a cell with
a check of its own) has a section that begins with a line `# ---- station 1 (02-norm)`.
"""

import __future__

import ast
import re
import symtable
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .messages import say

PACKAGE = "mine"  # how the student's own package is called
STATION = re.compile(r"(?m)^# ---- station (\d+) \(.*\)\n")
MAGIC = re.compile(r"(?m)^\s*(?:[\w., ]+=\s*)?([%!]{1,2}\S+).*$")
# What parsing raises; the last two for brackets and signs without end.
NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class Build(NamedTuple):
    """What a check says of the build that it is a station of."""

    file: str  # work/mine/FILE.py
    names: tuple[str, ...]  # what the cell defines, in the order in which the check takes them
    station: int  # from 1
    seconds: float  # that the check may take


class Refused(ValueError):
    """A cell that no file can be made of; the message says why, and what to do about it."""


# ---- the cell


def executed_cell() -> str | None:
    """The text of the notebook's cell that is running; None outside notebooks."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    history = getattr(get_ipython(), "history_manager", None)
    texts = getattr(history, "input_hist_raw", None)
    return texts[-1] if texts else None


def namespace() -> dict[str, Any]:
    """What is defined in the notebook."""
    from IPython import get_ipython

    return get_ipython().user_ns


def history() -> list[str]:
    """The texts of all cells that ran in this kernel, the newest first, without magics."""
    from IPython import get_ipython

    texts = get_ipython().history_manager.input_hist_raw
    return [MAGIC.sub("", text) for text in reversed(texts)]


def without_checks(cell: str) -> str:
    """A cell without the statements that call its check, which belong to the notebook.

    Args:
        cell: the text of a cell.
    Raises:
        Refused: the cell is no plain Python.
    """
    try:
        body = ast.parse(cell).body
    except NO_PYTHON as error:
        magic = MAGIC.search(cell)
        if magic:
            raise Refused(say("build magic", magic=magic[1])) from None
        raise Refused(say("build no python", reason=error)) from None
    lines = cell.splitlines()
    for node in body:
        if not isinstance(node, DEFINITIONS) and "check" in _names_in(node):
            lines[node.lineno - 1 : node.end_lineno] = [None] * (node.end_lineno - node.lineno + 1)
    return "\n".join(line for line in lines if line is not None).strip() + "\n"


def _names_in(node):
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def has_blanks(cell: str) -> bool:
    """Whether a `...` still stands for something to be written."""
    try:
        tree = ast.parse(cell)
    except NO_PYTHON:
        return False
    for node in ast.walk(tree):
        values = [getattr(node, "value", None)]
        if isinstance(values[0], ast.Tuple):
            values = values[0].elts
        is_statement = isinstance(node, (ast.Expr, ast.Assign, ast.AnnAssign, ast.Return))
        if is_statement and any(_is_blank(value) for value in values):
            return True
    return False


def _is_blank(value):
    return isinstance(value, ast.Constant) and value.value is ...


def defined(text: str) -> set[str]:
    """The names that a text binds outside functions and classes; none where it is no Python."""
    try:
        table = symtable.symtable(text, "cell", "exec")
    except NO_PYTHON:
        return set()
    return {name.get_name() for name in table.get_symbols() if _is_bound(name)}


def _is_bound(name):
    return name.is_assigned() or name.is_imported()


def free_names(text: str) -> list[str]:
    """The names that a text looks up outside itself, builtins among them, in alphabetical order."""
    table = symtable.symtable(text, "cell", "exec")
    used = set()
    todo = [table]
    while todo:
        scope = todo.pop()
        todo += scope.get_children()
        for name in scope.get_symbols():
            if name.is_referenced() and name.is_global():
                used.add(name.get_name())
    return sorted(used - defined(text))


# ---- the file


def sort_imports(lines: Iterable[str]) -> list[str]:
    """Lines of import in one order: the future, modules, names of modules, other builds."""

    def turn(line):
        if line.startswith("from __future__"):
            return 0, line
        if line.startswith("import"):
            return 1, line
        return 3 if line.startswith("from .") else 2, line

    return sorted(set(lines), key=turn)


def read_file(text: str) -> tuple[list[str], dict[int, str]]:
    """What a build's file holds.

    Returns:
        (its lines of import above the sections, station -> its section with the heading; a section
        that is no Python is left out)
    """
    parts = STATION.split(text)
    lines = []
    try:
        nodes = ast.parse(parts[0]).body
    except NO_PYTHON:
        nodes = []
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                one = type(node)(**{**vars(node), "names": [alias]})
                lines.append(ast.unparse(one))
    headings = STATION.finditer(text)
    sections = {}
    for heading, body in zip(headings, parts[2::2]):
        if _is_python(body):
            sections[int(heading[1])] = heading[0] + "\n\n" + body.strip() + "\n"
    return lines, sections


def _is_python(text):
    try:
        ast.parse(text)
    except NO_PYTHON:
        return False
    return True


def with_station(text: str, key: str, build: Build, cell: str, lines: Sequence[str]) -> str:
    """A build's file with another text for one of its stations.

    Args:
        text: of the file as it is; "" where there is none.
        key: of the station's check, such as "02-norm".
        build: what the check says of the build.
        cell: the text of the cell, without its check.
        lines: the imports that it needs.
    Returns:
        The text of the file.
    """
    lines_before, sections = read_file(text)
    sections.pop(build.station, None)
    needed = set()
    for section in sections.values():
        needed.update(free_names(section))
    needed.update(dir(__future__))
    kept = [line for line in lines_before if defined(line) & needed]
    cell, futures = _without_futures(cell)
    heading = f"# ---- station {build.station} ({key})"
    sections[build.station] = f"{heading}\n\n\n{cell.strip()}\n"
    number = key.partition("-")[0]
    title = say("build title", key=f"{number}-{build.file}")
    imports = "\n".join(sort_imports([*kept, *lines, *futures]))
    bodies = [sections[station].strip("\n") for station in sorted(sections)]
    parts = [f'"""{title}"""', imports, "\n\n\n".join(bodies)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _without_futures(cell):
    """(a cell without `from __future__ import ...`, these lines): they begin a file."""
    futures = []
    lines = cell.splitlines()
    for node in ast.parse(cell).body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            futures += [f"from __future__ import {alias.name}" for alias in node.names]
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines), futures


def builds_in(text: str) -> list[str]:
    """The other builds that a build's file imports from: ["retrieve"]."""
    try:
        tree = ast.parse(text)
    except NO_PYTHON:
        return []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(_build_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = f"{PACKAGE}.{node.module or ''}" if node.level == 1 else node.module or ""
            names = [f"{base.rstrip('.')}.{alias.name}" for alias in node.names]
            found.update(_build_of(name) for name in [base, *names])
    return sorted(found - {""})


def _build_of(module):
    root, _, rest = module.partition(".")
    return rest.partition(".")[0] if root == PACKAGE else ""
