"""Every chapter: its form, its built notebook, and whole runs with the solutions, with wrong
answers and with answers that raise.

The notebooks as committed are run by nbval in the same pytest call (course.py test).
"""

import ast
import importlib
import re
import tomllib
import types

import build_demo
import nbformat
import pytest
from planted import with_stubs

from reidkit.teach import build, execute, rooms, source

CHAPTERS = source.chapters()
MOST = {
    "cells": 45,
    "lines": 25,
    "lines of a build": 45,
    "words": 2000,
    "exercises": 3,
    "stations": 3,
    "minutes_study": 60,
    "minutes_compute": 3,
}

every_chapter = pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.number)


def run(notebook, tmp_path, **parameters):
    """The notebook after papermill ran it with these parameters in notebooks/, as the rerun tool
    does.
    """
    import papermill

    given, made = tmp_path / "given.ipynb", tmp_path / "made.ipynb"
    nbformat.write(notebook, given)
    papermill.execute_notebook(
        str(given),
        str(made),
        parameters,
        cwd=str(execute.gallery_folder()),
        kernel_name="python3",
        progress_bar=False,
        execution_timeout=600,
        log_output=False,
    )
    return nbformat.read(made, as_version=4)


def verdicts(notebook):
    """{stub's cell id: "well done", "wrong", "error" or "not yet"}"""
    found = {}
    for cell in notebook.cells:
        if "stub" in source.tags(cell):
            text = "".join(
                output.get("text", "") for output in cell.outputs if output.get("name") == "stdout"
            )
            found[cell.id] = re.findall(r"\[(well done|wrong|error|not yet)\]", text)[-1]
    return found


def code(chapter):
    """The syntax tree of all code cells; IPython's % and ! lines do not count."""
    cells = [cell.source for cell in chapter.cells if cell.cell_type == "code"]
    return ast.parse(re.sub(r"(?m)^\s*[%!].*$", "", "\n\n".join(cells)))


# ---- as written


@every_chapter
def test_a_chapter_keeps_its_size(chapter):
    shown = [
        cell
        for cell in source.notebook(chapter).cells
        if not {"hint", "solution"} & set(source.tags(cell))
    ]  # the rest is folded
    assert len(shown) <= MOST["cells"]
    assert not long_cells(chapter)
    words = sum(
        len(re.findall(r"[^\W\d_]{2,}", cell.source))
        for cell in shown
        if cell.cell_type == "markdown"
    )
    assert words <= MOST["words"]
    for field in ("minutes_study", "minutes_compute"):
        assert chapter.header[field] <= MOST[field]


def long_cells(chapter):
    """{key: lines} of the code cells that have too many; the cells of a build may have more."""
    parts = {f"{name}-{part}" for name in chapter.builds for part in ("stub", "solution")}
    long = {}
    for cell in chapter.cells:
        most = MOST["lines of a build"] if cell.id in parts else MOST["lines"]
        lines = len(cell.source.splitlines())
        if cell.cell_type == "code" and lines > most:
            long[cell.id] = lines
    return long


def test_the_cells_of_a_build_may_be_longer(tmp_path):
    path = build_demo.write(tmp_path)
    text = path.read_text()
    for blanks, expected in ((30, set()), (45, {"scale-stub", "scale-solution"})):
        path.write_text(text.replace("        super().__init__()\n", "        pass\n" * blanks))
        assert set(long_cells(source.read(path))) - {"use"} == expected
    path.write_text(text.replace('["exercise", "build", "stub"]', '["exercise", "stub"]', 1))
    with pytest.raises(ValueError, match="card and stub of a build both have the tag build"):
        source.read(path)


@every_chapter
def test_a_chapter_has_its_parts(chapter):
    tagged = [tag for cell in chapter.cells for tag in source.tags(cell)]
    assert tagged.count("parameters") == 1
    short = [name for name in chapter.exercises if name not in chapter.builds]
    assert chapter.header.get("least_exercises", 1) <= len(chapter.exercises)
    assert len(short) <= MOST["exercises"] and len(chapter.builds) <= MOST["stations"]
    compared = tagged.count("check")
    least = chapter.header.get("least_checks", 5)
    assert compared >= least, (
        f"{chapter.name} has {compared} cells tagged check, needs {least}: tag more cells whose "
        "output is the same on every machine, or set least_checks in the header"
    )
    assert set(chapter.header["prerequisites"]) <= {other.number for other in CHAPTERS}
    assert chapter.name.startswith(f"{chapter.number}_")


@every_chapter
def test_parameters_are_annotated_and_explained(chapter):
    """papermill reads type and help from `NAME: type = value  # help` only."""
    cell = next(cell for cell in chapter.cells if "parameters" in source.tags(cell))
    assert all(isinstance(node, ast.AnnAssign) for node in ast.parse(cell.source).body)
    assert all(re.search(r"#\s*\S", line) for line in cell.source.splitlines() if "=" in line)
    assert {"PRESET", "SEED", "DATA", "DEVICE", "THREADS"} <= {
        node.target.id for node in ast.parse(cell.source).body
    }


