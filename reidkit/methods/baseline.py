"""The strong baseline (Luo et al. 2019, "Bag of tricks"): trunk, pooled feature, BNNeck, identity + triplet loss."""

from torch import nn

from .. import losses
from ..backbones import trunk as make_trunk
from ..layers import pooling
from ..layers.heads import BNNeck, Classifier, CosineClassifier, Output


class Baseline(nn.Module):
    """images (B, 3, H, W), normalised -> Output(feature (B, D), logits (B, classes), neck (B, D)).

    trunk is a name for `backbones.trunk` or a module with `channels`; pool maps (B, D, h, w) to (B, D); neck False
    leaves the feature as it is; cosine True gives cosines as logits, for arcface_logits and its kin.
    """
    def __init__(self, classes, trunk="tiny", pool=pooling.avg, neck=True, cosine=False):
        super().__init__()
        self.trunk = make_trunk(trunk) if isinstance(trunk, str) else trunk
        self.pool = pool
        self.neck = BNNeck(self.trunk.channels) if neck else None
        self.classifier = (CosineClassifier if cosine else Classifier)(self.trunk.channels, classes)

    def forward(self, images):
        feature = self.pool(self.trunk(images))             # (B, D)
        neck = self.neck(feature) if self.neck is not None else None
        return Output(feature, self.classifier(feature if neck is None else neck), neck)


def baseline_losses(output, batch, smoothing=0.1, margin=0.3):
    """Smoothed cross-entropy behind the neck, batch-hard triplet before it; each the mean over the batch."""
    return {"identity": losses.cross_entropy(output.logits, batch.ids, smoothing).mean(),
            "triplet": losses.batch_hard_triplet(output.feature, batch.ids, margin).mean()}
