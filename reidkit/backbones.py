"""Trunks: the convolutional part of a model.

From pictures (B, 3, H, W) to a map (B, channels, h, w). They are built from torchvision's residual
blocks under torchvision's names (conv1, bn1, layer1 ... layer4), so that outside weights fit and a
method can cut between the stages or swap the norms inside.
"""

from collections.abc import Iterable

from torch import Tensor, nn

from ._vision import torchvision

WIDTHS = {"tiny": (24, 48, 96, 192), "small": (32, 64, 128, 256)}  # channels of layer1 ... layer4
LEVELS = ("layer1", "layer2", "layer3", "layer4")
# MobileNetV2 (Sandler et al. 2018): expansion, channels, blocks and stride of its stages 2 to 8;
# stage 1 is the stem, stage 9 the last convolution.
INVERTED = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
MOBILE = {"mobilenet_v2": 1.0, "mobilenet_v2_x1_4": 1.4}  # name -> factor on the channels
NAMES = (*WIDTHS, "resnet18", "resnet34", "resnet50", "resnet101", *MOBILE)


# ---- residual trunks


class Trunk(nn.Module):
    """conv1, bn1, relu, maxpool, layer1 ... layer4 in turn: (B, 3, H, W) -> (B, channels, h, w).

    `channels` is the depth of the last map.

    Args:
        conv1: the stem's convolution.
        bn1: its norm.
        maxpool: what follows the stem's ReLU.
        layers: four stages of residual blocks.
    """

    def __init__(
        self, conv1: nn.Module, bn1: nn.Module, maxpool: nn.Module, layers: Iterable[nn.Module]
    ):
        super().__init__()
        self.conv1 = conv1
        self.bn1 = bn1
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = self.widths(["layer4"])[0]

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(images, ["layer4"])[0]

    def maps(self, images: Tensor, levels: Iterable[str]) -> list[Tensor]:
        """The maps that some stages end in.

        Args:
            images: (B, 3, H, W) normalised pictures.
            levels: stages, "layer1" ... "layer4".
        Returns:
            (B, C, h, w) of each level, in that order.
        """
        map_of = {}
        for name, stage in self.named_children():
            images = stage(images)
            if name in levels:
                map_of[name] = images
        return [map_of[level] for level in levels]

    def widths(self, levels: Iterable[str]) -> list[int]:
        """How many channels the maps of some stages have.

        Args:
            levels: stages, "layer1" ... "layer4".
        Returns:
            C of each level, in that order.
        Raises:
            ValueError: another level.
        """
        unknown = set(levels) - set(LEVELS)
        if unknown:
            raise ValueError(
                f"levels {levels!r} name {', '.join(map(repr, sorted(unknown)))}; expected some of "
                f"{', '.join(LEVELS)}"
            )
        channels = []
        for level in levels:
            stage = self.get_submodule(level)
            convs = [module for module in stage.modules() if isinstance(module, nn.Conv2d)]
            channels.append(convs[-1].out_channels)
        return channels


def make_trunk(name: str = "tiny", last_stride: int = 1) -> nn.Module:
    """A randomly initialised trunk (He et al. 2015, "fan out").

    last_stride 1 (BoT) keeps layer4's map as large as layer3's; it changes no weight's shape. The
    two small ones end at stride 8 like it (or 16 with last_stride 2).

    Args:
        name: "tiny" or "small" for 64 x 32 pictures, a ResNet, or a MobileNetV2, see
            `make_mobilenet`.
        last_stride: 1 or 2.
    Returns:
        A `Trunk` or a `MobileTrunk`.
    Raises:
        ValueError: another name or stride.
    """
    if name not in NAMES or last_stride not in (1, 2):
        raise ValueError(
            f"trunk {name!r}, last_stride {last_stride!r}; "
            f"expected one of {', '.join(NAMES)}, and 1 or 2"
        )
    if name in WIDTHS:
        return _make_tiny(WIDTHS[name], last_stride)
    if name in MOBILE:
        return make_mobilenet(MOBILE[name], last_stride)
    make_resnet = getattr(torchvision().models, name)
    whole = make_resnet(weights=None)
    layers = (whole.layer1, whole.layer2, whole.layer3, whole.layer4)
    trunk = Trunk(whole.conv1, whole.bn1, whole.maxpool, layers)
    # The stride of layer4 belongs to conv2 of a bottleneck, and to conv1 of a basic block.
    block = trunk.layer4[0]
    strided = block.conv2 if hasattr(block, "conv3") else block.conv1
    strided.stride = (last_stride, last_stride)
    block.downsample[0].stride = (last_stride, last_stride)
    return trunk


