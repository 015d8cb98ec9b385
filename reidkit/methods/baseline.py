"""The strong baseline (Luo et al. 2019, "Bag of tricks"): trunk, pooled feature, BNNeck, identity + triplet loss."""

import torch
from torch import nn

from .. import losses
from ..backbones import LEVELS, make_trunk
from ..layers import pooling
from ..layers.heads import BNNeck, Classifier, CosineClassifier, Output
from ..layers.norms import IBN, BatchInstanceNorm, InstanceNorm, swap_norms

STAGES = ("bn1", *LEVELS)  # of a trunk; bn1 is the stem's norm
NORMS = {"in": InstanceNorm, "ibn": IBN, "bin": BatchInstanceNorm}


class Baseline(nn.Module):
    """images (B, 3, H, W), normalised -> Output(feature (B, D), logits (B, classes), neck (B, D)).

    trunk is a name for `backbones.make_trunk` or a module with `channels`; pool maps (B, C, h, w) to (B, D), where D is C
    times pool.factor if it has one; neck False leaves the feature as it is; cosine True gives cosines as logits, for
    arcface_logits and its kin; levels: the stages of a `backbones.Trunk` whose maps are all pooled and joined (Yu et al.
    2017, "The devil is in the middle"), None for the last map alone.
    """

    def __init__(
        self, classes, trunk="tiny", pool=pooling.avg, neck=True, cosine=False, levels=None
    ):
        super().__init__()
        self.trunk = make_trunk(trunk) if isinstance(trunk, str) else trunk
        self.pool, self.levels = pool, levels
        width = sum(self.trunk.widths(levels) if levels else [self.trunk.channels]) * getattr(
            pool, "factor", 1
        )
        self.neck = BNNeck(width) if neck else None
        self.classifier = (CosineClassifier if cosine else Classifier)(width, classes)

    def forward(self, images):
        maps = self.trunk.maps(images, self.levels) if self.levels else [self.trunk(images)]
        feature = torch.cat([self.pool(each) for each in maps], 1)  # (B, D)
        neck = self.neck(feature) if self.neck is not None else None
        return Output(feature, self.classifier(feature if neck is None else neck), neck)


def make(classes, trunk="tiny", norm="bn", stages=STAGES, gate=0.5, stripes=0, levels=None):
    """A Baseline from words and numbers, as a recipe or a file of weights names it.

    norm: "bn", or "in", "ibn", "bin" in place of every batch norm of these stages; gate: where the gates of "bin" start;
    stripes: how many horizontal stripes are pooled beside the whole map; levels: see Baseline. ValueError for a norm,
    stage or level of no such name.
    """
    if norm != "bn" and norm not in NORMS or not set(stages) <= set(STAGES):
        raise ValueError(
            f"norm {norm!r} in stages {stages!r}; expected bn, {', '.join(NORMS)}, in some of {', '.join(STAGES)}"
        )
    body = make_trunk(trunk)
    if norm != "bn":
        kind = (
            (lambda channels: BatchInstanceNorm(channels, gate=gate))
            if norm == "bin"
            else NORMS[norm]
        )
        swap_norms(body, kind, lambda name, _: name.split(".")[0] in stages)
    return Baseline(
        classes, body, pooling.Stripes(stripes) if stripes else pooling.avg, levels=levels
    )


def baseline_losses(output, batch, smoothing=0.1, margin=0.3):
    """Smoothed cross-entropy behind the neck, batch-hard triplet before it; each the mean over the batch."""
    return {
        "identity": losses.cross_entropy(output.logits, batch.ids, smoothing).mean(),
        "triplet": losses.batch_hard_triplet(output.feature, batch.ids, margin).mean(),
    }
