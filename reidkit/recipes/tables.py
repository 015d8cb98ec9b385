"""Tables recorded over seeds, with where they come from; and the log of looks at the sets that are kept for reporting."""

import csv
import datetime
import io
import pathlib
import time

import torch
from joblib import Parallel, delayed

from .. import files, runtime
from ..code_digest import modules_digest


def record(out, cases, make_row, given, inputs=(), watch=False, jobs=1):
    """Fill the table `out` with one row a case: make_row(case) between `given` and the provenance. Returns all rows.

    A case is a dict of what tells a row from the others, for example {"SEED": 0}. The file is written whole after each
    row. A finished row is kept, unless the code, `given` or `inputs` (what a row depends on and the table does not
    print, like paths) has changed since: rows of another stamp are dropped, since a table that mixes them compares
    nothing. watch: log what each new row shows of the sets kept for reporting. jobs: rows made side by side, each in a
    process of its own with as many threads as this one has.
    """
    threads = torch.get_num_threads()
    stamp = files.digest(
        modules_digest([_module_of(make_row)]), given, list(inputs), torch.__version__, threads
    )
    cases = [{name: str(value) for name, value in case.items()} for case in cases]
    kept = [row for row in read_table(out) if row.get("stamp") == stamp]
    rows = {tuple(row.get(name, "") for name in cases[0]): row for row in kept}
    for case in cases:
        if tuple(case.values()) in rows:
            print(f"{_name(case)}: kept")
    todo = [case for case in cases if tuple(case.values()) not in rows]
    commit = runtime.git_commit()  # before the first row: the code that is running
    for case, found, took in Parallel(jobs, return_as="generator")(
        delayed(_one)(make_row, case, threads) for case in todo
    ):
        made = {
            "status": "ok",
            "seconds": round(took, 1),
            "commit": commit,
            "date": today(),
            **runtime.versions(("torch", "numpy")),
            "stamp": stamp,
        }
        rows[tuple(case.values())] = {**case, **given, **found, **made}
        order = [key for key in (tuple(case.values()) for case in cases) if key in rows]
        write_table(out, [rows[key] for key in dict.fromkeys([*order, *rows])])
        if watch:
            log_looks(f"{pathlib.Path(out).name}, {_name(case)}", seen_in(found))
        print(
            f"{_name(case)}: "
            + ", ".join(f"{key} {value}" for key, value in found.items() if key.endswith("_rank1"))
        )
    return list(rows.values())


def _module_of(function):
    """The module that a row's maker is defined in, whatever wraps it."""
    while hasattr(function, "func"):
        function = function.func
    return function.__module__


def _name(case):
    return ", ".join(
        f"{'seed' if name == 'SEED' else name} {value}" for name, value in case.items()
    )


def _one(make_row, case, threads):
    runtime.set_threads(threads)
    began = time.perf_counter()
    return case, make_row(case), time.perf_counter() - began


def log_looks(what, looks):
    """One line in data/results/looks.csv for each set kept for reporting that was looked at: looks maps its name to what
    was seen of it (a dict of numbers)."""
    path = files.results_dir() / "looks.csv"
    lines = [
        {
            "date": today(),
            "commit": runtime.git_commit(),
            "set": look,
            "for": what,
            "numbers": "; ".join(f"{name} {value:.1f}" for name, value in numbers.items()),
        }
        for look, numbers in looks.items()
    ]
    known = read_table(path)
    write_table(path, known + [line for line in lines if line not in known])


def seen_in(row):
    """A recorded row -> {set kept for reporting: {column: value}} of what it shows of such sets, for `log_looks`."""
    sets = (
        ("drawn unseen places", ("away",)),
        ("PKU-Reid, report half", ("pku_report", "pku_report_camera")),
        ("PKU-Reid, all", ("pku", "pku_camera")),
    )
    found = {
        name: {
            key: float(value)
            for key, value in row.items()
            if value != ""
            and key.removesuffix("_rank1").removesuffix("_map").endswith(parts)
            and key.endswith(("_rank1", "_map"))
        }
        for name, parts in sets
    }
    return {name: numbers for name, numbers in found.items() if numbers}


def read_table(path):
    if not pathlib.Path(path).is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_table(path, rows):
    text = io.StringIO()
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_atomic(path, text.getvalue())


def today():
    return datetime.datetime.now(datetime.UTC).date().isoformat()
