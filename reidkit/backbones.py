"""Trunks: the convolutional part of a model, from pictures (B, 3, H, W) to a map (B, channels, h, w).

They are built from torchvision's residual blocks under torchvision's names (conv1, bn1, layer1 ... layer4), so that
outside weights fit and a method can cut between the stages or swap the norms inside.
"""

from torch import nn

from ._vision import torchvision

WIDTHS = {"tiny": (24, 48, 96, 192), "small": (32, 64, 128, 256)}
LEVELS = ("layer1", "layer2", "layer3", "layer4")
NAMES = (*WIDTHS, "resnet18", "resnet34", "resnet50", "resnet101")


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
            raise ValueError(f"levels {levels!r} name {', '.join(map(repr, sorted(unknown)))}; expected some of "
                             f"{', '.join(LEVELS)}")
        layers = [self.get_submodule(level) for level in levels]
        return [[module for module in layer.modules() if isinstance(module, nn.Conv2d)][-1].out_channels for layer in layers]


def trunk(name="tiny", last_stride=1):
    """A randomly initialised trunk (He et al. 2015, "fan out"): "tiny" or "small" for 64 x 32 pictures, or a ResNet.

    last_stride 1 (BoT) keeps layer4's map as large as layer3's; it changes no weight's shape. The two small ones end
    at stride 8 like it (or 16 with last_stride 2).
    """
    if name not in NAMES or last_stride not in (1, 2):
        raise ValueError(f"trunk {name!r}, last_stride {last_stride!r}; expected one of {', '.join(NAMES)}, and 1 or 2")
    if name in WIDTHS:
        return _tiny(WIDTHS[name], last_stride)
    whole = getattr(torchvision().models, name)(weights=None)
    layers = whole.layer1, whole.layer2, whole.layer3, whole.layer4
    made = Trunk(whole.conv1, whole.bn1, whole.maxpool, layers)
    block = made.layer4[0]                                  # the stride: conv2 of a bottleneck, conv1 of a basic block
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
            shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        layers.append(nn.Sequential(block(channels, width, stride, shortcut)))
        channels = width
    stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
    made = Trunk(stem, nn.BatchNorm2d(widths[0]), nn.Identity(), layers)
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return made
