"""IBN-Net and DualNorm against what their papers and code say.

Counts, a block written out by hand, and what must not change.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from reidkit import backbones
from reidkit._vision import torchvision
from reidkit.layers.norms import IBN, FeatureNorm, InstanceNorm
from reidkit.layers.residual import NormedSum, norm_last_sum
from reidkit.methods import dualnorm, ibn
from reidkit.recipes.norms import TABLES, make_network

PLACED = {
    "none": 0,
    "stem": 1,
    "early": 3,
    "early and middle": 4,
    "everywhere": 5,
    "the rule for ResNets": 3,
    "IBN-b": 3,
}


def parameters(model):
    return sum(value.numel() for value in model.parameters())


def layers(model, kind):
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def stirred(model, seed=0):
    """Every norm gets weights, biases and statistics, so that nothing is 1 or 0 by luck."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, (nn.BatchNorm2d, InstanceNorm)):
                for name in ("weight", "bias", "running_mean", "running_var"):
                    if hasattr(module, name):
                        value = getattr(module, name)
                        value.copy_(0.5 + torch.rand(value.shape, generator=draw))
    return model


def images(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# ---- counts


def test_the_authors_counts():
    resnet = dualnorm.make(10, "resnet50")
    assert (parameters(resnet), len(layers(resnet, InstanceNorm))) == (23_536_192, 3)
    ours = dualnorm.make(10, "mobilenet_v2")
    assert (parameters(ours), len(layers(ours, InstanceNorm))) == (2_240_672, 14)
    theirs = dualnorm.make(10, backbones.make_mobilenet(last_stride=2, authors=True))
    assert (parameters(theirs), len(layers(theirs, InstanceNorm))) == (2_241_760, 14)
    for model, width in ((resnet, 2048), (ours, 1280)):
        assert model.classifier.bias is None
        assert model.neck.num_features == width
        assert model.neck.weight.requires_grad
        assert not model.neck.bias.requires_grad


def test_ibn_counts():
    a = ibn.ibn_a(backbones.make_trunk("resnet50"))
    b = ibn.ibn_b(backbones.make_trunk("resnet50"))
    head = 2048 * 1000 + 1000
    assert len(layers(a, IBN)) == len(layers(a, InstanceNorm)) == 13
    assert len(layers(a, nn.BatchNorm2d)) == 53
    assert parameters(a) + head == 25_557_032
    assert parameters(b) + head == 25_558_568
    assert len(layers(b, InstanceNorm)) == 3
    assert len(layers(b, nn.BatchNorm2d)) == 52
    assert all(name.endswith(".bn1") and not name.startswith("layer4") for name in layers(a, IBN))
    assert layers(b, InstanceNorm) == ["bn1", "layer1.2.IN", "layer2.3.IN"]
    halves = [module for module in a.modules() if isinstance(module, IBN)]
    assert [half.IN.channels for half in halves] == [32] * 3 + [64] * 4 + [128] * 6


def test_where_the_norms_stand():
    resnet = dualnorm.add_instance_norms(backbones.make_trunk("resnet50", 2))
    assert layers(resnet, InstanceNorm) == ["layer1.2.IN", "layer2.3.IN", "layer3.5.IN"]
    widths = [module.channels for module in resnet.modules() if isinstance(module, InstanceNorm)]
    assert widths == [256, 512, 1024]
    mobile = dualnorm.add_instance_norms(backbones.make_mobilenet(last_stride=2))
    widths = [module.channels for module in mobile.modules() if isinstance(module, InstanceNorm)]
    assert widths == [32, 16, 24, 24, *[32] * 3, *[64] * 4, *[96] * 3]
    assert not layers(mobile.stage1, nn.BatchNorm2d)
    assert mobile.stage1[0].bias is not None
    assert len(layers(mobile, nn.BatchNorm2d)) == 51  # all but the stem's


@pytest.mark.parametrize("row", list(TABLES["places"]))
def test_the_rows_of_the_table(row):
    model = make_network(TABLES["places"][row], 4)
    name = row.removesuffix(", no feature norm")
    assert (model.neck is None) == row.endswith("no feature norm")
    if row == "IBN-a":
        assert layers(model.trunk, IBN) == ["layer1.0.bn1", "layer2.0.bn1", "layer3.0.bn1"]
    else:
        assert len(layers(model, InstanceNorm)) == PLACED[name]
    model.eval()
    assert model(images(2, 3, 64, 32)).feature.isfinite().all()


# ---- a block by hand


def by_hand(block, norm, x, steps):
    """relu(IN(branch + shortcut)) from functional calls alone."""

    def batch_norm(layer, y):
        return F.batch_norm(
            y, layer.running_mean, layer.running_var, layer.weight, layer.bias, False, 0, layer.eps
        )

    shortcut = x
    if block.downsample is not None:
        conv, bn = block.downsample
        shortcut = batch_norm(bn, F.conv2d(x, conv.weight, None, conv.stride))
    y = x
    for step in range(1, steps + 1):
        conv = getattr(block, f"conv{step}")
        convolved = F.conv2d(y, conv.weight, None, conv.stride, conv.padding)
        y = batch_norm(getattr(block, f"bn{step}"), convolved)
        y = y.relu() if step < steps else y
    total = y + shortcut
    mean = total.mean((2, 3), keepdim=True)
    var = total.var((2, 3), unbiased=False, keepdim=True)
    return (
        norm.weight[:, None, None] * (total - mean) / (var + norm.eps).sqrt()
        + norm.bias[:, None, None]
    ).relu()


@pytest.mark.parametrize(
    "kind, steps, channels, stride",
    [
        ("BasicBlock", 2, 8, 1),
        ("BasicBlock", 2, 8, 2),
        ("Bottleneck", 3, 32, 1),
        ("Bottleneck", 3, 8, 2),
    ],
)
def test_a_normed_sum_is_the_block_written_out(kind, steps, channels, stride):
    torch.manual_seed(0)
    block = getattr(torchvision().models.resnet, kind)
    shortcut = None
    out = 8 * block.expansion
    if stride > 1 or channels != out:
        shortcut = nn.Sequential(
            nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
        )
    plain = block(channels, 8, stride, shortcut)
    normed = stirred(NormedSum(plain)).eval()
    x = images(3, channels, 8, 4)
    torch.testing.assert_close(normed(x), by_hand(plain, normed.IN, x, steps))
    assert set(normed.state_dict()) == {*plain.state_dict(), "IN.weight", "IN.bias"}
    assert (normed(x) - plain(x)).abs().max() > 0.1


# ---- without the instance norms, the plain trunk


def removed(trunk):
    for name in layers(trunk, InstanceNorm):
        parent, _, leaf = name.rpartition(".")
        setattr(trunk.get_submodule(parent), leaf, nn.Identity())
    return trunk


@pytest.mark.parametrize(
    "name, stages, size",
    [
        ("tiny", None, (64, 32)),
        ("resnet18", None, (64, 32)),
        ("resnet50", None, (32, 16)),
        ("mobilenet_v2", dualnorm.MOBILE[1:], (64, 32)),
    ],
)
def test_without_the_instance_norms_it_is_the_plain_trunk(name, stages, size):
    torch.manual_seed(0)
    plain = stirred(backbones.make_trunk(name, 2)).eval()
    normed = dualnorm.add_instance_norms(copy.deepcopy(plain), stages).eval()
    x = images(2, 3, *size)
    with torch.inference_mode():
        assert not torch.allclose(normed(x), plain(x), atol=1e-3)
        torch.testing.assert_close(removed(normed)(x), plain(x), rtol=0, atol=0)


def test_the_stem_alone_is_replaced():
    torch.manual_seed(0)
    plain = stirred(backbones.make_mobilenet(last_stride=2)).eval()
    normed = dualnorm.add_instance_norms(copy.deepcopy(plain), ["stage1"]).eval()
    x = images(2, 3, 64, 32)
    with torch.inference_mode():
        before = normed(x)
        normed.stage1[0].bias.copy_(images(32))  # the norm behind it takes the bias away again
        torch.testing.assert_close(normed(x), before, rtol=1e-4, atol=1e-4)
        normed.stage1[0].bias.zero_()
        normed.stage1[1] = plain.stage1[1]
        torch.testing.assert_close(normed(x), plain(x))


def test_every_instance_norm_learns():
    torch.manual_seed(0)
    model = dualnorm.make(4, "mobilenet_v2")
    output = model(images(4, 3, 64, 32))
    F.cross_entropy(output.logits, torch.tensor([0, 1, 2, 3])).backward()
    for name in layers(model, InstanceNorm):
        assert model.get_submodule(name).weight.grad.abs().sum() > 0, name


# ---- the feature norm


def test_the_feature_norm_in_evaluation_is_one_affine_map():
    """f(a x + b y) keeps weighted means, whatever else is in the batch: it stretches channels."""
    torch.manual_seed(0)
    model = dualnorm.make(4, feature_norm=True)
    for seed in range(3):
        model(images(8, 3, 64, 32, seed=seed))
    norm = model.neck.eval()
    x = images(6, 192, seed=9)
    mean_of_norms = 0.3 * norm(x[:3]) + 0.7 * norm(x[3:])
    torch.testing.assert_close(norm(0.3 * x[:3] + 0.7 * x[3:]), mean_of_norms)
    torch.testing.assert_close(norm(x)[:1], norm(x[:1]), rtol=0, atol=0)
    stretch = norm.weight / (norm.running_var + norm.eps).sqrt()
    torch.testing.assert_close(
        norm(x[:1]) - norm(x[1:2]), (x[:1] - x[1:2]) * stretch, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize(
    "make",
    [
        lambda: dualnorm.make(4).neck,
        lambda: FeatureNorm(192),
        lambda: FeatureNorm(192, learn_scale=True),
    ],
)
def test_its_bias_stays_zero(make):
    torch.manual_seed(0)
    norm = make().train()
    layer = nn.Linear(192, 4)
    learnt = [value for value in norm.parameters() if value.requires_grad]
    optimizer = torch.optim.SGD(
        [*learnt, *layer.parameters()], 0.1, momentum=0.9, weight_decay=5e-4
    )
    for seed in range(5):
        optimizer.zero_grad()
        F.cross_entropy(layer(norm(images(8, 192, seed=seed))), torch.arange(8) % 4).backward()
        optimizer.step()
    assert (norm.bias == 0).all()
    assert norm.bias.grad is None
    assert (norm.weight == 1).all() == (not learnt)


def test_the_feature_norm_that_learns_its_scale_is_the_neck():
    one = FeatureNorm(192, learn_scale=True)
    other = dualnorm.make(4).neck
    x = images(8, 192)
    assert {name for name, value in one.named_parameters() if value.requires_grad} == {"weight"}
    torch.testing.assert_close(one(x), other(x), rtol=0, atol=0)


# ---- IBN


def test_ibn_of_ratio_0_is_batch_norm():
    layer = IBN(6, 0)
    plain = nn.BatchNorm2d(6)
    x = 3 * images(4, 6, 8, 4) + 1
    torch.testing.assert_close(layer(x), plain(x), rtol=0, atol=0)
    layer.eval(), plain.eval()
    torch.testing.assert_close(layer(x), plain(x), rtol=0, atol=0)


@pytest.mark.parametrize("batch_first", [False, True])
def test_one_half_does_not_see_scale_and_offset(batch_first):
    torch.manual_seed(0)
    layer = stirred(IBN(7, 0.5, batch_first)).eval()  # three channels of instance norm
    x = images(4, 7, 8, 4)
    cast = x * (0.5 + torch.rand(4, 7, 1, 1)) + torch.randn(4, 7, 1, 1)
    change = (layer(cast) - layer(x)).abs().amax((0, 2, 3))
    blind = slice(4, None) if batch_first else slice(3)
    assert change[blind].max() < 1e-3
    assert sorted(change > 0.05) == [False] * 3 + [True] * 4


def test_batch_first_is_the_mirror_image():
    first = IBN(8, 0.5)
    last = IBN(8, 0.5, batch_first=True)
    x = images(4, 8, 6, 3)
    mirrored = torch.cat([x[:, 4:], x[:, :4]], 1)
    found = last(mirrored)
    torch.testing.assert_close(torch.cat([found[:, 4:], found[:, :4]], 1), first(x), rtol=0, atol=0)
    assert set(first.state_dict()) == set(last.state_dict())


@pytest.mark.parametrize("place", [ibn.ibn_a, ibn.ibn_b, dualnorm.add_instance_norms])
def test_in_evaluation_a_picture_does_not_see_its_mates(place):
    torch.manual_seed(0)
    trunk = stirred(place(backbones.make_trunk("tiny"))).eval()
    x = images(4, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(trunk(x)[:1], trunk(x[:1]), rtol=1e-4, atol=1e-4)


# ---- MobileNetV2


def test_the_trunk_is_torchvisions():
    torch.manual_seed(0)
    ours = backbones.make_mobilenet(last_stride=2)
    theirs = torchvision().models.mobilenet_v2(weights=None).features
    values = list(ours.state_dict().values())
    assert [value.shape for value in values] == [
        value.shape for value in theirs.state_dict().values()
    ]
    theirs.load_state_dict(dict(zip(theirs.state_dict(), stirred(ours).state_dict().values())))
    x = images(2, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x), rtol=0, atol=0)


@pytest.mark.parametrize(
    "last, authors, end", [(2, False, (8, 4)), (1, False, (16, 8)), (2, True, (8, 4))]
)
def test_map_sizes(last, authors, end):
    trunk = backbones.make_mobilenet(last_stride=last, authors=authors).eval()
    x = images(1, 3, 256, 128)
    found = []
    with torch.inference_mode():
        for stage in trunk.children():
            x = stage(x)
            found.append(tuple(x.shape[1:]))
    assert found == [
        (32, 128, 64),
        (16, 128, 64),
        (24, 64, 32),
        (32, 32, 16),
        (64, 16, 8),
        (96, 16, 8),
        *((channels, *end) for channels in (160, 320, 1280)),
    ]


def test_a_stage_that_is_not_there_is_named():
    with pytest.raises(ValueError, match=r"no stage 'layer5'.*bn1, layer1, layer2, layer3, layer4"):
        dualnorm.add_instance_norms(backbones.make_trunk("tiny"), ["layer1", "layer5"])
    with pytest.raises(ValueError, match=r"no stage 'layer1'.*stage1, .*stage9"):
        dualnorm.add_instance_norms(backbones.make_mobilenet(), ["layer1"])
    for wrong in ("conv1", "relu", "maxpool"):  # nothing to normalise there
        with pytest.raises(ValueError, match=wrong):
            dualnorm.add_instance_norms(backbones.make_trunk("tiny"), [wrong])
    stage = backbones.make_trunk("resnet18").layer1
    norm_last_sum(stage)
    assert isinstance(stage[1], NormedSum)
    assert not isinstance(stage[0], NormedSum)
