"""Is this machine ready? Versions, device, threads, memory, disk, widgets and the minutes to expect, a remedy beside each problem.

`python -m reidkit.teach.doctor` (or teach.doctor() in a notebook); exit code 1 where something stops the course.
"""

import os
import shutil
import sys
import time
from importlib import metadata
from typing import NamedTuple

from .messages import say

try:
    from .. import files, runtime
    from .display import emit, table
except ImportError as error:            # without torch nothing of reidkit imports: the one problem that hides all others
    raise SystemExit(say("doctor bare", missing=error.name)) from None

COURSE = ("jupyterlab", "ipykernel", "ipywidgets", "matplotlib", "jupytext", "nbclient", "nbconvert", "papermill")
REFERENCE = 150.0       # batches a second of `speed` on the two-core machine that the presets' minutes were measured on


class Check(NamedTuple):
    what: str
    found: str
    state: str          # "ok", "look" (the course runs, but) or "stops"
    remedy: str = ""


def _graded(what, found, good, remedy, otherwise="stops"):
    return Check(what, found, "ok" if good else otherwise, "" if good else say(f"doctor {remedy}"))


def _numbers(version):
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("+")[0].split(".")[:2])


def checks():
    """Every check, in the order in which to mend them."""
    return [*_versions(), *_widgets(), *_machine(), *_folders(), _minutes()]


def _versions():
    found = runtime.versions(("torch", "torchvision", *COURSE))
    yield _graded("Python", found["python"], (3, 11) <= sys.version_info[:2] < (3, 14), "python", "look")
    yield _graded("torch", found["torch"], _numbers(found["torch"]) >= (2, 6), "torch")
    try:
        from .._vision import torchvision
        torchvision()
        yield Check("torchvision", found["torchvision"], "ok")
    except Exception as error:          # built for another torch, it dies in many ways, of which reidkit mends the common one
        yield Check("torchvision", f"{found['torchvision']} ({type(error).__name__})", "look", say("doctor torchvision"))
    missing = [name for name in COURSE if found[name] == "not installed"]
    yield _graded("course packages", "missing: " + ", ".join(missing) if missing else "all there", not missing, "packages")


def _widgets():
    """The browser's half of ipywidgets must lie where the JupyterLab of this very environment looks for it."""
    try:
        from jupyter_core.paths import jupyter_path
        places = jupyter_path("labextensions", "@jupyter-widgets", "jupyterlab-manager", "package.json")
        half, there = metadata.version("ipywidgets"), any(os.path.isfile(place) for place in places)
    except (ImportError, metadata.PackageNotFoundError):
        half, there = "not installed", False
    found = f"ipywidgets {half}, " + ("manager there" if there else "no manager")
    yield _graded("widget manager", found, there and _numbers(half) >= (8, 0), "widgets", "look")
    server = os.environ.get("JPY_SESSION_NAME") and shutil.which("jupyter-lab")
    if server and os.path.dirname(os.path.realpath(server)) != os.path.join(os.path.realpath(sys.prefix), "bin"):
        yield Check("server", "another environment's jupyter comes first", "look", say("doctor server"))


def _machine():
    import torch
    device, cores, threads = runtime.pick_device("auto"), _cores(), torch.get_num_threads()
    yield Check("device", "CPU, as the course expects" if device.type == "cpu" else runtime.device_name(device), "ok")
    yield _graded("threads", f"{threads} on {cores} cores", threads <= cores, "threads", "look")
    try:
        import psutil
        free = psutil.virtual_memory().available / 2**30
        yield _graded("memory", f"{free:.1f} GB free", free >= 2, "memory", "look" if free >= 1 else "stops")
    except ImportError:
        yield Check("memory", "unknown (psutil is not installed)", "ok")
    free = shutil.disk_usage(files.project_root()).free / 2**30
    yield _graded("disk", f"{free:.0f} GB free", free >= 2, "disk", "look" if free >= 0.5 else "stops")


def _cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _folders():
    for what, folder in (("cache folder", files.cache_dir), ("folder work/", files.work_dir)):
        try:
            files.write_atomic(folder() / ".doctor", "")
            (folder() / ".doctor").unlink()
            yield Check(what, "can be written", "ok")
        except OSError as error:
            yield Check(what, f"cannot be written ({error.strerror})", "stops", say("doctor folder"))


def speed(seconds=0.6):
    """Batches a second of a small convolution, forward and backward, on one thread: what training consists of."""
    import torch
    threads = torch.get_num_threads()
    torch.set_num_threads(1)            # several threads on a busy machine measure the others
    layer, x = torch.nn.Conv2d(32, 32, 3, padding=1), torch.ones(32, 32, 32, 16)
    count, began = -3, time.perf_counter()
    while time.perf_counter() - began < seconds:
        if count == 0:
            began = time.perf_counter()                     # the first three only warm up
        layer(x).square().mean().backward()
        count += 1
    torch.set_num_threads(threads)
    return max(count, 1) / (time.perf_counter() - began)


def _minutes():
    try:
        from ..recipes import PRESETS
    except Exception as error:
        return Check("minutes a chapter", f"unknown ({type(error).__name__}: {error})", "stops", say("doctor packages"))
    factor = REFERENCE / speed()
    found = ", ".join(f"{name} {max(0.1, preset.minutes * factor):.1f}" for name, preset in PRESETS.items() if name != "gpu")
    return _graded("minutes a chapter", found, factor < 4, "slow", "look")


def doctor():
    """Show every check with its remedy; returns nothing, so that it can end a cell."""
    _show(checks())


def _show(found):
    rows = [[say(f"doctor {check.state}"), check.what, check.found, check.remedy] for check in found]
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
