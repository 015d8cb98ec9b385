"""`python -m benchmarks gpu`: rows at once on disk, resumed, in time, whatever one of them does."""

import json
import os
import pathlib
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_rows import FULL, ROWS, SIZES, TINY, NotHere, Row, Run, score_in_unseen_places
from reidkit import files, runtime
from reidkit.recipes import drawn
from reidkit.retrieval.model_file import build_model, save_model
from reidkit.table_files import read_table

ROOT = pathlib.Path(gpu.__file__).resolve().parents[1]
CPU = torch.device("cpu")

# What a bare GPU machine lacks of what the course installs.
ABSENT = (
    "umap ipywidgets IPython ipykernel jupyter jupyterlab jupyter_client jupytext nbclient "
    "nbconvert nbformat nbval papermill voila playwright"
).split()

# Runs the command twice as such a machine would, and tells where the package came from.
BARE = f"""
import json, sys
sys.modules.update(dict.fromkeys({ABSENT!r}))  # importing one is an ImportError
from benchmarks.__main__ import main
words = ["gpu", "--size", "tiny", "--device", "cpu", "--out", sys.argv[1], "--minutes", "5"]
codes = [main(words), main(words)]
import reidkit
print(json.dumps([codes, reidkit.__file__, "matplotlib" in sys.modules]))
"""


def make_row(name, measure, **options):
    return Row(name, "things", options.pop("seconds", 0.1), measure, **options)


def take(value, note="as told"):
    """A row's function that finds this value."""
    return lambda run: (value, note)


def fail(run):
    raise RuntimeError("the device\nis on fire")


def run_rows(folder, rows, minutes=1.0, size=TINY):
    """The table after one call, as rows by name."""
    run = Run(size, CPU, folder)
    entries = gpu.measure_rows(rows, run, folder / "gpu.csv", minutes, "abc")
    assert entries == read_table(folder / "gpu.csv")
    return {entry["name"]: entry for entry in entries}


