"""Tables, rows, parameters and command lines: a sound one, and what a damaged one leads to.

The form of a kind is told in kinds.py.
"""

import csv
import io
import json
import os
import shutil

from reidkit import datasets, files
from reidkit.recipes import tables
from reidkit.recipes.__main__ import main as recipes_command
from reidkit.retrieval.__main__ import main as embed_command

from . import damage
from .kinds import Kind
from .outcomes import AGAIN, REFUSED, SAME, SILENT, judge_command

TABLE_WAYS = damage.BYTES + damage.TEXT + damage.TABLE * 2


# ---- recorded tables


def recorded_tables(folder):
    """A committed table, as a chapter reads it."""
    from reidkit.teach.recorded import recorded

    real = files.results_dir()
    results = folder / "data" / "results"
    shutil.copytree(real, results)
    os.environ["REIDKIT_HOME"] = str(folder)
    names = ("01_baseline.csv", "04_norms.csv", "11_study.csv", "01_chapter.csv")
    examples = [(name, (results / name).read_bytes(), TABLE_WAYS) for name in names]
    sound = {name: recorded(name.removesuffix(".csv")).rows for name in names}

    def attempt(name, changed, said):
        path = results / name
        before = path.read_bytes()
        path.write_bytes(changed)
        try:
            rows = recorded(name.removesuffix(".csv")).rows
            return SAME if rows == sound[name] else SILENT
        finally:
            path.write_bytes(before)

    return examples, attempt


def _row(case):
    """What the table below is made of."""
    return {"square": int(case["SEED"]) ** 2, "note": "a, b"}


def _small_table(seeds):
    return tables.Table([{"SEED": seed} for seed in seeds], _row, {"PRESET": "none"})


def tables_that_grow(folder):
    """A table is damaged, then recorded further: refused, or nothing of it is lost."""
    os.environ["REIDKIT_HOME"] = str(folder)
    results = folder / "data" / "results"
    results.mkdir(parents=True)
    path = results / "squares.csv"
    tables.record(_small_table(range(4)), path)
    whole = path.read_bytes()
    hashes = {other: other.read_bytes() for other in results.iterdir() if other != path}

    def attempt(name, changed, said):
        for other, content in hashes.items():
            other.write_bytes(content)
        path.write_bytes(changed)
        tables.record(_small_table(range(5)), path)
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        squares = {row["SEED"]: row["square"] for row in rows}
        return SAME if squares == {str(seed): str(seed**2) for seed in range(5)} else SILENT

    return [(path.name, whole, TABLE_WAYS)], attempt


def logs_of_looks(folder):
    """The log of looks is damaged, then a look is added: refused, or every line is still there."""
    os.environ["REIDKIT_HOME"] = str(folder)
    path = folder / "data" / "results" / "looks.csv"
    for number in range(3):
        tables.log_looks(f"case {number}", {"PKU-Reid, all": {"pku_rank1": float(number)}})
    whole = path.read_bytes()
    beside = {other: other.read_bytes() for other in path.parent.iterdir() if other != path}

    def attempt(name, changed, said):
        for other, content in beside.items():
            other.write_bytes(content)
        path.write_bytes(changed)
        tables.log_looks("case 3", {"PKU-Reid, all": {"pku_rank1": 3.0}})
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
        return SAME if [line["for"] for line in lines] == _CASES else SILENT

    return [(path.name, whole, TABLE_WAYS)], attempt


_CASES = [f"case {number}" for number in range(4)]


def rows_of_runs(folder):
    """A finished run's row file is damaged: the run counts as missing, or it is what it was."""
    from reidkit.teach import one_run

    row = {
        "parameters": {"SEED": 0, "PRESET": "smoke"},
        "records": {"score": 15.25, "word": "red"},
        "status": "ok",
        "error": "",
        "seconds": 3.5,
    }
    target = folder / "run"
    one_run.write_row(target, row)
    path = folder / "run.json"

    def attempt(name, changed, said):
        path.write_bytes(changed)
        found = one_run.finished_row(target)
        if found is None:
            return AGAIN
        return SAME if found == row else SILENT

    ways = damage.BYTES + damage.TEXT + damage.JSON
    return [(path.name, path.read_bytes(), ways)], attempt


# ---- words


