"""Runs the kinds and counts how their trials ended."""

import os
import pathlib
import random
import tempfile
from collections import Counter
from unittest import mock

from reidkit.console import bar

from . import kinds, lone_course, outcomes, troubles, words
from .damage import damaged

COLUMNS = (*outcomes.GOOD, *outcomes.BAD)


class Counts:
    """kind -> outcome -> how often; and a line or more on every bad end."""

    def __init__(self):
        self.of = {}
        self.told = []

    def add(self, kind, outcome, what, said):
        self.of.setdefault(kind, Counter())[outcome] += 1
        if outcome in outcomes.BAD:
            self.told.append(f"--- {kind}: {outcome} after {what}\n{said}")

    def bad(self):
        return sum(counter[outcome] for counter in self.of.values() for outcome in outcomes.BAD)

    def tried(self):
        return sum(counter.total() for counter in self.of.values())


def run(share=1.0, seed=0, only=None):
    """Run the whole suite or a share of it -> Counts.

    Args:
        share: of the trials of every kind; at least one of each.
        seed: of the damages.
        only: names of kinds, "troubles" for kills, races and disks, "read-only course"; None for
            all.
    """
    counts = Counts()
    chosen = [kind for kind in all_kinds() if only is None or kind.name in only]
    with bar(chosen, desc="damaged inputs", unit="kind") as shown:
        for kind in shown:
            shown.set_postfix_str(kind.name)
            run_kind(kind, max(1, round(share * kind.trials)), seed, counts)
    if only is None or "troubles" in only:
        troubles.run(share, seed, counts)
    is_whole = only is None and share >= 1
    if is_whole or "read-only course" in (only or ()):
        lone_course.run(counts)
    return counts


def all_kinds():
    return (*kinds.FILES, *words.WORDS)


def run_kind(kind, trials, seed, counts):
    """Run so many trials of one kind, in a folder and surroundings of its own."""
    draw = random.Random(f"{seed} {kind.name}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        with mock.patch.dict(os.environ):
            examples, attempt = kind.prepare(pathlib.Path(folder))
            for _ in range(trials):
                name, whole, ways = draw.choice(examples)
                way, changed = damaged(draw, whole, ways)
                word = name if kind.names_file else ""
                outcome, said = outcomes.run_trial(attempt, name, changed, word)
                counts.add(kind.name, outcome, f"{way} of {name}", said)


def table(counts):
    """The counts as lines of text."""
    head = ["", "tried", *COLUMNS]
    rows = []
    for kind, counter in counts.of.items():
        rows.append([kind, counter.total(), *(counter[outcome] for outcome in COLUMNS)])
    sums = [sum(row[place] for row in rows) for place in range(1, len(head))]
    rows.append(["all", *sums])
    widths = [max(len(str(row[place])) for row in (head, *rows)) for place in range(len(head))]
    lines = []
    for row in (head, *rows):
        first = str(row[0]).ljust(widths[0])
        numbers = [str(cell or "-").rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join([first, *numbers]))
    return "\n".join(lines)
