"""Recorded tables: what is damaged is noticed and named, and nothing is lost by kills or races."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest

from reidkit import files, store, table_files
from reidkit.table_files import Damaged, note_table, read_table, update_table, write_table

ROWS = [{"SEED": str(seed), "PRESET": "laptop", "score": f"{10.25 + seed}"} for seed in range(5)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"
    write_table(path, ROWS)
    return path


def change(path, old, new):
    path.write_bytes(path.read_bytes().replace(old, new))


def drop_lines(path, *numbers):
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for number, line in enumerate(lines) if number not in numbers]
    path.write_bytes(b"".join(kept))


def double_line(path, number):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines, lines[number]]))


# What happens to a file -> words of the error. These need no entry in hashes.json.
OF_FORM = {
    "cut in a row": (lambda p: p.write_bytes(p.read_bytes()[:60]), ["in the middle of row 3"]),
    "cut before the end of a line": (
        lambda p: p.write_bytes(p.read_bytes()[:-1]),
        ["middle of row 5"],
    ),
    "a cell less": (lambda p: change(p, b"2,laptop,12.25", b"2,laptop"), ["row 3 (2", "2 cells"]),
    "a cell more": (lambda p: change(p, b"12.25", b"12,25"), ["row 3 (2", "4 cells, expected 3"]),
    "a row twice": (lambda p: double_line(p, 2), ["row 6 (1", "copy of row 2"]),
    "no UTF-8": (lambda p: change(p, b"3,laptop", b"3,\xff\xfe"), ["row 4", "no UTF-8"]),
    "no UTF-8 in the names": (lambda p: change(p, b"score", b"\xe9"), ["column names", "UTF-8"]),
    "a byte order mark": (
        lambda p: p.write_bytes(b"\xef\xbb\xbf" + p.read_bytes()),
        ["byte order mark"],
    ),
    "semicolons": (lambda p: change(p, b",", b";"), ["not separated by commas"]),
    "tabs": (lambda p: change(p, b",", b"\t"), ["not separated by commas"]),
    "nothing": (lambda p: p.write_bytes(b""), ["is empty"]),
    "blanks": (lambda p: p.write_bytes(b"\n \n"), ["is empty"]),
    "two columns of one name": (lambda p: change(p, b"score", b"SEED"), ["name of another"]),
    "an open quotation mark": (lambda p: change(p, b"13.25", b'"13.25'), ["row 4", "cannot be"]),
    "zero bytes": (lambda p: change(p, b"11.25", b"11\0.25"), ["row 2", "zero bytes"]),
}
# These do: they are tables, but not the recorded one.
OF_CONTENT = {
    "a digit": (lambda p: change(p, b"12.25", b"12.26"), ["row 3 (2, laptop", "not as it was"]),
    "nan": (lambda p: change(p, b"12.25", b"nan"), ["row 3 (2, laptop, nan)"]),
    "a row less": (lambda p: drop_lines(p, 5), ["row 5 is missing", "4 rows instead of 5"]),
    "a row in the middle": (lambda p: drop_lines(p, 2), ["row 2 (2", "4 rows instead of 5"]),
    "a row more": (
        lambda p: p.write_bytes(p.read_bytes() + b"9,laptop,1\n"),
        ["row 6 (9", "not recorded", "6 rows instead of 5"],
    ),
    "another column": (lambda p: change(p, b"score", b"mAP"), ["columns are not those"]),
    "names alone": (lambda p: drop_lines(p, 1, 2, 3, 4, 5), ["row 1 is missing"]),
    "another order": (lambda p: change(p, b"0,laptop,10.25\n1,", b"1,laptop,10.25\n0,"), ["row 1"]),
}
DAMAGES = OF_FORM | OF_CONTENT


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_with_file_row_and_remedy(table, name):
    damage, words = DAMAGES[name]
    damage(table)
    with pytest.raises(Damaged) as error:
        read_table(table, lambda stem: f"python -m make {stem}")
    for word in [*words, str(table), "git checkout", "python -m make t"]:
        assert word in str(error.value), str(error.value)
    accept = "python -m reidkit.table_files" in str(error.value)
    assert accept == (name in OF_CONTENT)


@pytest.mark.parametrize("name", OF_FORM)
def test_a_table_without_an_entry_is_checked_for_its_form(table, name):
    (table.parent / "hashes.json").unlink()
    OF_FORM[name][0](table)
    with pytest.raises(Damaged, match="t.csv"):
        read_table(table)


def test_a_whole_table_is_read_with_an_entry_and_without(table):
    assert read_table(table) == ROWS
    (table.parent / "hashes.json").unlink()
    assert read_table(table) == ROWS
    assert read_table(table.parent / "none.csv") == []


def test_line_ends_and_quotation_marks_are_no_change(table):
    change(table, b"\n", b"\r\n")
    change(table, b"laptop", b'"laptop"')
    assert read_table(table) == ROWS


def test_texts_of_all_kinds_come_back(tmp_path):
    rows = [{"a": 'x, "y"', "b": "two\nlines"}, {"a": "<b>行人</b>", "b": " ;\t"}]
    write_table(tmp_path / "x.csv", rows)
    assert read_table(tmp_path / "x.csv") == rows


def test_a_change_on_purpose_can_be_accepted(table, capsys):
    change(table, b"12.25", b"12.26")
    assert table_files.main([str(table)]) == 0
    assert read_table(table)[2]["score"] == "12.26"
    change(table, b"12.26", b"12,26")
    assert table_files.main([str(table)]) == 2
    assert table_files.main([str(table.parent / "nowhere" / "x.csv")]) == 2
    assert not (table.parent / "nowhere").exists()
    told = capsys.readouterr().err
    assert "row 3" in told and "correct the path" in told and "Traceback" not in told


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"t.csv": []}', '{"t.csv": {"rows": 3}}'])
def test_a_damaged_list_of_hashes_is_named(table, text):
    (table.parent / "hashes.json").write_text(text)
    with pytest.raises(Damaged, match="hashes.json"):
        read_table(table)


def test_an_update_of_a_damaged_table_leaves_it_as_it_is(table):
    change(table, b"12.25", b"nan")
    before = table.read_bytes()
    with pytest.raises(Damaged):
        update_table(table, lambda rows: rows + [{"SEED": "9"}])
    assert table.read_bytes() == before


def test_entries_of_other_files_stay(table):
    store.record_hash(table.parent / "hashes.json")  # any file
    write_table(table.parent / "u.csv", ROWS[:1])
    names = json.loads((table.parent / "hashes.json").read_text())
    assert sorted(names) == ["hashes.json", "t.csv", "u.csv"]


KILLED = """
import os, pathlib, signal, sys
from reidkit import files, store, table_files
path, moment = pathlib.Path(sys.argv[1]), int(sys.argv[2])
steps = []
def killing(step):
    def run(*given):
        steps.append(step)
        if len(steps) > moment:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*given)
    return run
