"""What follows the pooled feature: the neck, classifiers, and the record that models return.

Shapes: B pictures, D feature channels, C identities.
"""

from dataclasses import dataclass, field

import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Output:
    """What a model returns for B pictures.

    Args:
        feature: (B, D), for metric losses.
        logits: (B, C) for the identity loss, or None.
        neck: (B, D) the feature after the neck, used for retrieval if there is one, or None.
        extra: what a method adds, by name.
    """

    feature: Tensor
    logits: Tensor | None = None
    neck: Tensor | None = None
    extra: dict = field(default_factory=dict)


class BNNeck(nn.BatchNorm1d):
    """Batch norm between the triplet's feature and the classifier's (Luo et al. 2019).

    Its bias is frozen at zero so that the classifier's classes stay spread around the origin. (B,
    D) -> (B, D), in float32.

    Args:
        channels: D.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.bias.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.float())


class Classifier(nn.Linear):
    """Identity classifier without bias, weights N(0, 0.001): (B, D) -> (B, C) logits.

    Args:
        channels: D.
        classes: C.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes, bias=False)
        nn.init.normal_(self.weight, std=0.001)


class CosineClassifier(nn.Linear):
    """Cosines of the features with one weight vector per class: (B, D) -> (B, C).

    For `losses.arcface_logits` and its kin.

    Args:
        channels: D.
        classes: C.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes, bias=False)
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features: Tensor) -> Tensor:
        unit_features = F.normalize(features.float(), dim=1)
        unit_weights = F.normalize(self.weight, dim=1)
        return F.linear(unit_features, unit_weights)


class NoClassifier(nn.Module):
    """Takes the place of the classifier and returns None: retrieval needs no logits."""

    def forward(self, features: Tensor) -> None:
        return None


class PairClassifier(nn.Linear):
    """Same person or not, from squared differences: w . (a - b)^2 + b, large for "same".

    (n, D), (n, D) -> (n,). The weights start at -1 / D: far apart means different, and training
    finds out which channels matter.

    Args:
        channels: D.
    """

    def __init__(self, channels: int):
        super().__init__(channels, 1)
        nn.init.constant_(self.weight, -1 / channels)
        nn.init.zeros_(self.bias)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return super().forward((a - b).square()).squeeze(1)  # (n, D) -> (n, 1) -> (n,)


class AttributeHeads(nn.ModuleDict):
    """One linear classifier per attribute: (B, D) -> dict name -> (B, values) logits.

    Args:
        channels: D.
        values: name of an attribute -> how many values it has.
    """

    def __init__(self, channels: int, values: dict[str, int]):
        super().__init__({name: nn.Linear(channels, count) for name, count in values.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {name: head(features) for name, head in self.items()}
