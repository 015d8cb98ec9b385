"""What the project promises about itself: dependencies, commands, sizes, lightness, hygiene.

Floors and circles of imports: test_floors.py.
"""

import ast
import importlib.util
import os
import pathlib
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGE = sorted((ROOT / "reidkit").rglob("*.py"))
FIXED = "jupyterlab torch torchvision matplotlib ipywidgets nbval papermill umap-learn".split()


def requirements():
    """{name: requirement} over the core and every extra of pyproject.toml."""
    lines = PROJECT["dependencies"] + [
        line for extra in PROJECT["optional-dependencies"].values() for line in extra
    ]
    found = [Requirement(line) for line in lines]
    return {one.name.lower(): one for one in found if one.name != "reidkit"}


def tracked():
    """Files that git knows or would take; every file beside caches where this is no clone."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git clone")
    return [ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


# ---- dependencies


def test_conda_and_pip_agree():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    pip = next(entry["pip"] for entry in conda if isinstance(entry, dict))
    assert "-e ." in pip
    lines = [line.replace(" ", "", 1) for line in conda if isinstance(line, str)] + [
        line for line in pip if line != "-e ."
    ]
    names = {"pytorch-cpu": "torch", "matplotlib-base": "matplotlib"}
    found = {names.get(one.name, one.name): str(one.specifier) for one in map(Requirement, lines)}
    assert (
        Requirement(f"python{found.pop('python')}").specifier
        == Requirement(f"python{PROJECT['requires-python']}").specifier
    )
    assert found.pop("pip") == ""
    assert found == {name: str(one.specifier) for name, one in requirements().items()}


def test_the_lock_pins_every_requirement_within_its_range():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    by_name = {pin.name.lower(): pin for pin in pins}
    for name, wanted in requirements().items():
        version = str(by_name[name].specifier).removeprefix("==")
        assert version in wanted.specifier, (
            f"{name}: the lock has {version}, pyproject.toml asks for {wanted.specifier}"
        )
    assert all(str(pin.specifier).startswith("==") for pin in pins)


def test_every_other_dependency_has_its_reason():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").lower()
    table = text[text.index("dependencies") :]
    missing = [
        name
        for name in requirements()
        if name not in FIXED and not re.search(rf"\b{re.escape(name)}\b", table)
    ]
    assert not missing, f"CONTRIBUTING.md gives no reason for {missing}"


# ---- commands


PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/TEACHING.md")


def words_of(text, pattern):
    return {match.group(1) for match in re.finditer(pattern, text)}


def test_commands_in_the_texts_exist():
    text = "\n".join(
        (ROOT / name).read_text(encoding="utf-8") for name in (*PAGES, "Makefile", "course.py")
    )
    commands = set(
        re.search(
            r"commands = \{(.*?)\}", (ROOT / "course.py").read_text(encoding="utf-8"), re.DOTALL
        )
        .group(1)
        .split('"')[1::2]
    )
    targets = set(
        re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
        .group(1)
        .split()
    )
    assert targets == commands | {"help"}
    assert {"lab", "test", "update", "course", "lecture", "notebooks", "lint", "docs"} <= commands
    spoken = words_of(text, r"`(?:make|python course\.py) ([a-z]+)") | words_of(
        text, r"(?m)^(?:make|python course\.py) ([a-z]+)"
    )
    assert spoken and spoken <= targets, f"no such commands: {spoken - targets}"
    for module in words_of(text, r"-m (reidkit[\w.]*)"):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def test_course_py_needs_nothing_but_python():
    """It runs before anything is installed: no import from outside the standard library."""
    tree = ast.parse((ROOT / "course.py").read_text(encoding="utf-8"))
    names = {
        alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    names |= {
        node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
    }
    assert names <= set(sys.stdlib_module_names)
    for words, status in (([], 0), (["help"], 0), (["tset"], 2)):
        ended = subprocess.run(
            [sys.executable, "-I", str(ROOT / "course.py"), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == status and "lab" in ended.stdout + ended.stderr


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_course_hands_parameters_on():
    def said(*words):
        environment = {
            "PATH": os.environ["PATH"],
            "SEED": "7",
        }  # what only the environment says is no wish
        ended = subprocess.run(
            ["make", "-n", *words, "PYTHON=python"],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return shlex.split(ended.stdout)[2:]

    assert said("course") == ["course"] and said("lab", "SEED=3") == ["lab"]
    wishes = ["PRESET=smoke", "SEED=3", "DATA=pku-reid:/a b/it's", "DEVICE=cpu", "THREADS=1"]
    assert said("course", *wishes, "ARGS=NAME=x") == ["course", *wishes, "NAME=x"]


def course_module():
    """course.py as a module."""
    spec = importlib.util.spec_from_file_location("course", ROOT / "course.py")
    course = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(course)
    return course


def load_course(monkeypatch):
    """course.py as a module whose commands run nothing -> (module, list of the commands)"""
    course, ran = course_module(), []
    monkeypatch.setattr(course, "setup", lambda: None)
    ended = subprocess.CompletedProcess([], 0)
    monkeypatch.setattr(course.subprocess, "run", lambda command, **_: ran.append(command) or ended)
    return course, ran


@pytest.mark.parametrize("name", [None, "REIDKIT_WORK_DIR", "REIDKIT_HOME"])
def test_lab_opens_the_folder_of_the_copies(name, tmp_path, monkeypatch):
    from reidkit import files

    monkeypatch.delenv("REIDKIT_WORK_DIR", raising=False)
    monkeypatch.delenv("REIDKIT_HOME", raising=False)
    if name:
        monkeypatch.setenv(name, str(tmp_path))
    course, ran = load_course(monkeypatch)
    course.lab([])
    assert f"--ServerApp.root_dir={files.work_dir().resolve()}" in ran[-1]


def test_course_py_and_the_browser_tests_take_the_same_browser(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("REIDKIT_CHROMIUM", raising=False)
    course, ran = load_course(monkeypatch)
    here = ROOT / "tests" / "browser.py"
    assert course.find_browser() is None and not runpy.run_path(str(here))["CHROMIUM"]
    for name in (
        "google-chrome",
        "chromium-browser",
        "chromium",
        "own",
    ):  # the later, the more it is wanted
        path = tmp_path / (f"{name}.exe" if os.name == "nt" else name)
        path.touch(mode=0o755)
        if name == "own":
            monkeypatch.setenv("REIDKIT_CHROMIUM", str(path))
        found = runpy.run_path(str(here))["CHROMIUM"]
        assert pathlib.Path(found).stem == name and course.find_browser() == found
    course._browser()
    assert not ran  # nothing to install


def test_ci_calls_make_test():
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert (
        re.search(r"^make .*\btest\b", run, re.MULTILINE)
        and "REIDKIT_DATA_ROOT" in run
        and "REQUIRE_BROWSER" in run
    )
    flow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    job = flow["jobs"]["test"]
    assert {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]} == {
        "ubuntu",
        "macos",
        "windows",
    }
    assert job["strategy"]["matrix"]["python"] == ["3.11", "3.12", "3.13"]
    assert any(step.get("run") == "python course.py test" for step in job["steps"])


# ---- lightness


def python(code):
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_import_reidkit_is_light():
    """Below a second beyond torch, and without what few need."""
    out = python(
        "import torch, time, sys\nbegin = time.perf_counter()\nimport reidkit, reidkit.teach\n"
        "from reidkit import files, runtime\n"
        "print(time.perf_counter() - begin)\nprint(*sys.modules)"
    )
    seconds, modules = out.splitlines()
    assert float(seconds) < 1
    heavy = {"torchvision", "matplotlib", "ipywidgets", "umap", "pandas", "IPython", "jupytext"}
    assert not heavy & set(modules.split())


@pytest.mark.slow
def test_the_core_works_without_jupyter():
    blocked = (
        "ipywidgets IPython ipykernel jupyterlab jupyter_client jupytext nbformat nbclient "
        "nbconvert papermill umap pandas matplotlib"
    )
    core = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in PACKAGE
        if not {"teach", "chapters"} & set(path.parts)
    ]
    python(
        f"import sys, importlib\nfor name in {blocked.split()!r}: sys.modules[name] = None\n"
        f"for name in {core!r}: importlib.import_module(name)\nimport reidkit.teach"
    )


# ---- hygiene

SECRETS = [
    r"/(?:home|Users)/[a-z]\w+/",
    r"/ro" + r"ot/",
    r"(?<![\w.}])/wo" + r"rk/",
    r"AKIA[0-9A-Z]{16}",
    r"gh[pousr]_[A-Za-z0-9]{36}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY",
    r"(?i)(?:api[_-]?key|password|secret)\s*[:=]\s*['\"][^'\"]{8,}",
]


def test_no_machine_paths_or_secrets():
    found = []
    for path in tracked():
        if path.suffix in (".png", ".jpg", ".safetensors"):
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += [
            f"{path.relative_to(ROOT).as_posix()}: {match.group()!r}"
            for secret in SECRETS
            for match in re.finditer(secret, text)
        ]
    assert not found, found


def test_no_large_or_stray_files():
    sizes = {path.relative_to(ROOT).as_posix(): path.stat().st_size for path in tracked()}
    assert sum(size for name, size in sizes.items() if name.startswith("data/")) <= 10_000_000
    assert not [name for name in sizes if name.endswith((".pkl", ".pt", ".pth", ".pickle"))]
    assert not [
        name for name in sizes if name.startswith(("work/", "build/", "runs/", "data/cache/"))
    ]
