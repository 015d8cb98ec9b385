"""Layers, models and losses in half and in double precision: they follow their parameters' type,
and statistics are taken in float32 or better.
"""

import copy

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

from reidkit import losses
from reidkit.augment import normalize
from reidkit.layers import pooling
from reidkit.layers.heads import (
    AttributeHeads,
    BNNeck,
    Classifier,
    CosineClassifier,
    NoClassifier,
    PairClassifier,
)
from reidkit.layers.norms import IBN, BatchInstanceNorm, FeatureNorm, InstanceNorm
from reidkit.layers.precision import at_least_float32, type_of
from reidkit.layers.statistics import held_statistics, reestimated_statistics
from reidkit.layers.whitening import WhiteningNeck, fit_whitening
from reidkit.methods import baseline, dualnorm, ibn, metabin, three_ways

HALF = [torch.float16, torch.bfloat16]
TYPES = [*HALF, torch.float32, torch.float64]
DIGITS = {torch.float16: 5e-3, torch.bfloat16: 4e-2, torch.float32: 1e-5, torch.float64: 1e-12}
IDS = torch.tensor([0, 0, 1, 1, 2, 2])
PICTURES = torch.randint(
    0, 256, (6, 3, 64, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def filled(layer):
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in (*layer.parameters(), *layer.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=draw) + 0.2)
    return layer


def near(value, expected, dtype):
    worst = (value.double() - expected).abs().max()
    assert worst < DIGITS[dtype] * max(expected.abs().max(), 1), (worst, dtype)


HEADS = {
    "BNNeck": lambda: BNNeck(6),
    "FeatureNorm": lambda: FeatureNorm(6, learn_scale=True),
    "WhiteningNeck": lambda: WhiteningNeck(6, 3),
    "Classifier": lambda: Classifier(6, 4),
    "CosineClassifier": lambda: CosineClassifier(6, 4),
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", HEADS)
def test_heads_answer_in_the_type_of_their_parameters(kind, dtype, training):
    exact = filled(HEADS[kind]()).to(dtype).double().train(training)
    for given in TYPES:  # pooling gives float32, whatever the network computes in
        layer = copy.deepcopy(exact).to(dtype)
        features = (2 * drawn(8, 6) + 1).to(given).requires_grad_()
        made = layer(features)
        keeps_half = kind == "FeatureNorm" and given in HALF and dtype == torch.float32
        assert made.dtype == (given if keeps_half else dtype)
        rounded = features.detach().to(made.dtype).double()
        near(made, copy.deepcopy(exact)(rounded).detach(), made.dtype)
        made.double().square().sum().backward()
        assert features.grad.dtype == given and features.grad.isfinite().all()


@pytest.mark.parametrize("dtype", TYPES)
def test_other_heads(dtype):
    judge = filled(PairClassifier(6)).to(dtype)
    attributes = filled(AttributeHeads(6, {"hat": 2, "coat": 3})).to(dtype)
    features = drawn(4, 6).float()
    assert judge(features, features.flip(0)).dtype == dtype
    assert {logits.dtype for logits in attributes(features).values()} == {dtype}
    assert NoClassifier().to(dtype)(features) is None


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", [InstanceNorm, BatchInstanceNorm, IBN, FeatureNorm])
def test_norms_in_every_type(kind, layout, training, dtype):
    exact = filled(kind(6)).to(dtype).double().train(training)
    layer = copy.deepcopy(exact).to(dtype)
    x = (2 * drawn(5, 6, 7, 4) + 1).to(dtype).contiguous(memory_format=layout).requires_grad_()
    exact_x = x.detach().double().requires_grad_()
    y = layer(x)
    expected = exact(exact_x)
    assert y.dtype == dtype
    near(y, expected.detach(), dtype)
    y.double().pow(3).mean().backward()
    expected.pow(3).mean().backward()
    near(x.grad, exact_x.grad, dtype)
    for value, wanted in zip(layer.parameters(), exact.parameters()):
        if value.requires_grad:
            assert value.grad.dtype == dtype
            near(value.grad, wanted.grad, dtype)
    for name, value in exact.named_buffers():
        near(layer.get_buffer(name), value, dtype)


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("kind", [InstanceNorm, BatchInstanceNorm, IBN, FeatureNorm])
def test_statistics_are_taken_in_float32_or_better(kind, dtype):
    """128 by 64 pixels around 30: their sum of 245,760 and its square are no half precision."""
    x = (drawn(2, 4, 128, 64) + 30).to(dtype)
    for layout in (torch.contiguous_format, torch.channels_last):
        y = kind(4).to(dtype)(x.contiguous(memory_format=layout))
        expected = kind(4).double()(x.double()).detach()
        assert (y - expected).abs().max() < 3 * DIGITS[dtype]


@pytest.mark.parametrize("dtype", TYPES)
def test_pooling_is_in_float32_or_better(dtype):
    maps = (drawn(3, 4, 6, 2).abs() + 0.1).to(dtype)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    learnt = pooling.GeM(2.7).to(dtype)
    exponent = learnt.p.item()
    for pool, expected in (
        (pooling.avg, maps.double().mean((2, 3))),
        (pooling.max, maps.double().amax((2, 3))),
        (pooling.gem, maps.double().pow(3).mean((2, 3)).pow(1 / 3)),
        (learnt, maps.double().pow(exponent).mean((2, 3)).pow(1 / exponent)),
        (pooling.Stripes(1), maps.double().mean((2, 3)).repeat(1, 2)),
    ):
        assert pool(maps).dtype == wide
        near(pool(maps), expected.detach(), wide)
    learnt(maps).sum().backward()
    assert learnt.p.grad.dtype == dtype
    with pytest.raises(ValueError, match="count is 0; expected one"):
        pooling.Stripes(0)


def test_pooling_and_heads_have_the_derivatives_of_differences_in_double():
    maps = (drawn(2, 3, 4, 2).abs() + 0.1).requires_grad_()
    learnt = pooling.GeM(2.7).double()
    for pool in (pooling.avg, pooling.max, pooling.gem, pooling.Stripes(2)):
        gradcheck(pool, (maps,))
    gradcheck(lambda maps, p: pooling.gem(maps, p), (maps, learnt.p))
    features = drawn(4, 6).requires_grad_()
    for make in HEADS.values():
        gradcheck(filled(make()).double(), (features,))


def test_losses_have_the_derivatives_of_differences_in_double():
    features = drawn(6, 4).requires_grad_()
    cosine = (0.3 * drawn(6, 4, seed=2)).requires_grad_()
    centres = drawn(3, 4, seed=3).requires_grad_()
    functions = [
        lambda x: losses.cross_entropy(x, IDS, 0.1),
        lambda x: losses.cross_entropy(x, IDS, 0.1, "fastreid"),
        lambda x: losses.batch_hard_triplet(x, IDS, None),
        lambda x: losses.batch_hard_triplet(x, IDS, 5.0, "cosine"),
        lambda x: losses.weighted_triplet(x, IDS),
        lambda x: losses.contrastive(x, IDS, 9.0),
        lambda x: losses.attribute_loss({"hat": x}, {"hat": IDS - 1}),
        lambda x: losses.verification(x[:, 0], IDS == 1),
        lambda x: metabin.scatter_loss(x, IDS),
        lambda x: metabin.shuffle_loss(x, torch.arange(6), IDS),
        losses.pairwise_distance,
        losses.cosine_distance,
    ]
    for function in functions:
        assert function(features).dtype == torch.float64
        gradcheck(function, (features,))
    for function in (losses.arcface_logits, losses.cosface_logits):
        gradcheck(lambda x, f=function: f(x, IDS), (cosine,))
    assert losses.circle_logits(cosine, IDS).dtype == torch.float64
    assert losses.circle(features, IDS).dtype == torch.float64
    gradcheck(lambda x, c: losses.centre_loss(x, IDS, c), (features, centres))


@pytest.mark.parametrize("dtype", HALF)
def test_losses_lift_half_precision(dtype):
    features = drawn(6, 4).to(dtype)
    for function in (
        lambda x: losses.cross_entropy(x, IDS, 0.1),
        lambda x: losses.batch_hard_triplet(x, IDS),
        lambda x: losses.weighted_triplet(x, IDS),
        lambda x: losses.circle(x, IDS, 0.25, 16),
        lambda x: losses.contrastive(x, IDS),
        lambda x: losses.centre_loss(x, IDS, x[:3]),
        lambda x: losses.verification(x[:, 0], IDS == 1),
        lambda x: metabin.scatter_loss(x, IDS),
    ):
        assert function(features).equal(function(features.float()))


MODELS = {
    "baseline": lambda: baseline.make(4),
    "no neck, cosines, GeM": lambda: baseline.Baseline(
        4, cosine=True, neck=False, pool=pooling.GeM()
    ),
    "stripes": lambda: baseline.make(4, norm="ibn", stripes=2),
    "levels": lambda: baseline.make(4, norm="in", levels=("layer3", "layer4")),
    "DualNorm": lambda: dualnorm.make(4),
    "IBN-b": lambda: ibn.make(4, form="b"),
    "MetaBIN": lambda: metabin.make(4, gate=0.5),
    "three ways": lambda: three_ways.ThreeWays(4, {"hat": 2}),
}


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kind", MODELS)
def test_models_follow_their_parameters(kind, dtype):
    torch.manual_seed(0)
    start = MODELS[kind]()
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    for layout in (torch.contiguous_format, torch.channels_last):
        for training in (True, False):
            exact = copy.deepcopy(start).double().train(training)
            model = copy.deepcopy(start).to(dtype, memory_format=layout).train(training)
            output = model(PICTURES)
            expected = exact(PICTURES)
            assert output.feature.dtype == wide
            assert output.logits.dtype == dtype
            assert output.neck is None or output.neck.dtype == dtype
            worst = (output.feature.double() - expected.feature).abs().max()
            assert worst < 20 * DIGITS[dtype] * expected.feature.abs().max()
            loss = losses.cross_entropy(output.logits, IDS).mean()
            loss = loss + losses.batch_hard_triplet(output.feature, IDS).mean()
            loss.backward()
            for value in model.parameters():
                assert value.grad is None or value.grad.dtype == dtype
                assert value.grad is None or value.grad.isfinite().all()


def test_a_double_model_computes_in_double_from_the_first_line():
    assert normalize(PICTURES, dtype=torch.float64).dtype == torch.float64
    assert normalize(PICTURES, dtype=torch.float16).dtype == torch.float16
    exact = (PICTURES[:, :1].double() / 255 - 0.485) / 0.229
    near(normalize(PICTURES, dtype=torch.float64)[:, :1], exact, torch.float64)
    assert (
        normalize(PICTURES).equal(normalize(PICTURES, dtype=torch.float64).float())
        or (normalize(PICTURES) - normalize(PICTURES, dtype=torch.float64)).abs().max() < 1e-6
    )


@pytest.mark.parametrize("kind", ["baseline", "DualNorm", "MetaBIN"])
def test_autocast_is_as_before(kind):
    """Parameters in float32, maps in bfloat16; pooled feature and neck in float32."""
    torch.manual_seed(0)
    model = MODELS[kind]().train()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(PICTURES)
    kinds = (output.feature.dtype, output.neck.dtype, output.logits.dtype)
    assert kinds == (torch.float32, torch.float32, torch.bfloat16)


@pytest.mark.parametrize("dtype", [*HALF, torch.float64])
def test_statistics_of_models_in_other_types(dtype):
    torch.manual_seed(0)
    model = metabin.make(4).to(dtype)
    model.neck = WhiteningNeck(model.neck.num_features, 5).to(dtype)
    model.classifier = NoClassifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with reestimated_statistics(model, PICTURES):
        assert model(PICTURES).neck.dtype == dtype
    with held_statistics(model.train()):
        assert model(PICTURES).neck.dtype == dtype
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


def test_the_fitted_neck_in_other_types():
    features = drawn(40, 6)
    neck = fit_whitening(features, torch.arange(40) // 4, 3)
    exact = neck(features.float()).double()
    for dtype in (*HALF, torch.float64):
        made = copy.deepcopy(neck).to(dtype)(features)
        assert made.dtype == dtype
        near(made, exact, min(dtype, torch.float32, key=lambda kind: -DIGITS[kind]))


def test_the_type_of_a_module():
    assert type_of(nn.Linear(2, 2).half()) == torch.float16
    assert type_of(WhiteningNeck(3, 2).double()) == torch.float64
    assert type_of(nn.ReLU()) == torch.float32
    assert at_least_float32(torch.ones(2).half()).dtype == torch.float32
    x = torch.ones(2).double()
    assert at_least_float32(x) is x


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool, torch.complex64])
@pytest.mark.parametrize("make", [InstanceNorm, BatchInstanceNorm])
def test_maps_of_whole_numbers_are_refused(make, dtype):
    with pytest.raises(ValueError, match="cannot hold what a norm gives; expected floats"):
        make(3)(torch.ones(2, 3, 4, 4).to(dtype))


@pytest.mark.parametrize("own", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("other", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
def test_ibn_takes_maps_of_another_type(own, other, training):
    norm = IBN(4).to(own).train(training)
    x = torch.randn(3, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    expected = IBN(4).double().train(training)(x.double())
    torch.testing.assert_close(norm(x.to(other)).double(), expected, rtol=0.02, atol=0.05)
