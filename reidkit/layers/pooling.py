"""From a map (B, C, H, W) to one number per channel (B, C).

In float32, where x^3 of a small x is still a number, or in float64 for maps of float64.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .precision import at_least_float32


def avg(maps: Tensor) -> Tensor:
    """Global average pooling (Lin et al. 2014): no weights, any input size, blind to where.

    Args:
        maps: (B, C, H, W).
    Returns:
        (B, C) mean response of each channel, float32 or better.
    """
    return at_least_float32(maps).mean((2, 3))


def max(maps: Tensor) -> Tensor:
    """Global maximum pooling: the strongest response of each channel.

    Args:
        maps: (B, C, H, W).
    Returns:
        (B, C) maximum of each channel, float32 or better.
    """
    return at_least_float32(maps).amax((2, 3))


def gem(maps: Tensor, p: float | Tensor = 3.0, eps: float = 1e-6) -> Tensor:
    """Generalised mean (mean_x x^p)^(1/p) (Radenovic et al. 2018).

    p = 1 is `avg`, p -> inf goes to `max`.

    Args:
        maps: (B, C, H, W).
        p: the exponent, a number or a scalar tensor.
        eps: x is clamped to at least this.
    Returns:
        (B, C) generalised mean of each channel, float32 or better.
    """
    maps = at_least_float32(maps)
    if isinstance(p, Tensor):
        p = p.to(maps.dtype)  # 1 / p would lose digits in half precision
    powers = maps.clamp_min(eps).pow(p)
    return powers.mean((2, 3)).pow(1 / p)


class GeM(nn.Module):
    """`gem` with a p that is learnt, the same for all channels: (B, C, H, W) -> (B, C).

    Args:
        p: where the exponent starts.
    """

    def __init__(self, p: float = 3.0):
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))

    def forward(self, maps: Tensor) -> Tensor:
        return gem(maps, self.p)


class Stripes(nn.Module):
    """The whole map and `count` horizontal stripes of it, each pooled (Sun et al. 2018, PCB).

    (B, C, H, W) -> (B, C (count + 1)), the whole first. Head, trunk and legs get features of their
    own. `factor` is how many times C is returned.

    Args:
        count: how many stripes.
        pool: (B, C, h, W) -> (B, C).
    Raises:
        ValueError: no stripe at all, or more stripes than the map has rows.
    """

    def __init__(self, count: int, pool: Callable[[Tensor], Tensor] = avg):
        super().__init__()
        if count < 1:
            raise ValueError(f"count is {count!r}; expected one horizontal stripe or more")
        self.count = count
        self.pool = pool
        self.factor = count + 1

    def forward(self, maps: Tensor) -> Tensor:
        height = maps.shape[2]
        if self.count > height:
            raise ValueError(
                f"{self.count} stripes of a map of {height} rows; expected at most one a row"
            )
        borders = [height * k // self.count for k in range(self.count + 1)]
        pooled = [self.pool(maps)]
        for top, bottom in zip(borders, borders[1:]):
            pooled.append(self.pool(maps[:, :, top:bottom]))
        return torch.cat(pooled, 1)
