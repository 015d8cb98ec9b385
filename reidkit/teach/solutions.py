"""Solutions, and a course that is handed out without them.

`course.py lab --no-solutions` leaves a mark in work/. As long as it is there, `update` makes copies
without solution cells, and `teach.solution` says so. Hints stay.
"""

from .. import files
from . import display, exercises
from .messages import say


def are_withheld() -> bool:
    """Whether the student's copies have no solutions."""
    return _mark().is_file()


def withhold(wish: bool) -> bool:
    """Leave solutions out of the copies from now on, or give them back.

    Args:
        wish: True leaves them out, False gives them back.
    Returns:
        Whether this changed what the copies should hold.
    Raises:
        OSError: the student's folder takes no file.
    """
    if wish == are_withheld():
        return False
    if wish:
        files.write_atomic(_mark(), say("solutions mark") + "\n")
    else:
        _mark().unlink()
    return True


def copy_form() -> str:
    """The form of a student's copy, as `source.notebook` names it."""
    return "handout" if are_withheld() else "work"


def solution(key: str) -> None:
    """Put the solution of an exercise ("average-precision" or "01-average-precision") into the next
    cell, ready to run; where solutions are handed out later, say so.
    """
    if are_withheld():
        display.line(say("solutions withheld", key=key))
        return
    exercises.solution(key)


def _mark():
    return files.work_dir() / ".no-solutions"
