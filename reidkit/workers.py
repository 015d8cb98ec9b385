"""Work side by side, in processes that end with the one that started them.

A process that is killed cannot tell its workers to stop. So it holds a lock for as long as it
lives, on every system the same; a worker that gets that lock is alone, and ends.
"""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import filelock

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

    with _sign_of_life() as sign:
        at_once = min(jobs, max(1, len(tasks)))
        parallel = joblib.Parallel(at_once, return_as="generator_unordered")
        calls = []
        for number, task in enumerate(tasks):
            calls.append(joblib.delayed(_do)(work, number, task, sign, os.getpid()))
        yield from parallel(calls)


@contextlib.contextmanager
def _sign_of_life():
    """The name of a file that is locked until the block, or this process, ends."""
    handle, name = tempfile.mkstemp(prefix="reidkit-alive-")
    os.close(handle)
    lock = filelock.FileLock(name)
    lock.acquire()
    try:
        yield name
    finally:
        lock.release()
        with contextlib.suppress(OSError):
            os.unlink(name)


def _do(work, number, task, sign, owner):
    if os.getpid() == owner:
        return number, work(*task)
    with _ends_with_owner(sign):
        return number, work(*task)


@contextlib.contextmanager
def _ends_with_owner(sign):
    """End this process, and what it started, when the sign is free inside the block."""
    done = threading.Event()
    watcher = threading.Thread(target=_watch, args=(sign, done), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()


def _watch(sign, done):
    lock = filelock.FileLock(sign, timeout=0)
    while not done.wait(EVERY):
        try:
            lock.acquire()
        except filelock.Timeout:
            continue  # its owner lives
        lock.release()
        if not done.is_set():
            _end_with_children()


def _end_with_children():
    """End this process at once, and the kernels that it started."""
    with contextlib.suppress(ImportError):
        import psutil  # without it (it comes with ipykernel), a kernel ends a second later by itself

        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    os._exit(1)
