"""Lecture copies: what each route shows and hides, notes, the seed, the token. test_browser.py
opens one.
"""

import os
import re
import socket
import subprocess
import time
import urllib.error
import urllib.request

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


def test_a_course_that_can_only_be_read_gets_its_copy_in_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "mine"))
    write_demo(tmp_path / "notebooks" / "source")
    (tmp_path / "build").write_text("a file in its place")
    assert lecture.main(["90"]) == 0
    assert "mine/lecture/90_demo-45.ipynb" in capsys.readouterr().out
    assert (tmp_path / "mine" / "lecture" / "90_demo-45.ipynb").is_file()
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "build" / "mine"))
    assert lecture.main(["90"]) == 2
    said = capsys.readouterr().err
    assert "REIDKIT_WORK_DIR" in said and "Traceback" not in said and len(said.splitlines()) == 1


@pytest.mark.parametrize(
    "words", [["nope.py"], ["77"], ["../x"], [""], ["90", "--seed", "-1"], ["90", "--route", "9"]]
)
def test_command_lines_end_in_a_sentence(words, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    write_demo(tmp_path / "notebooks" / "source")
    try:
        status = lecture.main(words)
    except SystemExit as end:  # argparse
        status = end.code
    assert status == 2 and len(capsys.readouterr().err) > 30


def test_a_program_that_is_missing_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    write_demo(tmp_path / "notebooks" / "source")
    monkeypatch.setattr(lecture.importlib.util, "find_spec", lambda name: None)
    assert lecture.main(["90", "--open", "voila"]) == 2
    said = capsys.readouterr().err
    assert "voila is not installed" in said and "make setup" in said


def _status(address):
    """The HTTP status of an address; a page to log in counts as 403."""
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            return 403 if "/login" in answer.url else answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.slow
def test_a_copy_in_voila_is_shown_to_the_holder_of_the_token_alone(chapter, tmp_path, monkeypatch):
    pytest.importorskip("voila")
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    path, _ = lecture.write(chapter, 15)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"JUPYTER_CONFIG_DIR": str(tmp_path / "config"), "PYTHONUNBUFFERED": "1"}
    command = [*lecture.command(path, "voila"), "--no-browser", f"--port={port}"]
    log = tmp_path / "log"
    with open(log, "w") as stream:
        server = subprocess.Popen(command, env=os.environ | own, stdout=stream, stderr=stream)
    try:
        until = time.monotonic() + 90
        found = None
        while not found and time.monotonic() < until and server.poll() is None:
            time.sleep(0.2)
            found = re.search(r"http://\S+?:(\d+)/\?token=(\w{20,})", log.read_text())
        assert found, log.read_text()
        assert found[1] == str(port)
        address = f"http://127.0.0.1:{port}/"
        assert _status(address) == 403
        assert _status(f"{address}?token=0123456789") == 403
        assert _status(f"{address}api/kernels") == 403
        assert _status(f"{address}voila/files/{path.name}") in (403, 404)
        assert _status(f"{address}?token={found[2]}") == 200
        with socket.socket() as other:  # it listens on this machine's own address alone
            other.settimeout(2)
            outside = socket.gethostbyname(socket.gethostname())
            assert outside.startswith("127.") or other.connect_ex((outside, port)) != 0
    finally:
        server.terminate()
        server.wait(30)


def test_commands_that_open_a_copy(tmp_path):
    path = tmp_path / "a.ipynb"
    assert lecture.command(path, "voila")[1:3] == ["-m", "voila"]
    assert "--token" in lecture.command(path, "voila")
    assert not any(word.startswith("--token=") for word in lecture.command(path, "voila"))
    assert "--LabApp.default_url=/doc/tree/a.ipynb" in lecture.command(path, "jupyterlab")
