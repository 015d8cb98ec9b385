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

import torch

from . import tensor_files
from .file_kinds import NotTensors, find_file, identify
from .files import locked, sha256_file, write_atomic

SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def save(path: pathlib.Path, tensors: Mapping[str, torch.Tensor], notes: Any) -> None:
    """Write tensors and notes as one file, whole or not at all.

    Args:
        path: of the file.
        tensors: name -> tensor, of any layout in memory and any device.
        notes: what JSON can hold.
    Raises:
        OSError: the disk does not take it.
    """
    text = json.dumps(notes)
    header = {"notes": text, "digest": tensor_files.content_digest(tensors, text)}
    tensor_files.write(path, tensors, header)


def load(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], Any]:
    """Read a file of `save`.

    Args:
        path: of the file.
    Returns:
        (tensors, notes).
    Raises:
        ValueError: the file is missing, damaged or of another kind. Whoever kept it can make it
            again.
    """
    path = pathlib.Path(path)
    try:
        tensors, header = tensor_files.read(path)
    except NotTensors as error:
        raise _damaged(path, error.what) from None
    except OSError as error:
        raise _damaged(path, error) from None
    if not {"notes", "digest"} <= header.keys():
        raise _damaged(path, "it has no notes and digest, so it is no kept file of this course")
    if header["digest"] != tensor_files.content_digest(tensors, header["notes"]):
        raise _damaged(path, "its content does not match its digest")
    try:
        return tensors, json.loads(header["notes"])
    except (ValueError, RecursionError):
        raise _damaged(path, "its notes are no JSON") from None


def _damaged(path, reason):
    return ValueError(f"{path.name} is damaged ({reason}), it can be deleted to be made again")


# ---- what is committed: files with their hashes


def write_recorded(path: pathlib.Path, tensors: Mapping[str, torch.Tensor], about: Mapping) -> None:
    """Write tensors that belong into the repository, with what they come from, and note their hash.

    Args:
        path: such as data/results/04_features.safetensors.
        tensors: name -> tensor.
        about: where they come from, as JSON holds it (see `runtime.provenance`).
    Raises:
        ValueError: hashes.json beside it is damaged; the file itself has been written.
    """
    tensor_files.write(path, tensors, {"about": json.dumps(about, sort_keys=True)})
    record_hash(path)


def load_checked(path: pathlib.Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors of a committed file, and where they come from, after a look at its size and SHA-256.

    Args:
        path: of the file.
    Returns:
        (tensors, about).
    Raises:
        FileNotFoundError: the file or its entry in hashes.json is missing.
        ValueError: it is not the file that hashes.json knows, or no file of tensors; or hashes.json
            is damaged.
    """
    path = pathlib.Path(path)
    known = hashes(path)
    if path.name not in known:
        raise FileNotFoundError(
            f"{path.name} has no entry in hashes.json beside it: get both from the course's "
            "repository, or record it again (make tables)"
        )
    check_file(path, **known[path.name])
    tensors, header = tensor_files.read(path)
    try:
        about = json.loads(header.get("about", "{}"))
    except (ValueError, RecursionError):
        about = None
    if not isinstance(about, dict):
        raise ValueError(
            f"{path.name} does not say where it comes from: expected a JSON object in its header's "
            "'about'. Record it again (make tables)"
        )
    return tensors, about


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
        ValueError: it differs; the message says in what. Or it is no ordinary file.
    """
    path = find_file(path)
    is_hex = isinstance(sha256, str) and re.fullmatch("[0-9a-fA-F]{1,64}", sha256)
    if sha256 is not None and not is_hex:
        raise ValueError(
            f"sha256 is {sha256!r}; expected the 64 hexadecimal digits of {path.name} or the first "
            "of them, or None to compare nothing"
        )
    if size is not None and path.stat().st_size != size:
        identify(path)  # raises where a pointer or a web page is in its place
        raise ValueError(
            f"{path.name} has {path.stat().st_size} bytes, expected {size}: damaged, or another "
            "file. Get it again from where it came"
        )
    if sha256 is not None:
        found = sha256_file(path)
        if not found.startswith(sha256.lower()):
            identify(path)
            raise ValueError(
                f"{path.name} has SHA-256 {found}, expected {sha256}: damaged, or another file. "
                "Get it again from where it came"
            )
    return path


def record_hash(path: pathlib.Path) -> dict:
    """Note a file's size in bytes and SHA-256 in hashes.json beside it.

    Args:
        path: of the file.
    Returns:
        {"size": ..., "sha256": ...}.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: hashes.json is damaged; it is left as it is.
    """
    path = find_file(path)
    entry = {"size": path.stat().st_size, "sha256": sha256_file(path)}
    note_entry(path, entry)
    return entry


def note_entry(path: pathlib.Path, entry: Mapping) -> None:
    """Write a file's entry into hashes.json beside it; those of other files stay.

    Other processes that note theirs at the same time wait.

    Args:
        path: of the file.
        entry: "size", "sha256" and what else JSON can hold.
    Raises:
        ValueError: hashes.json is damaged; it is left as it is.
    """
    table = path.with_name("hashes.json")
    with locked(table):
        text = json.dumps({**hashes(path), path.name: entry}, indent=1, sort_keys=True)
        write_atomic(table, text + "\n")


def hashes(path: pathlib.Path) -> dict[str, dict]:
    """What hashes.json beside a file says.

    Args:
        path: of the file.
    Returns:
        name -> {"size": bytes, "sha256": 64 hexadecimal digits}, for a table with more, see
        `table_files`; {} without a hashes.json.
    Raises:
        ValueError: hashes.json has another form.
    """
    table = path.with_name("hashes.json")
    if not table.is_file():
        return {}
    try:
        entries = json.loads(table.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        place = f" ({error})" if isinstance(error, json.JSONDecodeError) else ""
        raise _unknown_hashes(table, f"is no JSON text{place}") from None
    if not isinstance(entries, dict):
        raise _unknown_hashes(table, f"holds a {type(entries).__name__}")
    for name, entry in entries.items():
        if not _is_entry(name, entry):
            raise _unknown_hashes(table, f"says {entry!r:.200} of {name!r}")
    return entries


def _is_entry(name, entry):
    if not isinstance(entry, dict) or not {"size", "sha256"} <= entry.keys():
        return False
    is_table = name.endswith(".csv")  # whose entries hold more, see table_files
    if len(entry) > 2 and not is_table:
        return False
    sha256 = entry["sha256"]
    whole = type(entry["size"]) is int and entry["size"] >= 0
    return whole and isinstance(sha256, str) and SHA256.fullmatch(sha256) is not None


def _unknown_hashes(table, what):
    return ValueError(
        f"{str(table)!r} {what}; expected a JSON object with "
        '{"size": bytes, "sha256": 64 hexadecimal digits} for each name of a file. Get it again '
        f"from the course's repository: git checkout -- {table}"
    )
