"""The README's table of chapters is made from the headers of the sources."""

import chapter_demo
import pytest

from reidkit import files
from reidkit.teach import source, toc

FIELDS = '#     about: "One is added"\n#     row: the task\n#     map: "a tiny\\nchapter"\n'
COMPLETE = chapter_demo.SOURCE.replace("#     minutes_study", FIELDS + "#     minutes_study")


def test_the_table_in_the_readme_is_current():
    text = (files.project_root() / "README.md").read_text(encoding="utf-8")
    current = toc.with_table(text, toc.make_table())
    assert text == current, "run `python -m reidkit.teach.toc --write`"


def test_every_chapter_has_its_line():
    entries = toc.read_entries()
    assert [entry.name for entry in entries] == [chapter.name for chapter in source.chapters()]


def test_a_line_says_what_the_header_says(tmp_path):
    path = chapter_demo.write(tmp_path, COMPLETE)
    line = toc.make_table(path.parent).splitlines()[-1]
    assert line == "| [91](notebooks/91_tiny.ipynb) | A tiny chapter | One is added | 1 |"
    (entry,) = toc.read_entries(path.parent)
    assert entry.map == "a tiny\nchapter" and entry.row == "the task"


@pytest.mark.parametrize("field", ["about", "row", "map"])
def test_a_header_without_a_field_is_refused(tmp_path, field):
    path = chapter_demo.write(tmp_path, COMPLETE.replace(f"#     {field}:", "#     other:"))
    with pytest.raises(ValueError, match=f"91_tiny.py: its header has no {field}"):
        toc.read_entries(path.parent)


def test_a_row_that_the_map_does_not_have_is_refused(tmp_path):
    path = chapter_demo.write(tmp_path, COMPLETE.replace("row: the task", "row: adaption"))
    with pytest.raises(ValueError, match="row: 'adaption'; .*adaptation"):
        toc.read_entries(path.parent)


def test_only_what_is_between_the_marks_is_replaced():
    text = f"before\n{toc.BEGIN}\nold\n{toc.END}\nafter\n"
    assert toc.with_table(text, "new") == f"before\n{toc.BEGIN}\nnew\n{toc.END}\nafter\n"
    with pytest.raises(ValueError, match="no place"):
        toc.with_table("no marks here", "new")


def test_the_minutes_of_the_page_for_lecturers_are_current():
    text = (files.project_root() / "docs" / "TEACHING.md").read_text(encoding="utf-8")
    current = toc.with_minutes(text, toc.read_entries())
    assert text == current, "run `python -m reidkit.teach.toc --write`"


def test_a_week_has_the_minutes_of_its_chapters(tmp_path):
    path = chapter_demo.write(tmp_path, COMPLETE)
    chapter_demo.write(tmp_path, COMPLETE.replace('"91"', '"92"'), "92_more.py")
    entries = toc.read_entries(path.parent)
    one = "[91](../notebooks/91_tiny.ipynb)"
    two = "[92](../notebooks/92_more.ipynb)"
    weeks = f"| 1 | {one}, {two} | both | 7 |\n| 2 | {two} | one | 7 |\n| 3 | none | | 7 |\n"
    text = toc.with_minutes(f"{weeks}{toc.BEGIN}\n{toc.END}\n", entries)
    assert text.startswith(weeks.replace("both | 7", "both | 2").replace("one | 7", "one | 1"))
    assert f"| {one} | A tiny chapter | 1 | 0.1 |" in text
    with pytest.raises(KeyError, match="92_more"):
        toc.with_minutes(text, entries[:1])


def test_the_command_writes_the_readme(tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text(f"# Title\n{toc.BEGIN}\n{toc.END}\n", encoding="utf-8")
    chapter_demo.write(tmp_path, COMPLETE)
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    toc.main([])
    assert "A tiny chapter" in capsys.readouterr().out
    assert "A tiny chapter" not in readme.read_text(encoding="utf-8")
    toc.main(["--write"])
    assert "| A tiny chapter |" in readme.read_text(encoding="utf-8")
