"""What one trial ended in, and how an error is judged."""

import contextlib
import io
import pathlib
import signal
import traceback

import reidkit

PACKAGE = pathlib.Path(reidkit.__file__).resolve().parent
SECONDS = 20  # after which a trial counts as a hang

# Good ends.
SAME = "same"  # the content is what it was: the damage hit nothing that is read
REFUSED = "refused"  # an error of ours, in a sentence with a remedy
AGAIN = "made again"  # a cache was damaged and its content computed anew
CARRIED = "carried"  # a student's work is still there, in place or set aside, with a word
UNSEEN = "no checksum"  # other content, in a format that has no means to tell
# Bad ends.
LOST = "lost"
SILENT = "silent"
TRACEBACK = "traceback"
HANG = "hang"

GOOD = (SAME, REFUSED, AGAIN, CARRIED, UNSEEN)
BAD = (LOST, SILENT, TRACEBACK, HANG)

# Advice of other packages that a user of ours must not follow or cannot.
FOREIGN_ADVICE = ("weights_only", "safe_globals", "add_safe_globals", "torch.load", "allow_pickle")


class Hang(BaseException):
    """A trial took too long. No Exception, so that no handler of the package takes it."""


@contextlib.contextmanager
def time_limit(seconds=SECONDS):
    """Raise Hang in the block after so many seconds, where the system has alarms."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run_trial(attempt, name, changed, word=""):
    """The outcome of an attempt with a damaged example, and what is worth telling of a bad one.

    Args:
        attempt: see kinds.py.
        name: of the example.
        changed: its damaged bytes.
        word: that an error must hold, such as the file's name.
    """
    said = io.StringIO()
    try:
        with time_limit(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            outcome = attempt(name, changed, said)
    except Hang:
        return HANG, "took too long"
    except Exception as error:
        return judge_error(error, word), "".join(traceback.format_exception(error)[-3:])
    return outcome, said.getvalue()[-500:]


def judge_error(error, word=""):
    """REFUSED for an error that a user can act on, else TRACEBACK.

    It is one of the kinds that stand for a user's matter, raised by this package in words of its
    own, which hold `word` and are long enough to say what is wrong and what to do.
    """
    frames = traceback.extract_tb(error.__traceback__)
    is_ours = bool(frames) and PACKAGE in pathlib.Path(frames[-1].filename).resolve().parents
    text = str(error)
    is_told = len(text) >= 30 and word in text
    is_told = is_told and not any(advice in text for advice in FOREIGN_ADVICE)
    is_mendable = isinstance(error, (OSError, ValueError, TypeError))
    return REFUSED if is_ours and is_told and is_mendable else TRACEBACK


def judge_command(status, said):
    """The outcome of a command line that was given nonsense: a sentence and status 2."""
    text = said.getvalue() if hasattr(said, "getvalue") else said
    if "Traceback (most recent call last)" in text:
        return TRACEBACK
    if status == 0:
        return SAME
    return REFUSED if status in (1, 2) and len(text.strip()) >= 30 else TRACEBACK
