"""Outside weights, loaded safely.

safetensors, or torch files read with weights_only: a pickle can run any code.
"""

import pathlib
import pickle

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from .store import check_file

# What safetensors and torch raise for a file that holds no weights.
UNREADABLE = (
    safetensors.SafetensorError,
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
)


def load_trunk(
    model: nn.Module,
    path: str | pathlib.Path,
    sha256: str | None = None,
    size: int | None = None,
) -> nn.Module:
    """Fill a trunk from a torchvision-style state dict in a file.

    Size and SHA-256 are compared first. Classifier weights (fc.*) are ignored.

    Args:
        model: the trunk.
        path: .safetensors, or .pth/.pt.
        sha256: the full hex, or its beginning as in torchvision's file names; None is not compared.
        size: in bytes; None is not compared.
    Returns:
        The model.
    Raises:
        FileNotFoundError: no file.
        ValueError: names what differs.
    """
    path = check_file(path, sha256, size)
    state = {name: value for name, value in _read(path).items() if not name.startswith("fc.")}
    expected = {}
    for name, value in model.state_dict().items():
        # Old files do not count batches.
        if name in state or not name.endswith("num_batches_tracked"):
            expected[name] = value
    differences = misfit(state, expected)
    if differences:
        raise ValueError(
            f"{path.name} does not fit this trunk. {differences}. "
            "Use the weights of the same architecture"
        )
    model.load_state_dict(state, strict=False)
    return model


def misfit(state: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """Where two state dicts differ in names or shapes, in words.

    Args:
        state: name -> tensor, as it was read.
        own: name -> tensor, as it should be.
    Returns:
        The sentence, with up to five names of a kind; "" where `state` fits `own`.
    """
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = []
    for name, value in own.items():
        if name in state and state[name].shape != value.shape:
            reshaped.append(f"{name} {tuple(state[name].shape)} for {tuple(value.shape)}")
    parts = []
    for title, names in (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of another shape", reshaped),
    ):
        if names:
            more = " ..." if len(names) > 5 else ""
            parts.append(f"{title}: {', '.join(names[:5])}{more} ({len(names)})")
    return "; ".join(parts)


def _read(path):
    """name -> tensor of a file, or a ValueError in plain words."""
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path.name} cannot be read as weights ({reason}); expected a "
            ".safetensors file or a torch file that holds tensors only"
        ) from None
    plain = isinstance(state, dict)
    if not plain or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(
            f"{path.name} holds no plain dict of tensors; "
            "save the trunk's state_dict() and nothing else"
        )
    return state
