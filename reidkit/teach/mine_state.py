"""Which builds have passed: what is noted of them, and another trial where a file has changed.

With progress on, the files are in work/mine/ and the notes in work/progress.json. With progress off
(gallery builds, tests, papermill) both are this process's own: only what passed in this kernel
counts, and nothing of work/ is read or written.
"""

import ast
import functools
import pathlib
import re
import sys
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import code_digest, files
from ..console import explain
from . import mine_load, mine_trial, progress_file, rooms
from .messages import say
from .mine_text import NO_PYTHON, PACKAGE, defined

_notes = {}  # with progress off: key of a build -> its note
_seen = {}  # key -> check, of the checks that were called in this process


class State(NamedTuple):
    """How a build stands."""

    passed: dict[str, list[str]]  # key of each check that it passes -> the names that it defines
    why: str  # why another check does not pass; "" where none was tried
    is_retried: bool  # whether the file was tried just now


class Place(NamedTuple):
    """A build: its key, its file, and its checks in the order of stations."""

    key: str  # "02-norm"
    file: str  # "norm"
    checks: list[Callable]

    @property
    def names(self) -> list[str]:
        """All that the build defines."""
        return [name for check in self.checks for name in check.build.names]


def folder() -> pathlib.Path:
    """Where the files of builds are."""
    if progress_file.active():
        return files.work_dir() / PACKAGE
    return pathlib.Path(_own_folder().name) / PACKAGE


@functools.lru_cache
def _own_folder():
    """A folder that goes with this process."""
    return tempfile.TemporaryDirectory(prefix="reidkit-mine-", ignore_cleanup_errors=True)


def shown(file: str) -> str:
    """A build's file as a line calls it; no path of this machine is in it."""
    if progress_file.active():
        return f"{files.work_dir().name}/{PACKAGE}/{file}.py"
    return f"{PACKAGE}/{file}.py"


# ---- builds and their checks


def see(check: Callable) -> None:
    """Know a check that was called here, also where it is of no room."""
    _seen[check.key] = check


def checks_of(number: str) -> list[Callable]:
    """The checks of a chapter that belong to builds, by build and station.

    Args:
        number: of the chapter, "02".
    """
    found = {key: check for key, check in _seen.items() if key.partition("-")[0] == number}
    try:
        module = rooms.load_part(number, "checks")
    except KeyError:  # no such chapter
        module = None
    for value in vars(module).values() if module else ():
        if getattr(value, "build", None) is not None and hasattr(value, "key"):
            found[value.key] = value
    return sorted(found.values(), key=lambda check: (check.build.file, check.build.station))


def place_of(key: str) -> Place:
    """The build of a key.

    Args:
        key: chapter and file of a build ("02-norm"), or the key of one of its checks.
    Raises:
        ValueError: it is no such key.
    """
    number, dash, word = str(key).partition("-")
    checks = checks_of(number)
    file = word
    for check in checks:
        if check.key == key:
            file = check.build.file
    if not dash or not re.fullmatch(r"\w+", number) or not file.isidentifier():
        builds = sorted({f"{number}-{check.build.file}" for check in checks})
        raise ValueError(say("mine key", key=key, known=", ".join(builds) or "none"))
    own = [check for check in checks if check.build.file == file]
    return Place(f"{number}-{file}", file, own)


# ---- notes


def notes() -> dict[str, dict]:
    """What is noted of every build: key -> its entry."""
    return progress_file.load()["builds"] if progress_file.active() else _notes


def note(place: Place, passed: dict[str, list[str]], why: str) -> None:
    """Note how a build's file, as it is now, stands to its checks."""
    entry = {
        "version": mine_load.version(folder(), place.file),
        "checks": digest_of(place.checks),
        "passed": passed,
        "why": why,
    }
    if progress_file.active():
        progress_file.change(lambda record: record["builds"].update({place.key: entry}))
    else:
        _notes[place.key] = entry


def digest_of(checks: list[Callable]) -> str:
    """A name for what some checks do, with all of this package that they import."""
    parts = []
    for module in sorted({check.__module__ for check in checks}):
        path = getattr(sys.modules.get(module), "__file__", None)
        if code_digest.module_path(module) or path is None:
            parts.append(code_digest.modules_digest([module]))
        else:
            text = pathlib.Path(path).read_text(encoding="utf-8")
            parts.append(code_digest.code_digest(text))
    return files.digest(parts)


# ---- the state of a build


def state_of(place: Place) -> State:
    """How a build stands now; a file that is not the one that was tried last is tried again."""
    version = mine_load.version(folder(), place.file)
    if version is None:
        return State({}, _word_on_missing(place.file), False)
    entry = notes().get(place.key)
    if entry is not None and entry["version"] == version:
        return State(entry["passed"], entry["why"], False)
    passed, why = try_again(place)
    note(place, passed, why)
    return State(passed, why, True)


def _word_on_missing(file):
    """ "" where there is no file; else why it cannot be read."""
    path = mine_load.path_of(folder(), file)
    try:
        if path.is_file():
            path.read_bytes().decode("utf-8")
        return say("build no file") if path.exists() else ""
    except OSError as error:
        return explain(error)
    except UnicodeDecodeError as error:
        return str(error)


def try_again(place: Place, text: str | None = None) -> tuple[dict[str, list[str]], str]:
    """Run the checks of all stations whose names a file defines, in a process of their own.

    Args:
        place: the build.
        text: what its file is to hold; None for what it holds.
    Returns:
        (key of each check that passes -> its names, why another does not)
    """
    content = mine_load.read(folder(), place.file) if text is None else text
    try:
        ast.parse(content)
    except NO_PYTHON as error:
        return {}, f"{type(error).__name__}: {error}"
    names = defined(content)
    checks = [check for check in place.checks if names.issuperset(check.build.names)]
    checks = [check for check in checks if mine_trial.is_importable(check)]
    if not checks:
        return {}, say("build defines", names=", ".join(place.names) or "nothing that is known")
    verdicts = mine_trial.run(folder(), place.file, checks, text)
    passed = {}
    whys = [verdicts.fault]
    for check in checks:
        state, why = verdicts.states.get(check.key, ("error", ""))
        if state == mine_trial.DONE:
            passed[check.key] = list(check.build.names)
        else:
            whys.append(why or state)
    return passed, next((why for why in whys if why), "")


def value(place: Place, name: str) -> Any:
    """What a build's file defines under a name.

    Raises:
        Exception: whatever the file raises when it is loaded.
    """
    with mine_trial.time_limit(max(check.build.seconds for check in place.checks)):
        return getattr(mine_load.load(folder(), place.file), name)
