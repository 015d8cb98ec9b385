"""Builds: saved when they pass, tried in a process of their own, and used afterwards."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import build_demo
import pytest
import shell_case
import torch

from reidkit import files, fingerprints, teach
from reidkit.teach import copies, mine_load, mine_state, mine_trial, progress_file, rooms, source
from reidkit.teach.exercises import exercise

SETUP = """
import math
import torch
import torch.nn.functional as F
from torch import Tensor, nn
import build_demo as check
from reidkit import teach
"""
GOOD = """class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor
"""
SHIFT = "def shift(x: Tensor) -> Tensor:\n    return Scale(2)(x) + 1\n"


class TheirScale(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A student's folder, with progress on, and a notebook; its checks stand in a room."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    monkeypatch.setattr(progress_file, "_told", set())
    monkeypatch.setattr(mine_state, "_seen", {})
    monkeypatch.setattr(mine_state, "_notes", {})
    room = {"92": build_demo, "93": build_demo}
    monkeypatch.setattr(rooms, "load_part", lambda number, part: room.get(number))
    mine_state._own_folder.cache_clear()
    build_demo.write(tmp_path)
    shell = shell_case.put(monkeypatch)
    shell.run(SETUP)
    yield Desk(tmp_path / "work", shell)
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


class Desk:
    def __init__(self, work, shell):
        self.work = work
        self.run = shell.run
        self.names = shell.user_ns
        self.path = work / "mine" / "scale.py"

    def scale(self, code=GOOD):
        self.run(code + "\ncheck.scale(Scale)")

    def edit(self, old, new):
        text = self.path.read_text()
        assert old in text
        self.path.write_text(text.replace(old, new))


def said(capsys):
    return capsys.readouterr().out


def take(capsys):
    """(what teach.mine gives, what it says)"""
    capsys.readouterr()
    thing = teach.mine("92-scale", default=TheirScale, name="Scale")
    return thing, said(capsys)


def is_theirs(capsys, *words):
    thing, line = take(capsys)
    assert line.count("\n") == 1 and "the package's TheirScale is used" in line
    for word in words:
        assert word in line, line
    assert not teach.mine_is_yours("92-scale", "Scale")
    return thing is TheirScale


def is_yours(capsys, *words):
    thing, line = take(capsys)
    assert line.count("\n") == 1 and "yours is used (work/mine/scale.py" in line, line
    for word in words:
        assert word in line, line
    assert teach.mine_is_yours("92-scale", "Scale")
    return thing.__module__ == "mine.scale" and thing(3)(torch.ones(1)) == 3


# ---- saved


def test_a_cell_that_passes_is_saved_and_used(desk, capsys):
    assert is_theirs(capsys, "until yours has passed")
    desk.scale()
    lines = said(capsys).splitlines()
    assert lines == ["✓ 92-scale [well done]", "  saved to work/mine/scale.py"]
    text = desk.path.read_text()
    assert GOOD in text and "from torch import nn\n" in text and "check" not in text.split('"""')[2]
    assert not [path for path in desk.path.parent.iterdir() if path.name.endswith(".part")]
    assert is_yours(capsys)
    words = [sys.executable, "-c", "from mine.scale import Scale; print(Scale(2).factor)"]
    ran = subprocess.run(words, cwd=desk.work, capture_output=True, text=True)
    assert ran.stdout == "2\n", ran.stderr  # the student's own package


def test_stations_stand_in_their_order_and_know_each_other(desk, capsys):
    desk.run(SHIFT.replace("Scale(2)(x)", "2 * x") + "check.shift(shift)")
    desk.scale()
    desk.run(SHIFT + "check.shift(shift)")
    text = desk.path.read_text()
    assert text.index("class Scale") < text.index("def shift") and "Scale(2)(x)" in text
    assert said(capsys).count("  saved to work/mine/scale.py\n") == 3
    assert teach.mine("92-scale", torch.nn.Identity, name="shift")(torch.ones(1)) == 3
    assert teach.mine("92-shift", default=named("shift")).__name__ == "shift"
    assert teach.mine_is_yours("92-scale")
    with pytest.raises(ValueError, match="defines Scale, shift, and no 'Identity'"):
        teach.mine("92-scale", torch.nn.Identity)
    with pytest.raises(ValueError, match="no build has the key 'scale'"):
        teach.mine("scale", torch.nn.Identity)


def named(name):
    def function():
        pass

    function.__name__ = name
    return function


def test_a_station_that_breaks_another_says_so(desk, capsys):
    desk.scale()
    desk.run(SHIFT + "check.shift(shift)")
    capsys.readouterr()
    once = GOOD.replace("return x * self.factor", "return x * (3 if self.factor == 3 else 0)")
    desk.scale(once)
    assert "another station of this build does not pass with it: 2 x + 1 is not" in said(capsys)
    assert teach.mine_is_yours("92-scale", "Scale") and not teach.mine_is_yours("92-shift", "shift")


