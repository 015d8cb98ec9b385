"""Run All of a chapter with a build, in a real kernel, whatever the stub holds."""

import json
import os
import pathlib

import build_demo
import nbformat
import pytest
from planted import with_stubs

from reidkit import files
from reidkit.teach import source

pytestmark = pytest.mark.slow

RIGHT = "return x * self.factor"
STUBS = {
    "empty": ("...", "not yet"),
    "wrong": ("return x + self.factor", "wrong"),
    "raising": ("return x / zero", "error"),
    "slow": ("\n        while True:\n            pass", "error"),
    "leaving": ("raise SystemExit", "error"),
    "right": (RIGHT, "well done"),
}
THEIRS = "92-scale: the package's TheirScale is used"


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A student's folder and a chapter with a build; kernels find the demo's checks."""
    folders = [str(files.project_root()), str(pathlib.Path(__file__).parent)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(folders))
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "work"))
    monkeypatch.setenv("REIDKIT_PROGRESS", "on")
    build_demo.write(tmp_path)
    return tmp_path


def run_all(notebook, folder):
    """What each code cell of a notebook printed, by its key; a cell that raises is an error."""
    import nbclient

    options = {"timeout": 120, "kernel_name": "python3"}
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, **options, resources=resources).execute()
    printed = {}
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        printed[cell.id] = "".join(output.get("text", "") for output in outputs)
    return printed


def chapter_with(body):
    """The chapter with this body in `forward`, and the second station as its solution has it."""
    (chapter,) = source.chapters()
    solution = chapter.cell("scale-solution").source
    assert RIGHT in solution
    answers = {"scale": solution.replace(RIGHT, body)}
    answers["shift"] = chapter.cell("shift-solution").source
    return with_stubs(chapter, answers)


@pytest.mark.parametrize("name", STUBS)
def test_run_all_with_every_kind_of_stub(name, desk):
    body, state = STUBS[name]
    printed = run_all(chapter_with(body), desk)
    assert f"92-scale [{state}]" in printed["scale-stub"], printed
    path = desk / "work" / "mine" / "scale.py"
    if name == "right":
        assert "  saved to work/mine/scale.py\n" in printed["scale-stub"]
        assert "  saved to work/mine/scale.py\n" in printed["shift-stub"]
        expected = "92-scale: yours is used (work/mine/scale.py)\ntrained: 6.0 yours True\n"
        assert printed["use"] == expected
        assert "def shift" in path.read_text()
        return
    assert THEIRS in printed["use"] and "trained: 6.0 the package's False" in printed["use"]
    assert not path.exists()


def test_another_kernel_uses_what_was_built_and_the_gallery_does_not(desk, monkeypatch):
    run_all(chapter_with(RIGHT), desk)
    (chapter,) = source.chapters()
    printed = run_all(source.notebook(chapter), desk)  # the stub as it came, on another day
    assert "[not yet]" in printed["scale-stub"]
    assert "yours is used (work/mine/scale.py" in printed["use"]
    before = json.loads((desk / "work" / "progress.json").read_text())
    monkeypatch.setenv("REIDKIT_PROGRESS", "off")
    printed = run_all(source.notebook(chapter), desk)
    assert THEIRS in printed["use"] and "trained: 6.0 the package's False" in printed["use"]
    printed = run_all(source.notebook(chapter, "solution"), desk)
    assert "kept as mine/scale.py while this kernel runs" in printed["scale-stub"]
    assert "trained: 6.0 yours True" in printed["use"]
    assert json.loads((desk / "work" / "progress.json").read_text()) == before


def test_a_file_that_was_broken_since_then_leads_to_the_packages(desk):
    run_all(chapter_with(RIGHT), desk)
    path = desk / "work" / "mine" / "scale.py"
    (chapter,) = source.chapters()
    path.write_text(path.read_text().replace(RIGHT, "import os; os._exit(1)"))
    printed = run_all(source.notebook(chapter), desk)
    assert THEIRS in printed["use"] and "trained: 6.0 the package's" in printed["use"]
    nbformat.validate(source.notebook(chapter))
