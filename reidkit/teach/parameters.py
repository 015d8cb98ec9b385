"""What a command line may ask of a chapter: which one, and with which parameters.

A wish that cannot be run is refused in a sentence, before anything starts.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

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


class Refused(Exception):
    """A wish that cannot be run; said before anything starts."""


def find(word: str) -> source.Chapter:
    """Read the chapter that a word names.

    Args:
        word: a chapter's number ("01"), or the path of a chapter's source.
    Raises:
        Refused: there is no chapter of that number.
    """
    if word.endswith(".py"):
        return source.read(word)
    paths = {path.stem: path for path in sorted(source.folder().glob("[0-9]*.py"))}
    matches = [path for name, path in paths.items() if name.startswith(f"{word}_")]
    if len(matches) != 1:
        raise Refused(say("rerun chapter", chapter=word, known=", ".join(paths)))
    return source.read(matches[0])


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


def grid(wishes: Sequence[str], parameters: dict[str, dict], separator: str = ",") -> list[dict]:
    """Every combination of the values wished for, in the types that the notebook declares.

    Args:
        wishes: "NAME=VALUE" or "NAME=VALUE,VALUE" each, e.g. ["SEED=0,1", "PRESET=smoke"].
        parameters: what `declared` returned.
        separator: stands between values of a wish; "\\n" where each wish has one value only.
    Returns:
        [{"SEED": 0, "PRESET": "smoke"}, {"SEED": 1, "PRESET": "smoke"}]
    Raises:
        Refused: a parameter is unknown or named twice, or a value is of the wrong type or one
            that no chapter takes.
    """
    values = {}
    for wish in wishes:
        name, _, words = wish.partition("=")
        if not words:
            raise Refused(say("rerun wish", wish=wish))
        if name not in parameters:
            names = ", ".join(parameters)
            hint = nearest(name, parameters)
            raise Refused(say("rerun unknown", parameter=name, known=names, hint=hint))
        if name in values:
            raise Refused(say("rerun twice", parameter=name))
        type_name = parameters[name]["inferred_type_name"]
        values[name] = [_typed(name, word, type_name) for word in words.split(separator)]
    combinations = itertools.product(*values.values())
    return [dict(zip(values, combination)) for combination in combinations]


def _typed(name, word, type_name):
    """The value that a word of the command line stands for."""
    if type_name not in READERS:
        raise Refused(say("rerun annotate", parameter=name))
    try:
        value = READERS[type_name](word)
    except (KeyError, ValueError):
        raise Refused(say("rerun type", parameter=name, word=word, kind=type_name)) from None
    try:
        checked = check_parameter(name, value)
    except (TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    if name == "DATA":
        return checked  # with a full path: each run has a folder of its own
    return value
