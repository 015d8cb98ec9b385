"""What a command line may ask of a chapter: which one, and with which parameters.

A wish that cannot be run is refused in a sentence, before anything starts.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import console
from . import source
from .messages import say
from .start import check_parameter, nearest

if TYPE_CHECKING:
    from nbformat import NotebookNode

# The type that papermill infers from a parameter's annotation -> what reads a word of that type.
READERS = {
    "int": int,
    "float": float,
    "str": str,
    "bool": {"True": True, "False": False}.__getitem__,
}
EXAMPLES = {"int": "0", "float": "0.5", "bool": "True"}

BLANK = 32  # characters below it are no text: "\\t" of a path whose backslashes were not doubled


class Refused(ValueError):
    """A wish that cannot be run; said before anything starts."""


def find(word: str) -> source.Chapter:
    """Read the chapter that a word names.

    Args:
        word: a chapter's number ("01"), or the path of a chapter's source.
    Raises:
        Refused: there is no chapter of that number, or the file is none.
    """
    if word.endswith(".py"):
        return _read(pathlib.Path(word))
    paths = {path.stem: path for path in sorted(source.folder().glob("[0-9]*.py"))}
    matches = [path for name, path in paths.items() if name.startswith(f"{word}_")]
    if len(matches) != 1:
        raise Refused(say("rerun chapter", chapter=word, known=", ".join(paths)))
    return _read(matches[0])


def _read(path):
    """The chapter in a file; a sentence where it is none, whatever the file is."""
    if not path.is_file():
        raise Refused(say("rerun no file", path=path.as_posix()))
    try:
        chapter = source.read(path)
        source.modules_of(chapter)  # its code can be parsed
    except OSError:
        raise
    except Exception as error:  # of jupytext and of YAML, of which there are many
        lines = str(error).strip().splitlines() or [type(error).__name__]
        reason = lines[0].removesuffix("; begin the file with")
        raise Refused(say("rerun no chapter", path=path.as_posix(), reason=reason)) from error
    return chapter


def declared(notebook: NotebookNode) -> dict[str, dict]:
    """What the parameters cell of a notebook declares.

    Returns:
        name -> papermill's {"inferred_type_name", "default", "help"}
    Raises:
        Refused: the notebook has no parameters.
    """
    import nbformat
    import papermill

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "chapter.ipynb")
        nbformat.write(notebook, path)
        parameters = papermill.inspect_notebook(path)
    if not parameters:
        raise Refused(say("rerun no parameters"))
    return parameters


def grid(wishes: Sequence[str], parameters: dict[str, dict], several: bool = True) -> list[dict]:
    """Every combination of the values wished for, in the types that the notebook declares.

    Settings that are equal once they are read ("0" and "00", two paths of one folder) are one, and
    a line says so.

    Args:
        wishes: "NAME=VALUE", "NAME=VALUE,VALUE" or "NAME=[JSON, JSON]" each, such as ["SEED=0,1",
            "PRESET=smoke"]; a list of JSON holds values that have commas.
        parameters: what `declared` returned.
        several: False where each wish has one value only, in which a comma is a comma.
    Returns:
        [{"SEED": 0, "PRESET": "smoke"}, {"SEED": 1, "PRESET": "smoke"}]
    Raises:
        Refused: a parameter is unknown or named twice, or a value is of the wrong type or one
            that no chapter takes.
    """
    values = {}
    repeated = []
    asked = 1
    for wish in wishes:
        name, words = _words(wish, several)
        if name not in parameters:
            names = ", ".join(parameters)
            hint = nearest(name, parameters)
            raise Refused(say("rerun unknown", parameter=name, known=names, hint=hint))
        if name in values:
            raise Refused(say("rerun twice", parameter=name))
        distinct = _distinct(name, words, parameters[name]["inferred_type_name"], wish)
        if len(distinct) < len(words):
            repeated.append(wish)
        asked *= len(words)
        values[name] = distinct
    combinations = itertools.product(*values.values())
    tasks = [dict(zip(values, combination)) for combination in combinations]
    if repeated:
        wish = ", ".join(repeated)
        console.say(say("rerun same", wish=wish, count=len(tasks), asked=asked))
    return tasks


def _words(wish, several):
    """(name, its values as words) of one wish."""
    name, _, text = wish.partition("=")
    name = name.strip()
    text = _unquoted(text)
    if text.lstrip().startswith("["):
        words = _from_json(wish, text)
    else:
        words = text.split(",") if several else [text]
        if not text:
            raise Refused(say("rerun wish", wish=wish))
    if len(words) > 1 and not several:
        raise Refused(say("rerun one value", wish=wish))
    return name, words


def _unquoted(text):
    """A text in double quotes, as a shell may leave them, as a list of JSON with that one value."""
    try:
        is_text = isinstance(json.loads(text), str)
    except ValueError:
        is_text = False
    return f"[{text}]" if is_text else text


def _from_json(wish, text):
    """The values of a list in JSON, as words of a command line."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise Refused(say("rerun json", wish=wish, reason=error)) from None
    if not values:
        raise Refused(say("rerun wish", wish=wish))
    for value in values:
        if not isinstance(value, (str, int, float)):
            raise Refused(say("rerun json", wish=wish, reason=say("rerun json kinds", value=value)))
        if isinstance(value, str) and any(ord(letter) < BLANK for letter in value):
            reason = say("rerun json backslash", value=value)
            raise Refused(say("rerun json", wish=wish, reason=reason))
    return [str(value) for value in values]


def _distinct(name, words, type_name, wish):
    """The values that words stand for, those that are equal once."""
    found = {}
    for word in words:
        try:
            value, meaning = _typed(name, word, type_name)
        except Refused as refusal:
            if (
                type_name != "str"
                or "," not in wish
                or wish.partition("=")[2].lstrip().startswith("[")
            ):
                raise
            whole = json.dumps([wish.partition("=")[2]], ensure_ascii=False)
            raise Refused(say("rerun comma", refusal=refusal, parameter=name, list=whole)) from None
        found.setdefault(meaning, value)
    return list(found.values())


def _typed(name, word, type_name):
    """(the value that a word of the command line stands for, what tells it from other values)"""
    if type_name not in READERS:
        raise Refused(say("rerun annotate", parameter=name))
    try:
        value = READERS[type_name](word)
    except (KeyError, ValueError):
        values = {"parameter": name, "word": word, "kind": type_name}
        raise Refused(say("rerun type", **values, example=EXAMPLES[type_name])) from None
    try:
        checked = check_parameter(name, value)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    if name == "DATA":
        return checked, checked  # with a full path: each run has a folder of its own
    if isinstance(value, float) and math.isnan(value):
        return value, "nan"  # which is unequal to itself
    return value, checked  # DEVICE "auto" is another word for a device
