"""Derivatives of the norms beyond one backward pass: of second order, forwards, transformed, and
with recomputation, for every way into a norm.
"""

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from test_norms import affine, mixed, standard
from torch import nn
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap
from torch.utils.checkpoint import checkpoint

from reidkit.layers.heads import BNNeck
from reidkit.layers.norms import IBN, BatchInstanceNorm, FeatureNorm, InstanceNorm
from reidkit.layers.statistics import held_statistics

NORMS = {
    "IN": lambda: InstanceNorm(3),
    "BIN": lambda: BatchInstanceNorm(3, gate=0.3),
    "BIN of the batch alone": lambda: BatchInstanceNorm(3, track_running_stats=False),
    "BIN, one affine map": lambda: BatchInstanceNorm(3, one_affine=True),
    "IBN": lambda: IBN(3),
    "IBN, batch first": lambda: IBN(3, batch_first=True),
    "feature norm": lambda: FeatureNorm(3, learn_scale=True),
}
LAYOUTS = {
    "contiguous": lambda x: x,
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "slice": lambda x: torch.cat([x, x, x], 1)[:, 2:5].roll(1, 1),
    "slice of channels_last": lambda x: LAYOUTS["channels_last"](torch.cat([x, x], 1))[:, :3],
    "turned": lambda x: x.transpose(2, 3).contiguous().transpose(2, 3),
}


def drawn(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def filled(norm, dtype=torch.float64):
    """Every parameter and statistic drawn, and no statistic moved by a call."""
    draw = torch.Generator().manual_seed(5)
    norm = norm.to(dtype)
    with torch.no_grad():
        for value in (*norm.parameters(), *norm.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=draw) + 0.2)
    for module in norm.modules():
        if hasattr(module, "momentum"):
            module.momentum = 0.0
    return norm


def as_function(norm, layout):
    """(f, inputs) with f(x, *parameters) the norm of x, and the learnt parameters by themselves."""
    learnt = {name: value for name, value in norm.named_parameters() if value.requires_grad}
    values = [value.detach().clone().requires_grad_() for value in learnt.values()]

    def function(x, *values):
        given = dict(zip(learnt, values))
        return functional_call(norm, given, (LAYOUTS[layout](x),), tie_weights=True)

    return function, values


def written_out(norm, x):
    """The textbook's form of the norm, from tensors alone."""
    if isinstance(norm, InstanceNorm):
        return affine(standard(x, (2, 3)), norm.weight, norm.bias)
    if isinstance(norm, IBN):
        halves = [(half, x[:, part]) for half, part in norm.halves()]
        return torch.cat([written_out(half, own) for half, own in halves], 1)
    if norm.training or norm.running_mean is None:
        batch = affine(standard(x, (0, 2, 3)), norm.weight, norm.bias)
    else:
        deviation = (norm.running_var + norm.eps).sqrt()[:, None, None]
        batch = affine((x - norm.running_mean[:, None, None]) / deviation, norm.weight, norm.bias)
    if not isinstance(norm, BatchInstanceNorm):
        return batch
    instance = affine(standard(x, (2, 3)), norm.instance_weight, norm.instance_bias)
    return mixed(norm.gate, batch, instance)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", NORMS)
def test_first_and_second_derivatives_by_differences(kind, layout, training):
    for pictures in (1, 2):
        norm = filled(NORMS[kind]()).train(training)
        function, values = as_function(norm, layout)
        x = drawn(pictures, 3, 2, 2).requires_grad_()
        gradcheck(function, (x, *values), check_forward_ad=True)
        gradgradcheck(function, (x, *values))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("kind", NORMS)
def test_second_derivatives_by_some_of_the_inputs(kind, training):
    """autograd.grad prunes what is not asked for, so that no node of its own need run."""
    norm = filled(NORMS[kind]()).train(training)
    # torch's own batch norm has no right third derivative in training mode; ours have.
    is_ours = isinstance(norm, (InstanceNorm, BatchInstanceNorm))
    for layout, twice in itertools.product(LAYOUTS, (False, True) if is_ours else (False,)):
        x = LAYOUTS[layout](drawn(3, 3, 4, 2)).requires_grad_()
        learnt = [value for value in norm.parameters() if value.requires_grad]
        for first, second in itertools.product((x, *learnt), repeat=2):
            found = []
            for y in (norm(x), written_out(norm, x)):
                (slope,) = torch.autograd.grad(y.pow(3).sum(), first, create_graph=True)
                if twice:
                    (slope,) = torch.autograd.grad(slope.pow(2).sum(), x, create_graph=True)
                found += torch.autograd.grad(slope.pow(2).sum(), second, allow_unused=True)
            if found[1] is not None:
                torch.testing.assert_close(*found, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["IN", "BIN"])
def test_second_derivatives_of_single_and_half_precision(kind, dtype):
    norm = filled(NORMS[kind](), torch.float32)
    exact_norm = copy.deepcopy(norm).double()
    x = LAYOUTS["channels_last"](drawn(3, 3, 4, 4)).to(dtype).requires_grad_()
    exact_x = x.detach().double().requires_grad_()
    made = []
    for layer, leaf in ((norm, x), (exact_norm, exact_x)):
        (slope,) = torch.autograd.grad(layer(leaf).pow(3).mean(), leaf, create_graph=True)
        assert slope.dtype == leaf.dtype
        made.append(torch.autograd.grad((50 * slope).double().pow(2).sum(), leaf)[0].double())
    digits = {torch.float32: 1e-5, torch.bfloat16: 0.05, torch.float16: 0.01}[dtype]
    assert (made[0] - made[1]).abs().max() < digits * made[1].abs().max()


