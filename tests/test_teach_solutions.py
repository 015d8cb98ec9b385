"""A course that is handed out without solutions, and gives them back."""

import chapter_demo
import nbformat
import pytest
from test_project import load_course
from test_teach_build_copies import ANSWER, cell, change, ids, mine, save

from reidkit import teach
from reidkit.teach import copies, solutions, source


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one demo chapter, of which there are no copies yet."""
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    chapter_demo.write(tmp_path)
    return tmp_path


def has_solution(desk):
    text = "\n".join(cell.source for cell in mine(desk).cells)
    return "x + 1" in text or "Because." in text or "Solution" in text


def answered(desk):
    """The student answers, and writes a cell of their own."""
    notebook = mine(desk)
    cell(notebook, "add-one-stub").source = ANSWER
    notebook.cells.append(nbformat.v4.new_code_cell("2 + 2", id="own"))
    save(desk, notebook)


def test_copies_without_solutions_keep_everything_else(course):
    whole = source.notebook(source.chapters()[0], "work")
    assert copies.main(["--no-solutions"]) == 0
    assert not has_solution(course)
    nbformat.validate(mine(course))
    assert ids(mine(course)) == [
        one.id for one in whole.cells if "solution" not in source.tags(one)
    ]
    assert "Use a plus." in cell(mine(course), "add-one-hints").source


def test_an_update_keeps_them_out(course, capsys):
    copies.main(["--no-solutions"])
    assert copies.main([]) == 0 and "up to date" in capsys.readouterr().out
    assert "replaced" in change(course, ("Use a plus.", "Use a plus, perhaps."))
    answered(course)
    assert "updated" in change(course, ("Because.", "Therefore."), ("return x + 1", "return 1 + x"))
    assert not has_solution(course) and "Therefore." not in str(mine(course))
    assert cell(mine(course), "add-one-stub").source == ANSWER and "own" in ids(mine(course))


def test_an_editor_that_drops_metadata_brings_none_back(course):
    copies.main(["--no-solutions"])
    notebook = mine(course)
    notebook.metadata = {}
    save(course, notebook)
    copies.main(["--update"])
    assert not has_solution(course)


def test_copies_that_are_there_lose_their_solutions(course):
    copies.main([])
    answered(course)
    assert has_solution(course)
    copies.main(["--no-solutions"])
    assert not has_solution(course)
    assert cell(mine(course), "add-one-stub").source == ANSWER and "own" in ids(mine(course))


def test_they_come_back_with_the_answers_in_place(course):
    copies.main(["--no-solutions"])
    answered(course)
    copies.main(["--update", "--solutions"])
    assert has_solution(course) and not solutions.are_withheld()
    assert cell(mine(course), "add-one-stub").source == ANSWER and "own" in ids(mine(course))
    copies.main(["--update"])
    assert has_solution(course)


def test_the_form_is_asked_for_once(course, capsys):
    """A wish that is already fulfilled brings no newer chapter in unasked."""
    copies.main(["--no-solutions"])
    chapter_demo.write(course, chapter_demo.SOURCE.replace("# # A tiny", "# # A better"))
    copies.main(["--no-solutions"])
    assert "make update" in capsys.readouterr().out
    assert cell(mine(course), "title").source == "# A tiny chapter"


def test_solution_refuses_in_a_sentence(course, capsys):
    copies.main(["--no-solutions"])
    capsys.readouterr()
    assert teach.solution("add-one") is None
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and "add-one" in said and "without solutions" in said
    copies.main(["--solutions"])
    capsys.readouterr()
    teach.solution("add-one")
    assert "return x + 1" in capsys.readouterr().out


def test_lab_hands_the_wish_to_the_copies_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path))
    module, ran = load_course(monkeypatch)
    module.lab(["--no-solutions", "--no-browser"])
    (of_copies,) = [words for words in ran if "reidkit.teach.copies" in words]
    assert of_copies[-1] == "--no-solutions"
    assert "--no-browser" in ran[-1] and "--no-solutions" not in ran[-1]
