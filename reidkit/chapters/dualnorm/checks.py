"""Checks of chapter 03."""

import copy

import torch
from torch import nn

from ...teach.exercises import exercise, expect


def _stirred(model):
    """Norms with numbers of their own, so that nothing is right because a bias is 0."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean, module.running_var):
                    value.uniform_(0.5, 1.5)
    return model.eval()


def _is_instance_norm(module):
    from ...layers.norms import InstanceNorm

    return isinstance(module, (InstanceNorm, nn.InstanceNorm2d))


@exercise("03-normed-sum")
def normed_sum(answer):
    from ..._vision import torchvision
    from ...layers.norms import InstanceNorm

    basic_block = torchvision().models.resnet.BasicBlock
    torch.manual_seed(3)
    x, near = (
        torch.randn(2, 6, 8, 4),
        lambda one, other: one.shape == other.shape and torch.allclose(one, other, atol=1e-4),
    )
    for stride, out in ((1, 6), (2, 8)):
        shortcut = (
            nn.Sequential(nn.Conv2d(6, out, 1, stride, bias=False), nn.BatchNorm2d(out))
            if stride == 2
            else None
        )
        block, norm = _stirred(basic_block(6, out, stride, shortcut)), InstanceNorm(out)
        with torch.no_grad():
            branch = block.bn2(block.conv2(block.bn1(block.conv1(x)).relu()))
            bare = block.bn2(block.conv2(block.bn1(block.conv1(x))))  # the ReLU inside forgotten
            other = x if shortcut is None else shortcut(x)
            right, got = norm(branch + other).relu(), answer(block, norm, x.clone())
        where = (
            "with a shortcut that is the identity"
            if shortcut is None
            else "where the shortcut has a convolution (block.downsample)"
        )
        expect(
            isinstance(got, torch.Tensor) and got.shape == right.shape,
            f"{where}: the result has shape {tuple(getattr(got, 'shape', ()))}, expected {tuple(right.shape)}",
        )
        expect(
            not near(got, (branch + other).relu()),
            "this is the block as it was: the norm is not used",
        )
        expect(
            not near(got, norm((branch + other).relu())),
            "the norm stands behind the last ReLU; it must come between sum and ReLU",
        )
        expect(
            not near(got, (norm(branch) + other).relu()),
            "you normalised the branch alone: what the shortcut carries stays as it was",
        )
        expect(
            not near(got, (norm(branch) + norm(other)).relu()),
            "you normalised branch and shortcut each; their sum is to be normalised, once",
        )
        expect(
            not near(got, norm(branch + other)),
            "negative values come out: a residual block of this kind ends in a ReLU",
        )
        expect(
            not near(got, norm(bare + other).relu()),
            "the ReLU between the two convolutions is missing",
        )
        expect(not near(got, norm(branch).relu()), "the shortcut is missing from the sum")
        expect(
            near(got, right),
            f"{where}: shape right, numbers wrong; the order is conv1, bn1, relu, conv2, bn2, + shortcut, norm, relu",
        )


@exercise("03-paired")
def paired(answer):
    one = {0: 52.0, 1: 47.0, 2: 60.0, 3: 55.0}
    other = {
        7: 20.0,
        2: 57.0,
        0: 50.0,
        3: 51.0,
        1: 46.0,
    }  # another order, and a seed that `one` lacks
    kept = dict(one), dict(other)
    found = answer(one, other)
    expect((one, other) == kept, "your function changed the dicts that it was given")
    expect(
        isinstance(found, tuple) and len(found) == 2,
        "return two numbers: the mean difference and half of the interval's width",
    )
    expect(
        all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in found),
        "return Python numbers, no tensors (.item())",
    )
    middle, half = found
    expect(abs(middle + 2.5) > 1e-6, "the sign is wrong: one minus other")
    by_place = sum(a - b for a, b in zip(one.values(), other.values())) / 4
    expect(
        abs(middle - by_place) > 1e-6,
        "the two dicts hold their seeds in different orders: pair by seed, not by place",
    )
    expect(
        abs(middle - (53.5 - 44.8)) > 1e-6, "seed 7 has no partner: only seeds that both have count"
    )
    expect(
        abs(middle - 2.5) < 1e-6,
        f"the differences are 2, 1, 3 and 4, their mean is 2.5; yours is {middle:.3f}",
    )
    deviation = (5 / 3) ** 0.5  # of 2, 1, 3, 4 around 2.5, divided by n - 1
    for wrong, reason in (
        (
            3.182 * (5 / 4) ** 0.5 / 2,
            "the deviation divides by n; divide by n - 1, as statistics.stdev does",
        ),
        (1.96 * deviation / 2, "1.96 is for many seeds; with four, t is 3.182"),
        (
            3.182 * deviation,
            "this is the spread of one difference; that of the mean is smaller by the root of n",
        ),
        (3.182 * deviation / 4, "divide by the root of n, not by n"),
        (2.776 * deviation / 2, "t belongs to the number of seeds that are paired, four"),
    ):
        expect(abs(half - wrong) > 1e-3, reason)
    crossed = 3.182 * (_var([52.0 - 57, 47.0 - 50, 60.0 - 51, 55.0 - 46]) / 4) ** 0.5
    expect(
        abs(half - crossed) > 1e-3,
        "the mean is right by luck; its scatter is not: pair by seed, not by place",
    )
    apart = 3.182 * ((_var(one.values()) + _var([57.0, 50, 51, 46])) / 4) ** 0.5
    expect(
        abs(half - apart) > 1e-3,
        "this is the interval of unpaired rows: take the differences first, then their deviation",
    )
    expect(
        abs(half - 3.182 * deviation / 2) < 2e-3,
        f"half of the width is t times stdev over the root of n, here {3.182 * deviation / 2:.2f}; yours is {half:.2f}",
    )
    same = answer({0: 1.0, 1: 2.0}, {1: 1.0, 0: 0.0})
    expect(
        abs(same[0] - 1) < 1e-6 and abs(same[1]) < 1e-6,
        "two equal differences: the mean is 1, and the width 0",
    )


def _var(values):
    values = list(values)
    return sum((value - sum(values) / len(values)) ** 2 for value in values) / (len(values) - 1)


@exercise("03-unused")
def unused(answer):
    from ...backbones import make_trunk
    from ...methods.dualnorm import add_instance_norms

    torch.manual_seed(5)
    plain = _stirred(make_trunk("resnet18"))  # two blocks a stage
    right = add_instance_norms(copy.deepcopy(plain)).eval()
    got = answer(copy.deepcopy(plain))
    expect(isinstance(got, nn.Module) and hasattr(got, "layer4"), "return the trunk")
    got.eval()
    found = {name: module for name, module in got.named_modules() if _is_instance_norm(module)}
    expect(found, "there is no instance norm in the trunk")
    for stage in ("bn1", "layer4"):
        expect(
            not any(name.startswith(stage) for name in found),
            f"there is an instance norm in {stage}; the rule names layer1, layer2, layer3",
        )
    batch = [
        sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        for model in (plain, got)
    ]
    expect(
        batch[0] == batch[1], f"{batch[0] - batch[1]} batch norms are gone: DualNorm adds to them"
    )
    for stage in ("layer1", "layer2", "layer3"):
        count = sum(name.startswith(stage) for name in found)
        expect(count == 1, f"{stage} has {count} instance norms; it gets one, in its last block")
    seen = {}
    hooks = [
        module.register_forward_hook(
            lambda layer, given, made, name=name: seen.update({name: given[0].min().item()})
        )
        for name, module in found.items()
    ]
    x = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        output, expected = got(x), right(x)
    for hook in hooks:
        hook.remove()
    lost = [name for name in found if name not in seen]
    expect(
        not lost,
        f"{', '.join(lost)} is there, with its parameters, and no picture passes through it: the block's forward does not call it",
    )
    expect(
        all(low < 0 for low in seen.values()),
        "your norms only ever see values of 0 and more: they stand behind a ReLU",
    )
    expect(
        output.shape == expected.shape and torch.allclose(output, expected, atol=1e-3),
        "the norms are used, but the result is another: they belong between the last block's sum and its ReLU",
    )
