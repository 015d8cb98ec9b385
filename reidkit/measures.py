"""What activations hold, in numbers: how far two sets of pictures lie apart in a layer, and what instance norm throws away."""

from .layers.norms import moments


def divergence(one, other, eps=1e-12):
    """How far apart two sets of pictures lie in each channel of a layer: (N, C, H, W) and (M, C, ...) or (N, C) -> (C,).

    A Gaussian is fitted to the pictures' means of a channel in each set; the result is KL(1|2) + KL(2|1), in nats: 0 for
    the same mean and variance. Pan et al. 2018 (IBN-Net) average it over channels to tell style from content by depth.
    Variances are at least eps, so that a dead channel, 0 in all pictures of both sets, has divergence 0. Computed in
    float64. ValueError for other channels or fewer than two pictures.
    """
    sides = [_picture_means(side) for side in (one, other)]                                 # (N, C), (M, C)
    if sides[0].shape[1] != sides[1].shape[1] or min(map(len, sides)) < 2:
        raise ValueError(f"activations have shapes {tuple(one.shape)} and {tuple(other.shape)}; expected two or more pictures "
                         "each, of the same channels")
    (mean1, var1), (mean2, var2) = ((side.mean(0), side.var(0, correction=0).clamp_min(eps)) for side in sides)
    return (var1 / var2 + var2 / var1 + (mean1 - mean2).square() * (1 / var1 + 1 / var2)) / 2 - 1


def _picture_means(activations):
    return activations.double().flatten(2).mean(2) if activations.ndim > 2 else activations.double()


def variance_shares(maps):
    """Of the variance that batch norm divides by, the parts within and between pictures: (B, C, H, W) -> two of (C,).

    They add up to it (law of total variance). Instance norm divides by the first, picture by picture, and throws the
    second away: the style, and some of the person.
    """
    mean, var = moments(maps)                               # (B, C, 1, 1)
    return var.mean(0).flatten(), mean.var(0, correction=0).flatten()
