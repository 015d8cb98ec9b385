"""Widgets in a real browser: every control of every chapter by keyboard in JupyterLab, one lecture
copy in Voila.
"""

import json

import nbformat
import pytest
from browser import lab, look, move_every_control, need_browser, page, run_all, voila
from demo import write_demo
from nbformat.v4 import new_code_cell, new_notebook

from reidkit.teach import lecture, questions, source


def chapters():
    """Names of the chapters that have a widget, and of the demo."""
    found = sorted(source.folder().glob("[0-9]*.py"))
    return [
        "demo",
        *(path.name for path in found if "teach.explore(" in path.read_text(encoding="utf-8")),
    ]


def working_copy(name, folder):
    """The chapter's working copy in `folder`, with the smoke preset and one thread set in its
    parameters cell.
    """
    path = write_demo(folder) if name == "demo" else source.folder() / name
    notebook = source.notebook(source.read(path), "work")
    cell = next(cell for cell in notebook.cells if "parameters" in source.tags(cell))
    # As in test_notebooks.py, so that what one has trained the other loads.
    as_elsewhere = '\nPRESET, SEED, THREADS = "smoke", 1, 1'
    cell.source += "\nTHREADS = 1" if name == "demo" else as_elsewhere
    nbformat.write(notebook, folder / "chapter.ipynb")
    return "chapter.ipynb"


@pytest.mark.parametrize("name", chapters())
def test_every_control_moves_picture_and_readout(name, tmp_path):
    need_browser()
    notebook = working_copy(name, tmp_path)
    with lab(tmp_path) as address, page() as view:
        run_all(view, address, notebook)
        move_every_control(view, least=3 if name == "demo" else 1)
        if name == "demo":  # the buttons of a question, too
            guess = view.locator(".widget-toggle-buttons button").nth(1)
            guess.focus()
            view.keyboard.press("Space")
            view.get_by_text("Your guess so far: a few").wait_for(timeout=15_000)
        shown = view.locator(".jp-OutputArea-output").all_inner_texts()
    if name == "demo":
        text = "\n".join(shown)
        assert (
            "the score is positive [held]" in text and '"state"' not in text
        )  # the sentence, not its JSON


def test_a_recalled_question_is_answered_by_keyboard(tmp_path):
    need_browser()
    cell = new_code_cell('from reidkit import teach\nteach.recall("04")')
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = new_notebook(cells=[cell], metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "chapter.ipynb")
    first = questions.choose("04", {"recall": {}, "exercises": {}})[0]
    number = first.options.index(first.right) + 1
    with lab(tmp_path) as address, page() as view:
        run_all(view, address, "chapter.ipynb")
        buttons = view.locator(".widget-toggle-buttons")
        buttons.nth(2).wait_for(timeout=60_000)
        assert first.why not in view.locator("body").inner_text()
        button = buttons.first.get_by_role("button", name=str(number), exact=True)
        button.focus()
        view.keyboard.press("Space")
        view.get_by_text("✓ Right.").first.wait_for(timeout=15_000)
        assert first.why in view.locator("body").inner_text()
        assert button.is_disabled()


def test_lecture_copy_in_voila(tmp_path, monkeypatch):
    need_browser()
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    path, notes = lecture.write(source.read(write_demo(tmp_path)), route=45, seed=3)
    monkeypatch.delenv("REIDKIT_HOME")
    with voila(path) as address, page() as view:
        view.goto(f"{address}/?token=t", timeout=120_000)
        move_every_control(view, least=3)
        box = view.locator(".reidkit-explore").first
        seen = {look(box)[1]}
        for _ in range(4):
            button = box.get_by_role("button", name="Next example")
            button.focus()
            view.keyboard.press("Enter")
            view.wait_for_timeout(700)
            seen.add(look(box)[1])
        text = view.locator("body").inner_text()
    assert len(seen) >= 4, seen  # other examples, one a press
    assert "def draw" not in text and "nobody's screen" not in text and "Exercise" not in text
    assert "Notes for the speaker" in text and "Ask the room" in notes.read_text(encoding="utf-8")
    assert (
        json.loads(path.read_text(encoding="utf-8"))["metadata"]["reidkit"]["form"]
        == "lecture, 45 minutes"
    )
