"""A neck for retrieval alone: features centred, and turned so that what varies within a person counts for less.

Batch norm behind the pooled feature (BNNeck) suits a classifier, which can weigh channels as it likes. A distance cannot:
a channel that hardly varies is blown up until it counts like the others, with all its noise.
"""

import torch
import torch.nn.functional as F
from torch import nn


class WhiteningNeck(nn.BatchNorm1d):
    """(B, D) -> (B, dims), float32: the running mean taken away, then a fixed linear map, see `fit_whitening`.

    A batch norm without its division: so the mean is one of the statistics that can be re-estimated on other pictures.
    In training mode the mean is that of the batch; nothing is learnt by gradient. The map starts at zero.
    """

    def __init__(self, channels, dims):
        super().__init__(channels, affine=False)
        self.register_buffer("projection", torch.zeros(dims, channels))

    def forward(self, features):
        features = features.float()
        if self.training:
            super().forward(features)  # for the running mean alone
        centre = features.mean(0) if self.training else self.running_mean
        return F.linear(features - centre, self.projection)


def fit_whitening(features, ids, dims, power=0.25, ridge=0.3):
    """A WhiteningNeck for features (N, D) of people ids (N,), which should be other people than those trained on.

    With W the covariance within a person (mean over all N) and r the ridge times W's mean eigenvalue, features are mapped
    by (W + r)^-power: power 1/2 and ridge 0 is WCCN (Hatch et al. 2006), where every direction varies as much within a
    person; 1/4 goes half of the way. Of the result the `dims` directions of largest variance are kept. Computed in float64.
    ValueError for dims above D or if no person has two pictures.
    """
    centre = features.double().mean(0)
    wide = features.double() - centre
    people, index, counts = ids.unique(return_inverse=True, return_counts=True)
    if not 1 <= dims <= wide.shape[1]:
        raise ValueError(
            f"dims is {dims}; expected 1 to {wide.shape[1]}, as many numbers as a feature has here"
        )
    if len(people) == len(ids):
        raise ValueError(
            f"{len(ids)} pictures of {len(people)} people; expected two or more of some: what varies within a "
            "person cannot be told"
        )
    means = torch.zeros(
        len(people), wide.shape[1], dtype=wide.dtype, device=wide.device
    ).index_add_(0, index, wide)
    apart = wide - (means / counts[:, None])[index]
    values, axes = torch.linalg.eigh(apart.T @ apart / len(wide))  # (D,), (D, D)
    values = values.clamp_min(0)
    mapped = axes * (values + ridge * values.mean()).pow(-power)  # (D, D): columns scaled
    _, turns = torch.linalg.eigh(mapped.T @ (wide.T @ wide / len(wide)) @ mapped)
    neck = WhiteningNeck(wide.shape[1], dims)
    neck.running_mean.copy_(centre)
    neck.projection.copy_((mapped @ turns.flip(1)[:, :dims]).T)
    return neck.to(features.device).eval()
