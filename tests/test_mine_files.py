"""Files of builds that somebody has edited, folders and notes that are damaged."""

import inspect
import json
import os
import time

import pytest
import torch
import training_case
from mine_case import GOOD, TheirScale, is_theirs, is_yours, make_desk, said, take

from reidkit import fingerprints, teach


@pytest.fixture
def desk(tmp_path, monkeypatch):
    with make_desk(tmp_path, monkeypatch) as made:
        yield made


# ---- files that somebody has edited


BAD = {
    "no Python": ("return x * self.factor", "return x *", "SyntaxError"),
    "wrong": ("x * self.factor", "x + self.factor", "is not [4.0, 1.0]"),
    "raising": ("x * self.factor", "x * zero", "name 'zero' is not defined (line 14 of the file"),
    "raising at import": ("class Scale", "1 / 0\nclass Scale", "ZeroDivisionError"),
    "endless at import": ("class Scale", "while True: pass\nclass Scale", "longer than 3 s"),
    "endless": ("return x *", "while True: pass\n        return x *", "longer than 3 s"),
    "leaving": ("class Scale", "raise SystemExit(3)\nclass Scale", "SystemExit: 3"),
    "gone": ("class Scale", "import os; os._exit(5)\nclass Scale", "exit status 5"),
    "flooding": (
        "class Scale",
        "rest = [bytearray(1 << 28) for _ in range(64)]\nclass Scale",
        "MemoryError",
    ),
    "renamed": ("class Scale", "class Other", "it defines none of what is asked for"),
}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in BAD if name != "wrong"]


@pytest.mark.parametrize("name", ["wrong", *SLOW])
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


def test_a_kept_training_is_not_that_of_an_edited_build(desk, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path / "cache"))
    desk.scale()

    def train():
        torch.manual_seed(0)
        model = training_case.net()
        model.trunk.append(take(capsys)[0](1.0))
        return training_case.train(model, steps=2, keep="yours", checkpoint_every=1e9)[1].loaded

    assert [train(), train()] == [False, True]
    desk.edit("x * self.factor", "x * self.factor + 0")
    assert [train(), train()] == [False, True]
    desk.edit("x * self.factor", "x * self.factor  # a comment")
    assert train()


# ---- folders and notes that are damaged


@pytest.mark.slow
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
