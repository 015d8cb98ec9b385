"""What stands on the pooled feature: the neck, classifiers, and the one thing that every model returns."""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Output:
    """What a model returns for B pictures. feature (B, D): metric losses; logits (B, C) or None: identity loss;
    neck (B, D) or None: the feature after the neck, used for retrieval if there is one; extra: of a method."""

    feature: torch.Tensor
    logits: torch.Tensor | None = None
    neck: torch.Tensor | None = None
    extra: dict = field(default_factory=dict)


class BNNeck(nn.BatchNorm1d):
    """Luo et al. 2019: batch norm between the triplet's feature and the classifier's, its bias frozen at zero so that
    the classifier's classes stay spread around the origin. (B, D) -> (B, D), in float32."""

    def __init__(self, channels):
        super().__init__(channels)
        self.bias.requires_grad_(False)

    def forward(self, features):
        return super().forward(features.float())


class Classifier(nn.Linear):
    """Identity classifier without bias, weights N(0, 0.001): (B, D) -> (B, C) logits."""

    def __init__(self, channels, classes):
        super().__init__(channels, classes, bias=False)
        nn.init.normal_(self.weight, std=0.001)


class CosineClassifier(nn.Linear):
    """Cosines of the features with a weight vector a class: (B, D) -> (B, C); for losses.arcface_logits and kin."""

    def __init__(self, channels, classes):
        super().__init__(channels, classes, bias=False)
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features):
        return F.linear(F.normalize(features.float(), dim=1), F.normalize(self.weight, dim=1))


class NoClassifier(nn.Module):
    """Stands where the classifier was: retrieval needs no logits."""

    def forward(self, features):
        return None


class PairClassifier(nn.Linear):
    """Same person or not, from squared differences: w . (a - b)^2 + b, large for "same"; (n, D), (n, D) -> (n,).

    The weights start at -1 / D: far apart means different, and training finds out which channels matter.
    """

    def __init__(self, channels):
        super().__init__(channels, 1)
        nn.init.constant_(self.weight, -1 / channels)
        nn.init.zeros_(self.bias)

    def forward(self, a, b):
        return super().forward((a - b).square()).squeeze(1)


class AttributeHeads(nn.ModuleDict):
    """One linear classifier an attribute: (B, D) -> dict name -> (B, values); values: name -> how many."""

    def __init__(self, channels, values):
        super().__init__({name: nn.Linear(channels, count) for name, count in values.items()})

    def forward(self, features):
        return {name: head(features) for name, head in self.items()}
