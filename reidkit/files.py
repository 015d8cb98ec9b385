"""Where things are and how they are written.

Folders are found the same way from a notebook, a working copy or papermill. Files are either whole
or absent, what several processes change is changed under a lock, and what a disk does not take
costs a line instead of the work.
"""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
import tempfile
import time
from collections.abc import Callable, Iterator

import filelock
import torch

from .console import explain, say

HOUR = 3600  # seconds
PART = ".reidkit.part"  # how the names of unfinished files end
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # no files on Windows
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?")
LONGEST_NAME = 120
LONGEST_LOCK = 200  # bytes of a file's name that the name of its lock repeats


def project_root() -> pathlib.Path:
    """The folder that holds notebooks/, data/ and work/.

    REIDKIT_HOME names it where the package is installed elsewhere.

    Raises:
        FileNotFoundError: REIDKIT_HOME is no folder.
    """
    home = os.environ.get("REIDKIT_HOME")
    if not home:
        return pathlib.Path(__file__).resolve().parents[1]
    root = pathlib.Path(home)
    if not root.is_dir():
        raise FileNotFoundError(
            f"REIDKIT_HOME is {str(root)!r}, which is no folder; point it at the course's clone or "
            "unset it"
        )
    return root


def data_dir() -> pathlib.Path:
    """What is committed with the code: recorded tables, trained models, reference pictures."""
    return project_root() / "data"


def results_dir() -> pathlib.Path:
    """Recorded tables and small artefacts, committed with their provenance."""
    return data_dir() / "results"


def weights_dir() -> pathlib.Path:
    """Trained models, committed with their sizes and SHA-256."""
    return data_dir() / "weights"


def cache_dir() -> pathlib.Path:
    """Rendered sets and trained weights; safe to delete. REIDKIT_CACHE_DIR moves it.

    Asking for it makes nothing: whoever writes a file makes its folder.
    """
    return _named_folder("REIDKIT_CACHE_DIR") or data_dir() / "cache"


def work_dir() -> pathlib.Path:
    """The student's own copies and progress. REIDKIT_WORK_DIR moves it."""
    return _named_folder("REIDKIT_WORK_DIR") or project_root() / "work"


def _named_folder(variable):
    """The absolute path that an environment variable gives, with ~ as a shell reads it, or None."""
    named = os.environ.get(variable)
    return pathlib.Path(os.path.abspath(os.path.expanduser(named))) if named else None


def check_name(name: str, what: str) -> str:
    """A name that is going to be part of a file's name, after a look at it.

    Args:
        name: letters from a to z, digits, "-", "_" and "."; it begins with a letter or a digit.
        what: what the error calls it, such as "keep".
    Returns:
        The name.
    Raises:
        ValueError: it is no such name. "../x" would leave the folder that it is meant for.
    """
    is_name = isinstance(name, str) and len(name) <= LONGEST_NAME and NAME.fullmatch(name)
    if is_name and not DEVICES.fullmatch(name):
        return name
    raise ValueError(
        f"{what} is {name!r}; expected a name of letters (a to z), digits, '-', '_' and '.', that "
        f"begins with a letter or digit, has at most {LONGEST_NAME} characters, and is no name "
        "that Windows keeps for a device, such as 'con'"
    )


# ---- writing


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`.

    On success it takes that name in one step, on an error it vanishes. What a killed process left
    unfinished in that folder an hour ago or earlier is removed.
    """
    path = pathlib.Path(path)
    if path.is_symlink():  # what it points to is written, not the link
        path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_old(path.parent, f".*{PART}", HOUR)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}.", suffix=PART)
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        with contextlib.suppress(OSError):  # some disks (FAT, network folders) know no modes
            os.chmod(temporary, 0o666 & ~_mask())  # mkstemp makes private files
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_old(folder: pathlib.Path, pattern: str, seconds: float) -> None:
    """Delete the files of a folder that nobody changed for so long.

    What cannot be deleted, or what another process deleted first, is left alone.

    Args:
        folder: it need not exist.
        pattern: of their names, as glob takes it.
        seconds: since their last change.
    """
    try:
        paths = list(folder.glob(pattern))
    except OSError:  # a folder that may not be looked into
        return
    for path in paths:
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > seconds:
                path.unlink()


def _mask():
    """The usual mask of new files; it can be read only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_atomic(path: str | os.PathLike, content: str | bytes) -> None:
    """Write a file so that a reader, or a kill at any moment, never meets half of it.

    Args:
        path: of the file; its folder is made.
        content: text, written as UTF-8, or bytes.
    """
    if isinstance(content, str):
        content = content.encode("utf-8")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def locked(path: str | os.PathLike, seconds: float = 60.0) -> Iterator[None]:
    """Keep every other process (and thread) that asks for the same file's lock out of the block.

    Whoever reads a file, changes what was read and writes it back does so inside. The lock is a
    hidden file beside it, and ends with its process, however that ends.

    Args:
        path: of the file; its folder is made.
        seconds: how long to wait for the lock; -1 waits as long as it takes.
    Raises:
        TimeoutError: another process has held it all that time.
        OSError: the folder cannot be written.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    guard = lock_path(path)
    guard.touch()  # what the disk does not take is said at once, and not waited for
    lock = filelock.FileLock(guard, timeout=seconds)
    try:
        lock.acquire(poll_interval=0.01)  # else the one that has just written wins again and again
    except filelock.Timeout:
        raise TimeoutError(
            f"another process has been writing {str(path)!r} for {seconds:g} seconds; wait for it "
            "or end it, then try again"
        ) from None
    except NotImplementedError:
        raise OSError(errno.ENOLCK, "this disk has no locks", str(path)) from None
    try:
        yield
    finally:
        lock.release()


def lock_path(path: str | os.PathLike) -> pathlib.Path:
    """The file whose lock stands for the file of this path, see `locked`."""
    path = pathlib.Path(path)
    name = path.name
    if len(name.encode()) > LONGEST_LOCK:  # two long names that begin alike have two locks
        name = f"{name[:40]}.{digest(name)}"
    return path.with_name(f".{name}.lock")


def keep(
    what: str,
    write: Callable[[], object],
    meanwhile: str = "work goes on",
    variable: str = "REIDKIT_CACHE_DIR",
    once_in: pathlib.Path | None = None,
) -> bool:
    """Write something that work can go on without; where the disk does not take it, say so.

    Args:
        what: what is to be kept, as the line calls it.
        write: writes it.
        meanwhile: what happens all the same.
        variable: the environment variable that moves the folder.
        once_in: the folder that takes it; the line is then printed once for this folder and this
            `what`, however often it fails. None prints it each time.
    Returns:
        Whether it was written.
    """
    try:
        write()
    except OSError as error:
        if (what, once_in) not in _told:
            say(
                f"{what} was not kept ({explain(error)}); {meanwhile}. {variable} can name a "
                "folder that takes it"
            )
        if once_in is not None:
            _told.add((what, once_in))
        return False
    return True


_told: set[tuple[str, pathlib.Path]] = set()  # what `keep` has said, and of which folder


# ---- names for content


def sha256_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file in hex."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(*parts: object) -> str:
    """A short hex name for any mix of tensors and things that json can write.

    Equal content gives an equal name.
    """
    sums = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            tensor = part.detach().cpu().contiguous()
            sums.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
            sums.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
        else:
            sums.update(json.dumps(part, sort_keys=True, default=str).encode())
        sums.update(b"|")
    return sums.hexdigest()[:16]
