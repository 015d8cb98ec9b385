"""Set-up: an environment that was moved with its folder, broken, or of another kind; lab's order.

A real environment is moved in test_a_moved_environment_is_mended.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import venv

import pytest
from test_project import course_module

from reidkit.teach import moved

ROOT = pathlib.Path(__file__).resolve().parents[1]


class Calls:
    """What stands for subprocess.run: notes the commands and ends with the statuses asked for."""

    def __init__(self, **statuses):
        self.statuses = statuses  # a word of the command -> its status
        self.words = []

    def __call__(self, command, **_):
        self.words.append(" ".join(map(str, command)))
        for word, status in self.statuses.items():
            if word.replace("_", "-") in self.words[-1]:
                return subprocess.CompletedProcess(command, status)
        return subprocess.CompletedProcess(command, 0)

    def __contains__(self, word):
        return any(word in line for line in self.words)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """course.py, whose .venv is a folder of this test's, stamped as made."""
    course = course_module()
    monkeypatch.setattr(course, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(course, "STAMP", tmp_path / ".venv" / "reidkit-setup")
    course.VENV.mkdir()
    course.STAMP.write_text(course._stamp(keep_torch=False))
    return course


def set_up(course, monkeypatch, **statuses):
    calls = Calls(**statuses)
    monkeypatch.setattr(course.subprocess, "run", calls)
    course.setup()
    return calls


def test_an_environment_in_its_place_takes_no_time(course, monkeypatch):
    calls = set_up(course, monkeypatch)
    assert len(calls.words) == 1 and "--check" in calls


@pytest.mark.parametrize("keep_torch", [False, True])
def test_a_moved_environment_is_noticed_and_mended(keep_torch, course, monkeypatch, capsys):
    course.STAMP.write_text(course._stamp(keep_torch))
    calls = set_up(course, monkeypatch, __check=3)
    assert len(calls.words) == 2 and calls.words[1].endswith("moved.py")
    assert "moved or copied" in capsys.readouterr().out


def test_an_environment_that_cannot_be_mended_ends_in_a_sentence(course, monkeypatch):
    with pytest.raises(course.Stop, match="delete .venv and run setup again"):
        set_up(course, monkeypatch, moved=3)


def test_a_moved_and_older_environment_is_mended_and_brought_up_to_date(course, monkeypatch):
    course.STAMP.write_text("older")
    calls = set_up(course, monkeypatch, __check=3)
    assert calls.words[1].endswith("moved.py") and "install" in calls
    assert course.STAMP.read_text() == course._stamp(keep_torch=False)


def test_an_interrupted_set_up_goes_on(course, monkeypatch, capsys):
    course.STAMP.unlink()
    calls = set_up(course, monkeypatch, __check=3)
    assert "install" in calls and "-m venv" not in calls
    assert "moved" not in capsys.readouterr().out


@pytest.mark.parametrize("keep_torch", [False, True])
def test_an_environment_whose_python_is_gone_is_made_anew(keep_torch, course, monkeypatch, capsys):
    course.STAMP.write_text(course._stamp(keep_torch))
    calls = set_up(course, monkeypatch, __check=1)
    assert "-m venv" in calls and "--clear" in calls
    assert ("--system-site-packages" in calls) is keep_torch
    assert "making .venv anew" in capsys.readouterr().out


def test_an_environment_of_somebody_elses_is_not_deleted(course, monkeypatch):
    course.STAMP.unlink()
    with pytest.raises(course.Stop, match="delete it"):
        set_up(course, monkeypatch, __check=1)


def test_a_python_that_does_not_start_counts_as_broken(course, monkeypatch):
    def fails(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(course.subprocess, "run", fails)
    assert course._state_of_environment() == "broken"


def test_a_folder_that_can_only_be_read_is_told(course, monkeypatch, capsys):
    shutil.rmtree(course.VENV)
    monkeypatch.setattr(course.os, "access", lambda path, mode: False)
    monkeypatch.setattr(course, "_fitting_python", lambda: sys.executable)
    assert course.main(["setup"]) == 1
    assert "copy the course to a folder of yours" in capsys.readouterr().err

    def refuse(words):
        raise OSError(30, "Read-only file system", "x")

    monkeypatch.setattr(course, "setup", refuse)
    assert course.main(["setup"]) == 1 and "Read-only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        "/usr/bin/python3 -m venv /a b/course/.venv",
        "/a b/python -m venv --system-site-packages /a b/course/.venv",
        "/a b/python -m venv --clear --without-pip /a b/course/.venv",
    ],
)
def test_scripts_of_a_moved_environment_name_the_new_place(line, tmp_path):
    old = "/a b/course/.venv"
    folder = tmp_path / "new place" / ".venv"
    (folder / "bin").mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text(f"home = /usr/bin\ncommand = {line}\n")
    start = "#!/bin/sh\n'''exec' \"{}/bin/python\" \"$0\" \"$@\"\n' '''\nprint(1)\n"
    scripts = {
        "plain": (f"#!{old}/bin/python\nprint(1)\n", start),
        "shell": (start.format(old), start),
        "activate": (f'VIRTUAL_ENV="{old}"\n', 'VIRTUAL_ENV="{}"\n'),
        "other": ("#!/usr/bin/python\nprint(1)\n", "#!/usr/bin/python\nprint(1)\n"),
    }
    for name, (text, _) in scripts.items():
        (folder / "bin" / name).write_text(text)
    (folder / "bin" / "program").write_bytes(b"\x7fELF\xff" + old.encode())
    assert moved.mend_scripts(folder) == ["activate", "plain", "shell"]
    for name, (_, expected) in scripts.items():
        assert (folder / "bin" / name).read_text() == expected.format(folder)
    assert (folder / "bin" / "program").read_bytes() == b"\x7fELF\xff" + old.encode()
    assert moved.place_in_config(folder) == str(folder)
    assert moved.mend_scripts(folder) == []


