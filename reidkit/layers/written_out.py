"""Instance norm and its mixture with batch norm as the books write them, in plain operations.

The same functions as in `one_pass`, with more passes over the maps and more memory. In return torch
sees every operation: they can be differentiated any number of times, backwards and forwards,
transformed by torch.func, compiled and exported.

Shapes: maps (B, C, H, W), parameters and running statistics (C,).
"""

from collections.abc import Sequence

from torch import Tensor

from .precision import at_least_float32


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """y = weight z + bias, with z the maps standardised channel by channel of each picture.

    Args:
        x: (B, C, H, W) maps.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
    Returns:
        (B, C, H, W), in the type of x.
    """
    centred, variance = _centred(at_least_float32(x), (2, 3))
    return _affine(centred, variance, weight, bias, eps).to(x.dtype)


def mixture(
    x: Tensor,
    parameters: Sequence[Tensor],
    running: tuple[Tensor, Tensor] | tuple[None, None],
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """y = gate (weight Z + bias) + (1 - gate) (instance_weight z + instance_bias).

    z and Z are the maps standardised over the pixels of each picture, and over the batch.

    Args:
        x: (B, C, H, W) maps.
        parameters: gate, weight, bias, instance_weight and instance_bias, (C,) each.
        running: mean and variance (C,) to normalise by in the batch branch; None and None for
            those of the batch.
        eps: added to the variances.
    Returns:
        y (B, C, H, W) in the type of x, and the mean and the biased variance of the batch, both (C,
        1, 1), which pass no gradient on; None and None with running statistics.
    """
    gate, weight, bias, instance_weight, instance_bias = parameters
    wide = at_least_float32(x)
    instance = _affine(*_centred(wide, (2, 3)), instance_weight, instance_bias, eps)
    running_mean, running_variance = running
    batch_mean = None
    batch_variance = None
    if running_mean is None:
        centred, variance = _centred(wide, (0, 2, 3))
        batch_mean = wide.detach().mean((0, 2, 3))[:, None, None]
        batch_variance = variance.detach()[0]
    else:
        centred = wide - per_channel(running_mean)
        variance = per_channel(running_variance)
    batch = _affine(centred, variance, weight, bias, eps)
    y = per_channel(gate) * batch + (1 - per_channel(gate)) * instance
    return y.to(x.dtype), batch_mean, batch_variance


def per_channel(values: Tensor) -> Tensor:
    """(C,) -> (C, 1, 1) in float32 or better, which spreads over pictures and pixels.

    Args:
        values: (C,), one for each channel.
    """
    return at_least_float32(values)[:, None, None]


def _centred(x, dims):
    """x minus its mean over `dims`, and its biased variance."""
    centred = x - x.mean(dims, keepdim=True)
    return centred, centred.square().mean(dims, keepdim=True)


def _affine(centred, variance, weight, bias, eps):
    """weight (x - mean) / sqrt(variance + eps) + bias."""
    return per_channel(weight) * (centred * (variance + eps).rsqrt()) + per_channel(bias)
