"""Where things are and how they are written: folders found the same way from a notebook, a working copy or papermill,
and files that are either whole or absent."""

import contextlib
import hashlib
import json
import os
import pathlib
import tempfile

import torch


def project_root():
    """The folder that holds notebooks/, data/ and work/ (set REIDKIT_HOME where the package is installed elsewhere)."""
    home = os.environ.get("REIDKIT_HOME")
    root = pathlib.Path(home) if home else pathlib.Path(__file__).resolve().parents[1]
    if not root.is_dir():
        raise FileNotFoundError(
            f"REIDKIT_HOME is {str(root)!r}, which is no folder; point it at the course's clone or unset it"
        )
    return root


def data_dir():
    return project_root() / "data"


def results_dir():
    """Recorded tables and small artefacts, committed with their provenance."""
    return data_dir() / "results"


def weights_dir():
    """Trained models, committed with their sizes and SHA-256."""
    return data_dir() / "weights"


def cache_dir():
    """Rendered sets and trained weights; safe to delete. REIDKIT_CACHE_DIR moves it."""
    folder = pathlib.Path(os.environ.get("REIDKIT_CACHE_DIR") or data_dir() / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def work_dir():
    """The student's own copies and progress. REIDKIT_WORK_DIR moves it."""
    return pathlib.Path(os.environ.get("REIDKIT_WORK_DIR") or project_root() / "work")


@contextlib.contextmanager
def atomic_path(path):
    """Yield a temporary path beside `path`; on success it takes that name in one step, on an error it vanishes."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    temporary = pathlib.Path(temporary)
    try:
        yield temporary
        mode = os.umask(0)  # mkstemp makes private files; ours follow the usual mask
        os.umask(mode)
        os.chmod(temporary, 0o666 & ~mode)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path, content):
    """Write str or bytes so that a reader, or a kill at any moment, never meets half a file."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def sha256_file(path):
    sums = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            sums.update(block)
    return sums.hexdigest()


def digest(*parts):
    """A short hex name for any mix of tensors and things that json can write; equal content gives an equal name."""
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
