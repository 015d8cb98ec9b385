"""Where things are and how they are written.

Folders are found the same way from a notebook, a working copy or papermill, and files are either
whole or absent.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator

import torch


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
    """Rendered sets and trained weights; safe to delete. REIDKIT_CACHE_DIR moves it."""
    folder = pathlib.Path(os.environ.get("REIDKIT_CACHE_DIR") or data_dir() / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def work_dir() -> pathlib.Path:
    """The student's own copies and progress. REIDKIT_WORK_DIR moves it."""
    return pathlib.Path(os.environ.get("REIDKIT_WORK_DIR") or project_root() / "work")


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """Yield a temporary path beside `path`.

    On success it takes that name in one step, on an error it vanishes.
    """
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = pathlib.Path(name)
    try:
        yield temporary
        os.chmod(temporary, 0o666 & ~_mask())  # mkstemp makes private files
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
