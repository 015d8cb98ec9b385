"""Is this machine ready? Versions, device, threads, memory, disk, widgets, minutes to expect; remedies beside problems.

`python -m reidkit.teach.doctor` (or teach.doctor() in a notebook); exit code 1 where something stops the course.
"""

import os
import shutil
import sys
import time
from typing import NamedTuple

from .messages import say

try:
    from .. import files, runtime
    from .display import emit, table
except (
    ImportError
) as error:  # without torch nothing of reidkit imports: this hides all other problems
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
REFERENCE = 150.0  # batches a second of `speed` on the two-core machine that the presets' minutes were measured on


class Check(NamedTuple):
    what: str
    found: str
    state: str  # "ok", "look" (the course runs, but) or "stops"
    remedy: str = ""


def _graded(what, found, good, remedy, otherwise="stops"):
    return (
        Check(what, found, "ok") if good else Check(what, found, otherwise, say(f"doctor {remedy}"))
    )


def _numbers(version):
    return tuple(
        int("".join(filter(str.isdigit, part)) or 0)
        for part in version.split("+")[0].split(".")[:2]
    )


def checks():
    """Every check, in the order in which to mend them."""
    return [*_versions(), *_widgets(), *_machine(), *_folders(), _minutes()]


def _versions():
    found = runtime.versions(("torch", "torchvision", *COURSE))
    yield _graded(
        "Python", found["python"], (3, 11) <= sys.version_info[:2] < (3, 14), "python", "look"
    )
    yield _graded("torch", found["torch"], _numbers(found["torch"]) >= (2, 6), "torch")
    try:
        from .._vision import torchvision

        torchvision()
        yield Check("torchvision", found["torchvision"], "ok")
    except Exception as error:  # built for another torch it dies in many ways; reidkit mends one
        problem = f"{found['torchvision']} ({type(error).__name__})"
        yield Check("torchvision", problem, "look", say("doctor torchvision"))
    missing = [name for name in COURSE if found[name] == "not installed"]
    found = f"missing: {', '.join(missing)}" if missing else "all there"
    yield _graded("course packages", found, not missing, "packages")


def _widgets():
    """The browser's half of ipywidgets must lie where the JupyterLab of this very environment looks for it."""
    half = runtime.versions(("ipywidgets",))["ipywidgets"]
    try:
        from jupyter_core.paths import jupyter_path

        places = jupyter_path(
            "labextensions", "@jupyter-widgets", "jupyterlab-manager", "package.json"
        )
    except ImportError:
        places = []
    there = any(os.path.isfile(place) for place in places)
    found = f"ipywidgets {half}, " + ("manager there" if there else "no manager")
    yield _graded("widget manager", found, there and _numbers(half) >= (8, 0), "widgets", "look")


def _machine():
    import torch

    device, threads = runtime.pick_device("auto"), torch.get_num_threads()
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    yield Check(
        "device",
        "CPU, as the course expects" if device.type == "cpu" else runtime.device_name(device),
        "ok",
    )
    yield _graded("threads", f"{threads} on {cores} cores", threads <= cores, "threads", "look")
    try:
        import psutil

        free = psutil.virtual_memory().available / 2**30
        yield _graded(
            "memory", f"{free:.1f} GB free", free >= 2, "memory", "look" if free >= 1 else "stops"
        )
    except ImportError:
        yield Check("memory", "unknown (psutil is not installed)", "ok")
    free = shutil.disk_usage(files.project_root()).free / 2**30
    yield _graded(
        "disk", f"{free:.0f} GB free", free >= 2, "disk", "look" if free >= 0.5 else "stops"
    )


def _folders():
    for what, folder in (("cache folder", files.cache_dir), ("folder work/", files.work_dir)):
        try:
            files.write_atomic(folder() / ".doctor", "")
            (folder() / ".doctor").unlink()
            yield Check(what, "can be written", "ok")
        except OSError as error:
            yield Check(
                what, f"cannot be written ({error.strerror})", "stops", say("doctor folder")
            )


def speed(seconds=0.6):
    """Batches a second of a small convolution, forward and backward, on one thread: what training consists of."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads on a busy machine measure the others
    layer, x = torch.nn.Conv2d(32, 32, 3, padding=1), torch.ones(32, 32, 32, 16)
    count, began = -3, time.perf_counter()
    while time.perf_counter() - began < seconds:
        if count == 0:
            began = time.perf_counter()  # the first three only warm up
        layer(x).square().mean().backward()
        count += 1
    torch.set_num_threads(threads)
    return max(count, 1) / (time.perf_counter() - began)


def _minutes():
    try:
        from ..recipes import PRESETS
    except Exception as error:
        return Check(
            "minutes a chapter",
            f"unknown ({type(error).__name__})",
            "stops",
            say("doctor packages"),
        )
    factor = REFERENCE / speed()
    found = ", ".join(
        f"{name} {max(0.1, PRESETS[name].minutes * factor):.1f}" for name in ("smoke", "laptop")
    )
    return _graded("minutes a chapter", found, factor < 4, "slow", "look")


def doctor():
    """Show every check with its remedy; returns nothing, so that it can end a cell."""
    _show(checks())


def _show(found):
    rows = [
        [say(f"doctor {check.state}"), check.what, check.found, check.remedy] for check in found
    ]
    stops = sum(check.state == "stops" for check in found)
    verdict = say("doctor verdict stops", count=stops) if stops else say("doctor verdict ok")
    text, markup = table(["", "what", "found", "what to do"], rows)
    emit(f"{text}\n{verdict}", f"{markup}<p>{verdict}</p>")


def main():
    found = checks()
    _show(found)
    return int(any(check.state == "stops" for check in found))


if __name__ == "__main__":
    sys.exit(main())
