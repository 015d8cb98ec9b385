"""Builds are used, tried in a process of their own, and carried along by an update."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import build_demo
import pytest
import torch
from mine_case import GOOD, SHIFT, TheirScale, is_theirs, is_yours, make_desk, said, take

from reidkit import files, teach
from reidkit.teach import copies, mine_load, mine_state, mine_trial


@pytest.fixture
def desk(tmp_path, monkeypatch):
    with make_desk(tmp_path, monkeypatch) as made:
        yield made


# ---- used


def test_a_run_that_raises_falls_back_with_the_same_chance(desk, capsys):
    desk.scale()
    capsys.readouterr()

    def run(layer):
        number = float(torch.rand(1))
        if layer is not TheirScale:
            raise SystemExit("planted")
        return number

    torch.manual_seed(4)
    expected = float(torch.rand(1))
    torch.manual_seed(4)
    result, whose = teach.use_mine("92-scale", TheirScale, run, name="Scale")
    line = said(capsys)
    assert (result, whose) == (expected, "the package's")
    assert "yours raised SystemExit: planted; the package's TheirScale is used instead" in line
    result, whose = teach.use_mine("92-scale", TheirScale, lambda layer: layer(2).factor, "Scale")
    assert (result, whose) == (2, "yours")

    def stopped(layer):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        teach.use_mine("92-scale", TheirScale, stopped, name="Scale")


def test_with_progress_off_only_what_passed_here_counts(desk, capsys, monkeypatch):
    desk.scale()
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")
    before = sorted((path, path.stat().st_mtime_ns) for path in desk.work.rglob("*"))
    assert is_theirs(capsys, "until yours has passed")
    desk.scale(GOOD.replace("x * self.factor", "self.factor * x"))
    assert "kept as mine/scale.py while this kernel runs" in said(capsys)
    thing, line = take(capsys)
    assert "yours is used (mine/scale.py)" in line and teach.mine_is_yours("92-scale", "Scale")
    assert str(desk.work) not in sys.modules[thing.__module__].__file__
    assert sorted((path, path.stat().st_mtime_ns) for path in desk.work.rglob("*")) == before
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    assert is_yours(capsys)


def test_all_builds_are_shown(desk, capsys):
    teach.mine_all()
    shown = said(capsys)
    assert "0 of 1 builds done" in shown and "work/mine/scale.py  Scale, shift  ○ not yet" in shown
    desk.scale()
    capsys.readouterr()
    teach.mine_all()
    teach.progress()
    shown = said(capsys)
    assert "○ 1 of 2 stations" in shown
    assert "scale     ✓ well done, built" in shown and "shift     ○ not yet\n" in shown
    desk.edit("x * self.factor", "x")
    teach.mine_all()
    assert "? changed since it was tried" in said(capsys)
    assert is_theirs(capsys)
    teach.mine_all()
    assert "✗ does not pass: 3 times" in said(capsys)


# ---- the process of its own


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_ends_the_trial(desk):
    desk.path.parent.mkdir(parents=True)
    desk.path.write_text("while True: pass")
    timer = threading.Timer(2.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        mine_trial.run(desk.path.parent, "scale", [slow_check()], None)
    assert time.monotonic() - begin < 10
    assert not trials()


def slow_check():
    check = build_demo.scale
    return type("Check", (), dict(vars(check), __qualname__="scale", __module__="build_demo"))


def trials():
    psutil = pytest.importorskip("psutil")
    children = psutil.Process().children(recursive=True)
    return [child for child in children if child.status() != psutil.STATUS_ZOMBIE]


OWNER = """
import pathlib, sys
import build_demo
from reidkit.teach import mine_trial
build_demo.scale.build = build_demo.scale.build._replace(seconds=60.0)
mine_trial.run(pathlib.Path(sys.argv[1]), "scale", [build_demo.scale], None)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_the_trial_ends_with_the_process_that_asked(desk, tmp_path):
    psutil = pytest.importorskip("psutil")
    desk.path.parent.mkdir(parents=True)
    sign = tmp_path / "number"
    text = f"import os, pathlib\npathlib.Path({str(sign)!r}).write_text(str(os.getpid()))\n"
    desk.path.write_text(f"{text}class Scale: pass\nwhile True: pass\n")
    folders = [str(files.project_root()), str(pathlib.Path(__file__).parent)]
    folders += [path for path in sys.path if path]
    variables = os.environ | {"PYTHONPATH": os.pathsep.join(folders)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(desk.path.parent)], env=variables)
    until = time.monotonic() + 60
    while not (sign.exists() and sign.read_text()) and time.monotonic() < until:
        time.sleep(0.1)
    number = int(sign.read_text())
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    until = time.monotonic() + 15
    while psutil.pid_exists(number) and time.monotonic() < until:
        if psutil.Process(number).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.1)
    else:
        assert not psutil.pid_exists(number)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_time_limit_rings_in_the_main_thread_only():
    with pytest.raises(mine_trial.TookTooLong), mine_trial.time_limit(0.1):
        time.sleep(20)
    with mine_trial.time_limit(5):
        with mine_trial.time_limit(0.01):  # the outer one counts
            time.sleep(0.05)
    ended = []

    def work():
        with mine_trial.time_limit(0.01):
            time.sleep(0.05)
        ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended and signal.getsignal(signal.SIGALRM) is signal.SIG_DFL


