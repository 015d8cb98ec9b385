"""The rerun tool: refusals before anything starts, a grid in parallel, a kill, runs that fail."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
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


SAME = [
    ("SEED=0,0,00", [{"SEED": 0}], "1 runs instead of 3"),
    ("SEED=0, 0,+0,1", [{"SEED": 0}, {"SEED": 1}], "2 runs instead of 4"),
    ("SEED=[0, 0, 2]", [{"SEED": 0}, {"SEED": 2}], "2 runs instead of 3"),
    ('SEED=[0, "00"]', [{"SEED": 0}], "1 runs instead of 2"),
    ("SCALE=1,1.0,1e0,10e-1", [{"SCALE": 1.0}], "1 runs instead of 4"),
    ("SCALE=0,-0.0", [{"SCALE": 0.0}], "1 runs instead of 2"),
    ("PRESET=smoke,smoke", [{"PRESET": "smoke"}], "1 runs instead of 2"),
    ("WORD=red,red,Red", [{"WORD": "red"}, {"WORD": "Red"}], "2 runs instead of 3"),
    ("FAIL=True,True", [{"FAIL": True}], "1 runs instead of 2"),
    ("DEVICE=cpu,cpu", [{"DEVICE": "cpu"}], "1 runs instead of 2"),
]


def with_preset():
    return declared() | {"PRESET": {"inferred_type_name": "str"}}


@pytest.mark.parametrize("wish, tasks, words", SAME)
def test_equal_settings_are_one_run_and_a_line_says_so(wish, tasks, words, capsys):
    assert grid([wish], with_preset()) == tasks
    told = capsys.readouterr().err
    assert wish in told and words in told and len(told.splitlines()) == 1
    found = grid([wish, "SEED=7" if "SEED" not in wish else "WORD=x"], with_preset())
    assert len(found) == len(tasks)


def test_not_a_number_is_one_setting_too():
    assert len(grid(["SCALE=nan,nan,1"], declared())) == 2


def test_auto_is_another_word_for_the_device_of_this_machine():
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    assert grid([f"DEVICE=auto,{device}"], declared()) == [{"DEVICE": "auto"}]


def with_data():
    return declared() | {"DATA": {"inferred_type_name": "str"}}


def test_two_paths_of_one_folder_are_one_run(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "real"
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(folder)
    ways = [str(folder), "real", "./real/", "link", f"{tmp_path}/link/../real"]
    wish = "DATA=" + ",".join(f"pku-reid:{way}" for way in ways)
    assert grid([wish], with_data()) == [{"DATA": f"pku-reid:{folder.resolve()}"}]
    assert "1 runs instead of 5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["Smith, J", "a=b", 'a "b"', "a'b", "[x]", "行人, 二", "{0}"])
def test_a_list_of_json_holds_any_value(name, tmp_path):
    folder = tmp_path / name
    folder.mkdir()
    wish = f"DATA={json.dumps([f'pku-reid:{folder}'])}"
    assert grid([wish], with_data()) == [{"DATA": f"pku-reid:{folder.resolve()}"}]
    several = f"WORD={json.dumps([name, 'two'])}"
    assert grid([several], declared()) == [{"WORD": name}, {"WORD": "two"}]


def test_backslashes_of_windows_are_kept(monkeypatch):
    path = "C:\\data\\new, old"
    assert grid([f"WORD={json.dumps([path])}"], declared()) == [{"WORD": path}]
    assert grid(["WORD=C:\\data\\new"], declared()) == [{"WORD": "C:\\data\\new"}]


@pytest.mark.parametrize(
    "wish, words",
    [
        ("WORD=[red]", ["list of JSON", "-p 'NAME=["]),
        ('WORD=["C:\\data"]', ["list of JSON", "escape"]),
        ('WORD=["C:\\temp"]', ["double each backslash"]),
        ("WORD=[]", ["names no value"]),
        ("WORD=[null]", ["None", "expected words"]),
        ("WORD=[[1]]", ["[1]", "expected words"]),
        ("SEED=[1.5]", ["int", "'1.5'"]),
        ("SEED=[true]", ["int", "'True'"]),
        ("DATA=pku-reid:/data/Smith, J/x", ["no folder", 'DATA=["pku-reid:/data/Smith, J/x"]']),
        ("SEED=0,x", ["'x'", 'SEED=["0,x"]']),
    ],
)
def test_what_cannot_be_quoted_says_how_to_quote(wish, words):
    with pytest.raises(Refused) as refusal:
        grid([wish], with_data())
    assert all(word in str(refusal.value) for word in words), str(refusal.value)


def test_the_help_shows_how_to_quote(capsys):
    with pytest.raises(SystemExit):
        rerun.main(["--help"])
    assert "-p 'DATA=[\"pku-reid:/data/Smith" in capsys.readouterr().out


def test_where_a_wish_has_one_value_a_comma_is_a_comma():
    assert grid(["WORD=a, b"], declared(), several=False) == [{"WORD": "a, b"}]
    assert grid(['WORD=["a, b"]'], declared(), several=False) == [{"WORD": "a, b"}]
    with pytest.raises(Refused, match="several values"):
        grid(["SEED=[0, 1]"], declared(), several=False)


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


NOT_CHAPTERS = {
    "nope.py": None,
    "script.py": "print('hello')\n",
    "empty.py": "",
    "binary.py": b"\x89PNG\xff\x00",
    "yaml.py": "# ---\n# jupyter:\n#   - [\n# ---\n",
    "keys.py": DEMO.replace('key="setup" ', ""),
    "syntax.py": DEMO.replace("score = SCALE", "score = = SCALE"),
}


@pytest.mark.parametrize("name", NOT_CHAPTERS)
def test_what_is_no_chapter_is_refused_in_one_sentence(name, tmp_path, capsys):
    path = tmp_path / name
    content = NOT_CHAPTERS[name]
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert rerun.main([str(path), "--out", str(tmp_path / "runs")]) == 2
    told = capsys.readouterr().err
    assert name in told and "source such as notebooks/source/" in told
    assert len(told.splitlines()) == 1 and not (tmp_path / "runs").exists()


def test_a_folder_with_the_name_of_a_chapter_is_refused(tmp_path, capsys):
    (tmp_path / "x.py").mkdir()
    assert rerun.main([str(tmp_path / "x.py")]) == 2
    assert "no file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words, said",
    [
        (["--jobs", "0"], "from 1"),
        (["--jobs", "two"], "'two'"),
        (["--threads", "-1"], "from 1"),
        (["--threads", "1.5"], "'1.5'"),
        (["--timeout", "0"], "from 1"),
        (["--out", "FILE"], "name a folder"),
        (["--out", "FILE/in"], "name another place"),
        (["--record", "../x"], "--record is '../x'"),
        (["--record", "a/b"], "name of letters"),
        (["--record", ""], "name of letters"),
        (["--record", "."], "name of letters"),
    ],
)
def test_a_command_line_that_cannot_be_run(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    demo = write_demo(tmp_path)
    (tmp_path / "FILE").write_text("")
    words = [word.replace("FILE", str(tmp_path / "FILE")) for word in words]
    if words[1] == "":  # argparse takes it; no table is asked for
        words[1] = " "
    try:
        status = rerun.main([str(demo), *words])
    except SystemExit as ended:
        status = ended.code
    told = capsys.readouterr().err
    assert status == 2 and said in told and "Traceback" not in told
    assert not list(tmp_path.glob("*/*.json"))


def test_a_disk_that_takes_no_table_is_said_before_the_runs(tmp_path, capsys, monkeypatch):
    (tmp_path / "data").write_text("a file where a folder is expected")
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    demo = write_demo(tmp_path)
    assert rerun.main([str(demo), "--record", "x", "--out", str(tmp_path / "runs")]) == 2
    assert "name another place" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


# ---- rows


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