@every_chapter
def test_every_exercise_has_a_check_of_its_key(chapter):
    checks = rooms.load_part(chapter.number, "checks") or types.ModuleType("none")
    found = {value.key: value for value in vars(checks).values() if hasattr(value, "key")}
    assert {f"{chapter.number}-{name}" for name in chapter.exercises} == set(found)
    of_builds = {key for key, value in found.items() if value.build is not None}
    assert {f"{chapter.number}-{name}" for name in chapter.builds} == of_builds


@every_chapter
def test_names_from_reidkit_exist(chapter):
    """Package and notebooks cannot drift apart: every import and every module.name is looked up."""
    tree, known, missing = code(chapter), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "reidkit":
            for alias in node.names:
                known[alias.asname or alias.name] = value = look_up(
                    importlib.import_module(node.module), alias.name
                )
                missing += [f"from {node.module} import {alias.name}"] if value is None else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module = known.get(node.value.id)
            if isinstance(module, types.ModuleType) and look_up(module, node.attr) is None:
                missing.append(f"{node.value.id}.{node.attr}")
    assert known and not missing


def look_up(module, name):
    try:
        return getattr(module, name)
    except AttributeError:
        try:
            return importlib.import_module(f"{module.__name__}.{name}")
        except ImportError:
            return None


def shown_figures(chapter):
    """Names of the figures that a chapter shows: "02-shares" of teach.show(..., "02-shares")."""
    calls = [node for node in ast.walk(code(chapter)) if isinstance(node, ast.Call)]
    names = set()
    for call in calls:
        if isinstance(call.func, ast.Attribute) and call.func.attr in ("show", "explore"):
            words = [word.value for word in call.args if isinstance(word, ast.Constant)]
            names.update(word for word in words if isinstance(word, str))
    return names


@every_chapter
def test_every_figure_has_its_words_and_all_words_a_figure(chapter):
    """They stand in the room's figures.toml; none is missing, none is left over."""
    prefix = f"{chapter.number}-"
    names = {
        name.removeprefix(prefix) for name in shown_figures(chapter) if name.startswith(prefix)
    }
    path = rooms.room_folder(chapter.number) / "figures.toml"
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    assert names and names == set(table)
    for words in table.values():
        assert len(words["alt"]) >= 20


# ---- as built


@every_chapter
def test_the_built_notebook_is_of_these_sources(chapter):
    assert not build.stale(chapter), f"{chapter.name} is stale: run `make notebooks`"
    notebook = nbformat.read(execute.gallery_folder() / f"{chapter.name}.ipynb", as_version=4)
    assert [(cell.id, cell.source) for cell in notebook.cells] == [
        (cell.id, cell.source) for cell in source.notebook(chapter).cells
    ]


@every_chapter
def test_the_built_notebook_is_clean(chapter):
    path = execute.gallery_folder() / f"{chapter.name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert build.problems(notebook) == []
    assert all(
        cell.execution_count for cell in notebook.cells if cell.cell_type == "code"
    )  # else nbval would compare nothing
    empty = [
        cell.id for cell in notebook.cells if "check" in source.tags(cell) and not cell.outputs
    ]
    assert not empty, f"marked for comparison, but without output: {empty}"


def test_every_built_notebook_has_a_source():
    built = {path.stem for path in execute.gallery_folder().glob("*.ipynb")}
    assert built == {chapter.name for chapter in CHAPTERS}


# ---- as run


@every_chapter
def test_with_the_solutions(chapter, tmp_path):
    made = run(source.notebook(chapter, "solution"), tmp_path, PRESET="smoke", SEED=1)
    states = verdicts(made)
    assert states == {f"{name}-stub": "well done" for name in chapter.exercises}
    assert not [
        claim["sentence"] for _, claim in execute.claims(made) if claim["state"] == "not held"
    ]
    assert execute.widget_errors(made) == []


@every_chapter
@pytest.mark.parametrize(("how", "expected"), [("raise", {"error"}), ("wrong", {"wrong", "error"})])
def test_with_planted_answers(chapter, how, expected, tmp_path):
    """Run All reaches the end whatever the answers are, and no check takes them for right."""
    if not chapter.exercises:
        pytest.skip("the chapter has no exercise")
    states = verdicts(run(with_stubs(chapter, how), tmp_path, PRESET="smoke", SEED=1))
    assert (
        set(states) == {f"{name}-stub" for name in chapter.exercises}
        and set(states.values()) <= expected
    ), states


def test_a_planted_defect_is_seen(tmp_path):
    """The runs above can fail: a wrong solution gives another verdict."""
    import chapter_demo

    chapter = source.read(
        chapter_demo.write(tmp_path, chapter_demo.SOURCE.replace("return x + 1", "return x - 1"))
    )
    assert verdicts(run(source.notebook(chapter, "solution"), tmp_path, SEED=1)) == {
        "add-one-stub": "wrong"
    }
    assert verdicts(run(with_stubs(chapter, "raise"), tmp_path)) == {"add-one-stub": "error"}
