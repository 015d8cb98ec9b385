"""What follows the pooled feature: the neck, classifiers, and the record that models return.

Shapes: B pictures, D feature channels, C identities. Every layer takes features of any type and
answers in that of its own parameters: pooling gives float32, also where the network is in half
precision.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .precision import at_least_float32


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


# So that torch.export and torch.func know what is inside, and a model can be exported as it is.
torch.export.register_dataclass(Output, serialized_type_name="reidkit.layers.heads.Output")


class BNNeck(nn.BatchNorm1d):
    """Batch norm between the triplet's feature and the classifier's (Luo et al. 2019).

    Its bias is frozen at zero so that the classifier's classes stay spread around the origin. (B,
    D) -> (B, D), in the type of its parameters: in float32 under autocast. Turned into a
    SyncBatchNorm it gives the same numbers, but then in the type of the features.

    Args:
        channels: D.
    """

    def __init__(self, channels: int):
        super().__init__(channels)
        self.bias.requires_grad_(False)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.to(self.weight.dtype))


class Classifier(nn.Linear):
    """Identity classifier without bias, weights N(0, 0.001): (B, D) -> (B, C) logits.

    Args:
        channels: D.
        classes: C.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__(channels, classes, bias=False)
        nn.init.normal_(self.weight, std=0.001)

    def forward(self, features: Tensor) -> Tensor:
        return super().forward(features.to(self.weight.dtype))


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
        weight = at_least_float32(self.weight)  # lengths are taken in float32 or better
        unit_features = F.normalize(features.to(weight.dtype), dim=1)
        unit_weights = F.normalize(weight, dim=1)
        kind = self.weight.dtype
        return F.linear(unit_features.to(kind), unit_weights.to(kind))


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
        squares = (a - b).square().to(self.weight.dtype)  # (n, D)
        return super().forward(squares).squeeze(1)  # (n, 1) -> (n,)


class AttributeHeads(nn.ModuleDict):
    """One linear classifier per attribute: (B, D) -> dict name -> (B, values) logits.

    Args:
        channels: D.
        values: name of an attribute -> how many values it has.
    """

    def __init__(self, channels: int, values: dict[str, int]):
        super().__init__({name: nn.Linear(channels, count) for name, count in values.items()})

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {name: head(features.to(head.weight.dtype)) for name, head in self.items()}
