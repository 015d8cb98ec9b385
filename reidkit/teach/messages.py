"""Every sentence that the teaching wing says, in one table, so that a translation can lay another table over it."""

MESSAGES = {
    # exercises: one line a verdict; the words in brackets are what tests look for
    "not yet": "○ {key} [not yet]  replace the ... and run this cell again",
    "wrong": "✗ {key} [wrong]  {reason}",
    "error": "✗ {key} [error]  {reason}",
    "well done": "✓ {key} [well done]",
    "where": "{what} (line {line} of this cell: {text})",
    "elsewhere": "{what} (raised outside this cell, when your answer was used)",
    "not saved": "(the progress board could not be written: {reason})",
    "no solution": "no exercise is called {key!r}; there are {known}",
    # prompts and the board
    "guess before": "Your guess so far: {guess}",
    "board": "{done} of {total} exercises done",
    "board row": "{sign} {chapter}  {exercise}  {state}",
    # working copies
    "copied": "{name}: a fresh copy lies in {folder}/",
    "updated": "{name}: updated, {kept} of your cells kept; the file as it was: {backup}",
    "replaced": "{name}: replaced by the newer chapter (you had changed nothing)",
    "current": "{name}: up to date",
    "waiting": "{name}: a newer chapter is there; `make update` brings it in and keeps your answers",
    "unreadable": "{name}: no readable notebook; moved to {backup}, a fresh copy lies in its place",
    "course changed": "**The course changed this exercise since you answered it.** Your answer is above; the new stub:",
    "you changed": "**The course changed this cell, and so had you.** The new one is above; yours was:",
}


def say(name, **values):
    """The sentence called `name` with its blanks filled in."""
    return MESSAGES[name].format(**values)
