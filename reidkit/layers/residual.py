"""Residual blocks with a norm behind the sum: where IBN-b and DualNorm put their instance norms."""

from collections.abc import Callable

from torch import Tensor, nn

from .norms import InstanceNorm


class NormedSum(nn.Module):
    """A residual block whose sum is normalised: relu(IN(branch(x) + shortcut(x))).

    It takes over the block's layers under their names (conv1, bn1, ..., downsample), so that
    weights still fit; the new norm is called IN, as in IBN-Net's code. Style that survives on both
    paths is removed once, behind both.

    Args:
        block: a torchvision BasicBlock or Bottleneck; its last ReLU follows the norm.
        norm: number of channels -> the norm of the sum.
    """

    def __init__(self, block: nn.Module, norm: Callable[[int], nn.Module] = InstanceNorm):
        super().__init__()
        for name, layer in block.named_children():
            self.add_module(name, layer)
        self.steps = 3 if hasattr(block, "conv3") else 2  # convolutions of the branch
        last_conv = self.get_submodule(f"conv{self.steps}")
        self.IN = norm(last_conv.out_channels)

    def forward(self, x: Tensor) -> Tensor:
        # A block has no downsample, or None, where the shortcut is the identity.
        downsample = getattr(self, "downsample", None)
        shortcut = x if downsample is None else downsample(x)
        for step in range(1, self.steps + 1):
            conv = self.get_submodule(f"conv{step}")
            norm = self.get_submodule(f"bn{step}")
            x = norm(conv(x))
            if step < self.steps:
                x = self.relu(x)
        return self.relu(self.IN(x + shortcut))


def norm_last_sum(stage: nn.Sequential, norm: Callable[[int], nn.Module] = InstanceNorm) -> None:
    """Replace the last block of a stage, in place, by a `NormedSum` of it.

    Args:
        stage: residual blocks in turn.
        norm: number of channels -> the norm of the sum.
    """
    stage[-1] = NormedSum(stage[-1], norm)