store.note_entry = killing(store.note_entry)
files.write_atomic = killing(files.write_atomic)
table_files.update_table(path, lambda rows: rows + [{"SEED": "9", "PRESET": "x", "score": "1"}])
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
@pytest.mark.parametrize("moment, count", [(0, 5), (1, 5), (2, 6), (3, 6)])
def test_a_kill_at_any_moment_leaves_a_table(table, moment, count):
    words = [sys.executable, "-c", KILLED, str(table), str(moment)]
    done = subprocess.run(words, cwd=files.project_root())
    assert done.returncode == (0 if moment == 3 else -signal.SIGKILL)
    assert len(read_table(table)) == count
    update_table(table, lambda rows: rows + [{"SEED": "10", "PRESET": "y", "score": "2"}])
    assert len(read_table(table)) == count + 1
    assert "before" not in store.hashes(table)["t.csv"]


ADD = """
import sys
from reidkit.table_files import update_table
path, first = sys.argv[1], int(sys.argv[2])
for number in range(first, first + 25):
    update_table(path, lambda rows: rows + [{"number": number}])
"""


@pytest.mark.slow
def test_two_processes_lose_no_row_and_a_reader_meets_no_half(tmp_path):
    path = tmp_path / "t.csv"
    words = [sys.executable, "-c", ADD, str(path)]
    root = files.project_root()
    writers = [subprocess.Popen([*words, first], cwd=root) for first in ("0", "100")]
    while any(writer.poll() is None for writer in writers):
        read_table(path)
    assert [writer.returncode for writer in writers] == [0, 0]
    numbers = sorted(int(row["number"]) for row in read_table(path))
    assert numbers == [*range(25), *range(100, 125)]


def test_every_committed_table_is_the_recorded_one():
    paths = sorted(files.results_dir().glob("*.csv"))
    assert len(paths) >= 12
    for path in paths:
        assert read_table(path), path.name
        assert "rows" in store.hashes(path)[path.name], path.name


def test_every_cut_of_a_committed_table_is_noticed(tmp_path):
    for name in ("01_baseline.csv", "looks.csv"):
        whole = (files.results_dir() / name).read_bytes()
        path = tmp_path / name
        shutil.copy(files.results_dir() / "hashes.json", tmp_path)
        for length in range(0, len(whole), len(whole) // 40):
            path.write_bytes(whole[:length])
            with pytest.raises(Damaged):
                read_table(path)


def test_noting_a_table_reads_it_first(tmp_path):
    path = pathlib.Path(tmp_path / "x.csv")
    path.write_text("a;b\n1;2\n")
    with pytest.raises(Damaged, match="x.csv.*not separated by commas"):
        note_table(path)
    assert not (tmp_path / "hashes.json").exists()
