"""What the student has done so far: work/progress.json, the board, and guesses.

A guess is written down before a result is shown. REIDKIT_PROGRESS=off (gallery builds, tests,
papermill) reads and writes nothing.
"""

import json
import os
from collections.abc import Callable, Sequence

from .. import files
from .display import emit, table
from .messages import say

SIGNS = {"well done": "✓", "wrong": "✗", "error": "✗", "not yet": "○"}


def active() -> bool:
    """Whether progress is read and written."""
    return os.environ.get("REIDKIT_PROGRESS", "on") != "off"


def load() -> dict:
    """The student's record; an empty one where nothing readable lies there.

    Returns:
        {"exercises": {key: {"state", "done", "tries"}}, "guesses": {key: text}}
    """
    empty = {"exercises": {}, "guesses": {}}
    if not active():
        return empty
    try:
        return empty | json.loads(_path().read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return empty


def _path():
    return files.work_dir() / "progress.json"


def _save(change: Callable[[dict], object]) -> None:
    """Change the record and write it whole.

    A full or read-only disk costs a line, never the notebook.

    Args:
        change: called with the record, which it changes in place.
    """
    if not active():
        return
    record = load()
    change(record)
    try:
        files.write_atomic(_path(), json.dumps(record, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        print(say("not saved", reason=error.strerror))


def note(key: str, state: str) -> None:
    """Keep a verdict; an exercise once done stays done.

    Args:
        key: of the exercise, "01-map-by-hand".
        state: "well done", "wrong", "error" or "not yet", which counts as no try.
    """

    def change(record):
        before = record["exercises"].get(key, {})
        is_try = state != "not yet"
        record["exercises"][key] = {
            "state": state,
            "done": before.get("done", False) or state == "well done",
            "tries": before.get("tries", 0) + is_try,
        }

    _save(change)


def progress() -> None:
    """Show the board: every exercise of every chapter, and where you stand."""
    from . import source

    verdicts = load()["exercises"]
    rows = []
    done = 0
    for chapter in source.chapters():
        for name in chapter.exercises:
            verdict = verdicts.get(f"{chapter.number}-{name}", {})
            is_done = verdict.get("done", False)
            state = "well done" if is_done else verdict.get("state", "not yet")
            rows.append([chapter.number, name, f"{SIGNS[state]} {state}"])
            done += state == "well done"
    headers = say("board headers").split("|")
    emit(*table(headers, rows, say("board", done=done, total=len(rows))))


def ask(key: str, question: str, options: Sequence[str]) -> str | None:
    """Write a guess down before the result is shown.

    A live notebook shows a row of buttons; a static one, or one without ipywidgets, the question
    and its options as text.

    Args:
        key: under which the guess is kept, "01-guess".
        question: what to predict.
        options: the answers to choose from.
    Returns:
        The guess kept under `key`, or None.
    """
    guess = load()["guesses"].get(key)
    if _is_live():
        _show_buttons(key, question, options, guess)
    else:
        print("\n".join([question, *(f"  ○ {option}" for option in options)]))
    return guess


def _is_live():
    try:
        import ipywidgets  # noqa: F401
        from IPython import get_ipython
        from IPython.display import display  # noqa: F401
    except ImportError:
        return False
    return active() and os.environ.get("REIDKIT_STATIC") != "1" and get_ipython() is not None


def _show_buttons(key, question, options, guess):
    import ipywidgets
    from IPython.display import display

    text = ipywidgets.Label(question, layout=ipywidgets.Layout(width="max-content"))
    # Tab and Space reach each button; JupyterLab takes arrow keys from radio buttons.
    buttons = ipywidgets.ToggleButtons(
        options=options,
        value=guess if guess in options else None,
        style={"button_width": "max-content"},
    )
    # The pressed button differs by colour alone, so a line says which it is.
    line = ipywidgets.Label(say("guess before", guess=guess) if guess else "")

    def keep(change):
        _save(lambda record: record["guesses"].update({key: change["new"]}))
        line.value = say("guess before", guess=change["new"])

    buttons.observe(keep, names="value")
    display(ipywidgets.VBox([text, buttons, line]))
