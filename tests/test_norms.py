"""Norms against their formulas in float64, written out; their gradients; what they do not see."""

import copy

import pytest
import torch
from torch import nn

from reidkit.layers.heads import BNNeck
from reidkit.layers.norms import (
    IBN,
    BatchInstanceNorm,
    FeatureNorm,
    InstanceNorm,
    clamp_gates,
    moments,
)

LAYOUTS = [torch.contiguous_format, torch.channels_last]
PARTS = ("gate", "weight", "bias", "instance_weight", "instance_bias")


def maps(*shape, dtype=torch.float64, layout=torch.contiguous_format, seed=0, mean=1.0):
    x = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return (2 * x + mean).to(dtype).contiguous(memory_format=layout)


def standard(x, dims, eps=1e-5):
    """(x - mean) / sqrt(variance + eps), both over `dims`."""
    x = x - x.mean(dims, keepdim=True)
    return x / (x.square().mean(dims, keepdim=True) + eps).sqrt()


def affine(x, weight, bias):
    """x weight + bias, with one weight and one bias for each channel."""
    return x * weight[:, None, None] + bias[:, None, None]


def mixed(gate, batch, instance):
    """gate batch + (1 - gate) instance, with one gate for each channel."""
    gate = gate[:, None, None]
    return gate * batch + (1 - gate) * instance


def textbook(x, gate, weight, bias, instance_weight, instance_bias):
    batch = affine(standard(x, (0, 2, 3)), weight, bias)
    instance = affine(standard(x, (2, 3)), instance_weight, instance_bias)
    return mixed(gate, batch, instance)


def parts(norm):
    """The parameters of a mixture, in the order of `textbook`."""
    return [getattr(norm, name) for name in PARTS]


def drawn_mixture(channels, dtype=torch.float64, seed=3, **options):
    """A BatchInstanceNorm with every number drawn."""
    norm = BatchInstanceNorm(channels, **options).to(dtype)
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in (*PARTS, "running_mean", "running_var"):
            value = getattr(norm, name)
            if value is not None:
                drawn = torch.rand(channels, generator=draw, dtype=torch.float64)
                value.copy_(drawn + 0.1)
    return norm


def gradients(y, inputs, seed=9):
    draw = torch.Generator().manual_seed(seed)
    grad_y = torch.randn(y.shape, generator=draw, dtype=torch.float64)
    return torch.autograd.grad(y, inputs, grad_y.to(y.dtype))


def close(values, expected, tolerance=1e-6):
    for value, wanted in zip(values, expected, strict=True):
        torch.testing.assert_close(value.double(), wanted.double(), rtol=tolerance, atol=tolerance)


# ---- the numbers


@pytest.mark.parametrize("layout", LAYOUTS)
def test_instance_norm_is_the_textbooks_and_torchs(layout):
    x = maps(4, 5, 6, 3, layout=layout).requires_grad_()
    ours = InstanceNorm(5).double()
    torchs = nn.InstanceNorm2d(5, affine=True).double()
    assert list(ours.state_dict()) == ["weight", "bias"]
    values = {"weight": torch.linspace(0.5, 2, 5), "bias": torch.linspace(-1, 1, 5)}
    for norm in (ours, torchs):
        norm.load_state_dict(values)
    y = ours(x)
    inputs = [x, *ours.parameters()]
    by_hand = affine(standard(x, (2, 3)), ours.weight, ours.bias)
    assert y.is_contiguous(memory_format=layout)
    assert ours.eval()(x).equal(y)
    for expected, its_inputs in ((by_hand, inputs), (torchs(x), [x, *torchs.parameters()])):
        close([y], [expected])
        close(gradients(ours(x), inputs), gradients(expected, its_inputs))
    x = x.detach().float()
    torch.testing.assert_close(ours.float()(x), torchs.float()(x), rtol=1e-6, atol=2e-6)


