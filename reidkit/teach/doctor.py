"""Is this machine ready? A check of all that the course needs, with a remedy beside each problem.

It looks at versions, device, threads, memory, disk, widgets and the minutes to expect.
`python -m reidkit.teach.doctor` (or teach.doctor() in a notebook); its exit status is 1 where
something stops the course.
"""

import argparse
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .messages import say

try:
    from .. import files, runtime
    from ..console import REMEDIES, command
    from .display import emit, table
except ImportError as error:
    # Without torch nothing of reidkit imports: this hides all other problems.
    raise SystemExit(say("doctor bare", missing=error.name)) from None

COURSE = (
    "jupyterlab",
    "ipykernel",
    "ipywidgets",
    "matplotlib",
    "jupytext",
    "nbclient",
    "nbconvert",
    "papermill",
)
PYTHON_FROM = (3, 11)
PYTHON_BELOW = (3, 14)
TORCH_FROM = (2, 6)
WIDGETS_FROM = (8, 0)

# Batches a second of `speed` on the two-core machine that the presets' minutes were measured on.
REFERENCE = 150.0
WARM_UP = 3  # batches of `speed` before the clock starts
GIGABYTE = 2**30
PROBE = 4 * 2**20  # bytes that a folder must take


class Check(NamedTuple):
    """One line of the doctor's table."""

    what: str
    found: str
    state: str  # "ok", "look" (the course runs, but) or "stops"
    remedy: str = ""


def _graded(what, found, good, remedy, otherwise="stops"):
    """A check that is ok where `good`, else of the state `otherwise` with a remedy."""
    if good:
        return Check(what, found, "ok")
    return Check(what, found, otherwise, say(f"doctor {remedy}"))


def _numbers(version):
    """ "2.13.0+cpu" -> (2, 13); (0,) of a word without digits."""
    parts = version.split("+")[0].split(".")[:2]
    digits = ["".join(filter(str.isdigit, part)) for part in parts]
    return tuple(int(text or 0) for text in digits)


def checks() -> list[Check]:
    """Every check, in the order in which to mend them."""
    return [*_versions(), *_kernel(), *_widgets(), *_machine(), *_folders(), _minutes()]


def _versions() -> Iterator[Check]:
    versions = runtime.versions(("torch", "torchvision", *COURSE))
    python_fits = PYTHON_FROM <= sys.version_info[:2] < PYTHON_BELOW
    yield _graded("Python", versions["python"], python_fits, "python", "look")
    torch_fits = _numbers(versions["torch"]) >= TORCH_FROM
    yield _graded("torch", versions["torch"], torch_fits, "torch")
    try:
        from .._vision import torchvision

        torchvision()
        yield Check("torchvision", versions["torchvision"], "ok")
    except Exception as error:  # built for another torch it dies in many ways; reidkit mends one
        problem = f"{versions['torchvision']} ({type(error).__name__})"
        yield Check("torchvision", problem, "look", say("doctor torchvision"))
    missing = [name for name in COURSE if versions[name] == "not installed"]
    sentence = f"missing: {', '.join(missing)}" if missing else "all there"
    yield _graded("course packages", sentence, not missing, "packages")


def _widgets() -> Iterator[Check]:
    """The browser's half of ipywidgets must lie where JupyterLab looks for it.

    That is the JupyterLab of this very environment.
    """
    version = runtime.versions(("ipywidgets",))["ipywidgets"]
    try:
        from jupyter_core.paths import jupyter_path

        places = jupyter_path(
            "labextensions", "@jupyter-widgets", "jupyterlab-manager", "package.json"
        )
    except ImportError:
        places = []
    is_there = any(os.path.isfile(place) for place in places)
    sentence = f"ipywidgets {version}, " + ("manager there" if is_there else "no manager")
    fits = is_there and _numbers(version) >= WIDGETS_FROM
    yield _graded("widget manager", sentence, fits, "widgets", "look")


def _machine() -> Iterator[Check]:
    import torch

    device = runtime.pick_device("auto")
    on_cpu = device.type == "cpu"
    name = "CPU, as the course expects" if on_cpu else runtime.device_name(device)
    yield Check("device", name, "ok")
    threads = torch.get_num_threads()
    cores = _cores()
    yield _graded("threads", f"{threads} on {cores} cores", threads <= cores, "threads", "look")
    try:
        import psutil

        free = psutil.virtual_memory().available / GIGABYTE
        otherwise = "look" if free >= 1 else "stops"
        yield _graded("memory", f"{free:.1f} GB free", free >= 2, "memory", otherwise)
    except ImportError:
        yield Check("memory", "unknown (psutil is not installed)", "ok")
    free = _free_of_disk() / GIGABYTE
    otherwise = "look" if free >= 0.5 else "stops"
    yield _graded("disk", f"{free:.0f} GB free", free >= 2, "disk", otherwise)


