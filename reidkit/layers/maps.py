"""What a norm of maps takes."""

import torch
from torch import Tensor, nn

NARROW = (torch.float16, torch.bfloat16)


def check_maps(layer: nn.Module, x: Tensor, channels: int) -> None:
    """Refuse maps that a norm cannot take.

    Args:
        layer: whose name the error says.
        x: (B, C, H, W) maps.
        channels: C.
    Raises:
        ValueError: another shape, one value in a channel, or whole numbers.
    """
    # x.shape[0], not len(x): torch.export keeps the one free and takes the other for a number.
    is_fit = x.ndim == 4 and x.shape[1] == channels and channels > 0
    if not is_fit or x.shape[0] == 0 or x.shape[2] * x.shape[3] < 2:
        raise ValueError(
            f"{type(layer).__name__} of {channels} channels got x of shape {tuple(x.shape)}; "
            f"expected (B, {channels}, H, W), B, C at least 1 and H W at least 2: one value has no "
            "variance. Pool after this layer, or use FeatureNorm for pooled features"
        )
    if not x.is_floating_point():
        raise ValueError(
            f"{type(layer).__name__} got maps of {x.dtype}, which cannot hold what a norm gives; "
            "expected floats: x.float()"
        )


def in_type_of(weight: Tensor, x: Tensor) -> Tensor:
    """Maps in a type that torch's batch norm takes beside this weight.

    Args:
        weight: of the norm.
        x: maps of any floating type.
    Returns:
        The maps: as they are where they have the weight's type or are narrower than float32, else
        in the weight's type.
    """
    is_taken = x.dtype == weight.dtype or (x.dtype in NARROW and weight.dtype == torch.float32)
    return x if is_taken else x.to(weight.dtype)
