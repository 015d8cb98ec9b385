"""DualNorm: instance norms against style, and one norm of the feature against what is left.

Jia, Ruan, Hospedales, "Frustratingly Easy Person Re-Identification", BMVC 2019. Trained once on
many places, tested anywhere, nothing adapted. The instance norms are in early and middle layers.
Batch norms stay where they are: instance norms are added behind them, but for MobileNetV2's stem.
"""

from collections.abc import Iterable

from torch import nn

from ..backbones import MobileTrunk, make_trunk
from ..layers.norms import InstanceNorm, swap_norms
from ..layers.residual import norm_last_sum
from .baseline import Baseline

RESNET = ("layer1", "layer2", "layer3")  # stages that get instance norms by the authors' rule
MOBILE = ("stage1", "stage2", "stage3", "stage4", "stage5", "stage6")


def add_instance_norms(trunk: nn.Module, stages: Iterable[str] | None = None) -> nn.Module:
    """Put instance norms into some stages of a trunk, in place.

    In a stage of blocks the norm is behind the sum: of the last block, before its ReLU (residual
    trunks), or of every block, whose output is linear (MobileNetV2). A stage that is one
    convolution with its batch norm gets instance norm in the place of it; so does a residual
    trunk's stem, "bn1". MobileNetV2's stem then has a bias, as the authors' has; the norm behind it
    takes it away again.

    By the authors' rule there are 3 instance norms in a ResNet-50, and 14 in a MobileNetV2.

    Args:
        trunk: a residual trunk or a MobileTrunk.
        stages: names of the trunk's children ("bn1", "layer1" ... of a residual trunk, "stage1" ...
            "stage9" of MobileNetV2); None is the authors' rule, RESNET or MOBILE.
    Returns:
        The trunk.
    Raises:
        ValueError: a stage that the trunk does not have.
    """
    is_mobile = isinstance(trunk, MobileTrunk)
    if stages is None:
        stages = MOBILE if is_mobile else RESNET
    stages = tuple(stages)
    _check_stages(trunk, stages)
    for name in stages:
        stage = trunk.get_submodule(name)
        is_one_norm = isinstance(stage, nn.BatchNorm2d)
        is_one_conv = is_mobile and isinstance(stage[0], nn.Conv2d)
        if is_one_norm or is_one_conv:
            _swap_norm_of(trunk, name)
        elif is_mobile:
            for place, block in enumerate(stage):
                stage[place] = nn.Sequential(block, InstanceNorm(block.out_channels))
        else:
            norm_last_sum(stage)
    if is_mobile and "stage1" in stages:
        stem = trunk.stage1[0]
        stem.bias = nn.Parameter(stem.weight.new_zeros(stem.out_channels))
    return trunk


def _check_stages(trunk, stages):
    # Children without parameters (relu, maxpool) and the bare conv1 have nothing to normalise.
    possible = []
    for name, layer in trunk.named_children():
        if name != "conv1" and len(list(layer.parameters())):
            possible.append(name)
    for name in stages:
        if name not in possible:
            raise ValueError(
                f"no stage {name!r} to put instance norms into; "
                f"this trunk has {', '.join(possible)}"
            )


def _swap_norm_of(trunk, stage):
    """Instance norm in place of the batch norms of one stage."""
    swap_norms(trunk, InstanceNorm, lambda name, _: name.split(".")[0] == stage)


def make(
    classes: int,
    trunk: str | nn.Module = "tiny",
    stages: Iterable[str] | None = None,
    feature_norm: bool = True,
) -> Baseline:
    """A DualNorm network.

    The feature norm is a batch norm whose bias stays 0. In the authors' code its scale is learnt,
    which makes it the BNNeck of the strong baseline (Luo et al., published the same year). With 10
    classes: ResNet-50 23,536,192 parameters, MobileNetV2 2,240,672, or 2,241,760 on the authors'
    own trunk, which expands by a 1x1 convolution in its first block too.

    Args:
        classes: identities to train on.
        trunk: a name for `backbones.make_trunk`, which the authors end at stride 32 (their last
            stride is 2), or a module.
        stages: see `add_instance_norms`.
        feature_norm: False leaves the pooled feature as it is.
    Returns:
        The network.
    """
    body = make_trunk(trunk, last_stride=2) if isinstance(trunk, str) else trunk
    return Baseline(classes, add_instance_norms(body, stages), neck=feature_norm)