def _make_tiny(widths, last_stride):
    """A 3x3 stem of stride 2, and one BasicBlock per stage."""
    make_block = torchvision().models.resnet.BasicBlock
    layers = []
    channels = widths[0]
    for width, stride in zip(widths, (1, 2, 2, last_stride)):
        shortcut = None
        if width != channels or stride > 1:
            conv = nn.Conv2d(channels, width, 1, stride, bias=False)
            shortcut = nn.Sequential(conv, nn.BatchNorm2d(width))
        layers.append(nn.Sequential(make_block(channels, width, stride, shortcut)))
        channels = width
    stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
    trunk = Trunk(stem, nn.BatchNorm2d(widths[0]), nn.Identity(), layers)
    _initialise(trunk)
    return trunk


# ---- MobileNetV2


class MobileTrunk(nn.Sequential):
    """stage1 ... stage9 of a MobileNetV2 in turn; `channels` is the depth of the last map."""

    @property
    def channels(self) -> int:
        return self.stage9[0].out_channels


def make_mobilenet(width: float = 1.0, last_stride: int = 1, authors: bool = False) -> MobileTrunk:
    """A randomly initialised MobileNetV2 of torchvision's blocks.

    Args:
        width: factor on its channels.
        last_stride: of stage7 (160 channels), 1 in MetaBIN, 2 in DualNorm.
        authors: True is the trunk of those two papers' code: its first block, whose expansion is 1,
            has the 1x1 expansion all the same, and widths are cut to whole numbers, where
            torchvision rounds them to multiples of 8.
    Returns:
        The trunk.
    """
    conv = torchvision().ops.misc.Conv2dNormActivation
    rounded = int if authors else _multiple_of_8
    channels = rounded(32 * width)
    trunk = MobileTrunk()
    trunk.add_module("stage1", conv(3, channels, 3, 2, activation_layer=nn.ReLU6))
    for number, (expansion, base, blocks, stride) in enumerate(INVERTED, 2):
        if number == 7:
            stride = last_stride
        out_channels = rounded(base * width)
        stage = _inverted_stage(channels, out_channels, blocks, stride, expansion)
        if authors and expansion == 1:
            expand = conv(channels, channels, 1, activation_layer=nn.ReLU6)
            stage[0].conv.insert(0, expand)
        trunk.add_module(f"stage{number}", stage)
        channels = out_channels
    last_channels = rounded(1280 * max(1.0, width))
    last = conv(channels, last_channels, 1, activation_layer=nn.ReLU6)
    trunk.add_module("stage9", last)
    _initialise(trunk)
    return trunk


def _inverted_stage(channels, out_channels, blocks, stride, expansion):
    """Inverted residual blocks in turn; the first takes the stride."""
    make_block = torchvision().models.mobilenetv2.InvertedResidual
    stage = nn.Sequential()
    for _ in range(blocks):
        stage.append(make_block(channels, out_channels, stride, expansion))
        channels = out_channels
        stride = 1
    return stage


def _multiple_of_8(channels):
    return torchvision().models._utils._make_divisible(channels, 8)


def _initialise(trunk):
    for module in trunk.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
