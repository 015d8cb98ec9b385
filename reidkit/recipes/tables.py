"""Tables recorded over seeds, with where they come from; and the log of looks at the sets that are
kept for reporting.
"""

import pathlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from .. import files, runtime
from ..code_digest import modules_digest
from ..table_files import name_row, read_table, update_table
from ..workers import side_by_side

# Columns that depend on the clock.
TIMES = ("seconds", "training_seconds", "train_seconds")
# Sets kept for reporting -> parts of the names of the columns that show them.
REPORTED = {
    "drawn unseen places": ("away",),
    "PKU-Reid, report half": ("pku_report", "pku_report_camera"),
    "PKU-Reid, all": ("pku", "pku_camera"),
    "3DPeS, report half": ("3dpes_report",),
    "3DPeS, all": ("3dpes",),
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
    is kept, too, and said to be so, unless `redo` asks to drop and make it again. Several processes
    may fill one table at the same time: each row is put into what stands there then.

    Args:
        table: what rows are made of.
        out: the file, .csv.
        jobs: rows made side by side, each in a process of its own with as many threads as this one
            has.
        redo: whether rows of another stamp are dropped.
    Returns:
        All rows of the file.
    Raises:
        ValueError: the file is damaged, or another table.
    """
    stamp = table.stamp()
    rows = {}
    for key, row in _by_case(table, read_table(out), out).items():
        if row.get("stamp") == stamp or not redo:
            rows[key] = row
    todo = _missing(table, rows, stamp)
    commit = runtime.git_commit()  # before the first row: the code that is running
    threads = torch.get_num_threads()
    tasks = [(table.make_row, case, threads) for case in todo]
    for _, (case, numbers, seconds) in side_by_side(_one, tasks, jobs):
        about = {
            "status": "ok",
            "seconds": round(seconds, 1),
            "commit": commit,
            "date": runtime.today(),
            **runtime.versions(("torch", "numpy")),
            "stamp": stamp,
        }
        texts = {name: str(value) for name, value in case.items()}
        if table.looks:  # before the row: after a kill a look may stand there twice, never not
            log_looks(f"{pathlib.Path(out).name}, {_name(case)}", seen_in(texts | numbers))
        rows = _put_in(table, out, {**texts, **table.given, **numbers, **about}, redo)
        marks = [f"{key} {value}" for key, value in numbers.items() if key.endswith("rank1")]
        print(f"{_name(case)}: {', '.join(marks)}")
    return list(rows.values())


def _by_case(table, rows, out):
    """{key: row} of a file's rows; ValueError where they are no rows of such a table."""
    known = {}
    for number, row in enumerate(rows, 1):
        lacking = [name for name in table.cases[0] if name not in row]
        if lacking:
            raise ValueError(
                f"{out} is another table: its rows have no {', '.join(lacking)}; name another --out"
            )
        key = table.key_of(row)
        if key in known:
            cells = list(row.values())
            raise ValueError(
                f"{out}: {name_row(number, cells)} is of the same case as a row before it; delete "
                "one of them, or name another --out"
            )
        known[key] = row
    return known


def _missing(table, rows, stamp):
    """The cases that have to be made; a line says what is kept of the others."""
    todo = {}
    for case, key in zip(table.cases, table.keys()):
        if key not in rows:
            todo[key] = case
        elif rows[key].get("stamp") == stamp:
            print(f"{_name(case)}: kept")
        else:
            print(
                f"{_name(case)}: kept, though made by other code or inputs (--redo makes it again)"
            )
    return list(todo.values())


def _put_in(table, out, row, redo):
    """Put a new row into the file as it stands now -> {key: row} of all of them."""

    def change(found):
        known = _by_case(table, found, out)
        if redo:
            known = {key: old for key, old in known.items() if old.get("stamp") == row["stamp"]}
        known[table.key_of(row)] = row
        return _in_order(known, table.keys())

    rows = update_table(out, change)
    return {table.key_of(row): row for row in rows}


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
    recorded = _by_case(table, read_table(out), out)
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
    Raises:
        ValueError: there is no such file, or it is damaged.
    """
    stamp = table.stamp()
    keys = set(table.keys())
    changed = []

    def change(rows):
        for row in rows:
            if table.key_of(row) in keys and row.get("stamp") != stamp:
                row["stamp"] = stamp
                changed.append(row)
        return rows

    if not pathlib.Path(out).is_file():
        raise ValueError(f"{out} is no file, so there is nothing to stamp; correct --out")
    update_table(out, change)
    return len(changed)


# ---- looks at what is kept for reporting


def log_looks(what: str, looks: dict[str, dict]) -> None:
    """One line in data/results/looks.csv for each set kept for reporting that was looked at.

    Args:
        what: for what it was looked at.
        looks: {set: {column: number}}.
    """
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
        lines.append(line)

    def change(known):
        return known + [line for line in lines if line not in known]

    if lines:
        update_table(files.results_dir() / "looks.csv", change)


def seen_in(row: dict) -> dict[str, dict]:
    """What a row shows of the sets kept for reporting.

    Args:
        row: of a table; a row of one exam names it in the column "exam", and the exam's name then
            stands before that of each column.
    Returns:
        {set: {column: number}}, for `log_looks`.
    """
    looks = {}
    exam = f"{row['exam']}_" if "exam" in row else ""
    for name, parts in REPORTED.items():
        numbers = {}
        for column, value in row.items():
            if value != "" and _shows(exam + column, parts):
                numbers[exam + column] = float(value)
        if numbers:
            looks[name] = numbers
    return looks


def _shows(column, parts):
    exam, _, score = column.rpartition("_")
    return score in ("rank1", "map") and exam.endswith(parts)
