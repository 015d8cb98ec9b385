"""What was never measured for want of a GPU: one table, in order of worth, within so many minutes.

    python -m benchmarks gpu --out build/gpu --minutes 9

Each row is written to OUT/gpu.csv as soon as it is known. The same call again keeps what this
device has measured, tries again what failed, and goes on; a row that needs more time than is left
waits for that call. The weights of drawn-gpu stay in OUT. It needs torch with CUDA, torchvision,
safetensors, scikit-learn, joblib and tqdm, and no installation: run it from the repository's root.
Real people are met where REIDKIT_DATA_ROOT names the folder that holds pku-reid; each look at what
is kept for reporting goes into data/results/looks.csv.

`--size tiny` tries all of it in seconds, on a CPU too, and records nothing that counts.
"""

import contextlib
import gc
import pathlib
import shutil
import signal
import time
import traceback
from collections.abc import Iterator, Sequence

import torch

from reidkit import files, runtime
from reidkit.console import real_number
from reidkit.table_files import read_table, update_table

from .gpu_rows import ROWS, SIZES, NotHere, Row, Run
from .timing import make_parser

COLUMNS = ("name", "value", "unit", "goal", "device", "torch", "commit", "date", "seconds", "note")
SHOWN = ("name", "value", "unit", "goal", "device", "seconds", "note")  # at the end
FAILED = "failed: "  # what the note of a row without a value begins with


class OutOfTime(Exception):
    """The minutes are over, and a row has not ended."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime inside the block after so many seconds; only on systems with an alarm."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(number, frame):
        raise OutOfTime("the minutes were over before it ended")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure_rows(
    rows: Sequence[Row], run: Run, path: pathlib.Path, minutes: float, commit: str
) -> list[dict]:
    """Measure what the table lacks, as far as the time goes.

    Args:
        rows: in order of worth.
        run: size, device and folder.
        path: of the table, which is written whole after each row.
        minutes: from now on.
        commit: of the code.
    Returns:
        All rows of the table.
    """
    end = time.monotonic() + 60 * minutes
    device = runtime.device_name(run.device)
    # Rows of another device keep their own lines.
    entries = _by_name(read_table(path))
    for row in rows:
        key = (row.name, device)
        if key in entries and entries[key]["value"]:
            print(f"{row.name}: kept, {entries[key]['value']} {row.unit}", flush=True)
            continue
        left = end - time.monotonic()
        needed = row.seconds * run.size.share
        if left < needed:
            print(f"{row.name}: skipped, needs {needed:.0f} s of {max(left, 0):.0f} s", flush=True)
            continue
        try:
            measured = measure_row(row, run, left)
        except NotHere as reason:
            print(f"{row.name}: skipped, {reason}", flush=True)
            continue
        about = {
            "name": row.name,
            "unit": row.unit,
            "goal": row.goal(),
            "device": device,
            "torch": torch.__version__,
            "commit": commit,
            "date": runtime.today(),
        }
        entry = about | measured
        entries[key] = {column: str(entry[column]) for column in COLUMNS}
        entries = _put_in(path, key, entries[key])
        print(f"{row.name}: {_sentence(entries[key])}", flush=True)
    return list(entries.values())


def _by_name(entries):
    return {(entry["name"], entry["device"]): entry for entry in entries}


def _put_in(path, key, entry):
    """Put a row into the table as it stands now -> {(name, device): row} of all of them."""
    return _by_name(update_table(path, lambda found: (_by_name(found) | {key: entry}).values()))


def measure_row(row: Row, run: Run, seconds: float) -> dict:
    """Measure one row, with the kernels that `fit` chooses on a GPU.

    Args:
        row: which one.
        run: size, device and folder.
        seconds: after which it is stopped.
    Returns:
        {"value", "seconds", "note"}; the value is empty and the note says why where it failed.
    Raises:
        NotHere: something that the row needs is missing.
    """
    start = time.perf_counter()
    value = ""
    kernels = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    try:
        with kernels, time_limit(seconds):
            value, note = row.measure(run)
    except NotHere:
        raise
    except Exception as error:  # whatever it is: the next row is measured all the same
        traceback.print_exc()
        note = FAILED + f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
    took = round(time.perf_counter() - start, 1)
    if value != "" and run.on_gpu() and row.goal():
        note = f"goal {'met' if row.is_met(value) else 'missed'}; {note}"
    _free_memory(run)
    return {"value": value, "seconds": took, "note": note}


def _free_memory(run):
    """Leave the next row an empty GPU."""
    gc.collect()
    if run.on_gpu():
        torch.cuda.empty_cache()


def _sentence(entry):
    goal = f" (goal {entry['goal']})" if entry["goal"] else ""
    value = f"{entry['value']} {entry['unit']}" if entry["value"] else "no value"
    return f"{value}{goal} in {entry['seconds']} s; {entry['note']}"


def markdown(entries: Sequence[dict], columns: Sequence[str] = SHOWN) -> str:
    """A table as markdown.

    Args:
        entries: rows as dicts of text.
        columns: that are shown.
    """
    lines = [columns, ["---"] * len(columns)]
    for entry in entries:
        lines.append([entry[column].replace("|", "/") for column in columns])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(words: list[str] | None = None) -> int:
    """The command: 0 where no row failed, else 1."""
    parser = make_parser("gpu", __doc__)
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder of table, weights")
    parser.add_argument("--minutes", type=real_number(0), default=9.0, help="once torch is loaded")
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--commit", help="of the code, where this folder is no clone")
    options = parser.parse_args(words)
    if options.out.exists() and not options.out.is_dir():
        parser.error(f"--out is {str(options.out)!r}, which is a file; name a folder")
    run = Run(SIZES[options.size], runtime.pick_device(options.device), options.out)
    path = options.out / ("gpu.csv" if run.size.is_recorded else f"gpu-{run.size.name}.csv")
    commit = options.commit or runtime.git_commit()
    print(f"{runtime.device_name(run.device)}, torch {torch.__version__}, {commit}", flush=True)
    if not run.on_gpu():
        print("no GPU: goals are shown, not judged", flush=True)
    entries = measure_rows(ROWS, run, path, options.minutes, commit)
    print(f"\n{markdown(entries)}\n")
    _say_how_to_commit(run, path)
    return int(any(entry["note"].startswith(FAILED) for entry in entries))


def _say_how_to_commit(run, path):
    if not run.size.is_recorded:
        print(f"{path} is of a trial ({run.size.name}): nothing to commit")
        return
    looks = files.results_dir() / "looks.csv"
    if looks.is_file():
        shutil.copy(looks, path.parent)  # comes back with the table from a machine that is lent
    print(
        f"To commit it: copy {path} to data/results/gpu.csv. If scores were taken, looks.csv "
        "beside it is data/results/looks.csv with these looks: commit it, too. Then take both for "
        "recorded: python -m reidkit.table_files data/results/gpu.csv data/results/looks.csv"
    )
