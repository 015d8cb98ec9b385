"""What the student builds is what runs next: builds are saved when they pass, and used afterwards.

    layer = teach.mine("02-norm", default=norms.Norm)

gives the student's layer where its check has passed, else the package's, and says in a line which.
"""

import contextlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from .. import files
from ..console import explain
from . import copy_file, mine_load, mine_state, progress_file
from .display import emit, line, table
from .messages import say
from .mine_imports import imports_of
from .mine_state import Place
from .mine_text import (
    Refused,
    defined,
    executed_cell,
    history,
    namespace,
    read_file,
    with_station,
    without_checks,
)
from .mine_trial import TookTooLong, is_importable

YOURS = "yours"
OURS = "the package's"
INIT = '"""What you have built."""\n'


# ---- used


def mine(key: str, default: Any, name: str | None = None) -> Any:
    """The student's build where it has passed, else the package's; a line says which.

    Args:
        key: of the build, "02-norm", or of one of its checks.
        default: the package's function or class.
        name: of what to take of a build that defines several things; None for the one that is
            called as `default` is.
    Returns:
        What the student built, or `default`.
    Raises:
        ValueError: the build defines several things, and neither `name` nor the name of `default`
            is among them.
    """
    place = mine_state.place_of(key)
    found = _find(place, _chosen(place, default, name))
    line(_word_on(place, found, default))
    return default if found.value is None else found.value


def mine_is_yours(key: str, name: str | None = None) -> bool:
    """Whether `mine` gives the student's, so that a row of theirs is to be drawn.

    Args:
        key: of the build, "02-norm", or of one of its checks.
        name: of what it defines; None for all of it.
    """
    place = mine_state.place_of(key)
    names = place.names if name is None else [name]
    return bool(names) and all(_find(place, one).value is not None for one in names)


def use_mine(
    key: str, default: Any, run: Callable[[Any], Any], name: str | None = None
) -> tuple[Any, str]:
    """Run something with the student's build; where that raises, with the package's.

    Args:
        key: of the build, "02-norm", or of one of its checks.
        default: the package's function or class.
        run: called with the one or the other; a second call finds chance as the first did.
        name: as `mine` takes it.
    Returns:
        (what `run` returned, "yours" or "the package's")
    """
    chosen = mine(key, default, name)
    if chosen is default:
        return run(default), OURS
    with contextlib.ExitStack() as chance:
        chance.enter_context(mine_load.chance_kept())
        try:
            result = run(chosen)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # whatever a student's code raises
            line(say("mine raised", key=key, reason=_in_short(error), name=_name_of(default)))
        else:
            chance.pop_all()  # what was drawn is drawn
            return result, YOURS
    return run(default), OURS


class _Found(NamedTuple):
    """What there is of a student's build."""

    value: Any  # None: it has not passed, or cannot be loaded
    why: str
    is_retried: bool


def _chosen(place, default, name):
    """The name that `mine` is asked for."""
    own_name = getattr(default, "__name__", None)
    names = place.names
    if name is None and (own_name in names or len(names) != 1):
        name = own_name
    if name is None:
        name = names[0] if len(names) == 1 else ""
    if names and name not in names:
        if len(names) == 1 and name == own_name:
            return names[0]
        raise ValueError(say("mine name", key=place.key, name=name, known=", ".join(names)))
    return name


def _find(place, name):
    try:
        state = mine_state.state_of(place)
    except Exception as error:  # no room for a trial, say: the package's is always there
        if os.environ.get("REIDKIT_DEBUG") == "1":
            raise
        reason = explain(error) if isinstance(error, OSError) else _in_short(error)
        return _Found(None, reason, False)
    if not any(name in names for names in state.passed.values()):
        return _Found(None, state.why, state.is_retried)
    try:
        return _Found(mine_state.value(place, name), "", state.is_retried)
    except (Exception, SystemExit, TookTooLong) as error:
        return _Found(None, _in_short(error), state.is_retried)


def _word_on(place, found, default):
    values = {"key": place.key, "place": mine_state.shown(place.file), "name": _name_of(default)}
    if found.value is not None:
        return say("mine retried" if found.is_retried else "mine yours", **values)
    if found.why:
        return say("mine failed", **values, reason=found.why)
    return say("mine default", **values)


def _name_of(default):
    return getattr(default, "__name__", type(default).__name__)


def _in_short(error):
    return " ".join(f"{type(error).__name__}: {error}".rstrip(": ").split())


# ---- saved


def save(check: Callable) -> None:
    """Save the running cell as a station of its build, when its check has passed; say so in a line.

    Outside a notebook there is no cell, and nothing is said.

    Args:
        check: of the station.
    """
    cell = executed_cell()
    if cell is None:
        return
    try:
        line(_save(check, cell))
    except Refused as refusal:
        line(say("build not saved", key=check.key, reason=refusal))
    except OSError as error:
        line(say("build not saved", key=check.key, reason=explain(error)))
    except Exception as error:  # whatever it is, the notebook goes on
        if os.environ.get("REIDKIT_DEBUG") == "1":
            raise
        line(say("build not saved", key=check.key, reason=_in_short(error)))


