"""The rerun tool: refusals before anything starts, a grid in parallel, a kill, runs that fail."""

import csv
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from demo import DEMO, write_demo

pytest.importorskip("papermill")
pytest.importorskip("joblib")
from reidkit.teach import collect, one_run, rerun  # noqa: E402
from reidkit.teach.parameters import Refused, find, grid  # noqa: E402


def declared():
    return {
        "SEED": {"inferred_type_name": "int"},
        "SCALE": {"inferred_type_name": "float"},
        "WORD": {"inferred_type_name": "str"},
        "FAIL": {"inferred_type_name": "bool"},
        "LOOSE": {"inferred_type_name": "None"},
        "DEVICE": {"inferred_type_name": "str"},
    }


def test_grid_is_the_product_in_declared_types():
    assert grid(["SEED=0,1", "SCALE=2", "FAIL=True"], declared()) == [
        {"SEED": 0, "SCALE": 2.0, "FAIL": True},
        {"SEED": 1, "SCALE": 2.0, "FAIL": True},
    ]
    assert grid([], declared()) == [{}]


@pytest.mark.parametrize(
    "wish, words",
    [
        ("SEDE=1", ["SEDE", "SEED", "Did you mean 'SEED'"]),
        ("SEED=1.5", ["SEED", "int", "'1.5'"]),
        ("SEED=0,x", ["'x'"]),
        ("SCALE=big", ["float"]),
        ("FAIL=yes", ["bool"]),
        ("SEED=-1", ["SEED is -1"]),
        ("LOOSE=1", ["annotate"]),
        ("SEED", ["NAME=VALUE"]),
        ("SEED=", ["NAME=VALUE"]),
        ("DEVICE=cudda", ["cudda", "'auto' or 'cpu'"]),
    ],
)
def test_refusals_name_the_value_and_the_remedy(wish, words):
    with pytest.raises(Refused) as refusal:
        grid([wish], declared())
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_a_parameter_named_twice_is_refused():
    with pytest.raises(Refused, match="twice"):
        grid(["SEED=1", "SEED=2"], declared())


def test_nothing_starts_and_nothing_is_written_when_refused(tmp_path, capsys):
    demo = write_demo(tmp_path)
    for wish in ("TYPO=1", "SEED=one"):
        assert rerun.main([str(demo), "-p", wish, "--out", str(tmp_path / "runs")]) == 2
    assert not (tmp_path / "runs").exists()
    assert "TYPO" in capsys.readouterr().err
    assert rerun.main(["77", "--out", str(tmp_path / "runs")]) == 2


def test_a_chapter_without_parameters_is_refused(tmp_path):
    demo = tmp_path / "90_demo.py"
    demo.write_text(DEMO.replace(' tags=["parameters"]', ""), encoding="utf-8")
    with pytest.raises(Refused, match="no parameters"):
        rerun.run_grid(find(str(demo)), ["SEED=1"], tmp_path)


