"""Runs that are finished and those that are not: damaged rows, locked runs, stopped ones."""

import json
import threading
import time

import pytest
from demo import write_demo

pytest.importorskip("papermill")
pytest.importorskip("joblib")
from reidkit.teach import one_run, rerun  # noqa: E402
from reidkit.teach.parameters import find  # noqa: E402

ROW = {"parameters": {"SEED": 0}, "records": {"score": 12.5}, "status": "ok", "error": ""}


def damaged_rows():
    whole = json.dumps({"row": ROW, "digest": one_run.files.digest(ROW)})
    return {
        "null": "null",
        "a list": "[]",
        "a word": '"row"',
        "nothing": "",
        "no row": '{"row": null, "digest": ""}',
        "no records": whole.replace('{"score": 12.5}', "null"),
        "records gone": json.dumps({"row": {"status": "ok"}, "digest": "x"}),
        "a digit": whole.replace("12.5", "13.5"),
        "cut": whole[: len(whole) // 2],
        "of before": json.dumps(ROW),
        "no text": b"\xff\xfe{}",
        "a matching digest of a wrong row": json.dumps(
            {"row": {"status": "ok"}, "digest": one_run.files.digest({"status": "ok"})}
        ),
    }


@pytest.mark.parametrize("name", damaged_rows())
def test_a_damaged_row_runs_again_and_a_line_says_so(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(rerun, "modules_digest", lambda names: "fixed")
    ran = []

    def fake(template, parameters, target, *_):
        ran.append(parameters)
        one_run.write_row(target, ROW | {"parameters": parameters})
        return ROW | {"parameters": parameters}

    monkeypatch.setattr(rerun, "run_one", fake)
    chapter = find(str(write_demo(tmp_path)))

    def run():
        return rerun.run_grid(chapter, ["SEED=0,1"], tmp_path / "runs", progress=False)

    expected = run()
    (path,) = (tmp_path / "runs" / "90_demo").glob("SEED=0*.json")
    content = damaged_rows()[name]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    capsys.readouterr()
    assert run() == expected and len(ran) == 3
    told = capsys.readouterr()
    assert path.name in told.err and "it runs again" in told.err
    assert "1 finished before, 1 to do" in told.out
    assert run() == expected and len(ran) == 3


def test_a_run_that_another_process_computes_is_waited_for(tmp_path, monkeypatch, capsys):
    target = str(tmp_path / "SEED=0")

    def compute(template, parameters, target, conditions):
        raise AssertionError("it was computed twice")

    monkeypatch.setattr(one_run, "_compute", compute)

    def other():
        with one_run.files.locked(target):
            held.set()
            time.sleep(1.5)
            one_run.write_row(target, ROW)

    held = threading.Event()
    thread = threading.Thread(target=other)
    thread.start()
    held.wait()
    assert one_run.run_one("t.ipynb", {"SEED": 0}, target) == ROW
    thread.join()
    assert "another rerun is computing this run" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [RuntimeError("the kernel died"), OSError(28, "disk full")])
def test_a_run_that_is_stopped_has_no_row(problem, tmp_path, monkeypatch):
    import papermill

    def stop(*given, **options):
        raise problem

    monkeypatch.setattr(papermill, "execute_notebook", stop)
    target = str(tmp_path / "SEED=0")
    row = one_run.run_one("t.ipynb", {"SEED": 0}, target)
    assert row["status"] == "stopped" and row["error"]
    assert one_run.finished_row(target) is None
