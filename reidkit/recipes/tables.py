"""Tables recorded over seeds, with where they come from; and the log of looks at the sets that are
kept for reporting.
"""

import csv
import io
import pathlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from joblib import Parallel, delayed

from .. import files, runtime
from ..code_digest import modules_digest

# Columns that depend on the clock.
TIMES = ("seconds", "training_seconds", "train_seconds")
# Sets kept for reporting -> parts of the names of the columns that show them.
REPORTED = {
    "drawn unseen places": ("away",),
    "PKU-Reid, report half": ("pku_report", "pku_report_camera"),
    "PKU-Reid, all": ("pku", "pku_camera"),
}


@dataclass(frozen=True)
class Table:
    """What a recorded table is made of.

    cases: what tells a row from the others, a dict each, for example {"SEED": 0}.
    make_row: make_row(case) -> dict of numbers.
    given: what all rows share and the table prints, such as the preset.
    inputs: what rows depend on and the table does not print, like paths.
    looks: whether rows show sets that are kept for reporting, so that each look is logged.
    """

    cases: Sequence[dict]
    make_row: Callable
    given: dict = field(default_factory=dict)
    inputs: Sequence = ()
    looks: bool = False

    def stamp(self) -> str:
        """A name for what the rows depend on: the code that makes them with all that it imports,
        `given`, `inputs`, torch's version and threads."""
        threads = torch.get_num_threads()
        code = modules_digest([_module_of(self.make_row)])
        return files.digest(code, self.given, list(self.inputs), torch.__version__, threads)

    def keys(self) -> list[tuple]:
        """The cases as a table holds them: tuples of text."""
        return [tuple(str(value) for value in case.values()) for case in self.cases]

    def key_of(self, row: dict) -> tuple:
        """Which case a row of the file is of, in the form of `keys`."""
        return tuple(row.get(name, "") for name in self.cases[0])


def _module_of(function):
    """The module that a row's maker is defined in, whatever wraps it."""
    while hasattr(function, "func"):
        function = function.func
    return function.__module__


def record(table: Table, out: str | pathlib.Path, jobs: int = 1, redo: bool = False) -> list[dict]:
    """Fill a table on disk, one row per case; the file is written whole after each row.

    A finished row is kept. One that was made by other code or from other inputs (its stamp differs)
    is kept, too, and said to be so, unless `redo` asks to drop and make it again.

    Args:
        table: what rows are made of.
        out: the file, .csv.
        jobs: rows made side by side, each in a process of its own with as many threads as this one
            has.
        redo: whether rows of another stamp are dropped.
    Returns:
        All rows of the file.
    """
    stamp = table.stamp()
    rows = {}
    for row in read_table(out):
        if row.get("stamp") == stamp or not redo:
            rows[table.key_of(row)] = row
    todo = []
    for case, key in zip(table.cases, table.keys()):
        if key not in rows:
            todo.append(case)
        elif rows[key].get("stamp") == stamp:
            print(f"{_name(case)}: kept")
        else:
            print(
                f"{_name(case)}: kept, though made by other code or inputs (--redo makes it again)"
            )
    threads = torch.get_num_threads()
    commit = runtime.git_commit()  # before the first row: the code that is running
    finished = Parallel(jobs, return_as="generator")(
        delayed(_one)(table.make_row, case, threads) for case in todo
    )
    for case, numbers, seconds in finished:
        about = {
            "status": "ok",
            "seconds": round(seconds, 1),
            "commit": commit,
            "date": runtime.today(),
            **runtime.versions(("torch", "numpy")),
            "stamp": stamp,
        }
        texts = {name: str(value) for name, value in case.items()}
        rows[tuple(texts.values())] = {**texts, **table.given, **numbers, **about}
        write_table(out, _in_order(rows, table.keys()))
        if table.looks:
            log_looks(f"{pathlib.Path(out).name}, {_name(case)}", seen_in(numbers))
        marks = [f"{key} {value}" for key, value in numbers.items() if key.endswith("_rank1")]
        print(f"{_name(case)}: {', '.join(marks)}")
    return list(rows.values())