def _free_of_disk():
    """Bytes free where the cache is, or will be."""
    folder = files.cache_dir().absolute()
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _cores():
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _folders() -> Iterator[Check]:
    """Whether the two folders take some megabytes, and files under a lock.

    Without the first one the course draws and trains everything anew each time; without the second
    one there are no copies to work in.
    """
    places = (
        ("cache folder", files.cache_dir, "REIDKIT_CACHE_DIR", "look"),
        ("folder work/", files.work_dir, "REIDKIT_WORK_DIR", "stops"),
    )
    for what, folder, variable, state in places:
        try:
            _write_probe(folder())
            yield Check(what, "can be written", "ok")
        except (OSError, NotImplementedError) as error:
            remedy = REMEDIES.get(getattr(error, "errno", None), "")
            advice = say("doctor folder", variable=variable, remedy=remedy and f"{remedy}, or ")
            reason = getattr(error, "strerror", None) or type(error).__name__
            yield Check(what, f"cannot be written ({reason})", state, advice)


def _write_probe(folder):
    """Write some megabytes down to the disk and delete them: a full disk refuses no empty file.

    Raises:
        OSError: the folder cannot be made, or does not take them.
    """
    probe = folder / f".doctor-{os.getpid()}"
    with files.locked(probe, seconds=1):
        try:
            with open(probe, "wb") as stream:
                stream.write(os.urandom(PROBE))  # what no file system can compress
                stream.flush()
                os.fsync(stream.fileno())
        finally:
            probe.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # Windows has deleted the lock
        probe.with_name(f".{probe.name}.lock").unlink(missing_ok=True)


def _kernel() -> Iterator[Check]:
    """Whether notebooks in work/ run in this environment, and find this folder's reidkit.

    A folder that was renamed, moved or copied with its environment still names the old place.
    """
    python = _python_of_kernels()
    is_this = python is not None and _is_same(
        os.path.dirname(python), os.path.dirname(sys.executable)
    )
    found = "this environment's" if is_this else f"another one: {python or 'none is found'}"
    yield _graded("Python of notebooks", found, is_this, "kernel", "look")
    here = pathlib.Path(__file__).resolve().parents[1]
    place = _place_of_package(python or sys.executable)
    if place is not None and _is_same(place, here):
        yield Check("reidkit in notebooks", "this folder's", "ok")
        return
    found = f"not this folder's, but that in {place}" if place else "is not found"
    yield Check("reidkit in notebooks", found, "stops", say("doctor place"))


def _python_of_kernels():
    """The Python that starts when a notebook is opened; None where nothing would start."""
    try:
        from jupyter_client.kernelspec import KernelSpecManager

        first = KernelSpecManager().get_kernel_spec("python3").argv[0]
    except Exception:  # not installed, no kernel, or a description that cannot be read
        return None
    if not os.path.isabs(first):  # "python": Jupyter puts its own in its place
        return sys.executable
    return first if os.path.exists(first) else None


def _place_of_package(python):
    """The folder of the reidkit that a Python finds outside this folder; None: it finds none."""
    code = "import importlib.util as u; s = u.find_spec('reidkit'); print(s.origin if s else '')"
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            ended = subprocess.run(
                [python, "-c", code], cwd=elsewhere, capture_output=True, text=True, timeout=60
            )
        except (OSError, subprocess.SubprocessError):
            return None
    path = ended.stdout.strip()
    return pathlib.Path(path).parent if path and ended.returncode == 0 else None


def _is_same(one, other):
    """Whether two paths lead to one folder."""
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def speed(seconds: float = 0.6) -> float:
    """Batches a second of a small convolution, forward and backward, on one thread.

    That is what training consists of.

    Args:
        seconds: how long to measure.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads on a busy machine measure the others
    layer = torch.nn.Conv2d(32, 32, 3, padding=1)
    x = torch.ones(32, 32, 32, 16)  # (B, C, H, W)
    count = -WARM_UP
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        if count == 0:
            began = time.perf_counter()
        layer(x).square().mean().backward()
        count += 1
    torch.set_num_threads(threads)
    return max(count, 1) / (time.perf_counter() - began)


def _minutes():
    what = "minutes a chapter"
    try:
        from ..recipes.presets import PRESETS
    except Exception as error:
        problem = f"unknown ({type(error).__name__})"
        return Check(what, problem, "stops", say("doctor packages"))
    factor = REFERENCE / speed()
    expected = []
    for name in ("smoke", "laptop"):
        minutes = max(0.1, PRESETS[name].minutes * factor)
        expected.append(f"{name} {minutes:.1f}")
    return _graded(what, ", ".join(expected), factor < 4, "slow", "look")


def doctor() -> None:
    """Show every check with its remedy; returns nothing, so that it can end a cell."""
    _show(checks())


def _show(results):
    rows = []
    for check in results:
        rows.append([say(f"doctor {check.state}"), check.what, check.found, check.remedy])
    stops = sum(check.state == "stops" for check in results)
    verdict = say("doctor verdict stops", count=stops) if stops else say("doctor verdict ok")
    text, markup = table(["", "what", "found", "what to do"], rows)
    emit(f"{text}\n{verdict}", f"{markup}<p>{verdict}</p>")


@command
def main(words: Sequence[str] | None = None) -> int:
    """Show every check; the exit status is 1 where something stops the course."""
    if words:  # there are none but --help
        argparse.ArgumentParser(
            prog="python -m reidkit.teach.doctor", description=__doc__.splitlines()[0]
        ).parse_args(words)
    results = checks()
    _show(results)
    return int(any(check.state == "stops" for check in results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
