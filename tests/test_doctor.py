"""The doctor: a remedy beside each problem, an exit code, no path of this machine."""

import importlib
import subprocess
import sys
import types

import pytest

pytest.importorskip("IPython")
from reidkit import files, runtime  # noqa: E402

doctor = importlib.import_module("reidkit.teach.doctor")


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
