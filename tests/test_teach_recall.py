"""Recall: the questions of every chapter, whose turn it is, and how they are asked and kept."""

import datetime
import importlib
import itertools
import json
import shutil

import pytest

from reidkit import files, teach
from reidkit.teach import progress_file, questions, rooms, source

recall = importlib.import_module("reidkit.teach.recall")
OWN_EXERCISES = {chapter.number: chapter.exercises for chapter in source.chapters()}
WITH_QUESTIONS = ["00", "01", "01b", "02", "03", "04", "11"]
QUESTIONS = [question for number in OWN_EXERCISES for question in questions.load_questions(number)]

TOML = """
[{key}]
question = "Is {key} <b>true</b>?"
options = ["Yes, {key} is.", "No, {key} is not."]
right = 2
why = "Because of {key}."
"""
CHAPTERS = {"90_one": "abcd", "91_two": "ef", "91b_three": "g", "92_four": "h", "93_none": ""}


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A course of demo chapters with rooms of their own, progress on -> the folder of the rooms."""
    sources = tmp_path / "notebooks" / "source"
    sources.mkdir(parents=True)
    folder = tmp_path / "rooms"
    for name, keys in CHAPTERS.items():
        (sources / f"{name}.py").write_text("")
        if keys:
            write(folder, name.partition("_")[2], *(TOML.format(key=key) for key in keys))
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    monkeypatch.delenv("REIDKIT_STATIC", raising=False)
    monkeypatch.setattr(rooms, "room_folder", lambda number: folder / rooms.room_of(number))
    return folder


def write(folder, room, *tables):
    (folder / room).mkdir(parents=True, exist_ok=True)
    (folder / room / "recall.toml").write_text("".join(tables), encoding="utf-8")


def keys_of(chapter, recalled=None, exercises=None):
    record = {"recall": recalled or {}, "exercises": exercises or {}}
    return [question.key for question in questions.choose(chapter, record)]


def entry(asked, right=True):
    return {"asked": asked, "right": right, "times": 1}


# ---- the questions of the course


def test_every_chapter_has_its_questions():
    for number in WITH_QUESTIONS:
        assert 4 <= len(questions.load_questions(number)) <= 6, number


def test_every_key_is_there_once():
    keys = [question.key for question in QUESTIONS]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.key)
def test_a_question_has_its_form(question):
    assert question.right in question.options
    assert question.question.endswith("?") and question.why.endswith(".")
    assert all(option.endswith((".", '."')) for option in question.options)
    lengths = [len(option) for option in question.options]
    assert max(lengths) - min(lengths) <= 12, "the answer is not to be told by its length"
    number, _, exercise = question.exercise.partition("-")
    assert not exercise or exercise in OWN_EXERCISES[number]


def test_the_right_answer_has_no_place_of_its_own():
    for _, group in itertools.groupby(QUESTIONS, lambda question: question.key.partition("-")[0]):
        places = [question.options.index(question.right) for question in group]
        assert {places.count(place) for place in range(3)} <= {1, 2, 3}


# ---- whose turn it is


def test_without_a_record_the_nearest_chapters_ask_first(desk):
    assert keys_of("93") == ["92-h", "91b-g", "91-e"]
    assert keys_of("92") == ["91b-g", "91-e", "90-a"]
    assert keys_of("91") == ["90-a", "90-b", "90-c"]
    assert keys_of("90") == []


def test_what_was_wrong_comes_first_and_what_is_long_ago_next(desk):
    recalled = {
        "92-h": entry("2026-03-01"),
        "91b-g": entry("2026-03-02", right=False),
        "91-e": entry("2026-02-01"),
        "91-f": entry("2026-01-01"),
        "90-d": entry("2026-02-02", right=False),
        "90-b": entry("2026-01-02"),
        "90-c": entry("2026-01-03"),
    }
    assert keys_of("93", recalled) == ["90-d", "91b-g", "90-a"]  # a: never asked
    recalled["90-a"] = entry("2026-03-03")
    assert keys_of("93", recalled) == ["90-d", "91b-g", "91-f"]
    assert keys_of("93", recalled) == keys_of("93", dict(reversed(recalled.items())))


def test_an_exercise_that_went_wrong_brings_its_question_forward(desk):
    tables = [TOML.format(key=key) + f'exercise = "task-{key}"\n' for key in "abcd"]
    write(desk, "one", *tables)
    hard = {"state": "well done", "done": True, "tries": 3}
    wrong = {"state": "wrong", "done": False, "tries": 1}
    easy = {"state": "well done", "done": True, "tries": 2}
    exercises = {"90-task-d": hard, "90-task-c": wrong, "90-task-b": easy}
    assert keys_of("93", {}, exercises) == ["90-c", "90-d", "92-h"]
    recalled = {"92-h": entry("2026-01-01", right=False)}
    assert keys_of("93", recalled, exercises) == ["92-h", "90-c", "90-d"]
    recalled["90-c"] = entry("2026-01-01")  # answered since
    assert keys_of("93", recalled, exercises) == ["92-h", "90-d", "91b-g"]


def test_a_chapter_that_is_none_is_refused(desk):
    with pytest.raises(KeyError, match="'77'.*90_one"):
        teach.recall("77")


# ---- files with another form

BAD = {
    "right = 2": {"right = 3": "right = 3; .*1 to 2", "right = true": "right = True", "": "right"},
    '"Yes, a is.", ': {"": "at least two", '"No, a is not.", ': "different", '"", ': "texts"},
    "why =": {"because =": "because, which nothing reads"},
    '"Because of a."': {'""': "why = ''", "3": "why = 3"},
    "[a]": {"a = 1\n[b]": r"\[a\] is 1; expected a table", "[a": "expected TOML"},
}
CASES = [(old, new, words) for old, cases in BAD.items() for new, words in cases.items()]


@pytest.mark.parametrize(("old", "new", "words"), CASES)
def test_a_file_of_another_form_is_refused(old, new, words, desk):
    text = TOML.format(key="a")
    assert old in text
    write(desk, "one", text.replace(old, new, 1))
    with pytest.raises(ValueError, match=words) as caught:
        teach.recall("91")
    assert "recall.toml" in str(caught.value)


def test_an_exercise_that_is_no_text_is_refused(desk):
    write(desk, "one", TOML.format(key="a") + "exercise = 7\n")
    with pytest.raises(ValueError, match="exercise = 7"):
        teach.recall("91")


# ---- asked and answered


def kept(desk):
    path = files.work_dir() / "progress.json"
    return json.loads(path.read_text(encoding="utf-8"))["recall"]


def test_an_answer_without_buttons_is_told_and_kept(desk, monkeypatch, capsys):
    monkeypatch.setattr(recall, "today", lambda: datetime.date(2026, 5, 4))
    teach.recall("93")
    shown = capsys.readouterr().out
    assert "1. Is h <b>true</b>?" in shown and "teach.answer('92-h', NUMBER)" in shown
    assert "Because" not in shown  # nobody is told before the answer
    teach.answer("92-h", 1)
    said = capsys.readouterr().out
    assert said.startswith("✗") and "No, h is not. Because of h." in said
    assert kept(desk) == {"92-h": {"asked": "2026-05-04", "right": False, "times": 1}}
    monkeypatch.setattr(recall, "today", lambda: datetime.date(2026, 5, 6))
    teach.answer("92-h", "No, h is not.")
    assert capsys.readouterr().out == "✓ Right. Because of h.\n"
    assert kept(desk) == {"92-h": {"asked": "2026-05-06", "right": True, "times": 2}}
    teach.recall("93")
    assert "Is h" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "answer", "error", "words"),
    [
        ("92-h", 3, ValueError, "1 to 2"),
        ("92-h", 0, ValueError, "1 to 2"),
        ("92-h", "Yes", ValueError, "'Yes, h is.'"),
        ("92-h", True, TypeError, "True; expected the number"),
        ("92-h", None, TypeError, "None"),
        ("92-x", 1, KeyError, "92-h"),
        ("93-a", 1, KeyError, "none"),
        ("77-a", 1, KeyError, "77"),
        (7, 1, KeyError, "'7'"),
    ],
)
def test_an_answer_that_is_none(key, answer, error, words, desk):
    with pytest.raises(error, match=words):
        teach.answer(key, answer)
    assert not (files.work_dir() / "progress.json").exists()


class Page:
    """What a notebook would show, by the calls of `display`."""

    def __init__(self):
        self.texts = []  # bundles, one for each output, the newest of each
        self.boxes = []

    def display(self, data, raw=False, metadata=None, display_id=None):
        if not raw:
            self.boxes.append(data)
            return None
        self.texts.append(data)
        return Shown(self.texts, len(self.texts) - 1)


class Shown:
    def __init__(self, texts, place):
        self.texts, self.place = texts, place

    def update(self, bundle, raw):
        self.texts[self.place] = bundle


@pytest.fixture
def page(desk, monkeypatch):
    import IPython
    import IPython.display

    page = Page()
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", page.display)
    return page


def test_a_live_notebook_tells_the_answer_at_once(page, desk):
    teach.recall("93")
    assert len(page.boxes) == len(page.texts) == 3
    for bundle in page.texts:
        assert "Because" not in str(bundle) and "teach.answer(" in bundle["text/html"]
        assert "<b>true" not in bundle["text/html"]
    assert "VBox" not in page.boxes[0]._repr_mimebundle_()["text/plain"]
    buttons, told = page.boxes[1].children
    assert [label for label, _ in buttons.options] == ["Yes, g is.", "No, g is not."]
    buttons.value = "Yes, g is."
    assert buttons.disabled and told.value.startswith("✗") and "Because of g." in told.value
    assert "1 ● Yes, g is." in page.texts[1]["text/plain"]
    assert "Because of g." in page.texts[1]["text/html"]
    assert "Because" not in page.texts[0]["text/html"]
    assert kept(desk)["91b-g"]["right"] is False and len(kept(desk)) == 1


def test_long_options_are_numbered(page, desk):
    long = "because " * 10
    write(desk, "four", TOML.format(key="h").replace('"Yes, h is."', f'"{long}"'))
    teach.recall("93")
    assert page.boxes[0].children[0].options == (("1", long), ("2", "No, h is not."))
    assert "<details>" not in page.texts[0]["text/html"]  # the list is in sight
    assert "<details>" in page.texts[1]["text/html"]


def test_without_ipywidgets_the_answer_is_folded(page, desk, monkeypatch):
    monkeypatch.setattr(recall.importlib.util, "find_spec", lambda name: None)
    teach.recall("93")
    (bundle,) = page.texts
    assert not page.boxes
    folded = "<details><summary>Answer</summary>No, h is not. Because of h.</details>"
    assert folded in bundle["text/html"] and "teach.answer" in bundle["text/html"]


@pytest.mark.parametrize(("name", "value"), [("REIDKIT_STATIC", "1"), ("REIDKIT_PROGRESS", "off")])
def test_the_gallery_has_fixed_questions_with_folded_answers(name, value, page, desk, monkeypatch):
    teach.answer("92-h", 2)
    monkeypatch.setenv(name, value)
    teach.recall("93")
    (bundle,) = page.texts
    assert not page.boxes and bundle["text/html"].count("<details>") == 3
    assert "teach.answer" not in str(bundle)
    assert "Answer 1: No, h is not. Because of h." in bundle["text/plain"]


def test_no_random_state_is_touched(desk, capsys):
    import random

    state = random.getstate()
    teach.recall("93")
    assert random.getstate() == state


def test_a_chapter_without_earlier_questions_says_so(desk, capsys):
    teach.recall("90")
    assert "before 90" in capsys.readouterr().out


def test_a_damaged_entry_is_set_aside_and_the_others_stay(desk, capsys):
    teach.answer("92-h", 2)
    teach.answer("91b-g", 1)
    path = files.work_dir() / "progress.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    for wrong in ("yesterday", 5, None):
        record["recall"]["92-h"]["asked"] = wrong
        path.write_text(json.dumps(record), encoding="utf-8")
        capsys.readouterr()
        assert list(progress_file.load()["recall"]) == ["91b-g"]
    teach.answer("91-e", 1)
    assert set(kept(desk)) == {"91b-g", "91-e"}
    assert len(list(path.parent.glob("progress.*.json"))) == 1


def test_what_can_be_read_of_a_cut_record_is_carried_over(desk, capsys):
    teach.answer("91-e", 1)
    teach.answer("92-h", 2)
    path = files.work_dir() / "progress.json"
    path.write_bytes(path.read_bytes().rstrip()[:-1])
    teach.answer("91b-g", 2)
    assert set(kept(desk)) == {"91-e", "92-h", "91b-g"}


# ---- built notebooks


def test_other_questions_make_a_chapter_stale_that_asks_them(desk):
    from nbformat.v4 import new_code_cell

    asking = [new_code_cell('teach.recall("93")', id="recall", metadata={})]
    silent = [new_code_cell("1 + 1", id="sum", metadata={})]
    before = source.stamps(asking, "93"), source.stamps(silent, "93")
    write(desk, "one", TOML.format(key="z"))  # none of the first three
    assert (source.stamps(asking, "93"), source.stamps(silent, "93")) == before
    shutil.rmtree(desk / "four")
    after = source.stamps(asking, "93"), source.stamps(silent, "93")
    assert after[0][0] != before[0][0] and after[1] == before[1]
