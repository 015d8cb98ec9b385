"""Exercises of every chapter: solutions pass, planted wrong answers fail for the right reason.

The wrong answers of a chapter stand in `answers.py` in the folder of its room's name.
"""

import itertools
import pathlib
import runpy

import pytest
import torch

from reidkit.teach import rooms, source

CHAPTERS = {chapter.number: chapter for chapter in source.chapters()}
HERE = pathlib.Path(__file__).parent


def wrong_answers():
    """{exercise: [(answer, a word of the verdict)]} of all chapters."""
    answers = {}
    for number in CHAPTERS:
        path = HERE / rooms.room_of(number) / "answers.py"
        if path.is_file():
            answers |= runpy.run_path(str(path))["WRONG"]
    return answers


WRONG = wrong_answers()
TRAINED = {"01b-rescue"}  # their checks train a network


def checks(number):
    module = rooms.load_part(number, "checks")
    return {value.key: value for value in vars(module).values() if hasattr(value, "key")}


def defined(code, number):
    """What a cell of this chapter defines; it knows torch and the modules of the chapter's room."""
    names = {"torch": torch} | {part: rooms.load_part(number, part) for part in rooms.PARTS}
    before = set(names)
    exec(code, names)
    return next(value for name, value in names.items() if name not in before and callable(value))


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")


def parameters(key, *rest):
    """A case of a test; answers that are trained to be judged are slow."""
    marks = [pytest.mark.slow] if key in TRAINED else []
    return pytest.param(key, *rest, marks=marks)


@pytest.mark.parametrize(
    ("key", "code", "word"),
    [parameters(key, *answer) for key, answers in WRONG.items() for answer in answers],
)
def test_a_wrong_answer_fails_and_learns_why(key, code, word, capsys):
    number = key.partition("-")[0]
    verdict = checks(number)[key](defined(code, number))
    said = capsys.readouterr().out
    assert verdict.state == "wrong", said
    assert word in said and said.count("\n") == 1


@pytest.mark.parametrize("key", [parameters(key) for key in WRONG])
def test_the_solution_passes_and_the_stub_does_not(key, capsys):
    number, _, name = key.partition("-")
    chapter = CHAPTERS[number]
    check = checks(number)[key]
    assert check(defined(chapter.cell(f"{name}-solution").source, number)).state == "well done", (
        capsys.readouterr().out
    )
    stub = chapter.cell(f"{name}-stub").source.replace(
        source.check_lines(chapter.cell(f"{name}-stub").source), ""
    )
    assert check(defined(stub, number)).state in ("not yet", "wrong")

    def raising(*_, **__):
        raise RuntimeError("planted")

    assert check(raising).state == "error"


def test_every_exercise_has_planted_wrong_answers():
    assert all(
        word for answers in WRONG.values() for _, word in answers
    )  # an empty word would stand in every verdict
    assert set(WRONG) == set(
        itertools.chain.from_iterable(checks(chapter.number) for chapter in source.chapters())
    )
