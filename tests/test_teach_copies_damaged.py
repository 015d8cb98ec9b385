"""Whatever an editor, a merge, a kill or a full disk makes of a copy: answers are carried over."""

import os
import random
import signal
import subprocess
import sys
import time

import chapter_demo
import nbformat
import pytest
from damaged_copies import ANSWER, OPEN, SHUT, without_metadata
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from reidkit import files
from reidkit.teach import copies, copy_file, source

NOTE = "my own note: ärgerlich"
SEED = "SEED: int = 5"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A project with one chapter; returns the path of its answered copy."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    chapter_demo.write(tmp_path)
    assert copies.main([]) == 0
    path = tmp_path / "work" / "91_tiny.ipynb"
    notebook = nbformat.read(path, as_version=4)
    stub = cell(notebook, "add-one-stub")
    stub.source = ANSWER
    stub.outputs = [new_output("stream", name="stdout", text="well\ndone\n")]
    cell(notebook, "parameters").source = SEED
    notebook.cells.insert(5, new_markdown_cell(NOTE, id="n1"))
    nbformat.write(notebook, path)
    return path


def cell(notebook, key):
    return next(cell for cell in notebook.cells if cell.id == key)


def refresh(update=False):
    return copies.refresh(source.chapters()[0], update)


def newer(root):
    """The course grows: another title, another table."""
    text = chapter_demo.SOURCE.replace("# # A tiny", "# # A better").replace("range(4)", "range(5)")
    chapter_demo.write(root, text)


def backups(desk):
    return [path.read_bytes() for path in sorted((desk.parent / "backups").rglob("*.ipynb"))]


def texts(desk):
    """The texts of a copy, which opens without a fault."""
    notebook = nbformat.read(desk, as_version=4)
    nbformat.validate(notebook)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    return [cell.source for cell in notebook.cells]


def holds_all(found, name):
    everything = "\n".join(found)
    if name == "a split stub":
        assert "return 1 + x  # ä" in everything and "check.add_one(add_one)" in everything
    else:
        answers = [text for text in found if "return 1 + x  # ä" in text]
        assert len(answers) == 1 and "check.add_one(add_one)" in answers[0]
    if not name.startswith("cut"):
        assert NOTE in everything
    assert SEED in everything


@pytest.mark.parametrize("name", OPEN)
def test_a_copy_that_opens_stays_until_update_and_then_keeps_all(name, desk, tmp_path):
    damaged = OPEN[name](desk.read_bytes())
    desk.write_bytes(damaged)
    said = refresh()
    assert desk.read_bytes() == damaged and not backups(desk)
    assert "up to date" in said or "make update" in said
    newer(tmp_path)
    assert "make update" in refresh() and desk.read_bytes() == damaged
    assert "updated" in refresh(update=True)
    found = texts(desk)
    holds_all(found, name)
    assert any("range(5)" in text for text in found) and "# A better chapter" in "\n".join(found)
    assert backups(desk) == [damaged]
    assert "up to date" in refresh(update=True) and "up to date" in refresh()
    assert texts(desk) == found


@pytest.mark.parametrize("name", SHUT)
@pytest.mark.parametrize("update", [False, True])
def test_a_copy_that_does_not_open_is_made_whole_with_all_answers(name, update, desk, tmp_path):
    damaged = SHUT[name](desk.read_bytes())
    desk.write_bytes(damaged)
    said = refresh(update)
    assert "of your cells" in said and "backups/" in said
    found = texts(desk)
    holds_all(found, name)
    assert backups(desk) == [damaged]
    assert any(text.startswith("print([SEED") for text in found)  # cells that were cut off are back
    assert "up to date" in refresh(update=True)


def test_the_answer_stays_in_its_stub_with_its_outputs(desk):
    desk.write_bytes(b"\xef\xbb\xbf" + without_metadata({})(desk.read_bytes()))
    refresh()
    notebook = nbformat.read(desk, as_version=4)
    stub = cell(notebook, "add-one-stub")
    assert stub.source == ANSWER and stub.outputs[0].text == "well\ndone\n"
    assert "stub" in source.tags(stub)
    # An answer that holds every line of the stub but its blank needs no second version below it.
    assert not [one.id for one in notebook.cells if one.id.startswith("add-one-stub-old")]