def test_an_earlier_build_is_imported_from_its_file(desk, capsys):
    desk.scale()
    later = "def later():\n    return int(Scale(2)(torch.tensor(3)))\n"
    desk.run(later + "check.later(later)")
    text = (desk.path.parent / "later.py").read_text()
    assert "import torch\nfrom .scale import Scale\n" in text
    assert teach.mine("93-later", named("later"))() == 6
    desk.edit("x * self.factor", "x * self.factor * 1")  # then both are tried again
    capsys.readouterr()
    assert teach.mine("93-later", named("later"))() == 6
    assert "tried again" in said(capsys)


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        (f"{GOOD}\nout = helper(1)\n", "helper is defined in another cell; put helper into"),
        (f"{GOOD}\nout = data + 1\n", "data is a Tensor of another cell"),
        (f"%time 1\n{GOOD}", "'%time'"),
        ("Scale = Other\n", "Other is defined in another cell"),
        ("", "does not define Scale; put your code and its check into one cell"),
    ],
)
def test_what_cannot_be_saved_is_said(desk, cell, words, capsys):
    names = {"torch": torch, "nn": torch.nn}
    exec(GOOD.replace("Scale", "Other"), names)
    names["Other"].__module__ = "__main__"
    desk.names.update(Other=names["Other"], Scale=names["Other"], data=torch.zeros(1))
    desk.run("def helper(x):\n    return x")
    desk.scale(cell)
    line = said(capsys)
    assert "[well done]" in line and "92-scale is not saved: " in line and words in line, line
    assert not desk.path.exists()


def test_what_passes_here_but_not_from_its_file(desk, capsys):
    desk.names["count"] = [0]
    trick = "import os\nif os.environ.get('REIDKIT_PROGRESS') == 'off':\n    raise KeyError('x')\n"
    desk.scale(trick + GOOD)
    line = said(capsys)
    assert "your cell passes here, but not from its file: KeyError: 'x'" in line
    desk.scale(trick.replace("raise KeyError('x')", "os._exit(0)") + GOOD)
    assert "it ended Python in the middle (exit status 0)" in said(capsys)
    desk.scale(trick.replace("raise KeyError('x')", "while True: pass") + GOOD)
    assert "took longer than 2 s" in said(capsys)
    assert not desk.path.exists()


def test_a_check_of_a_notebook_cannot_be_tried(desk, capsys):
    @exercise("92-local", build="local", names=("local",))
    def local(answer):
        pass

    desk.names["local_check"] = local
    desk.run("local = 3\nlocal_check(local)")
    assert "a build's check stands in its chapter's room" in said(capsys)


def test_builds_without_a_name_are_refused():
    for build, names in (("a-b", ("x",)), ("norm", ()), ("norm", "Norm")):
        with pytest.raises(ValueError, match="expected a name that Python can import"):
            exercise("02-norm", build=build, names=names)


# ---- stubs


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("class Scale(nn.Module):\n    def forward(self, x):\n        ...\n", "not yet"),
        (GOOD.replace("return x * self.factor", "y = ...\n        return y"), "not yet"),
        (GOOD.replace("x * self.factor", "x + self.factor"), "wrong"),
        (GOOD.replace("x * self.factor", "x / zero"), "error"),
        (GOOD.replace("return x *", "raise SystemExit\n        return x *"), "error"),
        (GOOD.replace("return x *", "while True: pass\n        return x *"), "error"),
    ],
)
def test_stubs_that_do_not_pass(desk, code, state, capsys):
    begin = time.monotonic()
    desk.scale(code)
    line = said(capsys)
    assert f"[{state}]" in line and line.count("\n") == 1, line
    assert time.monotonic() - begin < 10
    if "while" in code:
        assert "took longer than 2 s" in line
    if "zero" in code:
        assert "name 'zero' is not defined (line 7 of this cell: " in line
    assert not desk.path.exists() and is_theirs(capsys)


def test_the_stub_as_it_came_is_not_wrong(desk, capsys):
    """A class of a notebook has no source of its own to compare: the cell's text has."""
    path = build_demo.write(desk.work.parent)
    path.write_text(path.read_text().replace("        ...\n", "        return x\n"))
    stub = source.chapters()[0].cell("scale-stub").source
    desk.run(stub)
    assert "[not yet]" in said(capsys)
    desk.run(stub.replace("return x", "return -x"))
    assert "[wrong]" in said(capsys)


# ---- files that somebody has edited


