"""What a run stands on: device, threads, versions and commit, asked for in one place and recorded
with every result.
"""

import datetime
import os
import platform
import subprocess
import sys
from importlib import metadata

import torch

from .files import project_root


def pick_device(name="auto"):
    """ "auto" is the GPU where there is one, else the CPU; "cpu", "cuda" and "cuda:1" are tried
    before they are used.

    ValueError for what is not here, and for other kinds of device (such as "mps", which cannot
    count in float64).
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError(
                "reidkit computes in float64 too, and is tried on 'cpu' and 'cuda' only"
            )
        torch.empty(1, device=device)
    except Exception as error:
        raise ValueError(
            f"device {name!r} cannot be used here ({str(error).splitlines()[0]}); expected 'auto', 'cpu', "
            "'cuda' or 'cuda:NUMBER': use 'auto' or 'cpu'"
        ) from None
    return device


def set_threads(count=0):
    """Threads of torch on the CPU; 0 keeps torch's choice. Returns the number in force. Same seed
    and same count: same digits.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1024:
        raise ValueError(
            f"threads is {count!r}; expected a whole number from 0 (torch's choice) to 1024"
        )
    if count:
        torch.set_num_threads(count)
    return torch.get_num_threads()


def versions(packages=("torch", "torchvision", "numpy", "jupyterlab", "ipywidgets", "papermill")):
    """dict name -> version, with Python; a package that is not installed reads "not installed"."""
    found = {"python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_commit():
    """Short commit of the clone, with "+" where tracked files other than recorded results differ
    from it; "unknown" outside a clone."""

    def git(*words):
        return subprocess.run(
            ["git", *words],
            cwd=project_root(),
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        ).stdout

    try:
        return git("rev-parse", "--short=10", "HEAD").strip() + (
            "+" if git("status", "--porcelain", "-uno", "--", ".", ":!data/results").strip() else ""
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def device_name(device):
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{os.cpu_count()} x {platform.machine()} CPU, {torch.get_num_threads()} threads, {sys.platform}"


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def provenance(device="cpu") -> dict:
    """What a result stands on: device, threads, commit, date and versions, to be kept beside it.

    Args:
        device: that the result was computed on.
    """
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "commit": git_commit(),
        "date": today(),
        **versions(("torch", "numpy")),
    }