@pytest.mark.parametrize("kind", ["IN", "BIN", "BIN, one affine map"])
def test_parameters_that_follow_from_the_maps(kind):
    """Each gradient is that of one place alone, whatever depends on what."""
    norm = filled(NORMS[kind]())
    x = LAYOUTS["channels_last"](drawn(3, 3, 4, 2)).requires_grad_()
    found = []
    for form in (norm, lambda x: written_out(norm, x)):
        style = x.square().mean((0, 2, 3))  # (C,)
        names = [name for name, _ in norm.named_parameters()]

        class Inside(nn.Module):
            """The norm, or its written form, as a module that owns the norm's parameters."""

            def __init__(self, form):
                super().__init__()
                self.norm = norm
                self.form = [form]

            def forward(self, x):
                return self.form[0](x)

        given = {f"norm.{name}": style + place for place, name in enumerate(names)}
        y = functional_call(Inside(form), given, (x,), tie_weights=True)
        (slope,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        found.append((slope, *torch.autograd.grad(slope.pow(2).sum(), x)))
    torch.testing.assert_close(found[0], found[1], rtol=1e-8, atol=1e-6)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("kind", ["IN", "BIN", "IBN"])
def test_transforms_of_torch_func(kind, layout, training):
    norm = filled(NORMS[kind](), torch.float32).train(training)
    x = LAYOUTS[layout](drawn(3, 3, 4, 2).float())

    def loss(x):
        return norm(x).pow(3).sigmoid().sum()

    with held_statistics(norm):
        leaf = x.clone().requires_grad_()
        (expected,) = torch.autograd.grad(loss(leaf), leaf)
        close = {"rtol": 1e-4, "atol": 1e-5}
        torch.testing.assert_close(grad(loss)(x), expected, **close)
        torch.testing.assert_close(jacrev(loss)(x), expected, **close)
        direction = torch.ones_like(x).cumsum(3)
        _, slope = jvp(loss, (x,), (direction,))
        torch.testing.assert_close(slope, (expected * direction).sum(), rtol=1e-3, atol=1e-4)
        both = torch.stack([x, 2 * x + 1])
        torch.testing.assert_close(vmap(norm)(both), torch.stack([norm(x), norm(both[1])]), **close)
        torch.testing.assert_close(vmap(grad(loss))(both)[0], expected, **close)
        curvature = torch.autograd.functional.hessian(loss, x)
        torch.testing.assert_close(hessian(loss)(x), curvature, rtol=1e-3, atol=1e-4)
        with forward_ad.dual_level():
            dual = norm(forward_ad.make_dual(x, direction))
            tangent = forward_ad.unpack_dual(dual).tangent
        torch.testing.assert_close(tangent, jvp(norm, (x,), (direction,))[1], **close)


def test_running_statistics_inside_a_transform_are_refused():
    norm = BatchInstanceNorm(3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    x = drawn(2, 2, 3, 4, 2).float()
    for inside in (lambda: vmap(norm)(x), lambda: grad(lambda x: norm(x).sum())(x[0])):
        with pytest.raises(RuntimeError, match=r"torch.func.*held_statistics\(model\).*eval\(\)"):
            inside()
        assert all(value.equal(before[name]) for name, value in norm.state_dict().items())
    norm.eval()
    assert vmap(norm)(x).shape == x.shape


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("kind", ["IN", "BIN", "IBN"])
def test_recomputed_activations_give_the_same_gradients(kind, layout, reentrant):
    norm = filled(NORMS[kind]())
    x = LAYOUTS[layout](drawn(3, 3, 4, 2)).requires_grad_()
    inputs = [x, *norm.parameters()]
    expected = torch.autograd.grad(norm(x).pow(3).sum(), inputs)
    checkpoint(norm, x, use_reentrant=reentrant).pow(3).sum().backward()
    for value, wanted in zip(inputs, expected):
        assert value.grad.equal(wanted)  # bit for bit: still the closed form
    if not reentrant:  # the other kind cannot be differentiated twice, and says so
        y = checkpoint(norm, x, use_reentrant=False)
        (slope,) = torch.autograd.grad(y.pow(3).sum(), x, create_graph=True)
        (found,) = torch.autograd.grad(slope.pow(2).sum(), x)
        (slope,) = torch.autograd.grad(written_out(norm, x).pow(3).sum(), x, create_graph=True)
        torch.testing.assert_close(found, torch.autograd.grad(slope.pow(2).sum(), x)[0])


@pytest.mark.parametrize("strides", [(20, 20, 5, 1), (20, 1, 5, 1)])
def test_one_channel_that_is_contiguous_both_ways(strides):
    """torch's group norm dies there where the maps need no gradient, in a frozen network."""
    x = torch.empty_strided((3, 1, 4, 5), strides).copy_(drawn(3, 1, 4, 5))
    norm = InstanceNorm(1)
    y = norm(x)
    grads = torch.autograd.grad(y.pow(3).sum(), [norm.weight, norm.bias])
    expected = F.instance_norm(x.clone(), weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    for found, wanted in zip(grads, torch.autograd.grad(expected.pow(3).sum(), norm.parameters())):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_necks_can_be_differentiated_twice():
    for training in (True, False):
        neck = filled(BNNeck(3)).train(training)
        gradgradcheck(neck, (drawn(4, 3).requires_grad_(),))
