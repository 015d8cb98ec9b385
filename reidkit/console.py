"""What is printed beside the work: progress bars, lines between them, and how a command line ends.

Nothing here changes a result. Bars are for people who wait: a log file gets none.
"""

import argparse
import errno
import functools
import math
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tqdm import tqdm

# What a user can mend: a wrong word or file, a disk that does not take it, a package that is
# missing. Anything else is a fault of the program, whose traceback is wanted.
MENDABLE = (OSError, ValueError, ImportError)

# What an error of the system asks of a user, by its number.
REMEDIES = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your share of the disk is full",
    errno.EACCES: "give yourself the right to write there, or name another place",
    errno.EPERM: "give yourself the right to write there, or name another place",
    errno.EROFS: "that disk can only be read: name another place",
    errno.ENOENT: "correct the path",
    errno.ENOTDIR: "a file stands where a folder is expected: name another place",
    errno.EEXIST: "a file stands where a folder is expected: name another place",
    errno.EISDIR: "a folder stands where a file is expected: name another place",
    errno.ENAMETOOLONG: "give a shorter name",
}


def bar(over: Iterable | None = None, *, show: bool = True, **options: Any) -> tqdm:
    """A progress bar on stderr, where somebody sees it: in a terminal or a notebook.

    Args:
        over: what to count, or None for a bar that is updated by hand.
        show: False shows none.
        options: tqdm's: desc, total, initial, unit, leave.
    """
    return tqdm(over, disable=not (show and is_watched()), **options)


def is_watched() -> bool:
    """Whether stderr is a terminal, or the output of a notebook's cell."""
    shell = sys.modules.get("IPython")  # ipykernel is there in other processes, too
    if "ipykernel" in sys.modules and shell is not None and shell.get_ipython() is not None:
        return True
    return sys.stderr is not None and sys.stderr.isatty()


def say(message: str) -> None:
    """Print a line on stderr, beside a progress bar where there is one.

    What depends on the clock or on a disk is no output to compare, so it is not on stdout.
    """
    take_every_glyph()
    tqdm.write(message, file=sys.stderr)


def take_every_glyph() -> None:
    """Let stdout and stderr write what their encoding lacks as escapes, instead of failing.

    A pipe on Windows may know Latin letters only, and a file's name may hold anything.
    """
    for stream in (sys.stdout, sys.stderr):
        # The second: what Python takes for stdout where the system's language is "C".
        if hasattr(stream, "reconfigure") and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def command(main: Callable) -> Callable:
    """Make main(words) a command line that ends in a sentence.

    What a user can mend (see MENDABLE) ends in one sentence on stderr and status 2, Ctrl-C in
    status 130. REIDKIT_DEBUG=1 shows the traceback instead.

    Args:
        main: takes the words of the command line, None for sys.argv[1:], and returns a status;
            None counts as 0.
    Returns:
        A function of the same arguments that always returns a status.
    """

    @functools.wraps(main)
    def run(words=None):
        take_every_glyph()
        try:
            return main(words) or 0
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130
        except MENDABLE as error:
            if os.environ.get("REIDKIT_DEBUG") == "1":
                raise
            print(f"{_name_of(main)}: {sentence(error)}", file=sys.stderr)
            return 2

    return run


def _name_of(main):
    """The module of a command; of one that runs as `python -m MODULE`, the name given there."""
    if main.__module__ != "__main__":
        return main.__module__
    started = getattr(sys.modules["__main__"], "__spec__", None)
    name = started.name if started is not None else pathlib.Path(sys.argv[0]).name
    return name.removesuffix(".__main__")


def sentence(error: Exception) -> str:
    """What an error tells a user: our own words, or the system's with a remedy."""
    if isinstance(error, OSError):
        return explain(error)
    if isinstance(error, ModuleNotFoundError):
        return f"{error}; install what the course needs: make setup, or pip install -e .[all]"
    return str(error)


def explain(error: OSError) -> str:
    """What an error of the system says, and what to do about it, in one sentence.

    Args:
        error: raised by Python, or by this package with a sentence of its own.
    """
    if error.strerror is None:  # ours: it has its remedy
        return str(error)
    place = f": {str(error.filename)!r}" if error.filename else ""
    remedy = REMEDIES.get(error.errno)
    return f"{error.strerror}{place}" + (f"; {remedy}" if remedy else "")


def whole_number(lowest: int, highest: int | None = None) -> Callable[[str], int]:
    """A type for argparse: a whole number in these limits, anything else is refused in a sentence.

    Args:
        lowest: that is allowed.
        highest: that is allowed; None for no limit.
    """
    expected = f"a whole number from {lowest}" + ("" if highest is None else f" to {highest}")

    def read(word):
        try:
            value = int(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is none; expected {expected}") from None
        if value < lowest or (highest is not None and value > highest):
            raise argparse.ArgumentTypeError(f"{value} is outside; expected {expected}")
        return value

    return read


def real_number(lowest: float) -> Callable[[str], float]:
    """A type for argparse: a finite number from `lowest`; anything else is refused in a sentence.

    Args:
        lowest: that is allowed.
    """
    expected = f"a number from {lowest:g}"

    def read(word):
        try:
            value = float(word)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{word!r} is none; expected {expected}") from None
        if not math.isfinite(value) or value < lowest:
            raise argparse.ArgumentTypeError(f"{word} is outside; expected {expected}")
        return value

    return read


def each_once(name: str, values: Sequence) -> list:
    """The values without repetitions, in their order; a line says what stood there twice.

    Args:
        name: of the option, such as "--seeds".
        values: as the command line gave them, after parsing.
    """
    once = list(dict.fromkeys(values))
    if len(once) < len(values):
        repeated = [str(value) for value in once if list(values).count(value) > 1]
        say(f"{name}: {', '.join(repeated)} counts once: {len(once)} instead of {len(values)}")
    return once
