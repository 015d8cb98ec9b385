"""What the student has done so far: work/progress.json, the board, and guesses written down before a result is shown.

REIDKIT_PROGRESS=off (gallery builds, tests, papermill) reads and writes nothing.
"""

import html
import json
import os

from .. import files
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
        files.write_atomic(files.work_dir() / "progress.json", json.dumps(record, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        print(say("not saved", reason=error.strerror))


def note(key, state):
    """Keep a verdict; an exercise once done stays done."""
    def change(record):
        before = record["exercises"].get(key, {})
        tries = before.get("tries", 0) + (state != "not yet")
        record["exercises"][key] = {"state": state, "done": before.get("done", False) or state == "well done", "tries": tries}
    _save(change)


class Board:
    """The exercises of all chapters and where you stand; a table in a notebook, plain lines elsewhere."""

    def __init__(self, rows):
        self.rows = rows                                    # (chapter, exercise, state), in reading order

    def __str__(self):
        lines = [say("board row", sign=SIGNS[state], chapter=chapter, exercise=name, state=state) for chapter, name, state in self.rows]
        return "\n".join([*lines, self.total()])

    __repr__ = __str__

    def total(self):
        return say("board", done=sum(state == "well done" for _, _, state in self.rows), total=len(self.rows))

    def _repr_html_(self):
        rows = "".join(f"<tr><td>{html.escape(chapter)}</td><td>{html.escape(name)}</td><td>{SIGNS[state]} {state}</td></tr>"
                       for chapter, name, state in self.rows)
        head = "<tr><th>chapter</th><th>exercise</th><th>state</th></tr>"
        return f"<table><caption>{self.total()}</caption>{head}{rows}</table>"


def progress():
    """The board over every exercise of every chapter."""
    from . import source
    seen = load()["exercises"]

    def state(key):
        entry = seen.get(key, {})
        return "well done" if entry.get("done") else entry.get("state", "not yet")
    return Board([(chapter.number, name, state(f"{chapter.number}-{name}"))
                  for chapter in source.chapters() for name in chapter.exercises])


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
    buttons = ipywidgets.RadioButtons(options=options, value=guess if guess in options else None,
                                      layout=ipywidgets.Layout(width="max-content"))

    def keep(change):
        _save(lambda record: record["guesses"].update({key: change["new"]}))
    buttons.observe(keep, names="value")
    display(ipywidgets.VBox([ipywidgets.Label(question, layout=ipywidgets.Layout(width="max-content")), buttons]))
    return guess
