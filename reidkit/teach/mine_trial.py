"""A build is tried in a process of its own, with a time limit, before it counts.

That process imports a copy of the file and runs the checks of its stations on what it defines. It
has one thread and a bound to its memory, writes what it found beside the copy, and ends with the
one that started it, whatever the student's code does.
"""

import contextlib
import importlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from .. import workers
from . import mine_load
from .messages import say

SECONDS_TO_START = 180.0  # for Python, torch and the checks, on a busy machine
LOOKS = 0.05  # seconds between two looks at the process
MEMORY = 4 * 2**30  # bytes that a trial may take beyond torch itself
DONE = "well done"


class TookTooLong(BaseException):
    """Raised in the middle of a student's code; no `except Exception` of theirs stops it."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong in the block once it has run so long.

    There is no limit on Windows, or outside the main thread, or where somebody else has set an
    alarm.

    Args:
        seconds: until the alarm; it rings again as long as the block goes on.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not hasattr(signal, "setitimer") or not is_main:
        yield
        return

    def ring(*_):
        raise TookTooLong

    before = signal.getsignal(signal.SIGALRM)
    if before not in (signal.SIG_DFL, signal.SIG_IGN):
        yield
        return
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


# ---- the process that asks


class Verdicts(NamedTuple):
    """How a trial ended."""

    states: dict[str, tuple[str, str]]  # key of a check -> (its state, why)
    fault: str  # why there is no state at all; "" where there is


def run(folder: pathlib.Path, name: str, checks: Sequence[Callable], text: str | None) -> Verdicts:
    """Try a build.

    Args:
        folder: of the package.
        name: of the build.
        checks: of the stations to try; each can be imported by its name.
        text: what the build's file is to hold; None for what it holds.
    Raises:
        KeyboardInterrupt: Ctrl-C; the process is ended first.
    """
    seconds = sum(check.build.seconds for check in checks)
    with tempfile.TemporaryDirectory(prefix="reidkit-mine-", ignore_cleanup_errors=True) as place:
        place = pathlib.Path(place)
        mine_load.copy_to(folder, name, place / mine_load.PACKAGE, text)
        with workers.sign_of_life() as sign:
            job = {"name": name, "owner": os.getpid(), "sign": sign, "seconds": seconds}
            job["checks"] = [_address(check) for check in checks]
            (place / "job.json").write_text(json.dumps(job), encoding="utf-8")
            status = _wait(_start(place), place, seconds)
        if status is None:
            return Verdicts({}, say("build slow", seconds=f"{seconds:g}"))
        return _read(place, status)


def _address(check):
    """How another process finds a check."""
    return {
        "key": check.key,
        "module": check.__module__,
        "name": check.__qualname__,
        "answers": list(check.build.names),
    }


def is_importable(check: Callable) -> bool:
    """Whether another process can import a check by its name; not one of a notebook's cells."""
    return check.__module__ != "__main__" and "<locals>" not in check.__qualname__


def _start(place):
    variables = os.environ | {
        "REIDKIT_PROGRESS": "off",
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path or ".") for path in sys.path),
    }
    return subprocess.Popen(
        [sys.executable, "-m", __name__, str(place)],
        cwd=place,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C comes to us alone
    )


def _wait(process, place, seconds):
    """The exit status; None where the process took too long and was ended."""
    until = time.monotonic() + SECONDS_TO_START
    is_started = False
    try:
        while process.poll() is None and time.monotonic() < until:
            time.sleep(LOOKS)
            if not is_started and (place / "started").exists():
                is_started = True
                until = time.monotonic() + seconds
        return process.poll()
    finally:
        _end(process)


def _end(process):
    """End the process and all that it started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # there is none any more
            os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()


def _read(place, status):
    try:
        found = json.loads((place / "verdicts.json").read_text(encoding="utf-8"))
        states = {key: (str(state), str(why)) for key, (state, why) in found["states"].items()}
        return Verdicts(states, str(found["fault"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Verdicts({}, say("build ended", status=status))


# ---- the process of its own


def main(place: str) -> None:
    """Try the build of a folder that `run` has filled, and end.

    Args:
        place: the folder.
    """
    folder = pathlib.Path(place)
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    with workers.ends_with(job["owner"], job["sign"]):
        checks = [_imported(address) for address in job["checks"]]
        _bound(job["seconds"])
        (folder / "started").touch()
        states, fault = _verdicts(folder, job, checks)
        text = json.dumps({"states": states, "fault": fault})
        part = folder / "verdicts.part"
        part.write_text(text, encoding="utf-8")
        os.replace(part, folder / "verdicts.json")
    os._exit(0)  # whatever threads the student's code has started


def _imported(address):
    thing = importlib.import_module(address["module"])
    for name in address["name"].split("."):
        thing = getattr(thing, name)
    return thing


def _bound(seconds):
    """Give this process a bound to its memory, and one to its time that holds without a parent."""
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        most = int(seconds) + 60
        resource.setrlimit(resource.RLIMIT_CPU, (most, most))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if sys.platform == "linux":
            pages = int(pathlib.Path("/proc/self/statm").read_text().split()[5])  # data
            most = pages * resource.getpagesize() + MEMORY
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))


def _verdicts(folder, job, checks):
    """({key: (state, why)}, why there is none)"""
    try:
        module = mine_load.load(folder / mine_load.PACKAGE, job["name"])
        states = {}
        for address, check in zip(job["checks"], checks):
            answers = [getattr(module, name) for name in address["answers"]]
            states[address["key"]] = check.judge(*answers)
        return states, ""
    except BaseException as error:  # whatever a student's file raises
        return {}, f"{type(error).__name__}: {error}".rstrip(": ")


if __name__ == "__main__":
    main(sys.argv[1])