BAD = {
    "no Python": ("return x * self.factor", "return x *", "SyntaxError"),
    "wrong": ("x * self.factor", "x + self.factor", "is not [4.0, 1.0]"),
    "raising": ("x * self.factor", "x * zero", "name 'zero' is not defined (line 14 of the file"),
    "raising at import": ("class Scale", "1 / 0\nclass Scale", "ZeroDivisionError"),
    "endless at import": ("class Scale", "while True: pass\nclass Scale", "longer than 2 s"),
    "endless": ("return x *", "while True: pass\n        return x *", "longer than 2 s"),
    "leaving": ("class Scale", "raise SystemExit(3)\nclass Scale", "SystemExit: 3"),
    "gone": ("class Scale", "import os; os._exit(5)\nclass Scale", "exit status 5"),
    "flooding": ("class Scale", "rest = [bytearray(1 << 28) for _ in range(64)]\nclass Scale", ""),
    "renamed": ("class Scale", "class Other", "it defines none of what is asked for"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_no_longer_passes_leads_to_the_packages(name, desk, capsys):
    old, new, words = BAD[name]
    desk.scale()
    desk.edit(old, new)
    assert is_theirs(capsys, "work/mine/scale.py does not pass", words)
    begin = time.monotonic()
    assert is_theirs(capsys, words)  # it is not tried twice
    assert time.monotonic() - begin < 1
    desk.scale()  # and the cell mends it; what was edited is kept
    assert "saved to work/mine/scale.py" in said(capsys) and is_yours(capsys)


def test_a_file_edited_by_hand_is_tried_again_and_kept_when_the_cell_is_saved(desk, capsys):
    desk.scale()
    desk.edit("x * self.factor", "self.factor * x  # by hand")
    assert is_yours(capsys, "tried again")
    _, line = take(capsys)
    assert "tried again" not in line
    desk.edit("# by hand", "# once more, by hand")
    desk.scale()
    line = said(capsys)
    assert "the file as you had edited it: backups/" in line
    (backup,) = (desk.work / "backups").rglob("scale.py")
    assert "once more, by hand" in backup.read_text() and "by hand" not in desk.path.read_text()


def test_prints_of_a_file_are_lost_and_chance_is_kept(desk, capsys):
    desk.scale("print('hello')\ntorch.manual_seed(3)\n" + GOOD)
    assert said(capsys).count("hello") == 1  # of the cell itself
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    assert is_yours(capsys)
    assert torch.equal(torch.rand(1), expected)


def test_one_broken_file_hides_no_other(desk, capsys):
    desk.scale()
    (desk.path.parent / "gates.py").write_text("1 / 0")
    (desk.path.parent / "__init__.py").write_text("1 / 0")
    assert is_yours(capsys)


def test_builds_that_import_each_other_in_a_circle(desk, capsys):
    desk.scale()
    (desk.path.parent / "later.py").write_text("from .scale import Scale\n")
    desk.edit("class Scale", "from .later import Scale as Other\nclass Scale")
    assert is_theirs(capsys, "import each other: scale, later")


def test_a_new_text_is_another_module_and_the_old_one_keeps_its_source(desk, capsys):
    import inspect

    desk.scale()
    first, _ = take(capsys)
    described = fingerprints.describe(first)
    assert take(capsys)[0] is first
    desk.edit("x * self.factor", "self.factor * x")
    second, _ = take(capsys)
    assert second is not first
    assert fingerprints.describe(first) == described != fingerprints.describe(second)
    assert "x * self.factor" in inspect.getsource(first.forward)
    assert "self.factor * x" in inspect.getsource(second.forward)
    desk.edit("class Scale", "# a comment\nclass Scale")
    assert fingerprints.describe(take(capsys)[0]) == fingerprints.describe(second)


# ---- folders and notes that are damaged


def test_lost_notes_are_made_again(desk, capsys):
    desk.scale()
    for damage in (b"", b"{", b'{"builds": 3}', b'{"builds": {"92-scale": 7}}'):
        (desk.work / "progress.json").write_bytes(damage)
        capsys.readouterr()
        assert teach.mine("92-scale", TheirScale, name="Scale").__module__ == "mine.scale"
        assert "tried again" in said(capsys)
        note = json.loads((desk.work / "progress.json").read_text())["builds"]["92-scale"]
        assert note["passed"] == {"92-scale": ["Scale"]}


def test_a_file_in_the_place_of_the_folder(desk, capsys):
    desk.work.mkdir(exist_ok=True)
    desk.path.parent.write_text("a file")
    desk.scale()
    line = said(capsys)
    assert "92-scale is not saved: " in line and "a file stands where a folder" in line
    assert teach.mine("92-scale", TheirScale, name="Scale") is TheirScale
    teach.mine_all()
    assert "○ not yet" in said(capsys)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(desk, capsys):
    desk.path.parent.mkdir(parents=True)
    desk.path.parent.chmod(0o500)
    desk.scale()
    desk.path.parent.chmod(0o700)
    assert "92-scale is not saved: Permission denied" in said(capsys)


def test_a_folder_in_the_place_of_the_file(desk, capsys):
    desk.path.mkdir(parents=True)
    desk.scale()
    assert "92-scale is not saved: " in said(capsys)
    assert is_theirs(capsys)


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
