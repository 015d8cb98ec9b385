"""Checks speak in one line and never raise; the board, guesses and solutions."""

import json
import linecache
import random

import chapter_demo
import numpy as np
import pytest
import torch

from reidkit import teach
from reidkit.teach import exercises
from reidkit.teach.exercises import exercise, expect


def draw_numbers():
    return torch.rand(1), random.random(), np.random.rand()


def seed_all():
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


@exercise("91-add-one")
def add_one(answer):
    value = answer(1)
    draw_numbers()  # a check may draw
    expect(value == 2, f"1 plus 1 is 2, not {value}")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A student's folder, with progress on."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    chapter_demo.write(tmp_path)
    return tmp_path / "work" / "progress.json"


def blank(x): ...


def half(x):
    total = ...
    return total


def unfinished(x):
    total = ...
    return total + x


def pair(x):
    return x, ...


def raising(x):
    y = x
    return y / 0


def leaving(x):
    raise SystemExit


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        (blank, "not yet", "complete or repair the code above"),
        (half, "not yet", ""),
        (unfinished, "not yet", ""),
        (pair, "not yet", ""),
        (None, "not yet", ""),
        (..., "not yet", ""),
        (lambda x: x, "wrong", "1 plus 1 is 2, not 1"),
        (raising, "error", "ZeroDivisionError: division by zero (line"),
        (raising, "error", "return y / 0)"),
        (leaving, "error", "SystemExit"),
        (3, "error", "'int' object is not callable"),
        (lambda x: x + 1, "well done", ""),
    ],
)
def test_verdicts(answer, state, words, capsys):
    verdict = add_one(answer)
    line = capsys.readouterr().out
    assert line.count("\n") == 1 and f"91-add-one [{state}]" in line and words in line
    assert verdict.state == state
    assert verdict == (state == "well done")
    assert bool(verdict) is (state == "well done")


def test_an_untouched_stub_is_not_wrong(desk, tmp_path, capsys):
    """A stub that holds a bug to repair returns a value, yet it is nobody's answer."""
    text = chapter_demo.SOURCE.replace("    ...\n\ncheck", "    return x\n\ncheck")
    chapter_demo.write(tmp_path, text)
    code = 'def add_one(x):\n    """One more."""\n    return x\n'
    path = tmp_path / "cell.py"
    for text, state in ((code, "not yet"), (code.replace("return x", "return x - 1"), "wrong")):
        path.write_text(text, encoding="utf-8")
        names = {}
        exec(compile(text, str(path), "exec"), names)
        linecache.checkcache()
        assert add_one(names["add_one"]).state == state


def test_a_check_leaves_chance_alone():
    seed_all()
    expected = draw_numbers()
    seed_all()
    add_one(lambda x: 2)
    assert draw_numbers() == expected


def test_none_may_be_an_answer():
    def is_none(answer):
        expect(answer() is None, "must be None")

    assert exercise("91-none", none_is_answer=True)(is_none)(lambda: None)
    assert not exercise("91-none")(is_none)(lambda: None)


def test_a_verdict_is_kept_and_done_stays_done(desk, capsys):
    add_one(lambda x: x)
    add_one(lambda x: 2)
    add_one(raising)
    assert json.loads(desk.read_text())["exercises"]["91-add-one"] == {
        "state": "error",
        "done": True,
        "tries": 3,
    }
    capsys.readouterr()
    teach.progress()
    shown = capsys.readouterr().out
    assert "1 of 1 exercises done" in shown and "add-one   ✓ well done" in shown


def test_nothing_is_kept_when_progress_is_off(desk, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")
    add_one(lambda x: 2)
    teach.progress()
    assert not desk.exists() and "0 of 1 exercises done" in capsys.readouterr().out


def test_solution_goes_into_the_next_cell(desk, monkeypatch, capsys):
    code = "def add_one(x):\n    return x + 1\n\ncheck.add_one(add_one)\n"
    for key in ("add-one", "91-add-one"):
        teach.solution(key)
        assert capsys.readouterr().out == code
    with pytest.raises(KeyError, match="91-add-one"):
        teach.solution("add-two")

    class Shell:
        def set_next_input(self, code):
            self.code = code

    shell = Shell()
    import IPython

    monkeypatch.setattr(IPython, "get_ipython", lambda: shell)
    teach.solution("add-one")
    assert shell.code.startswith("def add_one")


def test_public_names_are_functions_even_after_their_files_are_imported():
    import importlib

    for name, home in teach._HOME.items():
        importlib.import_module(f"reidkit.teach.{home}")
        assert not isinstance(getattr(teach, name), type(json)), name
    with pytest.raises(AttributeError, match="nonsense"):
        teach.nonsense  # noqa: B018
    assert exercises.Wrong.__mro__[1] is Exception