def test_in_doubt_both_versions_stay(desk, tmp_path):
    desk.write_bytes(without_metadata({})(desk.read_bytes()))
    text = chapter_demo.SOURCE.replace('"""One more."""', '"""One more than x."""')
    chapter_demo.write(tmp_path, text.replace("SEED: int = 0  ", "SEED: int = 1  "))
    refresh(update=True)
    notebook = nbformat.read(desk, as_version=4)
    found = [one.source for one in notebook.cells]
    for key, mine, theirs in (
        ("add-one-stub", ANSWER, "One more than x."),
        ("parameters", SEED, "SEED: int = 1"),
    ):
        place = [one.id for one in notebook.cells].index(key)
        assert found[place] == mine and theirs in found[place + 1]
        assert "course" in found[place + 1]


def test_an_edited_note_of_an_earlier_update_is_not_lost(desk, tmp_path):
    newer(tmp_path)
    notebook = nbformat.read(desk, as_version=4)
    cell(notebook, "table").source = "print('mine')"
    nbformat.write(notebook, desk)
    refresh(update=True)
    notebook = nbformat.read(desk, as_version=4)
    note = next(one for one in notebook.cells if one.id.startswith("table-old"))
    note.source += "\nand a thought"
    cell(notebook, "table").source = "print('mine')"
    nbformat.write(notebook, desk)
    text = chapter_demo.SOURCE.replace("range(4)", "range(6)")
    chapter_demo.write(tmp_path, text)
    refresh(update=True)
    assert any("and a thought" in text for text in texts(desk))


def test_code_in_a_note_stays_code(desk, tmp_path):
    notebook = nbformat.read(desk, as_version=4)
    cell(notebook, "table").source = "'''\n```\n<img src=x onerror=alert(1)>\n````\n'''"
    nbformat.write(notebook, desk)
    newer(tmp_path)
    refresh(update=True)
    note = next(text for text in texts(desk) if "onerror" in text)
    assert note.count("`````") == 2


def test_pictures_in_an_edited_text_are_kept(desk, tmp_path):
    notebook = nbformat.read(desk, as_version=4)
    title = cell(notebook, "add-one")
    title.source = "![](attachment:a.png)"
    title.attachments = {"a.png": {"image/png": "AAAA"}}
    nbformat.write(notebook, desk)
    newer(tmp_path)
    refresh(update=True)
    assert "a.png" in cell(nbformat.read(desk, as_version=4), "add-one").attachments


@pytest.mark.parametrize(
    "content",
    [b"", b"{half", b"null", b"[]", b"{}", b'{"cells": null}', b"<html>", bytes(99), b"{" * 9999,
     b"[" * 99999, b'{"cells": [{"a": ' * 3000],
)  # fmt: skip
def test_what_holds_no_cell_is_set_aside(content, desk):
    desk.write_bytes(content)
    assert "no readable notebook" in refresh() and len(texts(desk)) == 9
    assert backups(desk) == [content]


@pytest.mark.parametrize("seed", range(6))
def test_cuts_at_any_place_keep_what_is_before_them(seed, desk):
    whole = desk.read_bytes()
    chance = random.Random(seed)
    for _ in range(8):
        place = chance.randrange(len(whole) - 3)
        desk.write_bytes(whole[:place])
        said = refresh()
        found = "\n".join(texts(desk))
        assert backups(desk)[-1] == whole[:place]
        if whole[:place].find(b"return 1 + x  # \\u00e4") >= 0 or "ä\\n".encode() in whole[:place]:
            assert "return 1 + x" in found and "of your cells" in said
        if whole.index(b'"add-one-hints"') < place:
            assert ANSWER in found and NOTE in found and SEED in found


