"""The whole course in a folder that can only be read: each command works or ends in a sentence."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import tempfile

from reidkit.console import bar

from .outcomes import HANG, SAME, judge_command
from .troubles import ROOT, read_only, small_disk

# What is not copied: what git ignores, and what commands do not read.
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "work", "build", "runs", "cache", "__pycache__")

COMMANDS = (
    "reidkit.teach.copies",
    "reidkit.teach.copies --update",
    "reidkit.teach.doctor",
    "reidkit.teach.rerun 00 -p SEED=0 --out runs",
    "reidkit.teach.lecture 01",
    "reidkit.teach.build --check",
    "reidkit.teach.build --course -p PRESET=smoke",
    "reidkit.teach.new 55 new 'A new one'",
    "reidkit.teach.toc --write",
    "reidkit.retrieval drawn-laptop docs --out features.npz --device cpu",
    "reidkit.recipes baseline --preset smoke --out data/results/01_baseline.csv --restamp",
)

USE = """
from reidkit import world
from reidkit.teach.exercises import exercise
people = world.sample([("train", 0)], 2, 2, 1, (64, 32))
print(len(people), "pictures")
"""


def run(counts):
    """Every command of COMMANDS, and the package in a script, into Counts."""
    with tempfile.TemporaryDirectory() as place, small_disk(place, "64m") as is_there:
        if not is_there:
            counts.told.append("a course in a read-only folder was not tried: no right to mount")
            return
        course = pathlib.Path(place) / "course"
        shutil.copytree(ROOT, course, ignore=LEFT_OUT)
        read_only(place)
        for line in bar(COMMANDS, desc="a course that can only be read", unit="command"):
            outcome, said = call(course, ["-m", *shlex.split(line)])
            counts.add("a course that can only be read", outcome, line, said)
        outcome, said = call(course, ["-c", USE])
        counts.add("a course that can only be read", outcome, "drawing a set", said)


def call(course, words):
    """(outcome, what was said) of Python with these words, in the read-only course."""
    surroundings = {name: value for name, value in os.environ.items() if "REIDKIT" not in name}
    surroundings["PYTHONPATH"] = str(course)
    try:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=course,
            env=surroundings,
            capture_output=True,
            text=True,
            timeout=180,
        )
    except subprocess.TimeoutExpired:
        return HANG, "took more than three minutes"
    said = done.stdout + done.stderr
    outcome = judge_command(done.returncode, said)
    return outcome, said[-700:] if outcome != SAME else ""