def test_instance_norm_does_not_see_scale_and_offset():
    x = maps(3, 4, 8, 8)
    norm = InstanceNorm(4).double()
    a = torch.rand(3, 4, 1, 1).double() + 0.5
    b = torch.randn(3, 4, 1, 1).double()
    close([norm(a * x + b)], [norm(x)], 1e-4)  # up to eps
    mean, var = moments(norm(x))
    close([mean, var], [torch.zeros(3, 4, 1, 1), torch.ones(3, 4, 1, 1)], 1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mixture_is_the_textbooks(layout):
    x = maps(4, 5, 6, 3, layout=layout).requires_grad_()
    norm = drawn_mixture(5)
    y = norm(x)
    inputs = [x, *parts(norm)]
    close([y], [textbook(*inputs)])
    close([y], [copy.deepcopy(norm).two_branches(x)])
    close(gradients(y, inputs), gradients(textbook(*inputs), inputs))
    assert y.is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_mixture_in_evaluation_is_the_textbooks(layout):
    x = maps(4, 5, 6, 3, layout=layout).requires_grad_()
    norm = drawn_mixture(5).eval()
    centred = x - norm.running_mean[:, None, None]
    deviation = (norm.running_var + 1e-5).sqrt()
    batch = affine(centred / deviation[:, None, None], norm.weight, norm.bias)
    instance = affine(standard(x, (2, 3)), norm.instance_weight, norm.instance_bias)
    expected = mixed(norm.gate, batch, instance)
    inputs = [x, *parts(norm)]
    close([norm(x)], [expected])
    close(gradients(norm(x), inputs), gradients(expected, inputs))


@pytest.mark.parametrize("training", [True, False])
def test_gradients_by_differences(training):
    norm = drawn_mixture(3).train(training)
    x = maps(2, 3, 3, 2, layout=torch.channels_last).requires_grad_()
    norm.momentum = 0.0  # so that every call of gradcheck meets the same layer
    torch.autograd.gradcheck(lambda x, *_: norm(x), [x, *parts(norm)])
    instance = InstanceNorm(3).double()
    torch.autograd.gradcheck(lambda x, *_: instance(x), [x, *instance.parameters()])


def test_gates_one_and_zero():
    x = maps(6, 4, 5, 3).requires_grad_()
    mixture = BatchInstanceNorm(4).double()
    batch = nn.BatchNorm2d(4).double()
    for training in (True, False):
        y = mixture.train(training)(x)
        z = batch.train(training)(x)
        close([y, gradients(y, x)[0]], [z, gradients(z, x)[0]])
    instance = InstanceNorm(4).double()
    with torch.no_grad():
        mixture.gate.zero_()
    y = mixture(x)
    z = instance(x)
    close([y, gradients(y, x)[0]], [z, gradients(z, x)[0]])
    last = x.detach().contiguous(memory_format=torch.channels_last)
    assert mixture(last).equal(instance(last))  # on channels_last bit for bit


def test_one_picture_makes_batch_norm_an_instance_norm():
    x = maps(1, 4, 5, 3)
    close([BatchInstanceNorm(4).double()(x)], [InstanceNorm(4).double()(x)])
    norm = drawn_mixture(4)
    with torch.no_grad():
        norm.gate.fill_(1)
    close([norm(x)], [affine(standard(x, (2, 3)), norm.weight, norm.bias)])


def test_law_of_total_variance():
    x = maps(7, 4, 5, 3) * torch.arange(1, 8).double()[:, None, None, None]
    mean, var = moments(x)
    total = var.mean(0) + (mean - mean.mean(0)).square().mean(0)
    close([total.flatten()], [x.var((0, 2, 3), correction=0)])
    assert moments(x.bfloat16())[1].dtype == torch.float32


@pytest.mark.parametrize(
    "options", [{}, {"momentum": None}, {"momentum": 0.3}, {"track_running_stats": False}]
)
def test_running_statistics_are_those_of_torch(options):
    ours = BatchInstanceNorm(4, gate=0.3, **options)
    torchs = nn.BatchNorm2d(4, **options)
    for seed in range(3):
        for norm in (ours, torchs):
            norm.train()(maps(5, 4, 3, 2, dtype=torch.float32, seed=seed))
    more = ours.state_dict().keys() - torchs.state_dict().keys()
    assert more == {"gate", "instance_weight", "instance_bias"}
    for name, value in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, rtol=1e-6, atol=1e-6)
    x = maps(5, 4, 3, 2, dtype=torch.float32, seed=8)
    with torch.no_grad():
        ours.gate.fill_(1)
    torch.testing.assert_close(ours.eval()(x), torchs.eval()(x), rtol=1e-5, atol=1e-6)
    for name, value in copy.deepcopy(ours).state_dict().items():
        assert value.equal(ours.state_dict()[name])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "make", [InstanceNorm, lambda channels: drawn_mixture(channels, torch.float32)]
)
def test_large_means_cost_few_digits(make, layout):
    """float32 against float64 where the mean is a hundred deviations."""
    x = maps(8, 6, 16, 8, dtype=torch.float32, mean=200.0, layout=layout)
    mean, var = moments(x)
    exact = x.double().var((2, 3), correction=0, keepdim=True)
    assert ((var - exact).abs() / exact).max() < 1e-5
    norm = make(6)
    exact_norm = copy.deepcopy(norm).double()
    exact_x = x.double().requires_grad_()
    y = norm(x.requires_grad_())
    exact_y = exact_norm(exact_x)
    assert (y - exact_y).abs().max() < 5e-5
    grads = gradients(y, [x, *norm.parameters()])
    exact_grads = gradients(exact_y, [exact_x, *exact_norm.parameters()])
    for grad, exact_grad in zip(grads, exact_grads):
        assert (grad - exact_grad).abs().max() < 5e-5 * exact_grad.abs().max()