def rows_of(table):
    with open(table, newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def same_code(monkeypatch):
    """Somebody may be editing the package while a test runs: that makes no other runs of these."""
    monkeypatch.setattr(rerun, "modules_digest", lambda names: "fixed")


@pytest.mark.slow
def test_grid_collects_rows_failures_and_a_picture(tmp_path, same_code, monkeypatch, capsys):
    demo = write_demo(tmp_path)
    variables = dict(os.environ)
    out = tmp_path / "runs"
    wishes = ["-p", "SEED=4", "-p", "FAIL=False,True", "-p", "SCALE=2"]
    words = [str(demo), "--out", str(out), *wishes, "--jobs", "2"]
    assert rerun.main(words) == 1  # one failed, and it says so
    rows = rows_of(out / "90_demo.csv")
    assert [(row["SEED"], row["FAIL"], row["status"], row["score"]) for row in rows] == [
        ("4", "False", "ok", "24.0"),
        ("4", "True", "failed", ""),
    ]
    assert rows[1]["error"] == "RuntimeError: planted" and not rows[0]["error"]
    # One thread, by the environment and by the parameter.
    assert rows[0]["threads_seen"] == "1" and rows[0]["asked"] == "1"
    for name in ("python", "torch", "device", "commit", "date", "seconds"):
        assert all(row[name] for row in rows), name
    # What was not asked for is there with its default.
    assert rows[0]["word"] == rows[0]["WORD"] == "red"
    assert (out / "90_demo.png").read_bytes().startswith(b"\x89PNG")
    assert dict(os.environ) == variables
    capsys.readouterr()
    assert rerun.main(words) == 1  # failed rows stay
    assert "2 finished before, 0 to do" in capsys.readouterr().out
    monkeypatch.setattr(rerun, "run_one", lambda *_: {"status": "ok"})
    assert rerun.main([*words, "--retry", "--jobs", "1"]) == 1
    assert "1 finished before, 1 to do" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_survives_a_kill(tmp_path):
    demo = write_demo(tmp_path)
    out = tmp_path / "runs"
    code = (
        "import sys; from reidkit.teach import rerun; "
        "rerun.modules_digest = lambda names: 'fixed'; "
        "sys.exit(rerun.main(sys.argv[1:]))"
    )
    words = [sys.executable, "-c", code, str(demo), "--out", str(out), "-p", "SEED=0,1"]
    first = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    until = time.monotonic() + 60
    while not list(out.glob("*/*.json")) and time.monotonic() < until:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*.json")}
    assert len(times) == 1 and not (out / "90_demo.csv").exists()
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "1 finished before, 1 to do" in ended.stdout
    assert all(path.stat().st_mtime_ns == time_before for path, time_before in times.items())
    assert [row["score"] for row in rows_of(out / "90_demo.csv")] == ["15.0", "16.0"]


def count_kernels(processes):
    return sum("ipykernel" in " ".join(process.cmdline()) for process in processes)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_no_process_outlives_a_killed_rerun(jobs, tmp_path):
    psutil = pytest.importorskip("psutil")
    demo = write_demo(tmp_path)
    out = tmp_path / "runs"
    words = [sys.executable, "-m", "reidkit.teach.rerun", str(demo), "--out", str(out)]
    words += ["--jobs", jobs, "-p", "SEED=0,1", "-p", "PAUSE=90"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    first = subprocess.Popen(words, cwd=one_run.files.project_root(), **quiet)
    started = []
    until = time.monotonic() + 60
    while count_kernels(started) < int(jobs) and time.monotonic() < until:
        time.sleep(0.2)
        started = psutil.Process(first.pid).children(recursive=True)
    assert count_kernels(started) == int(jobs)
    time.sleep(2)  # they work
    first.kill()
    first.wait()
    gone, alive = psutil.wait_procs(started, timeout=10)
    assert not [process for process in alive if process.status() != "zombie"]
    assert not list(out.glob("*/*.json"))  # neither finished nor failed


@pytest.mark.slow
def test_a_killed_kernel_is_no_failure_of_the_chapter(tmp_path, same_code, capsys):
    demo = tmp_path / "90_demo.py"
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    demo.write_text(DEMO.replace("time.sleep(PAUSE)", kill), encoding="utf-8")
    out = tmp_path / "runs {0}"
    assert rerun.main([str(demo), "--out", str(out)]) == 1
    told = capsys.readouterr()
    assert "stopped, and not finished" in told.err and "same line again" in told.err
    assert [row["status"] for row in rows_of(out / "90_demo.csv")] == ["stopped"]
    assert not list(out.glob("*/*.json"))


@pytest.mark.slow
def test_a_recorded_table_is_noted_and_checked(tmp_path, same_code, monkeypatch):
    from reidkit.teach.recorded import recorded

    demo = write_demo(tmp_path)
    out = tmp_path / "runs, {x}"
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(rerun.__file__).parents[2]))
    words = [str(demo), "--out", str(out), "-p", "SEED=0,1", "-p", 'WORD=["a \\"b\\", <c>"]']
    assert rerun.main([*words, "--record", "mine"]) == 0
    table = recorded("mine")
    assert [row["word"] for row in table.rows] == ['a "b", <c>'] * 2
    assert table.values("score") == [15.0, 16.0]
    path = tmp_path / "data" / "results" / "mine.csv"
    path.write_bytes(path.read_bytes().replace(b"16.0", b"61.0"))
    with pytest.raises(ValueError, match="mine.csv: row 2 .* is not as it was recorded"):
        recorded("mine")


@pytest.mark.slow
def test_other_sources_make_other_runs(tmp_path, same_code, monkeypatch):
    tasks_run = []

    def fake(template, parameters, target, *_):
        tasks_run.append(parameters)
        row = {"parameters": parameters, "records": {"score": 1.0}, "status": "ok", "error": ""}
        one_run.write_row(target, row)
        return row

    monkeypatch.setattr(rerun, "run_one", fake)
    demo = write_demo(tmp_path)
    for expected in (2, 2):  # the second call runs nothing
        rerun.run_grid(find(str(demo)), ["SEED=0,1"], tmp_path / "runs", progress=False)
        assert len(tasks_run) == expected
    demo.write_text(DEMO.replace("* 10", "* 20"), encoding="utf-8")
    rerun.run_grid(find(str(demo)), ["SEED=0,1"], tmp_path / "runs", progress=False)
    assert len(tasks_run) == 4


def test_picture_has_a_panel_for_each_number_and_a_line_for_each_setting():
    rows = []
    for seed in range(3):
        for m in ("in", "bn"):
            for k in (1, 2):
                parameters = {"SEED": seed, "M": m, "K": k}
                records = {"a": seed + k, "b": 1.0, "word": "x"}
                rows.append({"parameters": parameters, "records": records, "status": "ok"})
    failed = {"parameters": {"SEED": 9, "M": "in", "K": 1}, "records": {}, "status": "failed"}
    figure = collect.picture([*rows, failed])
    assert [panel.get_ylabel() for panel in figure.axes] == ["a", "b"]
    assert figure.axes[0].get_xlabel() == "M"
    assert len(figure.axes[0].get_legend().get_texts()) == 2
    assert collect.picture([failed]) is None
