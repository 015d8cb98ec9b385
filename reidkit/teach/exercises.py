"""Checks that say what is wrong, in one line, and never stop a notebook; and solutions on request.

    @exercise("01-average-precision")
    def average_precision(answer):
        expect(answer([1, 0]) == 1.0, "the right picture comes first, yet you gave ...")

The decorated check is called as `check.average_precision(average_precision)` in the cell of the
answer.
"""

import functools
import inspect
import linecache
import random
import types
from collections.abc import Callable

import numpy as np
import torch

from . import display
from .messages import say
from .progress import note


class Wrong(Exception):
    """Raised inside a check: the message tells the student what is wrong."""


class NotYet(Exception):
    """Raised inside a check: there is no answer yet."""


class Verdict(int):
    """True or False to the program; at the end of a cell it shows nothing, for its line is printed
    already.
    """

    state = "not yet"

    def __repr__(self):
        return f"<{self.state}>"

    def _ipython_display_(self):
        pass


def expect(condition: object, message: str) -> None:
    """Go on where `condition` holds, else tell the student `message`.

    Args:
        condition: anything with a truth value.
        message: what is wrong.
    Raises:
        Wrong: the condition does not hold; inside an exercise's check, it becomes the verdict.
    """
    if not bool(condition):
        raise Wrong(message)


def exercise(
    key: str, none_is_answer: bool = False
) -> Callable[[Callable[..., None]], Callable[..., Verdict]]:
    """Turn a check function into one that prints a verdict, notes it on the board and never raises.

    The answer is the check's first argument; a function that returns ... or None is "not yet".
    Random states are as before afterwards, whatever the answer drew.

    Args:
        key: chapter and exercise, "01-average-precision".
        none_is_answer: None counts as an answer.
    Returns:
        The decorator of the check; the decorated check returns its Verdict.
    """

    def decorate(function):
        @functools.wraps(function)
        def check(*answers, **options):
            states = random.getstate(), np.random.get_state(), torch.get_rng_state()
            try:
                state, line = _judge(key, function, answers, options, none_is_answer)
            finally:
                (
                    random.setstate(states[0]),
                    np.random.set_state(states[1]),
                    torch.set_rng_state(states[2]),
                )
            display.line(line)
            note(key, state)
            verdict = Verdict(state == "well done")
            verdict.state = state
            return verdict

        check.key = key
        return check

    return decorate


def _judge(key, function, answers, options, none_is_answer):
    """(state, the line that says so)"""

    def tell(state, reason=""):
        return state, say(state, key=key, reason=" ".join(str(reason).split()))

    try:
        function(*[_watched(answer, none_is_answer) for answer in answers], **options)
        return tell("well done")
    except NotYet:
        return tell("not yet")
    except (Exception, SystemExit) as error:
        if any(_untouched(key, answer) for answer in answers) or "ellipsis" in str(error):
            return tell("not yet")
        return (
            tell("wrong", error)
            if isinstance(error, Wrong)
            else tell("error", _where(error, answers))
        )


def _watched(answer, none_is_answer):
    """The answer, raising NotYet where it is (or, being a function, returns) a blank."""

    def blank(value):
        return (
            value is ...
            or (value is None and not none_is_answer)
            or (isinstance(value, tuple) and any(part is ... for part in value))
        )

    if blank(answer):
        raise NotYet
    if not isinstance(answer, types.FunctionType):
        return answer

    @functools.wraps(answer)
    def watched(*values, **named):
        result = answer(*values, **named)
        if blank(result):
            raise NotYet
        return result

    return watched


def _untouched(key, answer):
    """Whether a function is still the stub's, word for word (a stub that holds a bug to repair
    never returns a blank).
    """
    try:
        from . import source

        number, _, name = key.partition("-")
        stub = (
            next(chapter for chapter in source.chapters() if chapter.number == number)
            .cell(f"{name}-stub")
            .source
        )
        return (
            isinstance(answer, (types.FunctionType, type))
            and inspect.getsource(answer).strip() in stub
        )
    except (ImportError, OSError, KeyError, StopIteration, TypeError, ValueError):
        return False  # no sources here, or no source text of the answer


def _where(error, answers):
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    homes = {
        answer.__code__.co_filename for answer in answers if isinstance(answer, types.FunctionType)
    }
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename in homes:
            home, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    if line is None:
        return say("elsewhere", what=what)
    return say("where", what=what, line=line, text=linecache.getline(home, line).strip())


def solution(key: str) -> None:
    """Put the solution of an exercise ("average-precision" or "01-average-precision") into the next
    cell, ready to run.
    """
    from . import source

    known = {
        f"{chapter.number}-{name}": (chapter, name)
        for chapter in source.chapters()
        for name in chapter.exercises
    }
    found = [full for full in known if key in (full, known[full][1])]
    if len(found) != 1:
        raise KeyError(say("no solution", key=key, known=", ".join(known)))
    chapter, name = known[found[0]]
    code = (
        chapter.cell(f"{name}-solution").source.rstrip()
        + "\n\n"
        + source.check_lines(chapter.cell(f"{name}-stub").source)
    )
    try:
        from IPython import get_ipython

        shell = get_ipython()
    except ImportError:
        shell = None
    if shell is None:
        display.line(code)
    else:
        shell.set_next_input(code)