def _save(check, cell):
    """Save a cell; returns the line that says so.

    Raises:
        Refused: no file can be made of it, or the file does not pass.
        OSError: the disk does not take it.
    """
    build = check.build
    if not is_importable(check):
        raise Refused(say("build check", name=check.__qualname__))
    body = without_checks(cell)
    missing = [name for name in build.names if name not in defined(body)]
    if missing:
        raise Refused(say("build elsewhere", names=", ".join(missing)))
    place = mine_state.place_of(check.key)
    path = mine_load.path_of(mine_state.folder(), build.file)
    with files.locked(path):
        before = mine_load.read(path.parent, build.file) or ""
        lines = imports_of(body, namespace(), _known_names(place, before, check), history())
        text = with_station(before, check.key, build, body, lines)
        if text == before and _is_noted(place, check):
            return _word_on_saved(build, mine_state.notes()[place.key]["why"], "")
        passed, why = mine_state.try_again(place, text)
        if check.key not in passed:
            raise Refused(say("build trial", reason=why))
        kept = _keep_by_hand(place, path)
        _write(path, text)
        mine_state.note(place, passed, why)
    return _word_on_saved(build, why, kept)


def _is_noted(place, check):
    """Whether this very file has passed these very checks."""
    entry = mine_state.notes().get(place.key)
    version = mine_load.version(mine_state.folder(), place.file)
    if entry is None or entry["version"] != version or check.key not in entry["passed"]:
        return False
    return entry["checks"] == mine_state.digest_of(place.checks)


def _known_names(place, text, check):
    """Where names of builds are defined: name -> file; "" for other stations of this one."""
    known = {}
    number = place.key.partition("-")[0]
    for key, entry in mine_state.notes().items():
        other, _, file = key.partition("-")
        is_earlier = other <= number and file != place.file and file.isidentifier()
        if is_earlier and place.file not in mine_load.reached(mine_state.folder(), file):
            for names in entry["passed"].values():
                known.update(dict.fromkeys(names, file))
    _, sections = read_file(text)
    sections.pop(check.build.station, None)
    for section in sections.values():
        known.update(dict.fromkeys(defined(section), ""))
    return known


def _keep_by_hand(place, path):
    """Set a file aside that was edited since it passed; the name of its backup, or ""."""
    entry = mine_state.notes().get(place.key)
    now = mine_load.version(path.parent, place.file)
    is_as_saved = entry is not None and entry["version"] == now
    if not progress_file.active() or not path.is_file() or is_as_saved:
        return ""
    backup = copy_file.back_up(path, path.parent.parent)
    return backup.relative_to(path.parent.parent).as_posix()


def _write(path, text):
    first = path.with_name("__init__.py")
    if not first.exists():
        files.write_atomic(first, INIT)
    files.write_atomic(path, text)


def _word_on_saved(build, why, kept):
    if progress_file.active():
        words = [say("build saved", place=mine_state.shown(build.file))]
    else:
        words = [say("build kept", place=mine_state.shown(build.file))]
    if why:
        words.append(say("build other station", reason=why))
    if kept:
        words.append(say("build set aside", backup=kept))
    return "; ".join(words)


# ---- all of them


def mine_all() -> None:
    """Show every build of every chapter: its file, what it defines, and how it stands."""
    from . import source

    rows = []
    for chapter in source.chapters():
        for place in _places(chapter):
            rows.append([chapter.number, mine_state.shown(place.file), *_words_of(place)])
    done = sum(row[-1].startswith("✓") for row in rows)
    emit(
        *table(say("mine headers").split("|"), rows, say("mine board", done=done, total=len(rows)))
    )


def _places(chapter):
    """The builds of a chapter, in the order of its cells."""
    places = {}
    for name in chapter.builds:
        try:
            place = mine_state.place_of(f"{chapter.number}-{name}")
        except ValueError:  # its check is not there
            place = Place(f"{chapter.number}-{name}", name.replace("-", "_"), [])
        places.setdefault(place.key, place)
    return places.values()


def _words_of(place: Place) -> tuple[str, str]:
    """(what a build defines, its state)"""
    names = ", ".join(place.names)
    entry = mine_state.notes().get(place.key)
    version = mine_load.version(mine_state.folder(), place.file)
    if version is None:
        return names, say("mine state none")
    if entry is None or entry["version"] != version:
        return names, say("mine state changed")
    passed = len(entry["passed"])
    if passed and passed >= len(place.checks):
        return names, say("mine state done")
    if passed:
        return names, say("mine state part", passed=passed, total=len(place.checks))
    return names, say("mine state failed", reason=entry["why"])


# ---- carried along by an update


def back_up() -> str:
    """Copy all builds to a dated backup; the name of its folder, or "" where there are none."""
    folder = mine_state.folder()
    paths = sorted(path for path in folder.glob("*.py") if path.is_file())
    if not paths or not progress_file.active():
        return ""
    backup = copy_file.dated_folder(folder.parent) / folder.name
    for path in paths:
        files.write_atomic(backup / path.name, path.read_bytes())
    return backup.relative_to(folder.parent).as_posix()


def outdated() -> list[Place]:
    """The builds whose checks are others than those that they were tried with."""
    places = []
    for key, entry in mine_state.notes().items():
        try:
            place = mine_state.place_of(key)
        except ValueError:
            continue
        is_there = mine_load.version(mine_state.folder(), place.file) is not None
        if place.checks and is_there and entry["checks"] != mine_state.digest_of(place.checks):
            places.append(place)
    return places


def renew(place: Place) -> str:
    """Try a build with today's checks.

    Returns:
        A line where a station no longer passes, else "".
    """
    before = mine_state.notes()[place.key]["passed"]
    passed, why = mine_state.try_again(place)
    mine_state.note(place, passed, why)
    lost = sorted(before.keys() - passed.keys())
    if not lost:
        return ""
    where = mine_state.shown(place.file)
    return say("mine lost", keys=", ".join(lost), place=where, reason=why)
