"""What the student has done so far: verdicts, the board, and guesses.

A guess is written down before a result is shown. All of it is in work/progress.json, which
`progress_file` reads and writes.
"""

import html
import os
from collections.abc import Sequence

from .display import emit, in_a_notebook, in_words, line, table
from .messages import say
from .progress_file import active, change, load

SIGNS = {"well done": "✓", "wrong": "✗", "error": "✗", "not yet": "○"}
LONG = 60  # characters; a button would cut off an option that is longer

_options = {}  # key of a question that was asked in this process -> its options


def note(key: str, state: str) -> None:
    """Keep a verdict; an exercise once done stays done.

    Args:
        key: of the exercise, "01-map-by-hand".
        state: "well done", "wrong", "error" or "not yet", which counts as no try.
    """

    def edit(record):
        verdict = record["exercises"].setdefault(key, {})
        is_try = state != "not yet"
        verdict["state"] = state
        verdict["done"] = verdict.get("done", False) or state == "well done"
        verdict["tries"] = verdict.get("tries", 0) + is_try

    change(edit)


def progress() -> None:
    """Show the board: every exercise of every chapter, and where you stand."""
    from . import source

    record = load()
    verdicts = record["exercises"]
    built = {key for build in record["builds"].values() for key in build["passed"]}
    rows = []
    done = 0
    for chapter in source.chapters():
        for name in chapter.exercises:
            verdict = verdicts.get(f"{chapter.number}-{name}", {})
            is_done = verdict.get("done", False)
            state = "well done" if is_done else verdict.get("state", "not yet")
            word = f"{SIGNS[state]} {state}"
            if f"{chapter.number}-{name}" in built:
                word = say("board built", state=word)
            rows.append([chapter.number, name, word])
            done += state == "well done"
    headers = say("board headers").split("|")
    emit(*table(headers, rows, say("board", done=done, total=len(rows))))


# ---- guesses


def ask(key: str, question: str, options: Sequence[str]) -> str | None:
    """Write a guess down before the result is shown.

    A live notebook shows a row of buttons, and beside it the same as text, with the way to answer
    where no buttons show. A static one has the question and its options as text.

    Args:
        key: under which the guess is kept, "01-guess".
        question: what to predict.
        options: the answers to choose from.
    Returns:
        The guess kept under `key`, or None.
    """
    guess = load()["guesses"].get(key)
    _options[key] = list(options)
    if not is_asked():
        line("\n".join([question, *(f"  ○ {option}" for option in options)]))
    elif in_a_notebook():
        text = _show_text(key, question, options, guess)
        _show_buttons(key, options, guess, text)
    else:
        line(_in_words(key, question, options, guess))
    return guess


def guess(key: str, answer: str | int) -> None:
    """Keep a guess without a button.

    Args:
        key: of the question, as `teach.ask` has it.
        answer: the number of an option, from 1, or its text.
    Raises:
        TypeError: it is neither a number nor a text.
        ValueError: the question has no such option, or was not asked here and is answered by a
            number.
    """
    options = _options.get(key)
    if isinstance(answer, bool) or not isinstance(answer, (int, str)):
        raise TypeError(say("guess type", key=key, guess=answer))
    if options is None and isinstance(answer, int):
        raise ValueError(say("guess not asked", key=key, guess=answer))
    if options is not None:
        numbered = dict(enumerate(options, 1))
        answer = numbered.get(answer, answer)
        if answer not in options:
            raise ValueError(
                say("guess unknown", key=key, guess=answer, count=len(options), options=options)
            )
    _keep(key, answer)
    line(say("guess kept", key=key, guess=answer))


def _keep(key, guess):
    change(lambda record: record["guesses"].update({key: guess}))


def is_asked():
    """Whether there is somebody to answer: not in a gallery build, a test or a run by papermill."""
    return active() and os.environ.get("REIDKIT_STATIC") != "1"


def _in_words(key, question, options, guess):
    """The question, its options and the guess so far, as plain text."""
    words = [question]
    for number, option in enumerate(options, 1):
        words.append(f"  {number} {'●' if option == guess else '○'} {option}")
    if guess is not None and guess not in options:  # of an older chapter
        words.append(say("guess before", guess=guess))
    return "\n".join([*words, say("guess how", key=key)])


def _in_html(key, question, options, guess):
    """The same for a page: the question, and below it what the buttons hold, folded."""
    items = []
    for option in options:
        sign = " ●" if option == guess else ""
        items.append(f"<li>{html.escape(option)}{sign}</li>")
    how = html.escape(say("guess how", key=key), quote=False)
    is_open = " open" if max(map(len, options)) > LONG else ""
    return (
        f"<p>{html.escape(question)}</p><details{is_open}>"
        f"<summary>{say('guess folded')}</summary><ol>{''.join(items)}</ol><p>{how}</p></details>"
    )


def _show_text(key, question, options, guess):
    """Display the question as text; returns what shows it anew with another guess."""
    from IPython.display import display

    def bundle(guess):
        words = _in_words(key, question, options, guess)
        return {"text/plain": words, "text/html": _in_html(key, question, options, guess)}

    handle = display(bundle(guess), raw=True, display_id=True)
    return lambda guess: handle.update(bundle(guess), raw=True)


def _show_buttons(key, options, guess, show_text):
    """Display a button for each option, and a line that says which is pressed."""
    try:
        import ipywidgets
    except ImportError:
        return
    from IPython.display import display

    labels = options
    if max(map(len, options)) > LONG:  # the numbers of the list beside them
        labels = [str(number) for number in range(1, len(options) + 1)]
    # Tab and Space reach each button; JupyterLab takes arrow keys from radio buttons.
    buttons = ipywidgets.ToggleButtons(
        options=list(zip(labels, options)),
        value=guess if guess in options else None,
        tooltips=list(options),
        style={"button_width": "max-content"},
    )
    # The pressed button differs by colour alone, so a line says which it is.
    told = ipywidgets.Label(say("guess before", guess=guess) if guess else "")

    def keep(change):
        _keep(key, change["new"])
        told.value = say("guess before", guess=change["new"])
        show_text(change["new"])

    buttons.observe(keep, names="value")
    display(in_words(ipywidgets.VBox([buttons, told]), say("guess buttons")))
