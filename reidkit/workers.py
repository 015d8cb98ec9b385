"""Work side by side, in processes that end with the one that started them.

A process that is killed cannot tell its workers to stop. So it holds a lock for as long as it
lives, on every system the same; a worker that gets that lock is alone, and ends.
"""

import contextlib
import os
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock

from . import files

SIGN = "reidkit-alive-"  # how the names of signs begin
EVERY = 0.5  # seconds between two looks


def side_by_side(work: Callable, tasks: Sequence[tuple], jobs: int) -> Iterator[tuple[int, Any]]:
    """Do tasks in processes of their own, and hand over each result as soon as it is there.

    Args:
        work: called as work(*task); with one job, in this very process.
        tasks: arguments of the calls.
        jobs: tasks at a time.
    Yields:
        (number of the task, what work returned), in the order in which they end.
    """
    import joblib  # 0.1 s: only commands need it

    with sign_of_life() as sign:
        at_once = min(jobs, max(1, len(tasks)))
        parallel = joblib.Parallel(at_once, return_as="generator_unordered")
        calls = []
        for number, task in enumerate(tasks):
            calls.append(joblib.delayed(_do)(work, number, task, sign, os.getpid()))
        yield from parallel(calls)


@contextlib.contextmanager
def sign_of_life():
    """The name of a file that is locked until the block, or this process, ends."""
    _remove_signs_of_the_dead()
    handle, name = tempfile.mkstemp(prefix=SIGN)
    os.close(handle)
    lock = filelock.FileLock(name)
    lock.acquire()
    try:
        yield name
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            os.unlink(name)


def _remove_signs_of_the_dead():
    """Delete the files of killed processes: those that nobody locks, but for the newest."""
    for path in pathlib.Path(tempfile.gettempdir()).glob(f"{SIGN}*"):
        with contextlib.suppress(OSError):  # a timeout is one: its owner lives
            if time.time() - path.stat().st_mtime > files.HOUR:
                with filelock.FileLock(path, timeout=0):
                    path.unlink()


def _do(work, number, task, sign, owner):
    if os.getpid() == owner:
        return number, work(*task)
    with ends_with(owner, sign):
        return number, work(*task)


@contextlib.contextmanager
def ends_with(owner, sign):
    """End this process, and what it started, when its owner ends inside the block."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(owner, sign, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _watch(owner, sign, done):
    lock = filelock.FileLock(sign, timeout=0)
    while not done.wait(EVERY):
        if os.name == "posix" and os.getppid() == owner:
            continue  # no need to look at the sign; Windows keeps the number of a dead parent
        try:
            lock.acquire()
        except filelock.Timeout:
            continue  # its owner lives
        lock.release()
        if not done.is_set():
            _end_with_children()


def _end_with_children():
    """End this process at once, and the kernels that it started."""
    with contextlib.suppress(ImportError):  # without it a kernel ends a second later by itself
        import psutil  # comes with ipykernel

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    os._exit(1)
