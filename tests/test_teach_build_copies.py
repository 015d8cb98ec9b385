"""Working copies: made without outputs, brought up to date, and an answer survives."""

import chapter_demo
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from reidkit.teach import copies, source

ANSWER = "def add_one(x):\n    return 1 + x\n\ncheck.add_one(add_one)"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    chapter_demo.write(tmp_path)
    assert copies.main([]) == 0
    return tmp_path


def mine(desk):
    return nbformat.read(desk / "work" / "91_tiny.ipynb", as_version=4)


def save(desk, notebook):
    nbformat.write(notebook, desk / "work" / "91_tiny.ipynb")


def cell(notebook, key):
    return next(cell for cell in notebook.cells if cell.id == key)


def ids(notebook):
    return [cell.id for cell in notebook.cells]


def change(desk, *pairs):
    """A newer chapter: the source with these words replaced; then `update` -> what that said."""
    text = chapter_demo.SOURCE
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    chapter_demo.write(desk, text)
    return copies.refresh(source.chapters()[0], update=True)


def test_a_copy_has_no_outputs_and_is_not_made_twice(desk, capsys):
    notebook = mine(desk)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    save(desk, notebook)
    copies.main([])
    assert "up to date" in capsys.readouterr().out


def test_an_untouched_copy_is_replaced(desk):
    notebook = mine(desk)
    # Run, not changed.
    output = nbformat.v4.new_output("stream", name="stdout", text="ran")
    cell(notebook, "table").outputs = [output]
    save(desk, notebook)
    assert "replaced" in change(desk, ("# # A tiny chapter", "# # A better chapter"))
    assert cell(mine(desk), "title").source == "# A better chapter"
    assert not (desk / "work" / "backups").exists()


def test_lab_leaves_an_old_copy_and_says_so(desk, capsys):
    chapter_demo.write(desk, chapter_demo.SOURCE.replace("# # A tiny", "# # A better"))
    copies.main([])
    assert "make update" in capsys.readouterr().out
    assert cell(mine(desk), "title").source == "# A tiny chapter"


def test_answers_and_own_cells_survive_a_changed_source(desk):
    notebook = mine(desk)
    stub = cell(notebook, "add-one-stub")
    stub.source = ANSWER
    stub.execution_count = 7
    place = ids(notebook).index("table")
    notebook.cells[place + 1 : place + 1] = [
        new_markdown_cell("my note", id="n1"),
        new_code_cell("1 + 1", id="n2"),
    ]
    save(desk, notebook)
    before = (desk / "work" / "91_tiny.ipynb").read_bytes()
    said = change(
        desk,
        ("# # A tiny", "# # A better"),
        ('# %% key="table"', '# %% [markdown] key="new"\n# new\n\n# %% key="table"'),
    )
    after = mine(desk)
    assert ids(after) == [
        "title",
        "parameters",
        "setup",
        "add-one",
        "add-one-stub",
        "add-one-hints",
        "add-one-solution",
        "new",
        "table",
        "n1",
        "n2",
        "claim",
    ]
    assert cell(after, "title").source == "# A better chapter"
    stub = cell(after, "add-one-stub")
    assert stub.source == ANSWER and stub.execution_count == 7
    assert cell(after, "n1").source == "my note" and "3 of your cells" in said
    backups = list((desk / "work" / "backups").rglob("*.ipynb"))
    assert len(backups) == 1 and backups[0].read_bytes() == before
    assert "up to date" in copies.refresh(source.chapters()[0], update=True)


def test_an_answer_survives_a_changed_stub_and_a_second_update(desk):
    notebook = mine(desk)
    cell(notebook, "add-one-stub").source = ANSWER
    save(desk, notebook)
    change(desk, ('"""One more."""', '"""One more than x."""'))
    after = mine(desk)
    place = ids(after).index("add-one-stub")
    assert after.cells[place].source == ANSWER
    below = after.cells[place + 1].source
    assert "One more than x." in below and "changed" in below
    change(desk, ('"""One more."""', '"""One more than x."""'), ("# # A tiny", "# # A better"))
    again = mine(desk)
    assert cell(again, "add-one-stub").source == ANSWER
    assert cell(again, "title").source == "# A better chapter"
    assert sum("One more than x." in other.source for other in again.cells) == 1


def test_an_edited_cell_is_kept_or_shown_beneath(desk):
    notebook = mine(desk)
    cell(notebook, "parameters").source = "SEED: int = 5"
    cell(notebook, "table").source = "print('mine')"
    save(desk, notebook)
    change(desk, ("range(4)", "range(5)"))
    after = mine(desk)
    assert cell(after, "parameters").source == "SEED: int = 5"  # only the student changed it
    place = ids(after).index("table")
    assert "range(5)" in after.cells[place].source
    assert "print('mine')" in after.cells[place + 1].source


def test_an_edited_cell_that_the_course_dropped_stays(desk):
    notebook = mine(desk)
    cell(notebook, "table").source = "print('mine')"
    save(desk, notebook)
    start = chapter_demo.SOURCE.index('# %% key="table"')
    end = chapter_demo.SOURCE.index('# %% key="claim"')
    change(desk, (chapter_demo.SOURCE[start:end], ""))
    assert cell(mine(desk), "table").source == "print('mine')"


@pytest.mark.parametrize("minor", [4, 5])
def test_a_copy_that_lost_its_cell_ids_keeps_its_answers(desk, minor):
    notebook = mine(desk)
    cell(notebook, "add-one-stub").source = ANSWER
    cell(notebook, "parameters").source = "SEED: int = 5"
    notebook.cells.insert(ids(notebook).index("add-one-stub"), new_code_cell("1 + 1"))
    for number, edited in enumerate(notebook.cells):
        if minor == 4:
            edited.pop("id")
        else:
            edited.id = f"new{number}"
    notebook.nbformat_minor = minor
    save(desk, notebook)
    assert "3 of your cells" in change(desk, ("# # A tiny", "# # A better"))
    after = mine(desk)
    assert ids(after) == [
        "title",
        "parameters",
        "setup",
        "add-one",
        "own-4",
        "add-one-stub",
        "add-one-hints",
        "add-one-solution",
        "table",
        "claim",
    ]
    assert cell(after, "add-one-stub").source == ANSWER
    assert cell(after, "parameters").source == "SEED: int = 5"
    assert cell(after, "own-4").source == "1 + 1"
    assert cell(after, "title").source == "# A better chapter"


def test_an_untouched_copy_without_cell_ids_is_replaced(desk):
    notebook = mine(desk)
    for edited in notebook.cells:
        edited.pop("id")
    notebook.nbformat_minor = 4
    save(desk, notebook)
    assert "replaced" in change(desk, ("# # A tiny", "# # A better"))


def test_a_broken_file_is_set_aside(desk):
    (desk / "work" / "91_tiny.ipynb").write_text("{half", encoding="utf-8")
    said = copies.refresh(source.chapters()[0])
    assert "no readable notebook" in said and len(mine(desk).cells) == 9
    assert [path.read_text() for path in (desk / "work" / "backups").rglob("*.ipynb")] == ["{half"]


def test_a_second_backup_overwrites_nothing(desk):
    for text in ("{half", "{other"):
        (desk / "work" / "91_tiny.ipynb").write_text(text, encoding="utf-8")
        copies.refresh(source.chapters()[0])
    paths = sorted((desk / "work" / "backups").rglob("*.ipynb"))
    assert [path.read_text(encoding="utf-8") for path in paths] == ["{half", "{other"]