# ---- inputs of every kind


@pytest.mark.parametrize("make", [InstanceNorm, BatchInstanceNorm, IBN])
def test_layout_type_and_slices(make):
    norm = make(6)
    x = maps(4, 8, 6, 4, dtype=torch.float32)
    expected = copy.deepcopy(norm)(x[:, 1:7].contiguous())
    last = x.contiguous(memory_format=torch.channels_last)[:, 1:7]
    turned = x[:, 1:7].transpose(2, 3).contiguous().transpose(2, 3)
    for view in (x[:, 1:7], last, turned):
        torch.testing.assert_close(copy.deepcopy(norm)(view), expected, rtol=1e-5, atol=1e-5)
    y = norm(last)
    assert y.is_contiguous(memory_format=torch.channels_last)
    uneven = last.detach().requires_grad_()  # a gradient that comes in another layout
    other = last.detach().contiguous().requires_grad_()
    for leaf in (uneven, other):
        copy.deepcopy(norm)(leaf).flatten(2).square().mean(2).sigmoid().sum().backward()
    torch.testing.assert_close(uneven.grad, other.grad, rtol=1e-4, atol=1e-6)
    half = norm(last.bfloat16().requires_grad_())
    half.float().sum().backward()
    assert half.dtype == torch.bfloat16
    assert {value.grad.dtype for value in norm.parameters()} == {torch.float32}
    torch.testing.assert_close(half.float(), y, rtol=0.02, atol=0.03)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("kind", [InstanceNorm, BatchInstanceNorm, IBN])
def test_autocast(kind, device):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    model = nn.Sequential(nn.Conv2d(3, 8, 3), kind(8), nn.ReLU(inplace=True)).to(device)
    x = maps(4, 3, 8, 8, dtype=torch.float32).to(device)
    expected = copy.deepcopy(model)(x)
    with torch.autocast(device, torch.bfloat16):
        y = model(x)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16
    assert all(value.grad.isfinite().all() for value in model.parameters())
    torch.testing.assert_close(y.float(), expected, rtol=0.05, atol=0.05)


def test_frozen_parts():
    x = maps(4, 5, 6, 3)
    norm = drawn_mixture(5)
    all_grads = gradients(norm(x), parts(norm))
    for learnt, expected in zip(PARTS, all_grads):
        for name in PARTS:
            getattr(norm, name).requires_grad_(name == learnt)
        close(gradients(norm(x), [getattr(norm, learnt)]), [expected])
    norm.requires_grad_(False)
    assert not norm(x).requires_grad
    leaf = x.clone().requires_grad_()
    close(gradients(norm(leaf), leaf), gradients(norm.requires_grad_(True)(leaf), leaf))


@pytest.mark.parametrize("make", [InstanceNorm, BatchInstanceNorm, IBN])
def test_layers_without_channels(make):
    for channels in (-1, 2.5, "8", None):
        with pytest.raises(ValueError, match=f"channels={channels!r}; expected a whole number"):
            make(channels)
    with pytest.raises(ValueError, match="of 0 channels .* C at least 1"):
        make(0)(torch.zeros(2, 0, 3, 3))
    if make is IBN:
        with pytest.raises(ValueError, match=r"IBN of 4 channels got x of shape \(2, 5, 3, 3\)"):
            make(4)(torch.zeros(2, 5, 3, 3))


def test_gates_that_are_no_numbers():
    for gate in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"gate is {gate}; expected a number, from 0"):
            BatchInstanceNorm(3, gate=gate)
    norm = BatchInstanceNorm(3)
    with torch.no_grad():
        norm.gate[1] = float("nan")  # a training that has burst spoils its own channel alone
    y = norm(maps(2, 3, 4, 4, dtype=torch.float32))
    assert y[:, 1].isnan().all() and y[:, ::2].isfinite().all()