@pytest.mark.slow
def test_all_rows_on_a_bare_machine(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment.pop("REIDKIT_DATA_ROOT", None)
    done = subprocess.run(
        [sys.executable, "-c", BARE, tmp_path],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    codes, package, drew_plots = json.loads(done.stdout.splitlines()[-1])
    assert codes == [0, 0]
    assert pathlib.Path(package).parent == ROOT / "reidkit"
    assert not drew_plots
    entries = read_table(tmp_path / "gpu-tiny.csv")
    assert [entry["name"] for entry in entries] == [row.name for row in ROWS[:-1]]
    assert list(entries[0]) == list(gpu.COLUMNS)
    assert all(float(entry["value"]) >= 0 for entry in entries)
    assert not any(entry["note"].startswith(("goal", gpu.FAILED)) for entry in entries)
    assert entries[0]["goal"] == "at least 200000"
    assert (tmp_path / "drawn-tiny.safetensors").is_file()
    assert done.stdout.count(": kept, ") == len(entries)
    assert "REIDKIT_DATA_ROOT names no folder" in done.stdout
    assert "| drawn world: pictures a second | " in done.stdout
    assert "nothing to commit" in done.stdout


def test_a_finished_row_is_kept_and_the_next_one_measured(tmp_path, capsys):
    run_rows(tmp_path, [make_row("a", take(1))])
    entries = run_rows(tmp_path, [make_row("a", take(2)), make_row("b", take(0))])
    assert entries["a"]["value"] == "1"
    assert entries["b"]["value"] == "0"
    assert entries["a"] | {"date": "", "seconds": ""} == {
        "name": "a",
        "value": "1",
        "unit": "things",
        "goal": "",
        "device": runtime.device_name(CPU),
        "torch": torch.__version__,
        "commit": "abc",
        "date": "",
        "seconds": "",
        "note": "as told",
    }
    run_rows(tmp_path, [make_row("b", fail)])  # 0 is a value, too
    assert "b: kept, 0 things" in capsys.readouterr().out


def test_a_killed_call_keeps_its_rows(tmp_path):
    script = """
import os, pathlib, signal, sys
from benchmarks import gpu
from benchmarks.gpu_rows import Row

folder = pathlib.Path(sys.argv[1])

def killed_once(run):
    if not (folder / "second call").exists():
        (folder / "second call").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2, ""

def first(run):
    return 1, f"by process {os.getpid()}"

gpu.ROWS = [Row("a", "", 0.1, first), Row("b", "", 0.1, killed_once)]
gpu.main(["--size", "tiny", "--device", "cpu", "--out", str(folder)])
"""
    command = [sys.executable, "-c", script, tmp_path]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode != 0
    (before,) = read_table(tmp_path / "gpu-tiny.csv")
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    after = read_table(tmp_path / "gpu-tiny.csv")
    assert after[0] == before
    assert [entry["value"] for entry in after] == ["1", "2"]


def test_a_failing_row_is_recorded_and_tried_again(tmp_path):
    entries = run_rows(tmp_path, [make_row("a", fail), make_row("b", take(1))])
    assert entries["a"]["value"] == ""
    assert entries["a"]["note"] == "failed: RuntimeError: the device is on fire"
    assert entries["b"]["value"] == "1"
    entries = run_rows(tmp_path, [make_row("a", take(3)), make_row("b", fail)])
    assert entries["a"]["value"] == "3"
    assert list(entries) == ["a", "b"]


def test_a_row_that_needs_more_time_than_is_left_is_skipped(tmp_path, capsys):
    size = replace(TINY, share=1.0)
    rows = [make_row("long", take(1), seconds=100), make_row("short", take(2), seconds=10)]
    entries = run_rows(tmp_path, rows, minutes=0.5, size=size)
    assert list(entries) == ["short"]
    assert "long: skipped, needs 100 s of 30 s" in capsys.readouterr().out
    assert gpu.measure_rows(rows, Run(size, CPU, tmp_path), tmp_path / "none.csv", 0, "") == []
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.skipif(not hasattr(gpu.signal, "setitimer"), reason="there is no alarm here")
def test_a_row_is_stopped_when_the_minutes_are_over(tmp_path):
    start = time.monotonic()

    def sleep(run):
        time.sleep(30)

    entries = run_rows(tmp_path, [make_row("a", sleep, seconds=1)], minutes=0.01)
    assert time.monotonic() - start < 10
    assert entries["a"]["note"] == "failed: OutOfTime: the minutes were over before it ended"
    assert gpu.signal.getsignal(gpu.signal.SIGALRM) == gpu.signal.SIG_DFL


def test_a_row_without_what_it_needs_is_skipped(tmp_path, capsys):
    def lack(run):
        raise NotHere("there is no moon")

    run = Run(TINY, CPU, tmp_path)
    assert gpu.measure_rows([make_row("a", lack)], run, tmp_path / "gpu.csv", 1, "") == []
    assert "a: skipped, there is no moon" in capsys.readouterr().out


def test_another_device_has_lines_of_its_own(tmp_path, monkeypatch):
    rows = [make_row("a", take(1))]
    run_rows(tmp_path, rows)
    monkeypatch.setattr(runtime, "device_name", lambda device: "a GPU")
    run = Run(TINY, CPU, tmp_path)
    entries = gpu.measure_rows([make_row("a", take(2))], run, tmp_path / "gpu.csv", 1, "")
    assert [entry["value"] for entry in entries] == ["1", "2"]


@pytest.mark.parametrize("device, judged", [("cpu", False), ("cuda", True)])
def test_goals_are_judged_on_a_gpu_alone(tmp_path, device, judged):
    run = Run(TINY, torch.device(device), tmp_path)
    enough = gpu.measure_row(make_row("a", take(5), least=5), run, 60)
    too_slow = gpu.measure_row(make_row("a", take(1.3), most=1.2), run, 60)
    aimless = gpu.measure_row(make_row("a", take(1.3)), run, 60)
    assert enough["note"] == ("goal met; as told" if judged else "as told")
    assert too_slow["note"] == ("goal missed; as told" if judged else "as told")
    assert aimless["note"] == "as told"


def test_the_end_is_a_table_in_markdown(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gpu, "ROWS", [make_row("a", take(1, "x | y"), most=2), make_row("b", fail)])
    words = ["--size", "tiny", "--device", "cpu", "--out", str(tmp_path), "--commit", "0a1b"]
    assert gpu.main(words) == 1  # a row failed
    lines = capsys.readouterr().out.splitlines()
    assert "| name | value | unit | goal | device | seconds | note |" in lines
    assert sum(line.startswith("| a | 1 | things | at most 2 | ") for line in lines) == 1
    assert sum(line.endswith(" | x / y |") for line in lines) == 1
    assert read_table(tmp_path / "gpu-tiny.csv")[0]["commit"] == "0a1b"


def test_a_full_run_says_how_to_commit(tmp_path, monkeypatch, capsys):
    results = tmp_path / "results"
    results.mkdir()
    (results / "looks.csv").write_text("date\n")
    monkeypatch.setattr(files, "results_dir", lambda: results)
    monkeypatch.setattr(gpu, "ROWS", [])
    assert gpu.main(["--device", "cpu", "--out", str(results.parent)]) == 0
    assert "gpu.csv to data/results/gpu.csv" in capsys.readouterr().out
    assert (tmp_path / "looks.csv").read_text() == "date\n"


def test_a_look_at_unseen_places_is_logged(tmp_path, monkeypatch):
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    monkeypatch.setattr(files, "results_dir", lambda: tmp_path)
    size = replace(TINY, is_recorded=True)
    run = Run(size, CPU, tmp_path)
    with pytest.raises(NotHere, match="no drawn-gpu.safetensors in the folder"):
        score_in_unseen_places(run)
    spec = size.recipe.spec()
    save_model(run.weights, build_model(spec), spec, {})
    value, note = score_in_unseen_places(run)
    assert note.startswith(f"rank1 {value}, rank1 low ")
    (look,) = read_table(tmp_path / "looks.csv")
    assert look["set"] == "drawn unseen places"
    assert look["for"] == "gpu.csv, drawn-gpu"
    assert look["numbers"].startswith("away_rank1 ")
    score_in_unseen_places(replace_size(run, TINY.is_recorded))
    assert len(read_table(tmp_path / "looks.csv")) == 1


def replace_size(run, is_recorded):
    """The same run, and the same weights under the name that they have at its size."""
    other = replace(run, size=replace(run.size, is_recorded=is_recorded))
    other.weights.write_bytes(run.weights.read_bytes())
    return other


def test_sizes_and_rows_are_what_the_goals_are_about():
    assert SIZES == {"full": FULL, "tiny": TINY}
    assert FULL.recipe is drawn.GPU
    assert (FULL.queries, FULL.gallery, FULL.width) == (3368, 19732, 2048)
    assert (FULL.trunk, FULL.size, FULL.drawn_size) == ("resnet50", (256, 128), (128, 64))
    goals = {row.name: row.goal() for row in ROWS if row.goal()}
    assert goals == {
        "drawn world: pictures a second": "at least 200000",
        "drawn world: differences from the reference": "at most 0",
        "BIN step against BN step": "at most 1.2",
        "MetaBIN step against base step": "at most 2.3",
    }
    assert sum(row.seconds for row in ROWS) <= 9 * 60 + 30  # about what one call has
