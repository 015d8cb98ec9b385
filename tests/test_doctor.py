"""The doctor: a remedy beside each problem, an exit code, no path of this machine."""

import errno
import importlib
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

pytest.importorskip("IPython")
from reidkit import files, runtime  # noqa: E402

doctor = importlib.import_module("reidkit.teach.doctor")


@pytest.fixture(autouse=True)
def this_package_is_found(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(pathlib.Path(doctor.__file__).parents[2]))


@pytest.fixture(autouse=True)
def presets(monkeypatch):
    fake = types.ModuleType("reidkit.recipes.presets")
    fake.PRESETS = {
        name: types.SimpleNamespace(name=name, minutes=2.0) for name in ("smoke", "laptop", "gpu")
    }
    monkeypatch.setitem(sys.modules, "reidkit.recipes.presets", fake)


def by_name(checks):
    return {check.what: check for check in checks}


def test_every_problem_has_a_remedy_and_nothing_names_this_machine(capsys):
    checks = doctor.checks()
    assert {
        "Python",
        "torch",
        "torchvision",
        "course packages",
        "widget manager",
        "device",
        "threads",
        "memory",
        "disk",
        "cache folder",
        "folder work/",
        "Python of notebooks",
        "reidkit in notebooks",
        "minutes a chapter",
    } <= set(by_name(checks))
    assert all(check.state == "ok" or check.remedy for check in checks)
    doctor.doctor()
    said = capsys.readouterr().out
    assert str(files.project_root()) not in said and sys.prefix not in said
    assert "laptop" in said


def test_old_torch_and_missing_packages_stop_the_course(monkeypatch, capsys):
    versions = runtime.versions(("torch", "torchvision", *doctor.COURSE))
    versions |= {"torch": "2.5.1+cpu", "jupytext": "not installed"}
    monkeypatch.setattr(runtime, "versions", lambda packages: versions)
    checks = by_name(doctor._versions())
    assert checks["torch"].state == checks["course packages"].state == "stops"
    assert "jupytext" in checks["course packages"].found
    assert "make setup" in checks["torch"].remedy
    assert doctor.main() == 1
    assert "mend what stops it (2)" in capsys.readouterr().out


def test_numbers_of_versions():
    assert doctor._numbers("2.13.0+cpu") == (2, 13)
    assert doctor._numbers("2.9.0a0+git1") == (2, 9)
    assert doctor._numbers("not installed") < (1,)


def test_missing_widget_manager_is_told(monkeypatch):
    paths = pytest.importorskip("jupyter_core.paths")
    monkeypatch.setattr(paths, "jupyter_path", lambda *words: ["/nowhere/package.json"])
    check, *_ = doctor._widgets()
    assert check.state == "look"
    assert "ipywidgets" in check.remedy and "no manager" in check.found


def test_little_disk_memory_and_a_folder_without_rights(monkeypatch, tmp_path):
    monkeypatch.setattr(
        doctor.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=2**28)
    )
    disk = by_name(doctor._machine())["disk"]
    assert disk.state == "stops" and "data/cache" in disk.remedy
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("REIDKIT_WORK_DIR", str(tmp_path / "file" / "work"))
    checks = by_name(doctor._folders())
    assert checks["folder work/"].state == "stops"
    assert str(tmp_path) not in checks["folder work/"].found
    assert checks["cache folder"].state == "ok"


NAMES = {"cache folder": "REIDKIT_CACHE_DIR", "folder work/": "REIDKIT_WORK_DIR"}
# Without a cache the course is slow; without work/ there is nothing to work in.
STATES = {"cache folder": "look", "folder work/": "stops"}


@pytest.mark.parametrize("what", NAMES)
def test_a_folder_is_made_and_written_for_trial(what, tmp_path, monkeypatch):
    folder = tmp_path / "not" / "there"
    monkeypatch.setenv(NAMES[what], str(folder))
    assert by_name(doctor._folders())[what].state == "ok"
    assert folder.is_dir() and not list(folder.iterdir())


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "only be read"),
        (errno.EACCES, "right to write"),
        (errno.EIO, "point"),
    ],
)
def test_a_disk_that_takes_an_empty_file_only_is_found(what, number, words, tmp_path, monkeypatch):
    monkeypatch.setenv(NAMES[what], str(tmp_path))
    synced = []

    def refuse(handle):
        synced.append(os.fstat(handle).st_size)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(doctor.os, "fsync", refuse)
    check = by_name(doctor._folders())[what]
    assert check.state == STATES[what] and os.strerror(number) in check.found
    assert words in check.remedy and NAMES[what] in check.remedy
    assert synced and min(synced) >= 10**6
    assert not list(tmp_path.glob(".doctor*"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path))
    (tmp_path / f".doctor-{os.getpid()}").symlink_to("/dev/full")
    check = by_name(doctor._folders())["cache folder"]
    assert check.state == "look" and "No space left" in check.found
    assert "REIDKIT_CACHE_DIR" in check.remedy


def other_course(folder):
    """A folder with another reidkit."""
    package = folder / "old" / "reidkit"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    return package


def test_notebooks_that_import_another_folder_or_none_are_found(tmp_path, monkeypatch):
    package = other_course(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    check = by_name(doctor._kernel())["reidkit in notebooks"]
    assert check.state == "stops" and str(package) in check.found
    assert "make setup" in check.remedy and "moved" in check.remedy
    monkeypatch.setattr(doctor, "_place_of_package", lambda python: None)
    check = by_name(doctor._kernel())["reidkit in notebooks"]
    assert check.state == "stops" and "not found" in check.found and "make setup" in check.remedy


def test_a_kernel_of_another_python_is_found(tmp_path, monkeypatch):
    kernel = tmp_path / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    for python, words in ((sys.executable, None), ("/nowhere/python", "none is found")):
        about = {"argv": [python, "-m", "x"], "display_name": "P", "language": "python"}
        kernel.write_text(json.dumps(about))
        check = by_name(doctor._kernel())["Python of notebooks"]
        assert check.state == ("look" if words else "ok")
        assert (words or "") in check.found and ("kernelspec" in check.remedy) is bool(words)


@pytest.mark.slow
@pytest.mark.parametrize(
    "surroundings",
    [
        {"PYTHONIOENCODING": "cp1252"},
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"},
    ],
)
def test_a_log_of_any_coding_gets_every_line(surroundings, tmp_path):
    environment = os.environ | surroundings | {"REIDKIT_WORK_DIR": str(tmp_path / "日本")}
    words = [sys.executable, "-m", "reidkit.teach.doctor"]
    ended = subprocess.run(
        words, capture_output=True, env=environment, cwd=files.project_root(), timeout=120
    )
    assert b"minutes a chapter" in ended.stdout and b"Traceback" not in ended.stderr
    assert ended.returncode in (0, 1)


def test_a_slow_machine_is_told_what_to_do(monkeypatch):
    monkeypatch.setattr(doctor, "speed", lambda: doctor.REFERENCE / 10)
    check = doctor._minutes()
    assert check.state == "look" and "laptop 20.0" in check.found and "smoke" in check.remedy


def test_without_torch_one_line_says_so(tmp_path):
    (tmp_path / "torch.py").write_text(
        "raise ImportError(\"No module named 'torch'\", name='torch')"
    )
    start = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.argv = ['doctor']; "
    code = start + "runpy.run_module('reidkit.teach.doctor', run_name='__main__')"
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=files.project_root()
    )
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert ended.stderr.startswith("✗ stops: torch is not installed")