def test_a_layer_can_be_made_new():
    norm = drawn_mixture(3, torch.float32, gate=0.25)
    norm(maps(2, 3, 4, 4, dtype=torch.float32))
    norm.reset_parameters()
    new = BatchInstanceNorm(3, gate=0.25)
    assert all(value.equal(new.state_dict()[name]) for name, value in norm.state_dict().items())


@pytest.mark.parametrize("norm", [InstanceNorm(3), BatchInstanceNorm(3)])
@pytest.mark.parametrize("shape", [(4, 3, 1, 1), (4, 3), (4, 1, 2, 2), (0, 3, 2, 2)])
def test_maps_that_cannot_be_normalised(norm, shape):
    for training in (True, False):
        with pytest.raises(ValueError, match=r"expected\s+\(B, 3, H, W\)"):
            norm.train(training)(torch.zeros(shape))
    with pytest.raises(ValueError):
        nn.InstanceNorm2d(3, affine=True)(torch.zeros(4, 3, 1, 1))  # torch agrees
    assert getattr(norm, "num_batches_tracked", 0) == 0


def test_clamp_gates():
    model = nn.Sequential(BatchInstanceNorm(3), nn.Sequential(BatchInstanceNorm(2)))
    with torch.no_grad():
        model[0].gate.copy_(torch.tensor([-0.5, 0.5, 1.5]))
        model[1][0].gate.fill_(7)
    clamp_gates(model)
    assert model[0].gate.tolist() == [0, 0.5, 1]
    assert model[1][0].gate.tolist() == [1, 1]
    assert model[0].gate.requires_grad


# ---- feature norm, IBN


def test_feature_norm():
    norm = FeatureNorm(4)
    x = maps(6, 4, dtype=torch.float32).requires_grad_()
    torch.testing.assert_close(norm(x), standard(x, 0), rtol=1e-5, atol=1e-5)
    assert not any(value.requires_grad for value in norm.parameters())
    assert norm.bias.count_nonzero() == 0
    assert FeatureNorm(4, learn_scale=True).weight.requires_grad
    assert not FeatureNorm(4, learn_scale=True).bias.requires_grad
    assert list(norm.state_dict()) == list(BNNeck(4).state_dict())
    pictures = maps(6, 4, 3, 2, dtype=torch.float32)
    torch.testing.assert_close(norm(pictures), standard(pictures, (0, 2, 3)), rtol=1e-5, atol=1e-5)
    norm.eval()
    zero = norm(torch.zeros(1, 4))
    one = norm(torch.ones(1, 4))
    torch.testing.assert_close(norm(x), zero + (one - zero) * x)  # a fixed affine map
    with pytest.raises(ValueError, match="FeatureNorm got"):
        norm(torch.zeros(2, 4, 3))


def test_ibn():
    x = maps(5, 7, 4, 3, dtype=torch.float32)
    norm = IBN(7)
    y = norm(x)
    h = 3
    instance = standard(x[:, :h], (2, 3))
    batch = standard(x[:, h:], (0, 2, 3))
    torch.testing.assert_close(y, torch.cat([instance, batch], 1), rtol=1e-5, atol=1e-5)
    assert {"IN.weight", "IN.bias", "BN.weight", "BN.running_var"} <= set(norm.state_dict())
    scale = torch.rand(5, 1, 1, 1) + 0.5
    turned = norm(x * scale + torch.randn(5, 1, 1, 1))
    torch.testing.assert_close(turned[:, :h], y[:, :h], rtol=1e-3, atol=1e-4)
    assert (turned - y)[:, h:].abs().max() > 0.1
    assert IBN(7, 0)(x).equal(nn.BatchNorm2d(7)(x))
    assert IBN(7, 1)(x).equal(InstanceNorm(7)(x))
    mixture = BatchInstanceNorm(7)  # IBN is a mixture with gates of 0 and 1
    with torch.no_grad():
        mixture.gate[:h] = 0
    torch.testing.assert_close(mixture(x), y, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="ratio is 2"):
        IBN(4, 2)


@pytest.mark.parametrize("make", [InstanceNorm, BatchInstanceNorm, IBN, FeatureNorm])
def test_in_evaluation_a_picture_does_not_see_its_mates(make):
    norm = make(6).eval()
    x = maps(5, 6, 4, 3, dtype=torch.float32)
    torch.testing.assert_close(norm(x)[:2], norm(x[:2]))
    if make is not InstanceNorm:
        assert not torch.allclose(norm.train()(x)[:2], norm(x[:2]), atol=1e-2)
