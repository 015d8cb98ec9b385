"""What the student has done so far: work/progress.json, the board, and guesses written down before a result is shown.

REIDKIT_PROGRESS=off (gallery builds, tests, papermill) reads and writes nothing.
"""

import json
import os

from .. import files
from .display import emit, table
from .messages import say

SIGNS = {"well done": "✓", "wrong": "✗", "error": "✗", "not yet": "○"}


def active():
    return os.environ.get("REIDKIT_PROGRESS", "on") != "off"


def load():
    """{"exercises": {key: {"state", "done", "tries"}}, "guesses": {key: text}}; empty where nothing readable lies there."""
    empty = {"exercises": {}, "guesses": {}}
    if not active():
        return empty
    try:
        return empty | json.loads((files.work_dir() / "progress.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return empty


def _save(change):
    """Change the record and write it whole; a full or read-only disk costs a line, never the notebook."""
    if not active():
        return
    record = load()
    change(record)
    try:
        files.write_atomic(
            files.work_dir() / "progress.json", json.dumps(record, indent=1, sort_keys=True) + "\n"
        )
    except OSError as error:
        print(say("not saved", reason=error.strerror))


def note(key, state):
    """Keep a verdict; an exercise once done stays done."""

    def change(record):
        before = record["exercises"].get(key, {})
        tries = before.get("tries", 0) + (state != "not yet")
        record["exercises"][key] = {
            "state": state,
            "done": before.get("done", False) or state == "well done",
            "tries": tries,
        }

    _save(change)


def progress():
    """Show the board: every exercise of every chapter, and where you stand."""
    from . import source

    seen, rows = load()["exercises"], []
    for chapter in source.chapters():
        for name in chapter.exercises:
            entry = seen.get(f"{chapter.number}-{name}", {})
            state = "well done" if entry.get("done") else entry.get("state", "not yet")
            rows.append([chapter.number, name, f"{SIGNS[state]} {state}"])
    done = sum("well done" in state for _, _, state in rows)
    emit(*table(say("board headers").split("|"), rows, say("board", done=done, total=len(rows))))


def ask(key, question, options):
    """Write a guess down before the result is shown; returns the guess kept under `key`, or None.

    A row of buttons in a live notebook; the question and its options as text in a static one or without ipywidgets.
    """
    guess = load()["guesses"].get(key)
    try:
        import ipywidgets
        from IPython import get_ipython
        from IPython.display import display

        live = active() and os.environ.get("REIDKIT_STATIC") != "1" and get_ipython() is not None
    except ImportError:
        live = False
    if not live:
        print("\n".join([question, *(f"  ○ {option}" for option in options)]))
        return guess
    buttons = ipywidgets.ToggleButtons(
        options=options,
        value=guess if guess in options else None,  # Tab and Space reach each;
        style={"button_width": "max-content"},
    )  # JupyterLab takes arrow keys from radio buttons

    said = ipywidgets.Label(
        say("guess before", guess=guess) if guess else ""
    )  # the pressed button differs by colour alone

    def keep(change):
        _save(lambda record: record["guesses"].update({key: change["new"]}))
        said.value = say("guess before", guess=change["new"])

    buttons.observe(keep, names="value")
    display(
        ipywidgets.VBox(
            [
                ipywidgets.Label(question, layout=ipywidgets.Layout(width="max-content")),
                buttons,
                said,
            ]
        )
    )
    return guess
