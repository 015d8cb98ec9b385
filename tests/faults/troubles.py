"""Writers that are killed, that run twice at once, and whose disk is full or can only be read."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from unittest import mock

from reidkit.console import bar

from . import writers
from .outcomes import HANG, LOST, REFUSED, SAME, SILENT, TRACEBACK

ROOT = pathlib.Path(__file__).resolve().parents[2]
LONGEST = 120  # seconds that a writer may take to end by itself


def start(writer, folder, who, rounds, first=0):
    """A process that does the step of a writer so many times, 0 for ever."""
    words = [writer.name, str(folder), str(who), str(first), str(rounds)]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.writers", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def count_done(text):
    return sum(line.startswith("done ") for line in text.splitlines())


def check(writer, folder, done):
    """(outcome, what is wrong) of what a writer left behind."""
    with mock.patch.dict(os.environ), quiet():
        try:
            problem = writer.check(folder, done)
        except Exception as error:  # whatever its reader raises: it cannot be read
            problem = f"{type(error).__name__}: {error}"
    return (LOST, problem) if problem else (SAME, "")


@contextlib.contextmanager
def prepared(writer, inside=None):
    """A folder in which the writer can begin."""
    with tempfile.TemporaryDirectory(dir=inside, ignore_cleanup_errors=True) as name:
        folder = pathlib.Path(name)
        with mock.patch.dict(os.environ), quiet():
            writer.prepare(folder)
        yield folder


@contextlib.contextmanager
def quiet():
    """Print nothing in the block."""
    with open(os.devnull, "w") as nowhere:
        with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            yield


# ---- killed


def kill(writer, draw):
    """Kill a writer at a random moment, then look at what is left and let another go on."""
    with prepared(writer) as folder:
        process = start(writer, folder, 0, 0)
        first = process.stdout.readline()  # it is at work
        time.sleep(draw.uniform(0, 0.4))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        outcome, problem = check(writer, folder, {0: count_done(first + rest)})
        if problem:
            return outcome, f"{problem}\n{(first + rest)[-400:]}"
        return finish(writer, folder, who=1, rounds=2)


def finish(writer, folder, who, rounds):
    process = start(writer, folder, who, rounds)
    try:
        text, _ = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return HANG, "the next writer does not end"
    if process.returncode:
        return TRACEBACK, text[-600:]
    return check(writer, folder, {who: count_done(text)})


# ---- two at once


def race(writer, rounds):
    """Two processes write the same thing at the same time."""
    with prepared(writer) as folder:
        both = [start(writer, folder, who, rounds) for who in (0, 1)]
        done = {}
        for who, process in enumerate(both):
            try:
                text, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                return HANG, "two writers wait for each other"
            if process.returncode:
                return TRACEBACK, text[-600:]
            done[who] = count_done(text)
        if set(done.values()) != {rounds}:
            return LOST, f"rounds done: {done}"
        return check(writer, folder, done)


# ---- disks


def can_mount():
    """Whether this process may make small disks of its own."""
    with tempfile.TemporaryDirectory() as folder:
        with small_disk(folder) as is_there:
            return is_there


@contextlib.contextmanager
def small_disk(folder, size="4m"):
    """A small disk in a folder -> whether it could be made."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    is_there = shutil.which("mount") is not None
    is_there = is_there and subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield is_there
    finally:
        if is_there:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def fill(folder, left):
    """Fill a disk until so many bytes are left."""
    free = shutil.disk_usage(folder).free
    with open(pathlib.Path(folder) / "filler", "wb") as stream:
        stream.write(bytes(max(0, free - left)))


def write_on_a_bad_disk(writer, spoil, takes_nothing):
    """Let a writer work, spoil its disk, let it work again.

    What was there stays whole. The writer goes on or ends in a sentence; on a disk that takes
    nothing it says a word in any case.
    """
    with tempfile.TemporaryDirectory() as place, small_disk(place) as is_there:
        if not is_there:
            return None
        with prepared(writer, place) as folder:
            process = start(writer, folder, 0, 2)
            before, _ = process.communicate(timeout=LONGEST)
            if process.returncode:
                return TRACEBACK, before[-600:]
            spoil(place)
            process = start(writer, folder, 1, 2, first=2)
            try:
                text, _ = process.communicate(timeout=LONGEST)
            except subprocess.TimeoutExpired:
                process.kill()
                return HANG, "it does not end"
            if process.returncode or "Traceback (most" in text:
                return TRACEBACK, text[-900:]
            outcome, problem = check(writer, folder, {0: count_done(before)})
            if problem:
                return outcome, f"{problem}\n{text[-400:]}"
            return judge_words(text, takes_nothing)


def judge_words(text, takes_nothing):
    """A writer that could not write says so."""
    if "refused " in text:
        return REFUSED, ""
    words = [line for line in text.splitlines() if not line.startswith("done ")]
    if count_done(text) < 2 or (takes_nothing and not any(words)):
        return SILENT, text[-400:]
    return SAME, ""


def full(draw):
    return lambda place: fill(place, draw.choice((0, 2000, 20000, 200000)))


def read_only(place):
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)


# ---- all of them

# Where two at once have lost something before: these are in every sample.
SHARED = ("progress", "recorded rows")


def run(share, seed, counts):
    """Kills, races and disks, as many as the share asks for, into Counts."""
    draw = random.Random(f"{seed} troubles")
    every = list(writers.WRITERS)
    few = max(2, round(len(every) * min(1, 2 * share)))
    kills = [writer for writer in draw.sample(every, few) for _ in range(max(1, round(10 * share)))]
    for writer in bar(kills, desc="killed writers", unit="kill"):
        counts.add("killed writers", *labelled(kill(writer, draw), writer))
    shared = [writer for writer in every if writer.name in SHARED]
    races = list(dict.fromkeys([*shared, *draw.sample(every, few)]))
    for writer in bar(races, desc="two writers at once", unit="race"):
        rounds = max(8, round(60 * share)) if writer.name in SHARED else 6
        counts.add("two writers at once", *labelled(race(writer, rounds), writer))
    if not can_mount():
        counts.told.append("full and read-only disks were not tried: this user cannot mount any")
        return
    for writer in bar(draw.sample(every, few), desc="full disks", unit="disk"):
        ended = write_on_a_bad_disk(writer, full(draw), takes_nothing=False)
        counts.add("full disks", *labelled(ended, writer))
    for writer in bar(draw.sample(every, few), desc="read-only disks", unit="disk"):
        ended = write_on_a_bad_disk(writer, read_only, takes_nothing=True)
        counts.add("read-only disks", *labelled(ended, writer))


def labelled(ended, writer):
    outcome, said = ended
    return outcome, writer.name, said
