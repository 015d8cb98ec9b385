"""Number types: statistics are taken in float32 or better, layers follow their parameters."""

import torch
from torch import Tensor, nn


def at_least_float32(x: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if that is what they are.

    Args:
        x: any tensor.
    Returns:
        A tensor of the same shape; x itself where nothing is to be done.
    """
    return x if x.dtype == torch.float64 else x.float()


def type_of(module: nn.Module) -> torch.dtype:
    """The type that a module computes in: that of its first number with a fraction.

    Args:
        module: any module.
    Returns:
        The dtype of the first floating-point parameter, or else buffer; float32 if there is none.
    """
    for values in (module.parameters(), module.buffers()):
        for value in values:
            if value.is_floating_point():
                return value.dtype
    return torch.float32
