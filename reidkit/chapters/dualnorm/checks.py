"""Checks of chapter 03."""

import copy
import math

import torch
from torch import nn

from ..._vision import torchvision
from ...backbones import make_trunk
from ...layers.norms import InstanceNorm
from ...methods.dualnorm import add_instance_norms
from ...teach.exercises import exercise, expect


def _stir(model):
    """Norms with numbers of their own, so that nothing is right because a bias is 0."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean, module.running_var):
                    value.uniform_(0.5, 1.5)
    return model.eval()


# ---- 3.1: a norm behind the sum


@exercise("03-normed-sum")
def normed_sum(answer):
    torch.manual_seed(3)
    x = torch.randn(2, 6, 8, 4)  # (B, C, H, W)
    where = "with a shortcut that is the identity"
    _expect_normed_sum(answer, _make_block(6, 1), x, where)
    where = "where the shortcut has a convolution (block.downsample)"
    _expect_normed_sum(answer, _make_block(8, 2), x, where)


def _make_block(channels, stride):
    """A basic block for 6 channels; with a stride, its shortcut has a convolution."""
    shortcut = None
    if stride > 1:
        convolution = nn.Conv2d(6, channels, 1, stride, bias=False)
        shortcut = nn.Sequential(convolution, nn.BatchNorm2d(channels))
    basic_block = torchvision().models.resnet.BasicBlock
    return _stir(basic_block(6, channels, stride, shortcut))


def _expect_normed_sum(answer, block, x, where):
    norm = InstanceNorm(block.conv2.out_channels)
    with torch.no_grad():
        first = block.bn1(block.conv1(x))
        branch = block.bn2(block.conv2(first.relu()))
        bare = block.bn2(block.conv2(first))  # the ReLU inside forgotten
        shortcut = x if block.downsample is None else block.downsample(x)
        right = norm(branch + shortcut).relu()
        result = answer(block, norm, x.clone())
    shape = tuple(getattr(result, "shape", ()))
    expect(
        isinstance(result, torch.Tensor) and result.shape == right.shape,
        f"{where}: the result has shape {shape}, expected {tuple(right.shape)}",
    )
    for mistake, reason in _wrong_sums(norm, branch, bare, shortcut):
        expect(not _is_near(result, mistake), reason)
    expect(
        _is_near(result, right),
        f"{where}: shape right, numbers wrong; "
        "the order is conv1, bn1, relu, conv2, bn2, + shortcut, norm, relu",
    )


def _wrong_sums(norm, branch, bare, shortcut):
    """What common mistakes give, and what to say about each of them."""
    plain = (branch + shortcut).relu()
    yield plain, "this is the block as it was: the norm is not used"
    yield norm(plain), "the norm stands behind the last ReLU; it must come between sum and ReLU"
    normed_branch = norm(branch)
    yield (
        (normed_branch + shortcut).relu(),
        "you normalised the branch alone: what the shortcut carries stays as it was",
    )
    yield (
        (normed_branch + norm(shortcut)).relu(),
        "you normalised branch and shortcut each; their sum is to be normalised, once",
    )
    yield (
        norm(branch + shortcut),
        "negative values come out: a residual block of this kind ends in a ReLU",
    )
    yield norm(bare + shortcut).relu(), "the ReLU between the two convolutions is missing"
    yield normed_branch.relu(), "the shortcut is missing from the sum"


def _is_near(result, right):
    return result.shape == right.shape and torch.allclose(result, right, atol=1e-4)


# ---- 3.2: paired by seed

T4 = 3.182  # Student's t for the mean of four differences
FIRST = {0: 52.0, 1: 47.0, 2: 60.0, 3: 55.0}
# Another order, and a seed that the first lacks. Paired by seed, the differences are 2, 1, 3, 4.
SECOND = {7: 20.0, 2: 57.0, 0: 50.0, 3: 51.0, 1: 46.0}


@exercise("03-paired")
def paired(answer):
    first = dict(FIRST)
    second = dict(SECOND)
    result = answer(first, second)
    unchanged = first == FIRST and second == SECOND
    expect(unchanged, "your function changed the dicts that it was given")
    expect(
        isinstance(result, tuple) and len(result) == 2,
        "return two numbers: the mean difference and half of the interval's width",
    )
    expect(
        all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in result),
        "return Python numbers, no tensors (.item())",
    )
    middle, half = result
    _expect_mean(middle)
    _expect_half_width(half)
    same = answer({0: 1.0, 1: 2.0}, {1: 1.0, 0: 0.0})
    expect(
        abs(same[0] - 1) < 1e-6 and abs(same[1]) < 1e-6,
        "two equal differences: the mean is 1, and the width 0",
    )


def _expect_mean(middle):
    expect(abs(middle + 2.5) > 1e-6, "the sign is wrong: one minus other")
    by_place = sum(a - b for a, b in zip(FIRST.values(), SECOND.values())) / 4
    expect(
        abs(middle - by_place) > 1e-6,
        "the two dicts hold their seeds in different orders: pair by seed, not by place",
    )
    of_means = 53.5 - 44.8  # means of all numbers, seed 7 among them
    expect(
        abs(middle - of_means) > 1e-6,
        "seed 7 has no partner: only seeds that both have count",
    )
    expect(
        abs(middle - 2.5) < 1e-6,
        f"the differences are 2, 1, 3 and 4, their mean is 2.5; yours is {middle:.3f}",
    )


def _expect_half_width(half):
    for mistake, reason in _wrong_widths():
        expect(abs(half - mistake) > 1e-3, reason)
    right = T4 * math.sqrt(_variance([2, 1, 3, 4])) / 2
    expect(
        abs(half - right) < 2e-3,
        "half of the width is t times stdev over the root of n, "
        f"here {right:.2f}; yours is {half:.2f}",
    )


def _wrong_widths():
    """Half widths that common mistakes give, and what to say about each of them."""
    deviation = math.sqrt(_variance([2, 1, 3, 4]))
    deviation_by_n = math.sqrt(5 / 4)
    yield (
        T4 * deviation_by_n / 2,
        "the deviation divides by n; divide by n - 1, as statistics.stdev does",
    )
    yield 1.96 * deviation / 2, "1.96 is for many seeds; with four, t is 3.182"
    yield (
        T4 * deviation,
        "this is the spread of one difference; that of the mean is smaller by the root of n",
    )
    yield T4 * deviation / 4, "divide by the root of n, not by n"
    yield 2.776 * deviation / 2, "t belongs to the number of seeds that are paired, four"
    partners = [second for seed, second in SECOND.items() if seed in FIRST]
    crossed = _variance([a - b for a, b in zip(FIRST.values(), partners)])
    yield (
        T4 * math.sqrt(crossed / 4),
        "the mean is right by luck; its scatter is not: pair by seed, not by place",
    )
    unpaired = _variance(FIRST.values()) + _variance(partners)
    yield (
        T4 * math.sqrt(unpaired / 4),
        "this is the interval of unpaired rows: take the differences first, then their deviation",
    )


def _variance(values):
    """Squared deviation from the mean, summed and divided by n - 1."""
    values = list(values)
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


# ---- 3.3: the norm that nobody called


@exercise("03-unused")
def unused(answer):
    torch.manual_seed(5)
    plain = _stir(make_trunk("resnet18"))  # two blocks a stage
    right = add_instance_norms(copy.deepcopy(plain)).eval()
    trunk = answer(copy.deepcopy(plain))
    expect(isinstance(trunk, nn.Module) and hasattr(trunk, "layer4"), "return the trunk")
    trunk.eval()
    norms = {
        name: module
        for name, module in trunk.named_modules()
        if isinstance(module, (InstanceNorm, nn.InstanceNorm2d))
    }
    _expect_norms_in_place(norms)
    lost = _count_batch_norms(plain) - _count_batch_norms(trunk)
    expect(lost == 0, f"{lost} batch norms are gone: DualNorm adds to them")
    _expect_one_per_stage(norms)
    _expect_norms_to_act(trunk, norms, right)


def _count_batch_norms(model):
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


def _expect_norms_in_place(norms):
    expect(norms, "there is no instance norm in the trunk")
    for stage in ("bn1", "layer4"):
        expect(
            not any(name.startswith(stage) for name in norms),
            f"there is an instance norm in {stage}; the rule names layer1, layer2, layer3",
        )


def _expect_one_per_stage(norms):
    for stage in ("layer1", "layer2", "layer3"):
        count = sum(name.startswith(stage) for name in norms)
        expect(count == 1, f"{stage} has {count} instance norms; it gets one, in its last block")


def _expect_norms_to_act(trunk, norms, right):
    x = torch.randn(2, 3, 64, 32)  # (B, 3, H, W)
    output, lowest = _run_and_listen(trunk, norms, x)
    with torch.inference_mode():
        expected = right(x)
    unused = ", ".join(name for name in norms if name not in lowest)
    expect(
        not unused,
        f"{unused} is there, with its parameters, and no picture passes through it: "
        "the block's forward does not call it",
    )
    expect(
        all(value < 0 for value in lowest.values()),
        "your norms only ever see values of 0 and more: they stand behind a ReLU",
    )
    expect(
        output.shape == expected.shape and torch.allclose(output, expected, atol=1e-3),
        "the norms are used, but the result is another: "
        "they belong between the last block's sum and its ReLU",
    )


def _run_and_listen(trunk, norms, x):
    """(output, {name of a norm: least value that it is given}); a norm that is not called is
    missing from the dict.
    """
    lowest = {}
    names = {module: name for name, module in norms.items()}

    def listen(norm, given, output):
        lowest[names[norm]] = given[0].min().item()

    hooks = [norm.register_forward_hook(listen) for norm in names]
    with torch.inference_mode():
        output = trunk(x)
    for hook in hooks:
        hook.remove()
    return output, lowest
