"""Tensors on disk, with notes: one safetensors file, written whole, checked when it is read. No
pickle.

The header carries the notes as JSON and a digest of everything, so that tensors and notes can never
come from two moments and damage is noticed. What is committed to the repository stands in
hashes.json beside it, too, with its size and SHA-256.
"""

import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
import torch

from .files import atomic_path, digest, sha256_file, write_atomic

# What safetensors, torch and json raise for a file that is not one of `save`.
UNREADABLE = (
    safetensors.SafetensorError,
    OSError,
    ValueError,
    TypeError,
    RuntimeError,
    MemoryError,
)


def save(path: pathlib.Path, tensors: Mapping[str, torch.Tensor], notes: Any) -> None:
    """Write tensors and notes as one file, whole or not at all.

    Args:
        path: of the file.
        tensors: name -> tensor, of any layout and device.
        notes: what JSON can hold.
    Raises:
        OSError: the disk does not take it.
    """
    plain = {name: _plain(value) for name, value in tensors.items()}
    text = json.dumps(notes)
    metadata = {"notes": text, "digest": _content(plain, text)}
    try:
        with atomic_path(path) as temporary:
            safetensors.torch.save_file(plain, temporary, metadata=metadata)
    except safetensors.SafetensorError as error:  # what a full disk raises
        raise _system_error(error, path) from None


def _system_error(error, path):
    """What safetensors says of a disk ("... (os error 28)"), as the error that Python raises."""
    known = re.search(r"([^:]+) \(os error (\d+)\)", str(error))
    if known is None:
        return OSError(str(error))
    text = known[1].strip()
    number = int(known[2])
    return OSError(number, text, str(path), number)  # the last one is Windows' own number


def _plain(value):
    return value.detach().cpu().clone(memory_format=torch.contiguous_format)


def load(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], object]:
    """Read a file of `save`.

    Returns:
        (tensors, notes).
    Raises:
        ValueError: the file is damaged or of another kind.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        raise ValueError(f"{path.name} is a folder, where a file is expected: move it away")
    try:
        tensors, header = read(path)
        if not {"digest", "notes"} <= header.keys():
            raise ValueError("it has no notes and no digest: another program wrote it")
        if header["digest"] != _content(tensors, header["notes"]):
            raise ValueError("its content does not match its digest")
        return tensors, json.loads(header["notes"])
    except UNREADABLE as error:
        raise ValueError(f"{path.name} is damaged ({error})") from None


def read(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Tensors and header of any safetensors file, as they stand there."""
    with safetensors.safe_open(path, "pt") as file:
        header = file.metadata() or {}
        # clones: Windows neither replaces nor deletes a file that a tensor still looks into
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    return tensors, header


def _content(tensors, notes):
    parts = [notes]
    for name in sorted(tensors):
        parts += [name, tensors[name]]
    return digest(*parts)


# ---- what is committed: files with their hashes


def write_recorded(path: pathlib.Path, tensors: Mapping[str, torch.Tensor], about: Mapping) -> None:
    """Write tensors that belong into the repository, with what they come from, and note their hash.

    Args:
        path: such as data/results/04_features.safetensors.
        tensors: name -> tensor.
        about: where they come from, as JSON holds it (see `runtime.provenance`).
    """
    plain = {name: value.contiguous() for name, value in tensors.items()}
    header = {"about": json.dumps(about, sort_keys=True)}
    write_atomic(path, safetensors.torch.save(plain, header))
    record_hash(path)


def load_checked(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors of a committed file, and where they come from, after a look at its size and SHA-256.

    Returns:
        (tensors, about).
    Raises:
        FileNotFoundError: the file or its entry in hashes.json is missing.
        ValueError: it is not the file that hashes.json knows.
    """
    path = pathlib.Path(path)
    known = hashes(path)
    if path.name not in known:
        raise FileNotFoundError(
            f"{path.name} has no entry in hashes.json beside it: get both from the course's "
            "repository, or record it again (make tables)"
        )
    check_file(path, **known[path.name])
    tensors, header = read(path)
    return tensors, json.loads(header.get("about", "{}"))


def check_file(
    path: pathlib.Path, sha256: str | None = None, size: int | None = None
) -> pathlib.Path:
    """The path, after a look at the file.

    Args:
        path: of the file.
        sha256: the full hexadecimal digest that it must have, or its beginning; None looks at none.
        size: bytes that it must have; None looks at none.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it differs; the message says in what.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"no weights at {str(path)!r}; give the path of a .safetensors file, for a trunk also "
            ".pth"
        )
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        raise ValueError(
            f"{path.name} has {found_size} bytes, expected {size}: damaged, or another file"
        )
    if sha256 is not None:
        found = sha256_file(path)
        if not found.startswith(sha256.lower()):
            raise ValueError(
                f"{path.name} has SHA-256 {found}, expected {sha256}: damaged, or another file"
            )
    return path


def record_hash(path: pathlib.Path) -> dict:
    """Note a file's size in bytes and SHA-256 in hashes.json beside it.

    Returns:
        {"size": ..., "sha256": ...}.
    """
    path = check_file(path)
    entry = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    text = json.dumps({**hashes(path), path.name: entry}, indent=1, sort_keys=True)
    write_atomic(path.with_name("hashes.json"), text + "\n")
    return entry


def hashes(path: pathlib.Path) -> dict[str, dict]:
    """What hashes.json beside a file says: {name: {"size", "sha256"}}; {} without one."""
    table = path.with_name("hashes.json")
    return json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
