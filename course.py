"""Everything the course does, from a bare Python 3.11-3.13 on: `python course.py lab` (`make lab`).

lab         set up, check the machine, open JupyterLab in work/ on chapter 0; --no-solutions leaves
            the solutions out of work/, until --solutions gives them back
test        set up, then every test (more words go to pytest: python course.py test -k world)
setup       only make .venv, or mend it after the folder was moved; --keep-torch takes the torch
            and torchvision that this Python has (a CUDA build, say)
update      bring newer chapters into work/, keep your answers
course      run every chapter into build/course/ (NAME=VALUE sets a parameter: PRESET=smoke)
lecture 01  build a lecture copy of a chapter and open it (--route 15 is the short one)
notebooks   rebuild the notebooks whose sources changed (or name chapters: notebooks 01; --all)
tables      record every table and the drawn weights again, after the world or a method changed
            (hours); needs REIDKIT_DATA_ROOT, the folder of real data sets; then: notebooks
faults      damage inputs, kill writers, fill disks: what is lost or silent, as a table of counts
check       lint, and the tests that need no notebook, no browser and no long training
docs        build the API pages from the docstrings into build/docs/
lint        style checks
"""

# Standard library only: this runs before anything is installed.

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent
LOCK = ROOT / "requirements.lock"
VENV = ROOT / ".venv"
STAMP = VENV / "reidkit-setup"  # hash of what the environment was made from
WINDOWS = os.name == "nt"
LAB_SETTINGS = VENV / "etc" / "jupyter" / "labconfig" / "default_setting_overrides.json"
PYTHON = VENV / ("Scripts/python.exe" if WINDOWS else "bin/python")
LOWEST = (3, 11)
HIGHEST = (3, 13)
MOVED = ROOT / "reidkit" / "teach" / "moved.py"  # run by its path, with the standard library alone
API_PAGES = ROOT / "build" / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Stop(Exception):
    """Ends the command with a sentence for the user."""


def main(words):
    commands = {
        "lab": lab,
        "test": test,
        "setup": setup,
        "update": update,
        "course": course,
        "lecture": lecture,
        "notebooks": notebooks,
        "tables": tables,
        "check": check,
        "faults": faults,
        "docs": docs,
        "lint": lint,
    }
    for stream in (sys.stdout, sys.stderr):  # a pipe on Windows knows Latin letters only
        stream.reconfigure(errors="backslashreplace")
    if not words or words[0] in ("help", "-h", "--help"):
        print(__doc__)
        return 0
    if words[0] not in commands:
        print(f"no command {words[0]!r}; there are {', '.join(commands)}", file=sys.stderr)
        return 2
    try:
        return commands[words[0]](words[1:]) or 0
    except (Stop, OSError) as reason:
        print(f"course.py: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


# ---- commands


def setup(words=()):
    """Make .venv, or find that it is what requirements.lock and pyproject.toml ask for.

    In the second case this takes no time. An environment that was renamed, moved or copied with
    the course's folder is mended, and one whose Python is gone is made anew.
    """
    keep_torch = "--keep-torch" in words
    state = _state_of_environment()
    if state == "broken":
        if not STAMP.is_file():
            raise Stop(f"{VENV.name} has no Python with pip, and setup did not make it: delete it")
        print("the Python that .venv was made with is gone: making .venv anew", flush=True)
        keep_torch = keep_torch or _is_stamped(keep_torch=True)
    elif state == "moved" and STAMP.is_file():
        print("the course's folder was renamed, moved or copied: mending .venv", flush=True)
        if _call([str(PYTHON), "-I", str(MOVED)]):
            raise Stop("notebooks would not find this reidkit; delete .venv and run setup again")
    is_made = _is_stamped(keep_torch=False) or _is_stamped(keep_torch=True)
    if is_made and not keep_torch and state in ("here", "moved"):
        return
    begin = time.perf_counter()
    if state in ("none", "broken"):
        _make_environment(keep_torch)
    constraints = _pins_without_torch() if keep_torch else LOCK
    print("installing what requirements.lock pins (a minute or two, once)", flush=True)
    pip = [*_module("pip"), "install", "--disable-pip-version-check", "-c", str(constraints)]
    if not keep_torch:  # pinned torch first: asked for by range, pip may take a build of many GB
        _run([*pip, "torch", "torchvision"])
    _run([*pip, "-e", ".[all]"])
    _run([*_module("pip"), "check", "--disable-pip-version-check"])
    STAMP.write_text(_stamp(keep_torch), encoding="utf-8")
    print(f"set up in {time.perf_counter() - begin:.0f} s", flush=True)


def _is_stamped(keep_torch):
    """Whether .venv was made from these very files, with this one's torch or the pinned one."""
    return STAMP.is_file() and STAMP.read_text(encoding="utf-8") == _stamp(keep_torch)


def _state_of_environment():
    """What is to be said of .venv: "none" is there; it is "broken", without a Python that runs or
    without pip; "moved", where it finds no reidkit or that of another folder; or "here".
    """
    if not VENV.is_dir():
        return "none"
    probe = [str(PYTHON), "-I", str(MOVED), "--check"]  # -I: without this shell's PYTHONPATH
    try:
        status = subprocess.run(probe, capture_output=True, check=False).returncode
    except OSError:
        return "broken"
    return {0: "here", 3: "moved"}.get(status, "broken")


def _make_environment(keep_torch):
    python = _fitting_python()
    if not os.access(ROOT, os.W_OK):
        raise Stop(f"{str(ROOT)!r} can only be read: copy the course to a folder of yours")
    print(f"making .venv with {python}", flush=True)
    options = ["--system-site-packages"] if keep_torch else []
    if VENV.exists():  # else links to a Python that is gone would stay
        options.append("--clear")
    _run([python, "-m", "venv", *options, str(VENV)])


def _pins_without_torch():
    """A copy of requirements.lock that leaves torch and torchvision as they are -> its path."""
    probe = [str(PYTHON), "-c", "import torch"]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        raise Stop(
            "--keep-torch found no torch to keep: run it with the Python that has it, "
            "and delete .venv before"
        )
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if not line.startswith(("torch==", "torchvision=="))]
    path = VENV / "constraints-without-torch.txt"
    path.write_text("\n".join(pins) + "\n", encoding="utf-8")
    return path


