"""A student's desk for tests of builds: a folder, a notebook, and a room with two checks."""

import contextlib
import sys

import build_demo
import shell_case
import torch

from reidkit import teach
from reidkit.teach import mine_state, progress_file, rooms

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


@contextlib.contextmanager
def make_desk(tmp_path, monkeypatch):
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


def named(name):
    def function():
        pass

    function.__name__ = name
    return function
