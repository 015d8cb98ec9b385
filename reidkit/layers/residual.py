"""Residual blocks with a norm behind the sum: where IBN-b and DualNorm put their instance norms."""

from torch import nn

from .norms import InstanceNorm


class NormedSum(nn.Module):
    """A torchvision BasicBlock or Bottleneck whose sum is normalised before the last ReLU: relu(IN(branch(x) + shortcut(x))).

    It takes over the block's layers under their names (conv1, bn1, ..., downsample), so that weights still fit; the new norm is
    called IN, as in IBN-Net's code. Style that survives on both paths is removed once, behind both.
    """

    def __init__(self, block, norm=InstanceNorm):
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.steps = 3 if hasattr(block, "conv3") else 2
        self.IN = norm(getattr(self, f"conv{self.steps}").out_channels)

    def forward(self, x):
        shortcut = x if getattr(self, "downsample", None) is None else self.downsample(x)
        for step in range(1, self.steps + 1):
            x = getattr(self, f"bn{step}")(getattr(self, f"conv{step}")(x))
            x = self.relu(x) if step < self.steps else x
        return self.relu(self.IN(x + shortcut))


def norm_last_sum(stage, norm=InstanceNorm):
    """Replace the last block of a stage (an nn.Sequential of residual blocks), in place, by a NormedSum of it."""
    stage[-1] = NormedSum(stage[-1], norm)