def lab(words):
    """Check the machine, copy missing chapters into work/, open JupyterLab on chapter 0."""
    setup()
    with contextlib.suppress(OSError):  # a folder that can only be read: then JupyterLab asks
        _let_lab_fetch_nothing()
    if _call(_module("reidkit.teach.doctor")):
        print("the check found something (above); JupyterLab opens all the same", flush=True)
    wish = [word for word in words if word in ("--solutions", "--no-solutions")]
    words = [word for word in words if word not in wish]
    if _call([*_module("reidkit.teach.copies"), *wish]) and not _work_dir().is_dir():
        place = str(_work_dir())
        raise Stop(f"no folder {place!r} to open (see above); REIDKIT_WORK_DIR can name another")
    options = [
        f"--ServerApp.root_dir={_work_dir()}",
        "--LabApp.default_url=/lab/tree/00_start_here.ipynb",
    ]
    if not WINDOWS and os.geteuid() == 0:  # in a container; it listens on this machine only
        options.append("--allow-root")
    return _call([*_module("jupyterlab"), *options, *words])


def _let_lab_fetch_nothing():
    """Set what JupyterLab in this environment does by default: it neither asks about news nor looks
    for updates. A student's own settings stand above it.
    """
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    settings = {"@jupyterlab/apputils-extension:notification": quiet}
    LAB_SETTINGS.parent.mkdir(parents=True, exist_ok=True)
    LAB_SETTINGS.write_text(json.dumps(settings), encoding="utf-8")


def test(words):
    """Every test, on all cores: tests/ and, through nbval, the committed notebooks."""
    setup()
    if os.environ.get("REQUIRE_BROWSER") == "1":
        _browser()
    nbval = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600"]
    return _pytest(["tests", "notebooks", *nbval, *words])


def check(words):
    """Lint, and the tests that need neither a notebook's run nor a browser nor a long training."""
    setup()
    slow = ["--ignore=tests/test_notebooks.py", "--ignore=tests/test_browser.py"]
    return lint([]) or _pytest(["tests", *slow, "-m", "not slow", *words])


def faults(words):
    """The whole suite of tests/faults, with a table of how its trials ended."""
    setup()
    return _call([*_module("tests.faults"), "--show", *words], {"OMP_NUM_THREADS": "1"})


def _pytest(words):
    """pytest on all cores, one thread each; with an empty cache, so that training is live."""
    workers = [] if "-n" in words else ["-n", str(_cores())]
    with tempfile.TemporaryDirectory(prefix="reidkit-test-", ignore_cleanup_errors=True) as cache:
        surroundings = {
            "REIDKIT_CACHE_DIR": cache,
            "REIDKIT_PROGRESS": "off",
            "REIDKIT_STRICT": "1",
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYTHONHASHSEED": "0",
        }
        return _call([*_module("pytest"), *workers, *words], surroundings)


