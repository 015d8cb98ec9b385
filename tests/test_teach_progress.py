"""work/progress.json: nothing in it is lost, whatever happens to it; guesses, with and without
buttons.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time

import chapter_demo
import pytest

from reidkit import files, teach
from reidkit.teach import progress_file
from reidkit.teach.exercises import exercise, expect
from reidkit.teach.progress import note
from reidkit.teach.progress_file import load

DONE = {"state": "well done", "done": True, "tries": 2}
GUESS = 'a "guess" of ä, {braces}'


@exercise("91-add-one")
def add_one(answer):
    expect(answer(1) == 2, "1 plus 1 is 2")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A student's folder, with progress on; returns the path of the record."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    monkeypatch.setattr(progress_file, "_told", set())
    monkeypatch.setattr(progress_file, "_patience", progress_file.PATIENCE)
    chapter_demo.write(tmp_path)
    return tmp_path / "work" / "progress.json"


def fill(path, count=12):
    """A record of `count` exercises and one guess, as the course writes it -> its bytes."""
    for number in range(count):
        note(f"01-task-{number}", "well done")
    progress_file.change(lambda record: record["guesses"].update({"01-guess": GUESS}))
    return path.read_bytes()


def set_aside(path):
    return sorted(place for place in path.parent.glob("progress.*.json"))


DAMAGES = {
    "last brace gone": lambda good: good.rstrip()[:-1],
    "cut in the middle": lambda good: good[: len(good) // 2],
    "empty": lambda good: b"",
    "zeros": lambda good: bytes(len(good)),
    "a list": lambda good: b"[]",
    "null": lambda good: b"null",
    "a web page": lambda good: b"<html>not here</html>",
    "deep": lambda good: b"[" * 100_000,
    "no text": lambda good: b"\xff\xfe\xfa" + good,
    "two files": lambda good: good + good,
    "a conflict": lambda good: b"<<<<<<< HEAD\n" + good + b"=======\n" + good + b">>>>>>> b\n",
    "exercises a list": lambda good: good.replace(b'"exercises": {', b'"exercises": [], "x": {'),
    "exercises null": lambda good: b'{"exercises": null, "guesses": {}}',
    "a verdict that is a number": lambda good: good.replace(b'"01-task-0": {', b'"y": 5, "z": {'),
    "tries a text": lambda good: good.replace(b'"tries": 1', b'"tries": "many"', 1),
    "tries below 0": lambda good: good.replace(b'"tries": 1', b'"tries": -1', 1),
    "done a number": lambda good: good.replace(b'"done": true', b'"done": 7', 1),
    "an unknown state": lambda good: good.replace(b'"well done"', b'"wellxdone"', 1),
    "a flipped bit in a key": lambda good: good.replace(b'"01-task-0"', b'"01-tasc-0"'),
    "a flipped bit in a name": lambda good: b'"exercisas": {'.join(
        good.rsplit(b'"exercises": {', 1)
    ),
    "a guess that is a list": lambda good: b'{"guesses": {"01-guess": ["a"]}}',
    "half a letter": lambda good: b'{"guesses": {"01-guess": "\\ud800"}}',
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_record_is_set_aside_and_said(name, desk, capsys):
    damaged = DAMAGES[name](fill(desk))
    desk.write_bytes(damaged)
    capsys.readouterr()
    assert add_one(lambda x: x + 1)
    said = capsys.readouterr().out.splitlines()
    (aside,) = set_aside(desk)
    assert aside.read_bytes() == damaged
    assert said[0].startswith("✓") and len(said) == 2 and aside.name in said[1]
    assert load()["exercises"]["91-add-one"] == {"state": "well done", "done": True, "tries": 1}
    assert add_one(lambda x: x + 1)  # the record is whole again
    assert len(set_aside(desk)) == 1 and "damaged" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "kept"), [("last brace gone", 12), ("cut in the middle", 3), ("tries a text", 12)]
)
def test_what_can_be_read_is_carried_over(name, kept, desk):
    desk.write_bytes(DAMAGES[name](fill(desk)))
    note("91-add-one", "wrong")
    done = [key for key, verdict in load()["exercises"].items() if verdict.get("done")]
    assert len(done) >= kept
    if name == "last brace gone":
        assert load()["guesses"] == {"01-guess": GUESS}


def test_any_flipped_bit_is_noticed(desk, capsys):
    good = fill(desk, 3)
    chance = random.Random(0)
    for _ in range(60):
        place = chance.randrange(len(good))
        damaged = bytearray(good)
        damaged[place] ^= 1 << chance.randrange(8)
        desk.write_bytes(damaged)
        is_read = damaged.strip() == good.strip() or _content(damaged) == _content(good)
        before = len(set_aside(desk))
        note("91-add-one", "wrong")
        assert is_read or len(set_aside(desk)) > before, bytes(damaged[place - 9 : place + 9])
        assert load()["exercises"]["91-add-one"]["tries"] == 1


def _content(content):
    """What a record says; None where it says nothing."""
    try:
        return {key: json.loads(content)[key] for key in ("exercises", "guesses")}
    except (ValueError, KeyError):
        return None


def test_set_aside_files_never_collide(desk):
    for number in range(3):
        files.write_atomic(desk, f"half {number}")
        note("91-add-one", "wrong")
    assert {path.read_text() for path in set_aside(desk)} == {"half 0", "half 1", "half 2"}


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16"])
def test_another_coding_is_no_damage(coding, desk):
    desk.parent.mkdir()
    text = json.dumps({"exercises": {"01-a": DONE}}, indent=1)
    desk.write_bytes(text.replace("\n", "\r\n").encode(coding))
    note("91-add-one", "wrong")
    assert load()["exercises"]["01-a"] == DONE and not set_aside(desk)


def test_what_a_newer_course_wrote_stays(desk):
    desk.parent.mkdir()
    newer = {"later": {"05-a": [1, 2]}, "exercises": {"01-a": DONE | {"minutes": 3}}}
    desk.write_text(json.dumps(newer))
    note("91-add-one", "wrong")
    written = json.loads(desk.read_text())
    assert written["later"] == {"05-a": [1, 2]} and written["exercises"]["01-a"]["minutes"] == 3
    written["later"]["05-b"] = []
    desk.write_text(json.dumps(written))
    note("01-a", "wrong")
    written = json.loads(desk.read_text())
    assert "05-b" in written["later"] and not set_aside(desk)
    assert written["exercises"]["01-a"] == DONE | {"minutes": 3, "state": "wrong", "tries": 3}


def test_the_board_of_a_damaged_record_says_so_and_changes_nothing(desk, capsys):
    note("91-add-one", "well done")
    damaged = desk.read_bytes().rstrip()[:-1]
    desk.write_bytes(damaged)
    teach.progress()
    said = capsys.readouterr().out
    assert "progress.json is damaged" in said and "1 of 1 exercises done" in said
    assert desk.read_bytes() == damaged and not set_aside(desk)


def test_a_record_that_may_not_be_read_stays_and_costs_one_line(desk, monkeypatch, capsys):
    good = fill(desk)

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.read_bytes", refuse)
        assert add_one(lambda x: x + 1)
        assert add_one(lambda x: x + 1)
    said = capsys.readouterr().out
    assert said.count("Permission denied") == 1 and "REIDKIT_WORK_DIR" in said
    assert desk.read_bytes() == good and not set_aside(desk)


def test_a_folder_in_its_place_stops_nothing(desk, capsys):
    desk.mkdir(parents=True)
    assert add_one(lambda x: x + 1)
    teach.progress()
    said = capsys.readouterr().out
    assert "not kept on the progress board" in said and "0 of 1 exercises done" in said
    assert desk.is_dir()


@pytest.mark.parametrize("name", ["REIDKIT_WORK_DIR", "REIDKIT_HOME"])
def test_a_folder_that_takes_nothing_costs_one_line(name, desk, monkeypatch, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.delenv("REIDKIT_WORK_DIR")
    monkeypatch.setenv(name, str(tmp_path / "file"))
    for _ in range(2):
        assert add_one(lambda x: x + 1)
    said = capsys.readouterr().out
    assert said.count("not kept") == 1 and "REIDKIT_WORK_DIR" in said


def test_a_full_disk_costs_one_line(desk, monkeypatch, capsys):
    good = fill(desk)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("reidkit.files.write_atomic", full)
    for _ in range(2):
        assert add_one(lambda x: x + 1)
    assert capsys.readouterr().out.count("No space left") == 1
    desk.write_bytes(good[:-9])  # what cannot be set aside is not written over
    assert add_one(lambda x: x + 1)
    assert desk.read_bytes() == good[:-9]


def test_a_lock_that_is_held_is_not_waited_for_long(desk, monkeypatch, capsys):
    monkeypatch.setattr(progress_file, "_patience", 0.1)
    with files.locked(desk):
        began = time.monotonic()
        assert add_one(lambda x: x + 1)
        assert time.monotonic() - began < 5
    assert "another process" in capsys.readouterr().out
    assert add_one(lambda x: x + 1)
    assert load()["exercises"]["91-add-one"]["tries"] == 1


WRITER = """
import sys
from reidkit.teach.progress import note
for number in range(int(sys.argv[2])):
    note(f"01-{sys.argv[1]}-{number}", "well done")
    note("01-both", "wrong")
