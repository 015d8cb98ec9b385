"""Lecture copies: what each route shows and hides, notes, the seed. test_browser.py opens one."""

import pytest
from demo import DEMO, write_demo

pytest.importorskip("nbformat")
pytest.importorskip("jupytext")
from reidkit.teach import lecture, source  # noqa: E402


@pytest.fixture
def chapter(tmp_path):
    return source.read(write_demo(tmp_path))


def cells(notebook):
    return {cell.id: cell for cell in notebook.cells}


@pytest.mark.parametrize(
    "route, shown, hidden",
    [(45, {"title", "middle", "say-this"}, set()), (15, {"title", "say-this"}, {"middle"})],
)
def test_routes_choose_the_text(chapter, route, shown, hidden):
    notebook, _ = lecture.lecture_form(chapter, route)
    keys = set(cells(notebook))
    assert shown <= keys and not hidden & keys
    assert not {"double", "double-stub", "double-hint1", "double-solution"} & keys


def test_every_route_runs_all_code_hidden_and_silences_what_is_skipped(chapter):
    for route, silent in ((45, {"setup"}), (15, {"setup", "parameters", "guess"})):
        notebook, _ = lecture.lecture_form(chapter, route)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert {"parameters", "setup", "work", "explorer"} <= {cell.id for cell in code}
        assert all(cell.metadata["jupyter"]["source_hidden"] for cell in code)
        assert {cell.id for cell in code if cell.source.startswith("%%capture\n")} == silent


def test_notes_are_folded_and_stand_alone(chapter):
    notebook, notes = lecture.lecture_form(chapter, 45)
    assert cells(notebook)["say-this"].source.startswith("<details>")
    assert "## The middle" in notes and "Ask the room" in notes
    assert "Text of the long route" not in notes


def test_seed_large_type_and_wrong_route(chapter):
    first = lecture.lecture_form(chapter, 45, seed=7)[0].cells[0].source
    assert '"REIDKIT_LECTURE_SEED"] = "7"' in first and "--jp-content-font-size1: 23px" in first
    compile(first, "style", "exec")
    with pytest.raises(ValueError, match="15 and 45"):
        lecture.lecture_form(chapter, 30)


def test_command_line_writes_copy_and_notes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    demo = write_demo(tmp_path / "notebooks" / "source")
    assert lecture.main(["90", "--route", "15"]) == 0
    said = capsys.readouterr().out
    assert "build/lecture/90_demo-15.ipynb" in said and str(tmp_path) not in said
    names = {path.name for path in (tmp_path / "build" / "lecture").iterdir()}
    assert names == {"90_demo-15.ipynb", "90_demo-15.notes.md"}
    assert lecture.main(["77"]) == 2 and "90_demo" in capsys.readouterr().err
    assert demo.read_text(encoding="utf-8") == DEMO


def test_commands_that_open_a_copy(tmp_path):
    path = tmp_path / "a.ipynb"
    assert lecture.command(path, "voila")[1:3] == ["-m", "voila"]
    assert "--LabApp.default_url=/doc/tree/a.ipynb" in lecture.command(path, "jupyterlab")
