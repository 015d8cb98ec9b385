"""Builds are saved when their check passes, and what does not pass leads to the package's."""

import subprocess
import sys
import time

import build_demo
import pytest
import torch
from mine_case import GOOD, SHIFT, is_theirs, is_yours, make_desk, named, said

from reidkit import teach
from reidkit.teach import source
from reidkit.teach.exercises import exercise


@pytest.fixture
def desk(tmp_path, monkeypatch):
    with make_desk(tmp_path, monkeypatch) as made:
        yield made


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


@pytest.mark.slow
def test_a_station_that_breaks_another_says_so(desk, capsys):
    desk.scale()
    desk.run(SHIFT + "check.shift(shift)")
    capsys.readouterr()
    once = GOOD.replace("return x * self.factor", "return x * (3 if self.factor == 3 else 0)")
    desk.scale(once)
    assert "another station of this build does not pass with it: 2 x + 1 is not" in said(capsys)
    assert teach.mine_is_yours("92-scale", "Scale") and not teach.mine_is_yours("92-shift", "shift")


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_passes_here_but_not_from_its_file(desk, capsys):
    desk.names["count"] = [0]
    trick = "import os\nif os.environ.get('REIDKIT_PROGRESS') == 'off':\n    raise KeyError('x')\n"
    desk.scale(trick + GOOD)
    line = said(capsys)
    assert "your cell passes here, but not from its file: KeyError: 'x'" in line
    desk.scale(trick.replace("raise KeyError('x')", "os._exit(0)") + GOOD)
    assert "it ended Python in the middle (exit status 0)" in said(capsys)
    desk.scale(trick.replace("raise KeyError('x')", "while True: pass") + GOOD)
    assert "took longer than 3 s" in said(capsys)
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
        assert "took longer than 3 s" in line
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