def test_an_environment_that_does_not_tell_where_it_was_made_stays(tmp_path):
    assert moved.place_in_config(tmp_path) is None and moved.mend_scripts(tmp_path) == []
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\nuv = 0.5\n")
    assert moved.mend_scripts(tmp_path) == []


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="folders of POSIX environments")
def test_a_moved_environment_is_mended(tmp_path):
    """A small real one: reidkit alone, installed from a folder that is then renamed and copied."""
    setuptools = pathlib.Path(pytest.importorskip("setuptools").__file__).parents[1]
    old = tmp_path / "old"
    (old / "reidkit" / "teach").mkdir(parents=True)
    for name in ("reidkit/__init__.py", "reidkit/teach/__init__.py", "reidkit/teach/moved.py"):
        shutil.copy(ROOT / name, old / name)
    shutil.copy(ROOT / "pyproject.toml", old)
    venv.create(old / ".venv", with_pip=True, symlinks=True)
    site = next((old / ".venv" / "lib").glob("python*/site-packages"))
    for name in ("setuptools", "pkg_resources", "_distutils_hack"):  # of Python itself, and older
        shutil.rmtree(site / name, ignore_errors=True)
    (site / "tools.pth").write_text(f"{setuptools}\n")  # as torch brings setuptools along
    python = pathlib.Path(".venv", "bin", "python")
    surroundings = {"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}

    def run(folder, *words):
        return subprocess.run(
            [folder / python, "-I", *words],
            cwd=tmp_path,
            env=surroundings,
            capture_output=True,
            text=True,
        )

    def imported_from(folder):
        told = run(folder, "-c", "import reidkit; print(reidkit.__file__)")
        return pathlib.Path(told.stdout.strip()).parents[1]

    def mend(folder):
        ended = run(folder, folder / "reidkit" / "teach" / "moved.py")
        assert ended.returncode == moved.HERE, ended.stdout + ended.stderr

    def check(folder):
        return run(folder, folder / "reidkit" / "teach" / "moved.py", "--check").returncode

    assert check(old) == moved.ELSEWHERE  # not installed yet
    mend(old)
    assert imported_from(old) == old and check(old) == moved.HERE
    new = tmp_path / "näw place"
    old.rename(new)
    assert check(new) == moved.ELSEWHERE
    mend(new)
    assert imported_from(new) == new and check(new) == moved.HERE
    script = subprocess.run([new / ".venv" / "bin" / "pip", "--version"], capture_output=True)
    assert script.returncode == 0 and str(new) in script.stdout.decode()
    copy = tmp_path / "copy"
    shutil.copytree(new, copy, symlinks=True)
    assert imported_from(copy) == new and check(copy) == moved.ELSEWHERE
    mend(copy)
    assert imported_from(copy) == copy and imported_from(new) == new


# ---- lab


def opened(course, monkeypatch, **statuses):
    calls = Calls(**statuses)
    monkeypatch.setattr(course, "setup", lambda: None)
    monkeypatch.setattr(course.subprocess, "run", calls)
    status = course.main(["lab"])
    return status, calls


def test_lab_checks_the_machine_before_it_copies(course, monkeypatch, tmp_path):
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path))
    status, calls = opened(course, monkeypatch)
    places = [line.partition(" -m ")[2].split()[0] for line in calls.words]
    assert places == ["reidkit.teach.doctor", "reidkit.teach.copies", "jupyterlab"] and status == 0


def test_lab_opens_whatever_the_doctor_or_one_copy_says(course, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path))
    _, calls = opened(course, monkeypatch, doctor=1, copies=1)
    assert "jupyterlab" in calls and "opens all the same" in capsys.readouterr().out


def test_lab_without_a_folder_to_open_ends_in_a_sentence(course, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "nowhere"))
    status, calls = opened(course, monkeypatch, copies=1)
    said = capsys.readouterr().err
    assert status == 1 and "jupyterlab" not in calls and "reidkit.teach.doctor" in calls
    assert "REIDKIT_WORK_DIR" in said and "nowhere" in said


@pytest.mark.parametrize("coding", ["cp1252", "ascii"])
def test_course_py_prints_to_a_log_of_any_coding(coding, tmp_path):
    surroundings = os.environ | {"PYTHONIOENCODING": coding, "PYTHONUTF8": "0", "LC_ALL": "C"}
    for words, status in ((["help"], 0), (["行人"], 2)):
        ended = subprocess.run(
            [sys.executable, ROOT / "course.py", *words],
            env=surroundings,
            capture_output=True,
            check=False,
        )
        assert ended.returncode == status and b"Traceback" not in ended.stderr
