"""work/progress.json, read and changed so that nothing in it is lost.

    {"exercises": {key: {"state", "done", "tries"}}, "guesses": {key: text},
     "recall": {key: {"asked": date, "right": bool, "times": n}},
     "builds": {key: {"version", "checks", "passed": {key of a check: [name]}, "why"}},
     "checks": {"part/key": the beginning of a digest of that entry}}

A file that is damaged is never written over: it is set aside under a name of its own, and what can
be read of it is carried over. A part of the file that this version of the course does not know is
kept as it is. REIDKIT_PROGRESS=off (gallery builds, tests, papermill) reads and writes nothing.
"""

import datetime
import json
import os
import pathlib
import re
from collections.abc import Callable

from .. import files
from ..console import explain
from .display import line
from .messages import say

STATES = ("well done", "wrong", "error", "not yet")
PATIENCE = 5.0  # seconds that a check waits for another notebook that is writing
IMPATIENCE = 0.3  # the same, once that has been waited for in vain
STRING = r'"(?:[^"\\]|\\.)*"'

_told = set()  # lines that need not be said again
_patience = PATIENCE


def active() -> bool:
    """Whether progress is read and written."""
    return os.environ.get("REIDKIT_PROGRESS", "on") != "off"


# ---- the form of each part


def _sound_verdict(verdict):
    """What is right of a verdict; None where nothing is."""
    if not isinstance(verdict, dict):
        return None
    wrong = set()
    if verdict.get("state", "wrong") not in STATES:
        wrong.add("state")
    if not isinstance(verdict.get("done", False), bool):
        wrong.add("done")
    tries = verdict.get("tries", 0)
    if isinstance(tries, bool) or not isinstance(tries, int) or tries < 0:
        wrong.add("tries")
    return {name: value for name, value in verdict.items() if name not in wrong}


def _sound_text(text):
    """A text that can be written; None for anything else."""
    if not isinstance(text, str):
        return None
    is_whole = text.encode("utf-8", "replace").decode("utf-8") == text  # no half of a pair
    return text if is_whole else None


def _sound_recall(entry):
    """An answer to a question of `teach.recall`, if all of it is right; else None."""
    if not isinstance(entry, dict):
        return None
    try:
        datetime.date.fromisoformat(entry["asked"])
    except (KeyError, TypeError, ValueError):
        return None
    times = entry.get("times")
    is_sound = type(entry.get("right")) is bool and type(times) is int and times > 0
    return entry if is_sound else None


def _sound_build(build):
    """A note on a build, where all of it is right; None else: the file is tried again."""
    if not isinstance(build, dict):
        return None
    words = [build.get("version"), build.get("checks"), build.get("why")]
    passed = build.get("passed")
    if not isinstance(passed, dict) or any(_sound_text(word) is None for word in words):
        return None
    for names in passed.values():
        if not isinstance(names, list) or any(_sound_text(name) is None for name in names):
            return None
    return build


# A part of the record -> what returns the sound content of one of its entries, or None.
PARTS = {
    "exercises": _sound_verdict,
    "guesses": _sound_text,
    "recall": _sound_recall,
    "builds": _sound_build,
}


def empty() -> dict:
    """The record of a student who has done nothing yet."""
    return {part: {} for part in PARTS}


def _sound_part(part, content):
    """(the entries of a part that have the right form, a word on each other one)"""
    if not isinstance(content, dict):
        return {}, [f"{part} is a {type(content).__name__}"]
    kept = {}
    faults = []
    for key, value in content.items():
        sound = PARTS[part](value)
        if sound is not None:
            kept[key] = sound
        if sound != value:
            faults.append(f"{part}, {key}: {value!r:.40}")
    return kept, faults


# ---- reading


def load() -> dict:
    """The student's record, as far as it can be read; a damaged or locked one costs a line.

    Returns:
        {"exercises": {key: {"state", "done", "tries"}}, "guesses": {key: text},
        "recall": {key: {"asked", "right", "times"}},
        "builds": {key: {"version", "checks", "passed", "why"}}}
    """
    if not active():
        return empty()
    try:
        record, faults = _read(_path())
    except OSError as error:
        _tell_once(say("progress unreadable", reason=explain(error)))
        return empty()
    if faults:
        _tell_once(say("progress damaged", faults=_in_short(faults)))
    return record


