"""Trunks: the convolutional part of a model, from pictures (B, 3, H, W) to a map (B, channels, h, w).

They are built from torchvision's residual blocks under torchvision's names (conv1, bn1, layer1 ... layer4), so that
outside weights fit and a method can cut between the stages or swap the norms inside.
"""

from torch import nn

from ._vision import torchvision

WIDTHS = {"tiny": (24, 48, 96, 192), "small": (32, 64, 128, 256)}
LEVELS = ("layer1", "layer2", "layer3", "layer4")
# MobileNetV2 (Sandler et al. 2018): expansion, channels, blocks and stride of its stages 2 to 8; 1 is the stem, 9 the last conv
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


class Trunk(nn.Module):
    """conv1, bn1, relu, maxpool, layer1 ... layer4 in turn; `channels` is the depth of the last map."""

    def __init__(self, conv1, bn1, maxpool, layers):
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = conv1, bn1, nn.ReLU(inplace=True), maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = layers
        self.channels = self.widths(["layer4"])[0]

    def forward(self, images):
        return self.maps(images, ["layer4"])[0]

    def maps(self, images, levels):
        """The maps that these stages ("layer1" ... "layer4") end in, in that order: a list of (B, C, h, w)."""
        found = {}
        for name, stage in self.named_children():
            images = stage(images)
            if name in levels:
                found[name] = images
        return [found[level] for level in levels]

    def widths(self, levels):
        """How many channels those maps have, a list. ValueError for another level."""
        if unknown := set(levels) - set(LEVELS):
            raise ValueError(
                f"levels {levels!r} name {', '.join(map(repr, sorted(unknown)))}; expected some of "
                f"{', '.join(LEVELS)}"
            )
        layers = [self.get_submodule(level) for level in levels]
        return [
            [module for module in layer.modules() if isinstance(module, nn.Conv2d)][-1].out_channels
            for layer in layers
        ]


def make_trunk(name="tiny", last_stride=1):
    """A randomly initialised trunk (He et al. 2015, "fan out"): "tiny" or "small" for 64 x 32 pictures, a ResNet, or a
    MobileNetV2, see `make_mobilenet`.

    last_stride 1 (BoT) keeps layer4's map as large as layer3's; it changes no weight's shape. The two small ones end
    at stride 8 like it (or 16 with last_stride 2).
    """
    if name not in NAMES or last_stride not in (1, 2):
        raise ValueError(
            f"trunk {name!r}, last_stride {last_stride!r}; expected one of {', '.join(NAMES)}, and 1 or 2"
        )
    if name in WIDTHS:
        return _tiny(WIDTHS[name], last_stride)
    if name in MOBILE:
        return make_mobilenet(MOBILE[name], last_stride)
    whole = getattr(torchvision().models, name)(weights=None)
    layers = whole.layer1, whole.layer2, whole.layer3, whole.layer4
    made = Trunk(whole.conv1, whole.bn1, whole.maxpool, layers)
    block = made.layer4[0]  # the stride: conv2 of a bottleneck, conv1 of a basic block
    (block.conv2 if hasattr(block, "conv3") else block.conv1).stride = (last_stride, last_stride)
    block.downsample[0].stride = (last_stride, last_stride)
    return made


def _tiny(widths, last_stride):
    """A 3x3 stem of stride 2 and one BasicBlock a stage."""
    block = torchvision().models.resnet.BasicBlock
    layers, channels = [], widths[0]
    for width, stride in zip(widths, (1, 2, 2, last_stride)):
        shortcut = None
        if width != channels or stride > 1:
            shortcut = nn.Sequential(
                nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width)
            )
        layers.append(nn.Sequential(block(channels, width, stride, shortcut)))
        channels = width
    stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
    return _initialised(Trunk(stem, nn.BatchNorm2d(widths[0]), nn.Identity(), layers))


class MobileTrunk(nn.Sequential):
    """stage1 ... stage9 of a MobileNetV2 in turn; `channels` is the depth of the last map."""

    @property
    def channels(self):
        return self.stage9[0].out_channels


def make_mobilenet(width=1.0, last_stride=1, authors=False):
    """A randomly initialised MobileNetV2 of torchvision's blocks, its channels times `width` -> MobileTrunk.

    last_stride: of stage7 (160 channels), 1 in MetaBIN, 2 in DualNorm. authors=True is the trunk of those two papers' code:
    its first block, whose expansion is 1, has the 1x1 expansion all the same, and widths are cut to whole numbers, where
    torchvision rounds them to multiples of 8.
    """
    block, conv = (
        torchvision().models.mobilenetv2.InvertedResidual,
        torchvision().ops.misc.Conv2dNormActivation,
    )
    whole = int if authors else lambda value: torchvision().models._utils._make_divisible(value, 8)
    channels = whole(32 * width)
    made = MobileTrunk()
    made.add_module("stage1", conv(3, channels, 3, 2, activation_layer=nn.ReLU6))
    for number, (expansion, base, blocks, stride) in enumerate(INVERTED, 2):
        stride, stage = last_stride if number == 7 else stride, nn.Sequential()
        for place in range(blocks):
            stage.append(
                block(channels, whole(base * width), stride if place == 0 else 1, expansion)
            )
            if authors and expansion == 1:
                stage[-1].conv.insert(0, conv(channels, channels, 1, activation_layer=nn.ReLU6))
            channels = whole(base * width)
        made.add_module(f"stage{number}", stage)
    made.add_module(
        "stage9", conv(channels, whole(1280 * max(1.0, width)), 1, activation_layer=nn.ReLU6)
    )
    return _initialised(made)


def _initialised(made):
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return made