def _in_order(rows, keys):
    """The rows of this call's cases in their order, then the others."""
    first = [key for key in keys if key in rows]
    return [rows[key] for key in dict.fromkeys([*first, *rows])]


def _one(make_row, case, threads):
    runtime.set_threads(threads)
    began = time.perf_counter()
    texts = {name: str(value) for name, value in case.items()}
    return case, make_row(texts), time.perf_counter() - began


def _name(case):
    return ", ".join(
        f"{'seed' if name == 'SEED' else name} {value}" for name, value in case.items()
    )


def check(table: Table, out: str | pathlib.Path) -> list[str]:
    """Make the first recorded row again and compare it to the digit; writes neither a table nor a
    look.

    Args:
        table: what rows are made of.
        out: the file.
    Returns:
        What differs, a sentence for each column; [] where nothing does.
    Raises:
        ValueError: the file holds none of the table's cases.
    """
    recorded = {table.key_of(row): row for row in read_table(out)}
    for case, key in zip(table.cases, table.keys()):
        if key in recorded:
            _, numbers, _ = _one(table.make_row, case, torch.get_num_threads())
            return _differences(_name(case), recorded[key], numbers)
    raise ValueError(f"{out} holds no row of these cases; expected one like {table.cases[0]}")


def _differences(name, row, numbers):
    found = []
    for column, value in numbers.items():
        if column not in TIMES and row.get(column) != str(value):
            found.append(f"{name}: {column} is {value}, recorded {row.get(column)}")
    return found


def restamp(table: Table, out: str | pathlib.Path) -> int:
    """Give the recorded rows of these cases the stamp of today's code, without making them again.

    For code that was rearranged: after `check` has shown that it makes the same digits.

    Args:
        table: what rows are made of.
        out: the file.
    Returns:
        How many rows have another stamp than before.
    """
    stamp = table.stamp()
    keys = set(table.keys())
    rows = read_table(out)
    changed = 0
    for row in rows:
        if table.key_of(row) in keys and row.get("stamp") != stamp:
            row["stamp"] = stamp
            changed += 1
    write_table(out, rows)
    return changed


# ---- looks at what is kept for reporting


def log_looks(what: str, looks: dict[str, dict]) -> None:
    """One line in data/results/looks.csv for each set kept for reporting that was looked at.

    Args:
        what: for what it was looked at.
        looks: {set: {column: number}}.
    """
    path = files.results_dir() / "looks.csv"
    known = read_table(path)
    lines = []
    for name, numbers in looks.items():
        shown = "; ".join(f"{column} {value:.1f}" for column, value in numbers.items())
        line = {
            "date": runtime.today(),
            "commit": runtime.git_commit(),
            "set": name,
            "for": what,
            "numbers": shown,
        }
        if line not in known:
            lines.append(line)
    write_table(path, known + lines)


def seen_in(row: dict) -> dict[str, dict]:
    """What a row shows of the sets kept for reporting: {set: {column: number}}, for `log_looks`."""
    looks = {}
    for name, parts in REPORTED.items():
        numbers = {
            column: float(value)
            for column, value in row.items()
            if value != "" and _shows(column, parts)
        }
        if numbers:
            looks[name] = numbers
    return looks


def _shows(column, parts):
    exam, _, score = column.rpartition("_")
    return score in ("rank1", "map") and exam.endswith(parts)


# ---- files


def read_table(path: str | pathlib.Path) -> list[dict]:
    """Rows of a CSV file as dicts of text; [] where there is none."""
    if not pathlib.Path(path).is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_table(path: str | pathlib.Path, rows: list[dict]) -> None:
    """Write rows as CSV, whole or not at all.

    Args:
        path: of the file.
        rows: dicts; a column that a row lacks is empty.
    """
    text = io.StringIO()
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_atomic(path, text.getvalue())