def _path():
    return files.work_dir() / "progress.json"


def _read(path):
    """(the record, a word on each fault of the file)

    Raises:
        OSError: the file is there, but cannot be read.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return empty(), []
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        text = content.decode(json.detect_encoding(content), "replace")
        return _rescued(text), [say("progress no json")]
    if not isinstance(found, dict):
        return empty(), [say("progress no json")]
    checks = found.pop("checks", {})
    record = dict(found)  # parts of a newer course stay as they are
    faults = []
    for part in PARTS:
        record[part], wrong = _sound_part(part, found.get(part, {}))
        faults += wrong
    return record, faults or _changed_entries(record, checks)


def _checks(record):
    """For each entry what would be another if one bit of the entry, or of its key, were."""
    checks = {}
    for part in PARTS:
        for key, entry in record[part].items():
            checks[f"{part}/{key}"] = files.digest(key, entry)[:8]
    return checks


def _changed_entries(record, checks):
    """A word on each entry that is not, or is no more, as the course wrote it."""
    if not isinstance(checks, dict):
        return [say("progress changed", entry="checks")]
    now = _checks(record)
    return [
        say("progress changed", entry=entry)
        for entry, check in checks.items()
        if now.get(entry) != check
    ]


def _rescued(text):
    """What can be read of a file that is no JSON any more, because its end is missing, say."""
    decoder = json.JSONDecoder(strict=False)
    verdicts = {}
    answers = {}
    for name in re.finditer(rf"({STRING})\s*:\s*(?=\{{)", text):
        try:
            value, _ = decoder.raw_decode(text, name.end())
            if value.keys() & {"state", "done", "tries"}:
                verdicts[json.loads(name[1], strict=False)] = value
            elif value.keys() >= {"asked", "right", "times"}:
                answers[json.loads(name[1], strict=False)] = value
        except (ValueError, RecursionError):
            continue
    guesses = {}
    begin = re.search(r'"guesses"\s*:\s*\{', text)
    pair = re.compile(rf"\s*,?\s*({STRING})\s*:\s*({STRING})")
    found = pair.match(text, begin.end()) if begin else None
    while found:
        try:
            key, guess = (json.loads(word, strict=False) for word in found.groups())
            guesses[key] = guess
        except ValueError:  # an escape that is none
            pass
        found = pair.match(text, found.end())
    rescued = {"exercises": verdicts, "guesses": guesses, "recall": answers}
    return empty() | {part: _sound_part(part, content)[0] for part, content in rescued.items()}


# ---- writing


def change(edit: Callable[[dict], object]) -> None:
    """Change the record, under a lock and in one step.

    A disk that does not take it, or another notebook that does not end its writing, costs a line,
    and never the notebook.

    Args:
        edit: called with the record, which it changes in place.
    """
    global _patience
    if not active():
        return
    try:
        path = _path()
        with files.locked(path, seconds=_patience):
            record, faults = _read(path)
            place = _set_aside(path) if faults else None
            edit(record)
            files.write_atomic(path, _written(record))
    except TimeoutError as error:
        _patience = IMPATIENCE
        line(say("not saved now", reason=error))
    except (OSError, NotImplementedError) as error:  # the second: a disk that knows no locks
        reason = explain(error) if isinstance(error, OSError) else str(error)
        _tell_once(say("not saved", reason=reason))
    else:
        _patience = PATIENCE
        if faults:
            line(say("progress set aside", faults=_in_short(faults), place=place.name))


def _written(record):
    """The record as the text of the file."""
    return json.dumps(record | {"checks": _checks(record)}, indent=1, sort_keys=True) + "\n"


def _set_aside(path: pathlib.Path) -> pathlib.Path:
    """Copy the file as it is to a name of its own beside it, which is returned."""
    date = datetime.datetime.now().strftime("%Y-%m-%d_%H%M%S")
    place = path.with_name(f"progress.{date}.json")
    number = 1
    while place.exists():  # under the lock nobody else makes one
        number += 1
        place = path.with_name(f"progress.{date}-{number}.json")
    files.write_atomic(place, path.read_bytes())
    return place


def _in_short(faults):
    more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
    return "; ".join(faults[:3]) + more


def _tell_once(sentence):
    if sentence not in _told:
        _told.add(sentence)
        line(sentence)
