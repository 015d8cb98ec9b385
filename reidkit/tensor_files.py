"""The one way to read and write tensors as files. No code in a file is ever run.

What is written is a safetensors file whose bytes depend on its content alone. What is read is told
by its content, not by its suffix (`file_kinds`): a safetensors file, or one of torch.save. Errors
are in our own words, since what torch says about a file that it refuses is advice to trust it.
"""

import json
import os
import pathlib
import re
import warnings
from collections.abc import Mapping
from typing import Any

import safetensors
import torch
from torch import Tensor

from .file_kinds import AGAIN, RESAVE, NotTensors, identify
from .files import atomic_path, digest

# Names of the safetensors format.
DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


# ---- reading


def read(path: str | os.PathLike) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and header of a safetensors file, whatever its suffix.

    Args:
        path: of the file.
    Returns:
        (name -> tensor, name -> text of the header).
    Raises:
        FileNotFoundError: nothing is there.
        NotTensors: a ValueError that says what the file is instead, or that it is damaged.
    """
    path = pathlib.Path(path)
    if identify(path) == "torch":
        raise NotTensors(
            path,
            "it is a file of torch.save, expected a safetensors file of this course",
            "Weights from elsewhere fill a trunk: reidkit.weights.load_trunk(trunk, PATH)",
        )
    return _read_safetensors(path)


def read_any(path: str | os.PathLike) -> tuple[Any, dict[str, str]]:
    """What a safetensors file or a file of torch.save holds.

    Args:
        path: of the file.
    Returns:
        (content, header): a dict of tensors and the header, or what was given to torch.save, which
        may be anything made of tensors, numbers, text and containers, and {}.
    Raises:
        FileNotFoundError: nothing is there.
        NotTensors: a ValueError that says what the file is instead, or that it is damaged.
    """
    path = pathlib.Path(path)
    if identify(path) == "torch":
        return _read_torch(path), {}
    return _read_safetensors(path)


def _read_safetensors(path):
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # clones: Windows neither replaces nor deletes a file that a tensor still looks into
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
    except OSError:
        raise
    except Exception:  # the library has many kinds of error for damaged files
        raise NotTensors(path, _what_is_wrong(path), AGAIN) from None
    return tensors, header


def _what_is_wrong(path):
    """What a look at the header of a safetensors file tells, where the library refused it."""
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        text = stream.read(length)
    try:
        table = json.loads(text)
        table.pop("__metadata__", None)
        ends = [int(entry["data_offsets"][1]) for entry in table.values()]
    # bytes that are no text are a ValueError, too
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        return "it is a safetensors file that is cut off or damaged in its header"
    size = path.stat().st_size
    whole = 8 + length + max(ends, default=0)
    if size < whole:
        return f"it is a safetensors file of {whole} bytes that is cut off after {size}"
    return "it is a safetensors file that is damaged: its header does not describe its content"


def _read_torch(path):
    try:
        # A stream, since torch takes a path that ends in .safetensors for such a file.
        with warnings.catch_warnings(), path.open("rb") as stream:
            warnings.simplefilter("ignore")  # they advise to trust the file
            return torch.load(stream, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # any, of bytes that are not what they should be
        wanted = re.search(r"GLOBAL ([\w.]{1,80})", str(error))
        if wanted:
            what = f"beside tensors it asks for code ({wanted[1].rstrip('.')}), which was not run"
            raise NotTensors(path, what, RESAVE) from None
        what = "it is a file of torch.save that is damaged, or that holds more than tensors"
        raise NotTensors(path, what, f"{AGAIN}. {RESAVE}") from None


# ---- writing


def write(path: str | os.PathLike, tensors: Mapping[str, Tensor], header: Mapping) -> None:
    """Write a safetensors file, whole or not at all; the same content gives the same bytes.

    (The library itself writes the texts of a header in an order that differs from run to run.)

    Args:
        path: of the file; its folder is made.
        tensors: name -> dense tensor, of any device.
        header: name -> text.
    Raises:
        ValueError: a tensor is of a kind that the format does not have.
        OSError: the disk does not take it.
    """
    # Large numbers first, as the library has it, so that each tensor is aligned.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    table = {"__metadata__": {name: header[name] for name in sorted(header)}} if header else {}
    offset = 0
    for name in names:
        value = tensors[name]
        if value.dtype not in DTYPES or value.layout != torch.strided or name == "__metadata__":
            raise ValueError(
                f"{name!r} is a tensor of {value.dtype} and {value.layout}, which a safetensors "
                "file cannot hold under this name; make it dense, of a usual dtype"
            )
        end = offset + value.numel() * value.element_size()
        table[name] = {
            "dtype": DTYPES[value.dtype],
            "shape": list(value.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the first tensor begins at a multiple of 8
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            value = tensors[name].detach().cpu().contiguous().reshape(-1)
            stream.write(value.view(torch.uint8).numpy())


# ---- looks at the content


def content_digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """A short hex name for tensors with their names, and texts that belong to them.

    Args:
        tensors: name -> tensor, in any order.
        texts: in their order.
    """
    parts = list(texts)
    for name in sorted(tensors):
        parts += [name, tensors[name]]
    return digest(*parts)


def find_infinite(tensors: Mapping[str, Tensor]) -> str:
    """Where tensors hold NaN or infinite numbers, in words; "" where all are finite.

    Args:
        tensors: name -> tensor; whole numbers are always finite.
    """
    counts = {}
    for name, value in tensors.items():
        if not (value.is_floating_point() or value.is_complex()):
            continue
        # Of numbers of eight bits torch cannot tell it before they are widened.
        numbers = value.float() if value.element_size() == 1 else value
        finite = numbers.isfinite()
        if not finite.all():
            counts[name] = int((~finite).sum())
    if not counts:
        return ""
    first = next(iter(counts))
    return (
        f"{counts[first]} of the {tensors[first].numel()} numbers of {first} are NaN or infinite"
        f" ({len(counts)} of {len(tensors)} tensors have such numbers)"
    )