def test_one_bad_copy_stops_no_other(desk, tmp_path, monkeypatch, capsys):
    for number in (92, 93):
        text = chapter_demo.SOURCE.replace('"91', f'"{number}')
        chapter_demo.write(tmp_path, text, f"{number}_tiny.py")
    (desk.parent / "92_tiny.ipynb").mkdir()
    capsys.readouterr()
    assert copies.main([]) == 1
    said = capsys.readouterr()
    assert "91_tiny: up to date" in said.out and "93_tiny: a fresh copy" in said.out
    assert "92_tiny: not brought up to date" in said.err and "Is a directory" in said.err
    assert "Traceback" not in said.err
    chapter_demo.write(tmp_path, "# %% no chapter", "90_bad.py")
    assert copies.main(["--update"]) == 1
    said = capsys.readouterr()
    assert "90_bad: not brought up to date" in said.err and "93_tiny: up to date" in said.out


def test_a_folder_that_takes_nothing_ends_in_a_sentence(desk, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "file" / "work"))
    assert copies.main([]) == 1
    said = capsys.readouterr()
    assert "REIDKIT_WORK_DIR" in said.err and "Traceback" not in said.err


def test_copies_that_are_current_need_no_writing(desk, monkeypatch, capsys):
    def refuse(*_, **__):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "write_atomic", refuse)
    monkeypatch.setattr(files, "locked", refuse)
    assert copies.main([]) == 0
    assert "up to date" in capsys.readouterr().out


def test_a_full_disk_leaves_the_copy_as_it_is(desk, tmp_path, monkeypatch, capsys):
    before = desk.read_bytes()
    newer(tmp_path)

    def full(path, content):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_atomic", full)
    assert copies.main(["--update"]) == 1
    said = capsys.readouterr().err
    assert "No space left" in said and "REIDKIT_WORK_DIR" in said and desk.read_bytes() == before


def update_elsewhere():
    words = [sys.executable, "-m", "reidkit.teach.copies", "--update"]
    root = copy_file.__file__.partition("reidkit")[0]
    surroundings = os.environ | {"PYTHONPATH": root, "PYTHONIOENCODING": "cp1252"}
    return subprocess.Popen(words, env=surroundings, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_two_updates_at_the_same_time_lose_nothing(desk, tmp_path):
    before = desk.read_bytes()
    newer(tmp_path)
    ended = [update.communicate(timeout=120) for update in [update_elsewhere() for _ in range(2)]]
    assert sorted(b"updated" in out for out, _ in ended) == [False, True]
    assert sorted(b"up to date" in out for out, _ in ended) == [False, True]
    holds_all(texts(desk), "")
    assert backups(desk) == [before]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kill -9 is a thing of POSIX")
def test_a_killed_update_leaves_the_old_or_the_new(desk, tmp_path):
    before = desk.read_bytes()
    newer(tmp_path)
    began = time.monotonic()
    update_elsewhere().communicate(timeout=120)
    seconds = time.monotonic() - began
    after = desk.read_bytes()
    chance = random.Random(0)
    for _ in range(8):
        desk.write_bytes(before)
        update = update_elsewhere()
        time.sleep(seconds * (0.8 + 0.25 * chance.random()))
        update.kill()
        update.communicate()
        assert desk.read_bytes() in (before, after)
        assert all(content in (before, after) for content in backups(desk))


def test_backups_never_collide(desk, monkeypatch):
    class Fixed:
        @staticmethod
        def now():
            return time

    monkeypatch.setattr(copy_file.datetime, "datetime", Fixed)
    places = [copy_file.back_up(desk) for _ in range(3)]
    assert len(set(places)) == 3
    (desk.parent / "other").mkdir()
    other = desk.parent / "other" / "a.ipynb"
    other.write_text("x")
    (other.parent / "backups").write_text("a file")
    with pytest.raises(OSError):
        copy_file.back_up(other)


def test_an_own_cell_with_an_answer_to_a_lost_stub_is_the_answer(desk, tmp_path):
    notebook = nbformat.read(desk, as_version=4)
    notebook.cells = [one for one in notebook.cells if one.id != "add-one-stub"]
    notebook.cells.append(new_code_cell(ANSWER, id="mine"))
    nbformat.write(notebook, desk)
    newer(tmp_path)
    refresh(update=True)
    assert cell(nbformat.read(desk, as_version=4), "add-one-stub").source == ANSWER