"""


def writer(name, count):
    words = [sys.executable, "-c", WRITER, name, str(count)]
    return subprocess.Popen(words, cwd=files.project_root(), stdout=subprocess.PIPE)


def start_writers(desk, monkeypatch, *arguments):
    root = progress_file.__file__.partition("reidkit")[0].rstrip(os.sep)
    monkeypatch.setenv("PYTHONPATH", root)
    return [writer(*argument) for argument in arguments]


@pytest.mark.slow
def test_no_verdict_of_several_notebooks_is_lost(desk, monkeypatch):
    writers = start_writers(desk, monkeypatch, ("a", 170), ("b", 170), ("c", 170))
    assert [one.communicate(timeout=120)[0] for one in writers] == [b"", b"", b""]
    verdicts = load()["exercises"]
    assert len(verdicts) == 3 * 170 + 1 and verdicts["01-both"]["tries"] == 3 * 170


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is a thing of POSIX")
def test_a_killed_notebook_leaves_the_record_whole(desk, monkeypatch, capsys):
    chance = random.Random(0)
    count = 0
    for name in range(8):
        (one,) = start_writers(desk, monkeypatch, (f"w{name}", 100_000))
        until = time.monotonic() + 60
        while len(load()["exercises"]) <= count and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(chance.random() / 5)
        one.kill()
        one.communicate()
        verdicts = load()["exercises"]
        mine = [key for key in verdicts if key.startswith(f"01-w{name}-")]
        assert sorted(mine) == sorted(f"01-w{name}-{number}" for number in range(len(mine)))
        assert len(verdicts) > count
        count = len(verdicts)
    note("91-add-one", "wrong")  # no lock is left behind
    assert "91-add-one" in load()["exercises"] and not set_aside(desk)
    assert capsys.readouterr().out == ""


# ---- guesses

OPTIONS = ["camera", "person", "neither <b>one</b>"]


class Page:
    """What a notebook would show, by the calls of `display`."""

    def __init__(self):
        self.texts = []  # bundles, the newest of each output
        self.boxes = []

    def display(self, data, raw=False, metadata=None, display_id=None):
        if not raw:
            self.boxes.append(data)
            return None
        self.texts.append(data)
        return self

    def update(self, bundle, raw):
        self.texts[-1] = bundle


@pytest.fixture
def page(desk, monkeypatch):
    import IPython
    import IPython.display

    page = Page()
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", page.display)
    monkeypatch.delenv("REIDKIT_STATIC", raising=False)
    return page


def test_ask_in_a_static_run_shows_the_options(desk, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_STATIC", "1")
    assert teach.ask("90-guess", "Camera or person?", OPTIONS) is None
    assert capsys.readouterr().out == (
        "Camera or person?\n  ○ camera\n  ○ person\n  ○ neither <b>one</b>\n"
    )


def test_ask_keeps_a_guess(page):
    assert teach.ask("90-guess", "Camera or person?", OPTIONS) is None
    buttons, told = page.boxes[0].children
    buttons.value = "person"
    assert load()["guesses"] == {"90-guess": "person"}
    assert told.value == "Your guess so far: person"
    assert teach.ask("90-guess", "Camera or person?", OPTIONS) == "person"
    assert page.boxes[1].children[0].value == "person"


def test_a_question_is_readable_where_no_widget_shows(page):
    long = "because " * 30
    teach.ask("90-guess", "Why & how?", [*OPTIONS, long])
    text, markup = page.texts[0]["text/plain"], page.texts[0]["text/html"]
    for words in (
        "Why & how?",
        "1 ○ camera",
        "2 ○ person",
        long,
        "teach.guess('90-guess', NUMBER)",
    ):
        assert words in text
    assert "Why &amp; how?" in markup and long in markup and "&lt;b&gt;" in markup
    assert "<b>" not in markup and "teach.guess" in markup and "<details open>" in markup
    shown = page.boxes[0]._repr_mimebundle_()
    assert "VBox" not in shown["text/plain"] and any("widget-view" in name for name in shown)
    buttons = page.boxes[0].children[0]
    assert buttons.options == (("1", "camera"), ("2", "person"), ("3", OPTIONS[2]), ("4", long))
    buttons.value = "person"  # the text beside follows
    assert "2 ● person" in page.texts[0]["text/plain"]
    assert "person ●" in page.texts[0]["text/html"]


def test_ask_without_a_notebook_says_how_to_answer(desk, capsys):
    teach.ask("90-guess", "Camera or person?", OPTIONS)
    assert "teach.guess('90-guess', NUMBER)" in capsys.readouterr().out
    for answer, kept in ((2, "person"), ("camera", "camera")):
        teach.guess("90-guess", answer)
        assert f"your guess is kept: {kept}" in capsys.readouterr().out
        assert load()["guesses"] == {"90-guess": kept}


def test_a_guess_of_an_older_chapter_is_told(desk, capsys):
    teach.guess("90-old", "the moon")
    teach.ask("90-old", "Which?", OPTIONS)
    assert "Your guess so far: the moon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("key", "answer", "error", "words"),
    [
        ("90-guess", 0, ValueError, "number from 1 to 3"),
        ("90-guess", 4, ValueError, "'camera', 'person'"),
        ("90-guess", "Camera", ValueError, "'Camera'.*'camera', 'person'"),
        ("90-guess", None, TypeError, "None.*number of an option"),
        ("90-guess", True, TypeError, "True"),
        ("90-never", 1, ValueError, "no question of that key"),
    ],
)
def test_a_guess_that_is_none(key, answer, error, words, desk):
    teach.ask("90-guess", "Camera or person?", OPTIONS)
    with pytest.raises(error, match=words):
        teach.guess(key, answer)
    assert load()["guesses"] == {}
