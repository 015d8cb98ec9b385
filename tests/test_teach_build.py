"""The builder: forms of a chapter, what a built notebook holds, and that what must fail does."""

import html
import json
import os
import subprocess
import sys

import chapter_demo
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from planted import with_stubs

from reidkit.teach import build, execute, source


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    chapter_demo.write(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The tiny chapter, built once: (its folder, the text of the notebook)"""
    root = tmp_path_factory.mktemp("built")
    chapter_demo.write(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REIDKIT_HOME", str(root))
        assert build.main(["91"]) == 0
    return root, (root / "notebooks" / "91_tiny.ipynb").read_text(encoding="utf-8")


def nbval(folder, *more):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
        str(folder),
        *more,
    ]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=folder, check=False, timeout=120
    )


# ---- forms


def test_gallery_folds_hints_and_solution(project):
    notebook = source.notebook(source.chapters()[0])
    assert [cell.id for cell in notebook.cells] == [
        "title",
        "parameters",
        "setup",
        "add-one",
        "add-one-stub",
        "add-one-hints",
        "add-one-solution",
        "table",
        "claim",
    ]
    hints = notebook.cells[5]
    assert hints.source.count("<details>") == 2 and "Hint 2" in hints.source
    solution = notebook.cells[6]
    assert "```python\ndef add_one(x):\n    return x + 1\n```" in solution.source
    assert "Because." in solution.source
    assert solution.metadata == {"tags": ["solution"], "editable": False, "deletable": False}
    assert "nbval-check-output" in notebook.cells[4].metadata.tags
    assert "..." in notebook.cells[4].source


def test_solution_form_runs_the_very_code_that_is_folded(project):
    chapter = source.chapters()[0]
    notebook = source.notebook(chapter, "solution")
    stub = next(cell for cell in notebook.cells if cell.id == "add-one-stub")
    assert stub.source == "def add_one(x):\n    return x + 1\n\ncheck.add_one(add_one)"
    tags = {tag for cell in notebook.cells for tag in source.tags(cell)}
    assert not tags & {"hint", "solution"}


@pytest.mark.parametrize(
    ("how", "line"), [("raise", "raise RuntimeError('planted')"), ("wrong", "return 0.5")]
)
def test_planted_stubs(project, how, line):
    notebook = with_stubs(source.chapters()[0], how)
    stub = next(cell for cell in notebook.cells if cell.id == "add-one-stub")
    assert stub.source == f"def add_one(x):\n    {line}\n\ncheck.add_one(add_one)"


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('key="table"', "", "give it key="),
        ('key="table"', 'key="claim"', "stand twice"),
        ('key="table"', 'key="The table"', "give it key="),
        ("#     title: A tiny chapter\n", "", "title = None"),
        ('key="add-one-solution"', 'key="other-solution"', "lacks"),
        ('"stub", "check"]', '"check"]', "belong together"),
    ],
)
def test_faulty_sources_are_named(tmp_path, old, new, word):
    path = chapter_demo.write(tmp_path, chapter_demo.SOURCE.replace(old, new))
    with pytest.raises(ValueError, match=word) as error:
        source.read(path)
    assert "91_tiny.py" in str(error.value)


# ---- what a built notebook holds


def test_a_built_notebook_is_clean_and_checked(built):
    notebook = nbformat.reads(built[1], as_version=4)
    nbformat.validate(notebook)
    assert build.problems(notebook) == []
    key, claim = execute.claims(notebook)[0]
    assert key == "claim" and claim["state"] == "held"
    assert notebook.metadata.language_info == {"name": "python"}
    assert "widgets" not in notebook.metadata
    outputs = {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}
    assert outputs["table"][0].text == "[0, 1, 4, 9]\n"
    assert "[not yet]" in outputs["add-one-stub"][0].text
    assert len(outputs["add-one-stub"]) == 1  # the verdict does not show itself a second time
    assert not any("execution" in cell.metadata for cell in notebook.cells)


def test_a_rebuild_is_equal_byte_for_byte(built, project):
    assert build.build(source.chapters()[0], progress=False) == []
    assert (project / "notebooks" / "91_tiny.ipynb").read_text(encoding="utf-8") == built[1]


def test_only_stale_chapters_are_built(built, project, monkeypatch, capsys):
    target = project / "notebooks" / "91_tiny.ipynb"
    target.write_text(built[1], encoding="utf-8")
    monkeypatch.setattr(build, "build", lambda chapter: pytest.fail("nothing is stale"))
    assert build.main([]) == 0 and build.main(["--check"]) == 0
    chapter_demo.write(project, chapter_demo.SOURCE.replace("A tiny", "One tiny"))
    assert build.main(["--check"]) == 1
    assert "stale: 91_tiny" in capsys.readouterr().out
    other_output = json.loads(built[1])  # no reason to rebuild
    other_output["cells"][-2]["outputs"] = []
    chapter_demo.write(project)
    target.write_text(json.dumps(other_output), encoding="utf-8")
    assert build.main(["--check"]) == 0


def test_new_words_enter_a_notebook_without_a_run(built, project, monkeypatch, capsys):
    target = project / "notebooks" / "91_tiny.ipynb"
    target.write_text(built[1], encoding="utf-8")
    text = chapter_demo.SOURCE.replace("# # A tiny chapter", "# # One tiny chapter")
    chapter_demo.write(project, text.replace("# of everything", "# of all"))
    with monkeypatch.context() as patch:
        patch.setattr(build, "execute", lambda *_, **__: pytest.fail("it ran"))
        assert build.main([]) == 0
    assert "0 of 1 chapters run; 0 with problems (1 got new words" in capsys.readouterr().out
    refreshed = target.read_text(encoding="utf-8")
    assert "# One tiny chapter" in refreshed and "# of all" in refreshed
    assert build.main(["--check"]) == 0
    assert build.main(["--all"]) == 0  # a run gives the same bytes
    assert target.read_text(encoding="utf-8") == refreshed


def test_a_chapter_that_cannot_run_is_reported(project, capsys):
    line = "# of everything"
    raising = chapter_demo.SOURCE.replace(line, f"{line}\nraise OSError('planted')")
    chapter_demo.write(project, raising)
    assert build.main([]) == 1
    assert "OSError: planted" in capsys.readouterr().out
    assert not (project / "notebooks" / "91_tiny.ipynb").exists()


def executed(*outputs):
    return new_notebook(
        cells=[new_code_cell("x", id="x", execution_count=1, outputs=list(outputs))]
    )


@pytest.mark.parametrize(
    ("output", "word"),
    [
        (
            new_output("stream", name="stdout", text=f"read {os.path.expanduser('~')}/pictures"),
            "place on this machine",
        ),
        (
            new_output("execute_result", data={"text/plain": "<object at 0x7f0012345678>"}),
            "place on this machine",
        ),
        (new_output("display_data", data={"image/png": "A" * 90_000}), "at most 60,000"),
        (
            new_output(
                "display_data",
                data={"text/html": f'<img src="data:image/png;base64,{"A" * 90_000}">'},
            ),
            "at most 60,000",
        ),
        (new_output("stream", name="stdout", text="a" * 1_000_001), "at most 1,000,000"),
        (new_output("error", ename="OSError", evalue="planted"), "raised OSError"),
        (
            new_output(
                "display_data",
                data={execute.CLAIM: {"state": "not held", "sentence": "water burns"}},
            ),
            "water burns",
        ),
    ],
)
def test_each_problem_is_seen(output, word):
    assert word in " ".join(build.problems(executed(output)))
    assert build.problems(executed(new_output("stream", name="stdout", text="fine"))) == []


def test_alt_text_reaches_the_html():
    picture = new_output(
        "display_data",
        data={"image/png": "QUJD", "text/plain": "f"},
        metadata={"image/png": {"alt": 'a "red" coat'}},
    )
    page = build.to_html(executed(picture))
    assert 'a "red" coat' in html.unescape(page)
    assert "No description has been provided" not in page


# ---- what must fail does


def test_a_failing_widget_callback_fails_the_run(project):
    code = "import ipywidgets\ndef draw(k=1):\n    1 / 0\nipywidgets.interact(draw, k=(0, 3));"
    broken = new_notebook(cells=[new_code_cell(code)])
    with execute.surroundings(), pytest.raises(RuntimeError, match="ZeroDivisionError"):
        execute.execute(broken, "broken", progress=False)


def test_a_changed_stored_output_fails(built, tmp_path):
    notebook = nbformat.reads(built[1], as_version=4)
    without_torch = ("parameters", "table")
    notebook.cells = [cell for cell in notebook.cells if cell.id in without_torch]
    text = execute.dump(notebook)
    assert "[0, 1, 4, 9]" in text
    changed = text.replace("[0, 1, 4, 9]", "[0, 1, 4, 8]")
    (tmp_path / "good.ipynb").write_text(text, encoding="utf-8")
    (tmp_path / "bad.ipynb").write_text(changed, encoding="utf-8")
    ended = nbval(tmp_path)
    assert ended.returncode == 1 and "1 failed, 3 passed" in ended.stdout, ended.stdout
    assert "FAILED bad.ipynb" in ended.stdout and "[0, 1, 4, 8]" in ended.stdout


def test_an_unknown_parameter_fails(project, capsys):
    from reidkit.teach import rerun

    assert rerun.main(["91", "-p", "SEDE=1", "--out", str(project / "runs")]) == 2
    said = capsys.readouterr().err
    assert "SEDE" in said and "SEED" in said and not (project / "runs").exists()


# ---- the whole course


@pytest.mark.slow
def test_course_runs_all_and_counts_claims(project, capsys):
    other = chapter_demo.SOURCE.replace('"91"', '"92"').replace("v >= 0", "v > 99")
    chapter_demo.write(project, other, "92_other.py")
    assert build.main(["--course", "-p", "SEED=2"]) == 1  # the second chapter's claim does not hold
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-2][0] == "91_tiny" and rows[-2][2:] == ["1", "0", "0"]
    assert rows[-1][0] == "92_other" and rows[-1][2:] == ["0", "1", "0"]
    page = (project / "build" / "course" / "91_tiny.html").read_text(encoding="utf-8")
    assert "[2, 3, 6, 11]" in page  # SEED arrived


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ("SEDE=1", ["SEDE", "Did you mean 'SEED'"]),
        ("SEED=one", ["'one'", "int"]),
        ("SEED=0,1", ["'0,1'"]),
        ("SEED", ["NAME=VALUE"]),
    ],
)
def test_course_refuses_before_it_runs(project, monkeypatch, capsys, wish, words):
    monkeypatch.setattr(build, "execute", lambda *_: pytest.fail("it ran"))
    with pytest.raises(SystemExit) as ended:
        build.main(["--course", "-p", wish])
    said = capsys.readouterr().err
    assert ended.value.code == 2 and all(word in said for word in words), said


def test_strip_keeps_what_a_reader_sees():
    bar = new_output("stream", name="stderr", text="100%|####| 3/3 [00:00<00:00, 9it/s]")
    view = new_output(
        "display_data", data={execute.WIDGET: {"model_id": "1"}, "text/plain": "HBox()"}
    )
    picture = new_output(
        "display_data", data={"text/plain": "seen"}, metadata={"image/png": {"alt": "a"}}
    )
    notebook = executed(bar, view, picture)
    notebook.metadata["widgets"] = {"state": {}}
    text = new_markdown_cell("text", id="m")
    doctor = new_code_cell("doctor()", id="d", metadata={"tags": ["local"]}, outputs=[picture])
    notebook.cells += [text, doctor]
    assert execute.strip(notebook).cells[0].outputs == [picture]
    (sentence,) = notebook.cells[2].outputs
    assert "your own machine" in sentence.text
    assert "widgets" not in notebook.metadata


def test_what_a_cell_prints_in_pieces_is_one_output(project):
    """How a kernel cuts its output into messages changes from run to run: the notebook must not."""
    cell = new_code_cell(
        "import sys, time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.4)\n"
        "    print('50%|', file=sys.stderr, flush=True)"
    )
    notebook = execute.execute(new_notebook(cells=[cell]), progress=False)
    (output,) = notebook.cells[0].outputs
    assert (output.name, output.text) == ("stdout", "0\n1\n2\n")
