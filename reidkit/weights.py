"""Outside weights, loaded safely: safetensors, or torch files read with weights_only (a pickle can run any code)."""

import pickle

import safetensors
import safetensors.torch
import torch

from .store import check_file


def load_trunk(model, path, sha256=None, size=None):
    """Fill a trunk from a torchvision-style state dict in `path` (.safetensors, or .pth/.pt); returns the model.

    size in bytes and sha256 (the full hex, or its beginning as in torchvision's file names) are compared first.
    Classifier weights (fc.*) are ignored. FileNotFoundError, or ValueError naming what differs.
    """
    path = check_file(path, sha256, size)
    state = {name: value for name, value in _read(path).items() if not name.startswith("fc.")}
    own = {
        name: value
        for name, value in model.state_dict().items()
        if name in state or not name.endswith("num_batches_tracked")
    }  # old files do not count batches
    if found := misfit(state, own):
        raise ValueError(
            f"{path.name} does not fit this trunk. {found}. Use the weights of the same architecture"
        )
    model.load_state_dict(state, strict=False)
    return model


def misfit(state, own):
    """Where two dicts name -> tensor differ in names or shapes, in words; "" where `state` fits `own`."""
    lists = {
        "missing": [name for name in own if name not in state],
        "unexpected": [name for name in state if name not in own],
        "of another shape": [
            f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
            for name in own
            if name in state and state[name].shape != own[name].shape
        ],
    }
    return "; ".join(
        f"{title}: {', '.join(names[:5])}{' ...' if len(names) > 5 else ''} ({len(names)})"
        for title, names in lists.items()
        if names
    )


def _read(path):
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        safetensors.SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
    ) as error:
        raise ValueError(
            f"{path.name} cannot be read as weights ({str(error).splitlines()[0]}); expected a "
            f".safetensors file or a torch file that holds tensors only"
        ) from None
    if not isinstance(state, dict) or not all(
        isinstance(value, torch.Tensor) for value in state.values()
    ):
        raise ValueError(
            f"{path.name} holds no plain dict of tensors; save the trunk's state_dict() and nothing else"
        )
    return state
