"""A neck for retrieval alone: features centred and turned, variation within a person damped.

Batch norm behind the pooled feature (BNNeck) suits a classifier, which can weigh channels as it
likes. A distance cannot: a channel that hardly varies is blown up until it counts like the others,
with all its noise. Here, what varies within a person counts for less.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .irreplaceable import Irreplaceable
from .precision import at_least_float32


class WhiteningNeck(Irreplaceable, nn.BatchNorm1d):
    """(B, D) -> (B, dims): the running mean taken away, then a fixed linear map.

    A batch norm without its division: so the mean is one of the statistics that can be re-estimated
    on other pictures. In training mode the mean is that of the batch; nothing is learnt by
    gradient. The map starts at zero, see `fit_whitening`. The result is in the type of the map. No
    plain batch norm can take its place, see `Irreplaceable`.

    Args:
        channels: D.
        dims: directions that are kept.
    """

    def __init__(self, channels: int, dims: int):
        super().__init__(channels, affine=False)
        del self.affine  # see Irreplaceable
        self.register_buffer("projection", torch.zeros(dims, channels))

    def reset_parameters(self) -> None:
        """Make the running statistics those of a new layer; the map stays as it is."""
        self.reset_running_stats()

    def forward(self, features: Tensor) -> Tensor:
        kind = self.projection.dtype
        features = features.to(kind)
        wide = at_least_float32(features)
        if self.training:
            super().forward(features)  # for the running mean alone
        if self.training or self.running_mean is None:
            centre = wide.mean(0)
        else:
            centre = self.running_mean
        return F.linear((wide - centre).to(kind), self.projection)


def fit_whitening(
    features: Tensor, ids: Tensor, dims: int, power: float = 0.25, ridge: float = 0.3
) -> WhiteningNeck:
    """A WhiteningNeck for the features of people who should be others than those trained on.

    With W the covariance within a person (mean over all N) and r the ridge times W's mean
    eigenvalue, features are mapped by (W + r)^-power. power 1/2 and ridge 0 is WCCN (Hatch et al.
    2006), where every direction varies as much within a person; 1/4 goes half of the way. Of the
    result, the `dims` directions of largest variance are kept. Computed in float64.

    Args:
        features: (N, D).
        ids: (N,) identities.
        dims: directions to keep, at most D.
        power: how far the spread within people is evened out.
        ridge: share of W's mean eigenvalue that is added to all of its eigenvalues.
    Returns:
        The neck, in evaluation mode, on the device of the features.
    Raises:
        ValueError: dims above D, or no person has two pictures.
    """
    mean = features.double().mean(0)
    centred = features.double() - mean  # (N, D)
    channels = centred.shape[1]
    people, person_of, counts = ids.unique(return_inverse=True, return_counts=True)
    if not 1 <= dims <= channels:
        raise ValueError(
            f"dims is {dims}; expected 1 to {channels}, as many numbers as a feature has here"
        )
    if len(people) == len(ids):
        raise ValueError(
            f"{len(ids)} pictures of {len(people)} people; expected two or more of some: "
            "what varies within a person cannot be told"
        )
    # W, the covariance of the features around the mean of their person: (D, D).
    sums = torch.zeros(len(people), channels, dtype=centred.dtype, device=centred.device)
    sums.index_add_(0, person_of, centred)  # (people, D)
    person_means = sums / counts[:, None]
    around_person = centred - person_means[person_of]  # (N, D)
    within = around_person.T @ around_person / len(centred)

    # The map (W + r)^-power, up to a rotation: the axes of W as columns, each scaled.
    eigenvalues, axes = torch.linalg.eigh(within)  # (D,), (D, D)
    eigenvalues = eigenvalues.clamp_min(0)
    scales = (eigenvalues + ridge * eigenvalues.mean()).pow(-power)
    mapping = axes * scales  # (D, D)

    # The rotation: principal axes of the mapped features, those of largest variance first.
    covariance = centred.T @ centred / len(centred)
    _, rotation = torch.linalg.eigh(mapping.T @ covariance @ mapping)
    rotation = rotation.flip(1)[:, :dims]  # eigh sorts them upwards; (D, dims)

    neck = WhiteningNeck(channels, dims)
    neck.running_mean.copy_(mean)
    neck.projection.copy_((mapping @ rotation).T)
    return neck.to(features.device).eval()