# ---- update


def test_update_carries_builds_along(desk, capsys, monkeypatch):
    desk.scale()
    desk.run(SHIFT + "check.shift(shift)")
    assert copies.main([]) == 0 and copies.main(["--update"]) == 0
    assert not (desk.work / "backups").exists()
    before = desk.path.read_bytes()
    chapter = build_demo.write(desk.work.parent)
    chapter.write_text(chapter.read_text().replace("A chapter with a build", "A better one"))
    capsys.readouterr()
    assert copies.main(["--update"]) == 0
    shown = said(capsys)
    assert "your builds are copied to backups/" in shown and "no longer" not in shown
    (backup,) = (desk.work / "backups").rglob("scale.py")
    assert backup.read_bytes() == before == desk.path.read_bytes()


def test_update_tries_builds_with_newer_checks(desk, capsys, monkeypatch):
    desk.scale()
    monkeypatch.setattr(mine_state, "digest_of", lambda checks: "another")
    capsys.readouterr()
    assert copies.main(["--update"]) == 0
    assert "your builds are copied to" in said(capsys) and is_yours(capsys)
    assert mine_state.notes()["92-scale"]["checks"] == "another"
    monkeypatch.setattr(mine_state, "digest_of", lambda checks: "newer still")
    fault = {"92-scale": ("wrong", "too slow for the newer check")}
    monkeypatch.setattr(mine_trial, "run", lambda *_: mine_trial.Verdicts(fault, ""))
    assert copies.main(["--update"]) == 0
    shown = said(capsys)
    assert "✗ 92-scale: no longer passes in work/mine/scale.py: too slow for the newer" in shown
    assert desk.path.exists() and is_theirs(capsys, "too slow for the newer check")


def test_a_check_that_changes_has_another_digest(tmp_path, monkeypatch):
    text = pathlib.Path(build_demo.__file__).read_text()
    place = tmp_path / "other_checks.py"
    monkeypatch.syspath_prepend(str(tmp_path))
    place.write_text(text)
    import other_checks

    first = mine_state.digest_of([other_checks.scale])
    place.write_text(text.replace("3 * x)", "3.0 * x)", 1))
    second = mine_state.digest_of([other_checks.scale])
    place.write_text(text + "# a comment\n")
    assert first == mine_state.digest_of([other_checks.scale]) != second


def test_names_of_builds_stay_in_their_folder(tmp_path):
    for name in ("../x", "a/b", "a.b", ""):
        with pytest.raises(ValueError, match="expected a name as Python has it"):
            mine_load.path_of(tmp_path, name)
        assert mine_load.read(tmp_path, name) is None
