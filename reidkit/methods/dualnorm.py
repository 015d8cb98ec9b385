"""DualNorm: instance norms in early and middle layers against style, one norm of the feature against what is left.

Jia, Ruan, Hospedales, "Frustratingly Easy Person Re-Identification", BMVC 2019. Trained once on many places, tested anywhere,
nothing adapted. Batch norms stay where they are: instance norms are added behind them, but for MobileNetV2's stem.
"""

from torch import nn

from ..backbones import MobileTrunk, make_trunk
from ..layers.norms import InstanceNorm, swap_norms
from ..layers.residual import norm_last_sum
from .baseline import Baseline

RESNET = ("layer1", "layer2", "layer3")  # stages that get instance norms by the authors' rule
MOBILE = ("stage1", "stage2", "stage3", "stage4", "stage5", "stage6")


def add_instance_norms(trunk, stages=None):
    """Put instance norms into these stages of a trunk, in place -> the trunk.

    stages: names of the trunk's children ("bn1", "layer1" ... of a residual trunk, "stage1" ... "stage9" of MobileNetV2); None
    is the authors' rule, RESNET or MOBILE. In a stage of blocks the norm stands behind the sum: of the last block, before its
    ReLU (residual trunks), or of every block, whose output is linear (MobileNetV2). A stage that is one convolution with its
    batch norm gets instance norm in the place of it; so does a residual trunk's stem, "bn1". MobileNetV2's stem then has a
    bias, as the authors' has; the norm behind it takes it away again. By the rule: 3 instance norms in a ResNet-50, 14 in a
    MobileNetV2. ValueError for a stage that the trunk does not have.
    """
    mobile = isinstance(trunk, MobileTrunk)
    known = [
        name
        for name, layer in trunk.named_children()
        if any(True for _ in layer.parameters()) and name != "conv1"
    ]
    stages = (MOBILE if mobile else RESNET) if stages is None else stages
    if unknown := [name for name in stages if name not in known]:
        raise ValueError(
            f"no stage {unknown[0]!r} to put instance norms into; this trunk has {', '.join(known)}"
        )
    for name in stages:
        stage = trunk.get_submodule(name)
        plain = isinstance(stage, nn.BatchNorm2d) or mobile and isinstance(stage[0], nn.Conv2d)
        if plain:
            swap_norms(trunk, InstanceNorm, lambda found, _, name=name: found.split(".")[0] == name)
        elif mobile:
            for place, block in enumerate(stage):
                stage[place] = nn.Sequential(block, InstanceNorm(block.out_channels))
        else:
            norm_last_sum(stage)
    if mobile and "stage1" in stages:
        trunk.stage1[0].bias = nn.Parameter(
            trunk.stage1[0].weight.new_zeros(trunk.stage1[0].out_channels)
        )
    return trunk


def make(classes, trunk="tiny", stages=None, feature_norm=True):
    """A DualNorm network -> Baseline. trunk: a name for `backbones.make_trunk`, which the authors end at stride 32 (their last
    stride is 2), or a module; stages: see `add_instance_norms`; feature_norm False leaves the pooled feature as it is.

    The feature norm is a batch norm whose bias stays 0. In the authors' code its scale is learnt, which makes it the BNNeck
    of the strong baseline (Luo et al., published the same year). With 10 classes: ResNet-50 23,536,192 parameters, MobileNetV2
    2,240,672, or 2,241,760 on the authors' own trunk, which expands by a 1x1 convolution in its first block too.
    """
    body = make_trunk(trunk, last_stride=2) if isinstance(trunk, str) else trunk
    return Baseline(classes, add_instance_norms(body, stages), neck=feature_norm)
