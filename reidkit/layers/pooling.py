"""From a map (B, C, H, W) to one number a channel (B, C); in float32, where x^3 of a small x still is a number."""

import torch
from torch import nn


def avg(maps):
    """Global average pooling (Lin et al. 2014): no weights, any input size, blind to where."""
    return maps.float().mean((2, 3))


def max(maps):
    """Global maximum: the strongest response of each channel."""
    return maps.float().amax((2, 3))


def gem(maps, p=3.0, eps=1e-6):
    """Generalised mean (mean_x x^p)^(1/p), x clamped to eps (Radenovic et al. 2018); p = 1: avg, p -> inf: max."""
    return maps.float().clamp_min(eps).pow(p).mean((2, 3)).pow(1 / p)


class GeM(nn.Module):
    """gem with a p that is learnt, the same for all channels."""

    def __init__(self, p=3.0):
        super().__init__()
        self.p = nn.Parameter(torch.tensor(float(p)))

    def forward(self, maps):
        return gem(maps, self.p)


class Stripes(nn.Module):
    """The whole map and `count` horizontal stripes of it, each pooled: (B, C, H, W) -> (B, C (count + 1)), the whole first.

    Head, trunk and legs get features of their own (Sun et al. 2018, PCB). `factor` is how many times C is returned."""

    def __init__(self, count, pool=avg):
        super().__init__()
        self.count, self.pool, self.factor = count, pool, count + 1

    def forward(self, maps):
        if self.count > maps.shape[2]:
            raise ValueError(
                f"{self.count} stripes of a map of {maps.shape[2]} rows; expected at most one a row"
            )
        rows = [maps.shape[2] * k // self.count for k in range(self.count + 1)]
        parts = [maps[:, :, top:bottom] for top, bottom in zip(rows, rows[1:])]
        return torch.cat([self.pool(part) for part in (maps, *parts)], 1)
