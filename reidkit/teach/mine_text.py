"""The text of a build: what of a notebook's cell goes into its file, and what must stand above it.

A file of `work/mine/` begins with the imports that its cells need. Below, each station (a cell with
a check of its own) has a section that begins with a line `# ---- station 1 (02-norm)`.
"""

import __future__

import ast
import builtins
import importlib
import re
import symtable
import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .messages import say

PACKAGE = "mine"  # how the student's own package is called
STATION = re.compile(r"(?m)^# ---- station (\d+) \(.*\)\n")
OURS = __name__.partition(".")[0]
OURS_FOR_BUILDS = ("world", "datasets", "backbones")
OTHERS_FOR_BUILDS = ("torch", "numpy")
MAGIC = re.compile(r"(?m)^\s*(?:[\w., ]+=\s*)?([%!]{1,2}\S+).*$")
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
    except (SyntaxError, ValueError) as error:
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
    except (SyntaxError, ValueError):
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
    except (SyntaxError, ValueError):
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


# ---- the imports that it needs


def imports_of(
    text: str, names: dict[str, Any], known: dict[str, str], cells: Sequence[str]
) -> list[str]:
    """The lines of import that the text of a cell needs above it.

    Args:
        text: of the cell, without its check.
        names: what is defined in the notebook.
        known: what builds define: name -> the build's file, "" for the file of this cell.
        cells: the texts in which an import of a constant, say, may stand, the newest first.
    Returns:
        The lines, sorted.
    Raises:
        Refused: a name comes from elsewhere, or the cell imports what no build may.
    """
    _check_imports_inside(text)
    lines = []
    for name in free_names(text):
        is_here = known.get(name) == ""
        if is_here or name not in names or _is_builtin(name, names[name]):
            continue  # where it is missing, the trial says so
        line = _import_of_value(name, names[name])
        if line is None and name in known:
            line = f"from .{known[name]} import {name}"
        if line is None:
            line = _import_in_cells(name, names[name], cells)
        if line is None:
            raise Refused(_word_on(name, names[name]))
        lines.append(line)
    return sort_imports(lines)


def _is_builtin(name, value):
    """IPython has an `open` of its own, and adds `display` and `get_ipython` to the builtins."""
    if name in ("get_ipython", "display"):
        return False
    is_students = getattr(value, "__module__", "") == "__main__"
    return hasattr(builtins, name) and not is_students


def _check_imports_inside(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
            if node.module == OURS:
                modules = [f"{OURS}.{alias.name}" for alias in node.names]
            if any(alias.name == "*" for alias in node.names):
                raise Refused(say("build star", module=node.module))
        else:
            continue
        for module in modules:
            if not may_import(module):
                raise Refused(say("build import", module=module))


def may_import(module: str) -> bool:
    """Whether a build may import a module: torch, numpy, Python's own, other builds, and of this
    package what draws and reads people, and trunks.
    """
    root, _, rest = module.partition(".")
    if root == OURS:
        return rest.partition(".")[0] in OURS_FOR_BUILDS
    return root in (PACKAGE, *OTHERS_FOR_BUILDS) or root in sys.stdlib_module_names


def _import_of_value(name, value):
    """The line that imports a module, or what knows its module; None for all else."""
    if isinstance(value, types.ModuleType):
        module = "os.path" if value.__name__ in ("posixpath", "ntpath") else value.__name__
        return _import_of_module(name, module) if may_import(module) else None
    home = getattr(value, "__module__", None)
    own_name = getattr(value, "__name__", None)
    if not isinstance(home, str) or not isinstance(own_name, str) or not may_import(home):
        return None
    parts = home.split(".")
    for length in range(1, len(parts) + 1):  # torch, torch.nn, torch.nn.modules, ...
        module = ".".join(parts[:length])
        is_there = getattr(sys.modules.get(module), own_name, None) is value
        if is_there and may_import(module):
            return _import_from(module, own_name, name)
    return None


def _import_of_module(name, module):
    parent, _, last = module.rpartition(".")
    if name == module:
        return f"import {module}"
    if parent and name == last:
        return _import_from(parent, last, name)
    if "." not in name and name == module.partition(".")[0]:
        return f"import {name}"
    return f"import {module} as {name}"


def _import_from(module, own_name, name):
    renamed = "" if own_name == name else f" as {name}"
    if module.partition(".")[0] == PACKAGE:
        module = module.removeprefix(PACKAGE)  # "mine.norm" -> ".norm"
    return f"from {module} import {own_name}{renamed}"


def _import_in_cells(name, value, cells):
    """The line by which the notebook imported a value that does not tell where it is from."""
    for cell in cells:
        try:
            tree = ast.parse(cell)
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not may_import(node.module or ""):
                continue
            for alias in node.names:
                if (alias.asname or alias.name) == name and _gives(node.module, alias.name, value):
                    return _import_from(node.module, alias.name, name)
    return None


def _gives(module, name, value):
    try:
        return getattr(importlib.import_module(module), name, None) is value
    except ImportError:
        return False


def _word_on(name, value):
    """Why a name cannot be imported, and what to do about it."""
    if isinstance(value, types.ModuleType):
        return say("build module", name=name, module=value.__name__)
    home = getattr(value, "__module__", None) or ""
    if isinstance(value, (type, types.FunctionType)) and home != "__main__":
        return say("build module", name=name, module=home)
    if isinstance(value, (type, types.FunctionType)):
        return say("build helper", name=name)
    return say("build value", name=name, kind=type(value).__name__)


def sort_imports(lines: Iterable[str]) -> list[str]:
    """Lines of import in one order: the future, modules, names of modules, other builds."""

    def turn(line):
        if line.startswith("from __future__"):
            return 0, line
        if line.startswith("import"):
            return 1, line
        return 3 if line.startswith("from .") else 2, line

    return sorted(set(lines), key=turn)


# ---- the file


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
    except (SyntaxError, ValueError):
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
    except (SyntaxError, ValueError):
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
    except (SyntaxError, ValueError):
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
