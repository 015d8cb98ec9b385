"""What a run rests on: device, threads, versions and commit.

They are asked for in one place and recorded with every result.
"""

import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata

import torch

from .files import project_root

# Variables that point git at a repository, whatever folder it is run in.
GIT_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX")


def pick_device(name: str | torch.device = "auto") -> torch.device:
    """The device of that name, tried before it is used. Whatever takes a device asks here.

    Args:
        name: "auto" is the GPU where there is one, else the CPU; or "cpu", "cuda" and "cuda:1", or
            a torch.device.
    Returns:
        The device.
    Raises:
        ValueError: what is not here, and other kinds of device (such as "mps", which cannot count
            in float64).
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        if not isinstance(name, (str, torch.device)):
            raise TypeError(f"it is of type {type(name).__name__}")
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError(
                "reidkit computes in float64 too, and is tried on 'cpu' and 'cuda' only"
            )
        torch.empty(1, device=device)
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device {str(name)!r} cannot be used here ({reason}); expected 'auto', 'cpu', "
            "'cuda' or 'cuda:NUMBER': use 'auto' or 'cpu'"
        ) from None
    return device


def set_threads(count: int = 0) -> int:
    """Set torch's threads on the CPU. Same seed and same count: same digits.

    Args:
        count: threads; 0 keeps torch's choice.
    Returns:
        The number in force.
    Raises:
        ValueError: no whole number from 0 to 1024.
    """
    if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= 1024:
        raise ValueError(
            f"threads is {count!r}; expected a whole number from 0 (torch's choice) to 1024"
        )
    if count:
        torch.set_num_threads(count)
    return torch.get_num_threads()


def versions(
    packages: Iterable[str] = (
        "torch",
        "torchvision",
        "numpy",
        "jupyterlab",
        "ipywidgets",
        "papermill",
    ),
) -> dict[str, str]:
    """The versions of Python and of some packages.

    Args:
        packages: names on the package index.
    Returns:
        name -> version; a package that is not installed reads "not installed".
    """
    version_of = {"python": platform.python_version()}
    for package in packages:
        try:
            version_of[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            version_of[package] = "not installed"
    return version_of


def git_commit() -> str:
    """The short commit of the clone.

    Nothing is written, the clone's index neither, so that a folder that can only be read will do.

    Returns:
        The commit, with "+" where tracked files other than recorded results differ from it;
        "unknown" where git knows none: outside a clone, in a folder of somebody else's clone
        that does not track it, without git, or where git does not trust the clone's owner.
    """
    try:
        _git("ls-files", "--error-unmatch", "--", ".")  # else the commit is another project's
        commit = _git("rev-parse", "--short=10", "HEAD")
        changes = _git("status", "--porcelain", "-uno", "--", ".", ":!data/results")
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + "+" if changes else commit


def _git(*words):
    """What a git command prints, run in the clone."""
    # Inside a git hook, say, these name the repository of the hook.
    around = {name: value for name, value in os.environ.items() if name not in GIT_PLACES}
    done = subprocess.run(
        ["git", "--no-optional-locks", *words],
        cwd=project_root(),
        env=around,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=20,
        check=True,
    )
    return done.stdout.strip()


def device_name(device: str | torch.device) -> str:
    """What a result says it was computed on.

    Args:
        device: such as "cpu".
    Returns:
        The GPU's name, or the CPU's cores, architecture, threads and system.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    cores = f"{os.cpu_count()} x {platform.machine()} CPU"
    return f"{cores}, {torch.get_num_threads()} threads, {sys.platform}"


def today() -> str:
    """The date in UTC, as 2026-01-31."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def provenance(device: str | torch.device = "cpu") -> dict:
    """What a result rests on, to be kept beside it.

    Args:
        device: that the result was computed on.
    Returns:
        The device's name, threads, commit, date, and the versions of Python, torch and numpy.
    """
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "commit": git_commit(),
        "date": today(),
        **versions(("torch", "numpy")),
    }
