"""One network, three ways to train it: as a classifier of people, as a judge of pairs, or as a reader of attributes.

Identification (IDE), verification (Zheng, Zheng, Yang, TOMM 2018; contrastive: Hadsell, Chopra, LeCun, CVPR 2006) and
attribute learning (Lin et al., Pattern Recognition 2019). All heads stand on the same feature, so only the loss differs.
"""

import torch.nn.functional as F
from torch import nn

from .. import losses
from ..augment import normalize
from ..backbones import make_trunk
from ..layers import pooling
from ..layers.heads import AttributeHeads, BNNeck, Classifier, Output, PairClassifier

WAYS = ("identity", "triplet", "contrastive", "verification", "verification-near", "attributes")


class ThreeWays(nn.Module):
    """images (B, 3, H, W) -> Output(feature (B, D), logits (B, classes), neck (B, D), extra).

    extra["judge"] is the pair classifier (a module on two sets of features), extra["attributes"] name -> logits.
    attributes maps name -> number of values; trunk as in `Baseline`.
    """

    def __init__(self, classes, attributes, trunk="tiny"):
        super().__init__()
        self.trunk = make_trunk(trunk) if isinstance(trunk, str) else trunk
        self.neck = BNNeck(self.trunk.channels)
        self.classifier = Classifier(self.trunk.channels, classes)
        self.judge = PairClassifier(self.trunk.channels)
        self.attributes = AttributeHeads(self.trunk.channels, attributes)

    def forward(self, images):
        feature = pooling.avg(self.trunk(normalize(images)))  # (B, D)
        neck = self.neck(feature)
        return Output(
            feature,
            self.classifier(neck),
            neck,
            {"judge": self.judge, "attributes": self.attributes(neck)},
        )


def way_losses(ways):
    """The losses of one way or of several joined by "+" ("identity", "identity+triplet"): a function for `fit`.

    "verification-near" judges only pairs of one domain: strangers from another place are told apart by their place alone.
    ValueError names an unknown way.
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
    if way == "contrastive":
        each = losses.contrastive(F.normalize(output.feature, dim=1), batch.ids, margin=1.0)
        return losses.balanced_mean(each, losses.pairs(batch.ids)[2])
    first, second, same = losses.pairs(batch.ids)  # (n,) each
    if way == "verification-near":
        near = batch.domains[first] == batch.domains[second]
        first, second, same = first[near], second[near], same[near]
    logits = output.extra["judge"](output.neck[first], output.neck[second])
    return losses.balanced_mean(losses.verification(logits, same), same)