def _cores():
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def update(words):
    """Bring newer chapters into work/."""
    setup()
    return _call([*_module("reidkit.teach.copies"), "--update", *words])


def course(words):
    """Run every chapter into build/course/; a word NAME=VALUE is a parameter."""
    setup()
    options = []
    for word in words:
        if "=" in word:
            options.append("-p")
        options.append(word)
    return _call([*_module("reidkit.teach.build"), "--course", *options])


def lecture(words):
    """Build a lecture copy, and open it in Voila unless a word says in what."""
    if not words:
        raise Stop("name a chapter: make lecture CH=01, or python course.py lecture 01")
    setup()
    show = [] if "--open" in words else ["--open", "voila"]
    return _call([*_module("reidkit.teach.lecture"), *words, *show])


def notebooks(words):
    """Rebuild the notebooks that are stale, or those of the chapters that are named."""
    setup()
    return _call([*_module("reidkit.teach.build"), *words])


def tables(words):
    """Every chapter lists what it needs; what is found finished is kept."""
    setup()
    return _call([*_module("reidkit.teach.tables"), *words])


def lint(words):
    """Style, form and the project's own rules; all three speak, whatever the first ones say."""
    setup()
    statuses = [
        _call([*_module("ruff"), "check", ".", *words]),
        _call([*_module("ruff"), "format", "--check", "--quiet", "."]),
        _call([str(PYTHON), "tests/rules.py"]),
    ]
    return max(statuses)


def docs(words):
    """Pages of the package's public modules, made from their docstrings."""
    setup()
    return _call([*_module("reidkit.teach.pages"), str(API_PAGES), *words])


# ---- what they stand on


def _module(name):
    return [str(PYTHON), "-m", name]


def _call(command, surroundings=None):
    """Run a command in the project's folder; its exit status.

    OpenMP's threads shall not spin while they wait: on a busy machine that costs ten times the work
    (and it must be said before torch is loaded).
    """
    sys.stdout.flush()
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **(surroundings or {})}
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def _run(command):
    """Run a command that must succeed."""
    status = _call(command)
    if status:
        raise Stop(f"this ended with status {status}: {' '.join(map(str, command))}")


def _stamp(keep_torch):
    """Hash of what an environment is made from.

    Line ends do not count, so that a clone on Windows agrees.
    """
    sums = hashlib.sha256(repr((keep_torch, sys.platform)).encode())
    for name in ("requirements.lock", "pyproject.toml"):
        sums.update((ROOT / name).read_text(encoding="utf-8").encode())
    return sums.hexdigest()


def _fitting_python():
    """A Python that the course supports and that can make environments -> its path.

    This one if it is such, else the newest on the path.
    """
    candidates = [sys.executable]
    for minor in range(HIGHEST[1], LOWEST[1] - 1, -1):
        path = shutil.which(f"python3.{minor}")
        if path:
            candidates.append(path)
    fits = f"{LOWEST} <= sys.version_info[:2] <= {HIGHEST}"
    probe = f"import sys, ensurepip; raise SystemExit(not {fits})"
    for path in candidates:
        if subprocess.run([path, "-c", probe], capture_output=True, check=False).returncode == 0:
            return path
    raise Stop(
        f"found no Python 3.{LOWEST[1]} to 3.{HIGHEST[1]} that can make environments "
        f"(this is {sys.version.split()[0]}); install one from python.org or your system's "
        "packages (Debian, Ubuntu: python3 and python3-venv)"
    )


def _work_dir():
    """reidkit.files.work_dir() in full, without loading the package."""
    home = pathlib.Path(os.environ.get("REIDKIT_HOME") or ROOT)
    return (ROOT / (os.environ.get("REIDKIT_WORK_DIR") or home / "work")).resolve()


def find_browser():
    """The browser of the widget tests, or None where there is none.

    REIDKIT_CHROMIUM names it, else it is the first on the path.
    """
    names = [os.environ.get("REIDKIT_CHROMIUM") or "", *BROWSERS]
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    return None


def _browser():
    """Debian's Chromium, installed where that may be done without asking anybody.

    That is as root, with apt-get.
    """
    if find_browser():
        return
    if WINDOWS or os.geteuid() != 0 or not shutil.which("apt-get"):
        print(
            "REQUIRE_BROWSER=1, but there is no Chromium and it cannot be installed from here; "
            "the browser test will fail",
            flush=True,
        )
        return
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    steps = (["update"], ["install", "-y", "--no-install-recommends", "chromium"])
    for words in steps:
        if _call(["apt-get", "-qq", *words], quiet):
            print("installing Chromium failed; the browser test will fail", flush=True)
            return


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
