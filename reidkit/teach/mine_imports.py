"""The imports that a build's cell needs above it in its file, and the names that it may not use.

A build uses torch, numpy and Python's own modules, other builds, and of this package what draws and
reads people, and trunks. So the student's package runs with little else.
"""

import ast
import builtins
import importlib
import sys
import types
from collections.abc import Sequence
from typing import Any

from .messages import say
from .mine_text import NO_PYTHON, PACKAGE, Refused, free_names, sort_imports

OURS = __name__.partition(".")[0]
OURS_FOR_BUILDS = ("world", "datasets", "backbones")
OTHERS_FOR_BUILDS = ("torch", "numpy")


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
        except NO_PYTHON:
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
