"""The strong baseline (Luo et al. 2019, "Bag of tricks"): trunk, pooled feature, BNNeck, identity +
triplet loss.
"""

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .. import losses
from ..augment import MEAN, STD, normalize
from ..backbones import LEVELS, make_trunk
from ..layers import pooling
from ..layers.heads import BNNeck, Classifier, CosineClassifier, Output
from ..layers.norms import IBN, BatchInstanceNorm, InstanceNorm, swap_norms
from ..layers.precision import type_of

STAGES = ("bn1", *LEVELS)  # of a trunk; bn1 is the stem's norm
NORMS = {"in": InstanceNorm, "ibn": IBN, "bin": BatchInstanceNorm}


class Baseline(nn.Module):
    """Trunk, pooled feature, neck, classifier: pictures (B, 3, H, W) in 0..255 -> Output.

    The output's feature is (B, D), its logits (B, classes), its neck (B, D). It computes in the
    type of the trunk's parameters (float32, or what .half(), .bfloat16() or .double() have made of
    them); pooling, and so the feature, is in float32 or better.

    Args:
        classes: people that the classifier tells apart.
        trunk: a name for `backbones.make_trunk`, or a module with `channels`.
        pool: maps (B, C, h, w) to (B, D), where D is C times pool.factor if it has one.
        neck: False leaves the feature as it is.
        cosine: True gives cosines as logits, for arcface_logits and its kin.
        levels: the stages of a `backbones.Trunk` whose maps are all pooled and joined (Yu et al.
            2017, "The devil is in the middle"); None for the last map alone.
        normalization: (mean, deviation) of each colour channel of pictures scaled to 0..1, applied
            in the first line of `forward`. They are plain numbers, not entries of the state: half
            precision would shift them.
    """

    def __init__(
        self,
        classes: int,
        trunk="tiny",
        pool=pooling.avg,
        neck: bool = True,
        cosine: bool = False,
        levels=None,
        normalization=(MEAN, STD),
    ):
        super().__init__()
        self.trunk = make_trunk(trunk) if isinstance(trunk, str) else trunk
        self.pool = pool
        self.levels = levels
        mean, std = normalization
        self.mean = tuple(mean)
        self.std = tuple(std)
        channels = self.trunk.widths(levels) if levels else [self.trunk.channels]
        width = sum(channels) * getattr(pool, "factor", 1)
        self.neck = BNNeck(width) if neck else None
        head = CosineClassifier if cosine else Classifier
        self.classifier = head(width, classes)

    def forward(self, images: Tensor) -> Output:
        images = normalize(images, self.mean, self.std, type_of(self.trunk))
        maps = self.trunk.maps(images, self.levels) if self.levels else [self.trunk(images)]
        pooled = [self.pool(one) for one in maps]
        feature = torch.cat(pooled, 1)  # (B, D)
        if self.neck is None:
            return Output(feature, self.classifier(feature))
        neck = self.neck(feature)
        return Output(feature, self.classifier(neck), neck)


def make(
    classes: int,
    trunk: str | nn.Module = "tiny",
    norm: str = "bn",
    stages: Sequence[str] = STAGES,
    gate: float = 0.5,
    stripes: int = 0,
    levels: Sequence[str] | None = None,
) -> Baseline:
    """A Baseline from words and numbers, as a recipe or a file of weights names it.

    Args:
        classes: people that the classifier tells apart.
        trunk: a name for `backbones.make_trunk`.
        norm: "bn", or "in", "ibn", "bin" in place of every batch norm of these stages.
        stages: some of STAGES.
        gate: where the gates of "bin" start.
        stripes: how many horizontal stripes are pooled beside the whole map.
        levels: see Baseline.
    Raises:
        ValueError: there is no norm, stage or level of this name.
    """
    if (norm != "bn" and norm not in NORMS) or not set(stages) <= set(STAGES):
        raise ValueError(
            f"norm {norm!r} in stages {stages!r}; expected bn, {', '.join(NORMS)}, "
            f"in some of {', '.join(STAGES)}"
        )
    body = make_trunk(trunk)
    if norm != "bn":
        kind = functools.partial(BatchInstanceNorm, gate=gate) if norm == "bin" else NORMS[norm]
        swap_norms(body, kind, lambda name, _: name.split(".")[0] in stages)
    pool = pooling.Stripes(stripes) if stripes else pooling.avg
    return Baseline(classes, body, pool, levels=levels)


def baseline_losses(
    output: Output, batch: Any, smoothing: float = 0.1, margin: float = 0.3
) -> dict:
    """Smoothed cross-entropy behind the neck, batch-hard triplet before it.

    Args:
        output: of the model.
        batch: with ids.
        smoothing: share of a label that is spread over all classes.
        margin: of the triplet loss.
    Returns:
        {"identity": scalar, "triplet": scalar}, each the mean over the batch.
    """
    identity = losses.cross_entropy(output.logits, batch.ids, smoothing)
    triplet = losses.batch_hard_triplet(output.feature, batch.ids, margin)
    return {"identity": identity.mean(), "triplet": triplet.mean()}
