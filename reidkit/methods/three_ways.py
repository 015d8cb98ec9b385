"""One network, three ways to train it: to classify people, to judge pairs, or to read attributes.

Identification (IDE), verification (Zheng, Zheng, Yang, TOMM 2018; contrastive: Hadsell, Chopra,
LeCun, CVPR 2006) and attribute learning (Lin et al., Pattern Recognition 2019). All heads share the
same feature, so only the loss differs.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import losses
from ..augment import normalize
from ..backbones import make_trunk
from ..layers import pooling
from ..layers.heads import AttributeHeads, BNNeck, Classifier, Output, PairClassifier
from ..layers.precision import type_of

WAYS = ("identity", "triplet", "contrastive", "verification", "verification-near", "attributes")


class ThreeWays(nn.Module):
    """A trunk with the heads of all ways: images (B, 3, H, W) in 0..255 -> Output.

    The output has feature (B, D), logits (B, classes), neck (B, D) and extra: extra["judge"] is the
    pair classifier (a module on two sets of features), extra["attributes"] name -> logits. Exported
    or compiled in evaluation mode it has no judge in its output. It computes in the type of the
    trunk's parameters.

    Args:
        classes: identities to train on.
        attributes: name -> number of values.
        trunk: as in `Baseline`.
    """

    def __init__(self, classes: int, attributes: dict[str, int], trunk: str | nn.Module = "tiny"):
        super().__init__()
        self.trunk = make_trunk(trunk) if isinstance(trunk, str) else trunk
        channels = self.trunk.channels
        self.neck = BNNeck(channels)
        self.classifier = Classifier(channels, classes)
        self.judge = PairClassifier(channels)
        self.attributes = AttributeHeads(channels, attributes)

    def forward(self, images: Tensor) -> Output:
        maps = self.trunk(normalize(images, dtype=type_of(self.trunk)))
        feature = pooling.avg(maps)  # (B, D)
        neck = self.neck(feature)
        logits = self.classifier(neck)
        extra = {"attributes": self.attributes(neck)}
        # A module cannot be part of an exported network's output, and only losses ask for it.
        if self.training or not torch.compiler.is_compiling():
            extra["judge"] = self.judge
        return Output(feature, logits, neck, extra)


def way_losses(ways: str) -> Callable:
    """The losses of one way, or of several joined by "+" ("identity", "identity+triplet").

    "verification-near" judges only pairs of one domain: strangers from another place are told apart
    by their place alone.

    Args:
        ways: names out of WAYS.
    Returns:
        A function for `fit`: output and batch -> way -> loss.
    Raises:
        ValueError: names an unknown way.
    """
    chosen = ways.split("+")
    unknown = [way for way in chosen if way not in WAYS]
    if unknown:
        raise ValueError(
            f"way {unknown[0]!r} is not known; expected {', '.join(WAYS)}, or several joined by +"
        )
    return lambda output, batch: {way: _loss(way, output, batch) for way in chosen}


def _loss(way, output, batch):
    if way == "identity":
        return losses.cross_entropy(output.logits, batch.ids, smoothing=0.1).mean()
    if way == "triplet":
        return losses.batch_hard_triplet(output.feature, batch.ids, margin=0.3).mean()
    if way == "attributes":
        return losses.attribute_loss(output.extra["attributes"], batch.attributes).mean()
    first, second, same = losses.pairs(batch.ids)  # (n,) each
    if way == "contrastive":
        unit = F.normalize(output.feature, dim=1)
        loss_of_pair = losses.contrastive(unit, batch.ids, margin=1.0)  # (n,)
        return losses.balanced_mean(loss_of_pair, same)
    if way == "verification-near":
        near = batch.domains[first] == batch.domains[second]
        first = first[near]
        second = second[near]
        same = same[near]
    judge = output.extra["judge"]
    logits = judge(output.neck[first], output.neck[second])
    return losses.balanced_mean(losses.verification(logits, same), same)