WISHES = (
    "SEED=0,1,2",
    "PRESET=smoke",
    "SCALE=1.5,2",
    "FAIL=True",
    "WORD=red,green",
    'WORD=["a, b", "c"]',
    "DATA=world",
    "DATA=market1501:/data/x",
    "THREADS=1",
    "DEVICE=cpu",
)
TYPES = {"SEED": int, "THREADS": int, "SCALE": float, "FAIL": bool}


def parameters(folder):
    """Wishes for a chapter's parameters: each is refused, or gives values of the declared types."""
    from reidkit.teach.parameters import Refused, grid

    names = ("str", "PRESET WORD DATA DEVICE"), ("int", "SEED THREADS")
    declared = {name: {"inferred_type_name": kind} for kind, many in names for name in many.split()}
    declared["SCALE"] = {"inferred_type_name": "float"}
    declared["FAIL"] = {"inferred_type_name": "bool"}
    examples = [(wish, wish.encode(), damage.BYTES[:10]) for wish in WISHES]

    def attempt(name, changed, said):
        wish = changed.decode("utf-8", "surrogateescape")
        try:
            tasks = grid([wish], declared)
        except Refused as refusal:
            return REFUSED if len(str(refusal)) >= 30 else SILENT
        for task in tasks:
            for parameter, value in task.items():
                assert isinstance(value, TYPES.get(parameter, str)), (parameter, value)
        assert len({json.dumps(task) for task in tasks}) == len(tasks)
        return SAME

    return examples, attempt


def data_sets(folder):
    """Texts for DATA, and folders that hold no data set."""
    examples = []
    for text in ("world", "market1501:/data/Market", "pku-reid:C:\\data\\pku"):
        examples.append((text, text.encode(), damage.BYTES[:10]))

    def attempt(name, changed, said):
        text = changed.decode("utf-8", "surrogateescape")
        found, path = datasets.parse(text)
        if path is None:
            return SAME
        datasets.read(found, str(folder / "nothing" / "there"))
        return SILENT

    return examples, attempt


COMMANDS = (
    (recipes_command, "baseline --seeds 0 1 --preset smoke --out {folder}/no/such.csv --check"),
    (recipes_command, "norms --jobs 2 --threads 1 --data market1501:{folder} --out x.csv --check"),
    (recipes_command, "study --knobs light --seeds 3 --out {folder}/x.csv --check"),
    (embed_command, "drawn-laptop {folder}/pictures --out {folder}/x.npz --batch 8 --device cpu"),
    (embed_command, "{folder}/none.safetensors {folder} --out {folder}/x.npz --cameras c(\\d)"),
)


def command_lines(folder):
    """Words of command lines changed, dropped, doubled: a sentence and status 2, or help."""
    examples = []
    commands = {}
    for number, (command, line) in enumerate(COMMANDS):
        commands[str(number)] = command
        words = line.format(folder=folder)
        examples.append((str(number), words.encode(), damage.BYTES[:10]))

    def attempt(name, changed, said):
        words = changed.decode("utf-8", "replace").replace("\0", "").split(" ")
        if any(word.startswith("/") and not word.startswith(str(folder)) for word in words):
            return REFUSED  # a path that leaves the trial's folder is not tried
        before = os.getcwd()
        os.chdir(folder)
        try:
            status = commands[name](words)
        except SystemExit as end:  # argparse
            status = end.code
        finally:
            os.chdir(before)
        return judge_command(status, said)

    return examples, attempt


def names(folder):
    """Names that become parts of file names: refused, or nothing leaves the folder."""
    examples = [(name, name.encode(), damage.BYTES[:10]) for name in ("norms-0", "../../x", "a/b")]

    def attempt(name, changed, said):
        word = changed.decode("utf-8", "surrogateescape")
        path = folder / files.check_name(word, "keep")
        return SAME if path.parent == folder and path.name == word else SILENT

    return examples, attempt


WORDS = (
    Kind("recorded tables", 100, recorded_tables),
    Kind("tables that grow", 40, tables_that_grow),
    Kind("logs of looks", 20, logs_of_looks),
    Kind("rows of runs", 60, rows_of_runs),
    Kind("parameters", 100, parameters, names_file=False),
    Kind("data sets", 30, data_sets, names_file=False),
    Kind("command lines", 60, command_lines, names_file=False),
    Kind("names", 30, names, names_file=False),
)
