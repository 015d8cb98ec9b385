"""Checks that say what is wrong, in one line, and never stop a notebook; and solutions on request.

    @exercise("01-average-precision")
    def average_precision(answer):
        expect(answer([1, 0]) == 1.0, "the right picture comes first, yet you gave ...")

The decorated check is called as `check.average_precision(average_precision)` in the cell of the
answer. `@exercise("02-norm", build="norm", names=("Norm",))` is the check of a build: the cell that
passes it is saved, see `mine`.
"""

import functools
import inspect
import linecache
import types
from collections.abc import Callable, Sequence

from .. import code_digest
from . import display, mine_state
from .messages import say
from .mine import save
from .mine_load import chance_kept
from .mine_text import Build, Refused, executed_cell, has_blanks, without_checks
from .mine_trial import TookTooLong, time_limit
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
    key: str,
    none_is_answer: bool = False,
    build: str = "",
    names: Sequence[str] = (),
    station: int = 1,
    seconds: float = 20.0,
) -> Callable[[Callable[..., None]], Callable[..., Verdict]]:
    """Turn a check function into one that prints a verdict, notes it on the board and never raises.

    The answer is the check's first argument; a function that returns ... or None is "not yet".
    Random states are as before afterwards, whatever the answer drew.

    Args:
        key: chapter and exercise, "01-average-precision".
        none_is_answer: None counts as an answer.
        build: the file of the build that the exercise is a station of, "norm" for
            work/mine/norm.py; "" for an exercise that is no build.
        names: what the cell of a build defines. The check takes these as its answers, in this
            order.
        station: of the build, from 1: the place of the cell in its file.
        seconds: that a build's check may take.
    Returns:
        The decorator of the check; the decorated check returns its Verdict.
    Raises:
        ValueError: a build has no name that Python could import, or defines nothing.
    """
    about = None
    if build:
        if not build.isidentifier() or not names or isinstance(names, str):
            raise ValueError(
                f"the build of {key!r} is {build!r} and defines {names!r}; expected a name that "
                'Python can import, and a tuple of names such as ("Norm",)'
            )
        about = Build(build, tuple(names), station, seconds)

    def decorate(function):
        @functools.wraps(function)
        def check(*answers, **options):
            with chance_kept():
                state, reason = _judge(check, answers, options)
            display.line(say(state, key=key, reason=reason))
            note(key, state)
            if about is not None:
                mine_state.see(check)
                if state == "well done":
                    save(check)
            verdict = Verdict(state == "well done")
            verdict.state = state
            return verdict

        check.key = key
        check.build = about
        check.none_is_answer = none_is_answer
        check.judge = lambda *answers: _judge(check, answers, {}, is_trial=True)
        return check

    return decorate


def _judge(check, answers, options, is_trial=False):
    """(state, why) of answers; a trial has no notebook around it."""
    try:
        watched = [_watched(answer, check.none_is_answer) for answer in answers]
        if check.build is None or is_trial:  # of a trial's time, its owner takes care
            check.__wrapped__(*watched, **options)
        else:
            with time_limit(check.build.seconds):
                check.__wrapped__(*watched, **options)
        return "well done", ""
    except NotYet:
        return "not yet", ""
    except TookTooLong:
        return "error", say("too slow", seconds=f"{check.build.seconds:g}")
    except (Exception, SystemExit) as error:
        if "ellipsis" in str(error) or (not is_trial and _is_unwritten(check, answers)):
            return "not yet", ""
        if isinstance(error, Wrong):
            return "wrong", _in_a_line(error)
        return "error", _in_a_line(_where(error, answers, "where file" if is_trial else "where"))


def _in_a_line(reason):
    return " ".join(str(reason).split())


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


def _is_unwritten(check, answers):
    """Whether there is no answer yet: a build with blanks in its cell, or a stub as it came."""
    if check.build is not None:
        cell = executed_cell()
        if cell is not None and has_blanks(cell):
            return True
    stub = _stub(check.key)
    if stub is None:
        return False
    if any(_untouched(stub, answer) for answer in answers):
        return True
    return check.build is not None and _is_same_cell(executed_cell(), stub)


def _stub(key):
    """The text of an exercise's stub; None where there are no sources."""
    try:
        from . import source

        number, _, name = key.partition("-")
        chapter = next(chapter for chapter in source.chapters() if chapter.number == number)
        return chapter.cell(f"{name}-stub").source
    except (ImportError, OSError, KeyError, StopIteration, ValueError):
        return None


def _untouched(stub, answer):
    """Whether a function is still the stub's, word for word (a stub that holds a bug to repair
    never returns a blank).
    """
    try:
        is_code = isinstance(answer, (types.FunctionType, type))
        return is_code and inspect.getsource(answer).strip() in stub
    except (OSError, TypeError):
        return False  # no source text of the answer


def _is_same_cell(cell, stub):
    """Whether a cell does what the stub does; a class of a notebook has no source to compare."""
    if cell is None:
        return False
    try:
        written = code_digest.code_digest(without_checks(cell))
        return written == code_digest.code_digest(without_checks(stub))
    except (Refused, SyntaxError):
        return False


def _where(error, answers, message):
    """What was raised, and on which line of the answer."""
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    homes = {home for answer in answers for home in _homes(answer)}
    trace, line = error.__traceback__, None
    while trace:
        if trace.tb_frame.f_code.co_filename in homes:
            home, line = trace.tb_frame.f_code.co_filename, trace.tb_lineno
        trace = trace.tb_next
    if line is None:
        return say("elsewhere", what=what)
    return say(message, what=what, line=line, text=linecache.getline(home, line).strip())


def _homes(answer):
    """The files in which an answer's code is: a function's, or those of a class's methods."""
    functions = vars(answer).values() if isinstance(answer, type) else [answer]
    for function in functions:
        if isinstance(function, types.FunctionType):
            yield function.__code__.co_filename


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
