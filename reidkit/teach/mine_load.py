"""Builds as modules: the package `mine`, loaded from its folder, and again where a file changes.

Each version of a file has a name of its own in tracebacks and for `inspect`, so that what was
loaded before an edit keeps its source, and `fingerprints.describe` never reads the wrong one.
"""

import ast
import contextlib
import io
import linecache
import os
import pathlib
import random
import sys
import types
from collections.abc import Iterator

import numpy as np
import torch

from .. import files
from .mine_text import PACKAGE, builds_in

VERSION = "__reidkit_version__"  # of a loaded module: its folder and the version of its file


@contextlib.contextmanager
def chance_kept() -> Iterator[None]:
    """Random states are after the block as they were before, whatever is drawn in it."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


def path_of(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file of a build.

    Args:
        folder: of the package.
        name: of the build; an identifier.
    Raises:
        ValueError: the name is none.
    """
    if not name.isidentifier():
        raise ValueError(f"a build is called {name!r}; expected a name as Python has it")
    return folder / f"{name}.py"


def read(folder: pathlib.Path, name: str) -> str | None:
    """The text of a build's file; None where there is none that can be read."""
    try:
        path = path_of(folder, name)
        return path.read_text(encoding="utf-8") if path.is_file() else None
    except (OSError, UnicodeDecodeError, ValueError):
        return None


def reached(folder: pathlib.Path, name: str) -> list[str]:
    """A build and the other builds that its file imports, and what those import in turn."""
    names = []
    todo = [name]
    while todo:
        other = todo.pop()
        text = read(folder, other)
        if text is not None and other not in names:
            names.append(other)
            todo += builds_in(text)
    return sorted(names)


def version(folder: pathlib.Path, name: str) -> str | None:
    """A name for what a build's file holds, with those that it imports; None where there is none.

    Returns:
        16 hexadecimal digits.
    """
    if read(folder, name) is None:
        return None
    return files.digest([(other, read(folder, other)) for other in reached(folder, name)])


def copy_to(folder: pathlib.Path, name: str, target: pathlib.Path, text: str | None = None) -> None:
    """Copy a build's file and those that it imports to another folder.

    Args:
        folder: of the package.
        name: of the build.
        target: where they go; it is made.
        text: what the build's file holds in the copy; None for what it holds.
    """
    target.mkdir(parents=True, exist_ok=True)
    (target / "__init__.py").write_text("", encoding="utf-8")
    names = reached(folder, name)
    if text is not None:
        path_of(target, name).write_text(text, encoding="utf-8")
        names = [other for build in builds_in(text) for other in reached(folder, build)]
    for other in names:
        if text is None or other != name:
            path_of(target, other).write_text(read(folder, other), encoding="utf-8")


def load(folder: pathlib.Path, name: str, above: tuple[str, ...] = ()) -> types.ModuleType:
    """Import a build's file as `mine.NAME`; the same module as before where nothing has changed.

    What it prints is lost, and what it draws at random changes nothing.

    Args:
        folder: of the package.
        name: of the build.
        above: the builds that are being loaded, and import it.
    Raises:
        ImportError: there is no such file, or builds import each other in a circle.
        BaseException: whatever the file raises.
    """
    text = read(folder, name)
    if text is None:
        raise ImportError(f"{PACKAGE}/{name}.py cannot be read")
    if name in above:
        raise ImportError(f"these builds import each other: {', '.join(above)}")
    package = _package(folder)
    full = f"{PACKAGE}.{name}"
    now = str(folder), version(folder, name)
    before = sys.modules.get(full)
    if before is not None and getattr(before, VERSION, None) == now:
        return before
    for other in builds_in(text):
        if read(folder, other) is not None:
            load(folder, other, (*above, name))
    module = types.ModuleType(full)
    module.__file__ = str(path_of(folder, name))
    module.__package__ = PACKAGE
    setattr(module, VERSION, now)
    sys.modules[full] = module
    try:
        _run(text, f"{module.__file__} ({now[1][:8]})", module)
    except BaseException:
        sys.modules.pop(full)
        if before is not None:
            sys.modules[full] = before
        raise
    setattr(package, name, module)
    return module


def _run(text, place, module):
    linecache.cache[place] = (len(text), None, text.splitlines(keepends=True), place)
    with chance_kept(), contextlib.redirect_stdout(io.StringIO()):
        with contextlib.redirect_stderr(io.StringIO()):
            code = compile(ast.parse(text), place, "exec", dont_inherit=True)
            exec(code, vars(module))


def _package(folder):
    """The package `mine` of this folder; modules of another folder's are forgotten."""
    package = sys.modules.get(PACKAGE)
    if package is not None and list(getattr(package, "__path__", [])) == [str(folder)]:
        return package
    for name in list(sys.modules):
        if name == PACKAGE or name.startswith(f"{PACKAGE}."):
            del sys.modules[name]
    package = types.ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    package.__file__ = os.path.join(folder, "__init__.py")
    sys.modules[PACKAGE] = package
    return package
