"""MetaBIN's inner and outer gradients, first and second order, against finite differences in double
precision.
"""

import copy

import pytest
import torch
import torch.nn.functional as F
from metabin_case import INNER, Toy, batch_of, toy

from reidkit.layers.heads import Output
from reidkit.layers.norms import InstanceNorm, gates
from reidkit.methods.metabin import MetaBIN, episode_losses, trial


def loss_at(model, batch, values, names):
    """The meta loss with these gates, on a copy: what finite differences ask for."""
    model = copy.deepcopy(model)
    with torch.no_grad():
        for gate, value in zip(gates(model).values(), values):
            gate.copy_(value)
        return sum(
            episode_losses(names, model(batch.images), batch.ids, batch.domains).values()
        ).item()


def by_differences(model, batch, values, names, eps=1e-6):
    grads = []
    for place, value in enumerate(values):
        grad = torch.zeros_like(value)
        for k in range(len(value)):
            ends = [[other.clone() for other in values] for _ in range(2)]
            ends[0][place][k] += eps
            ends[1][place][k] -= eps
            grad[k] = (
                loss_at(model, batch, ends[0], names) - loss_at(model, batch, ends[1], names)
            ) / (2 * eps)
        grads.append(grad)
    return grads


def halves(batch, first):
    """The batch of some domains and that of the others."""
    chosen = torch.isin(batch.domains, torch.tensor(first))
    return batch[chosen], batch[~chosen]


def test_the_inner_gradient_is_that_of_the_meta_train_loss():
    model, (train, _) = toy(), halves(batch_of(), [0, 2])
    start = gates(model)
    _, grads = MetaBIN(1.0).gate_grads(model, train, INNER, start, start)
    for grad, expected in zip(
        grads, by_differences(model, train, [gate.detach() for gate in start.values()], INNER)
    ):
        assert expected.abs().max() > 1e-4
        torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-8)


def test_the_outer_gradient_is_that_of_the_meta_test_loss_at_the_trial_gates():
    """First order: the derivative at fixed gates', also of gates that the clamp holds."""
    model, (train, test) = toy(), halves(batch_of(), [0, 2])
    with torch.no_grad():
        model.bn1.gate[0], model.bn1.gate[1] = 1.0, 0.0
    method, start = MetaBIN(1.0), gates(model)
    _, grads = method.gate_grads(model, train, INNER, start, start)
    moved = {name: trial(gate, grad, 5.0) for (name, gate), grad in zip(start.items(), grads)}
    assert any(((value == 0) | (value == 1)).any() for value in moved.values())
    assert all(((value >= 0) & (value <= 1)).all() for value in moved.values())
    _, outer = method.gate_grads(model, test, ("triplet",), moved, moved)
    expected = by_differences(
        model, test, [value.detach() for value in moved.values()], ("triplet",)
    )
    for grad, wanted in zip(outer, expected):
        torch.testing.assert_close(grad, wanted, rtol=1e-5, atol=1e-8)
    assert any(
        grad[(value == 0) | (value == 1)].abs().max() > 0
        for grad, value in zip(outer, moved.values())
        if ((value == 0) | (value == 1)).any()
    )


class WithInstanceNorm(Toy):
    """The toy with an instance norm behind the gates, on channels_last maps: the one pass."""

    def __init__(self):
        super().__init__()
        self.last = InstanceNorm(4)

    def forward(self, images):
        maps = torch.tanh(self.bn1(self.conv1(images)))
        maps = self.bn2(self.conv2(maps)).contiguous(memory_format=torch.channels_last)
        maps = self.last(maps.square())
        feature = torch.tanh(maps).flatten(2).square().mean(2)
        return Output(feature, self.classifier(feature))


@pytest.mark.parametrize("kind", [Toy, WithInstanceNorm])
def test_second_order_is_the_derivative_through_the_inner_step(kind):
    model, (train, test) = toy(kind=kind), halves(batch_of(), [0, 2])
    method, start, rate = MetaBIN(1.0, second_order=True), gates(model), 0.05

    def after_inner(values):
        own = copy.deepcopy(model)
        with torch.no_grad():
            for gate, value in zip(gates(own).values(), values):
                gate.copy_(value)
        _, grads = method.gate_grads(own, train, INNER, gates(own), gates(own))
        return [value - rate * grad for value, grad in zip(values, grads)]

    _, grads = method.gate_grads(model, train, INNER, start, start, keep_graph=True)
    moved = {name: trial(gate, grad, rate) for (name, gate), grad in zip(start.items(), grads)}
    _, outer = method.gate_grads(model, test, ("triplet",), moved, start)
    values, eps = [gate.detach().clone() for gate in start.values()], 1e-5
    for place in range(2):
        for k in range(2):
            ends = [[value.clone() for value in values] for _ in range(2)]
            ends[0][place][k] += eps
            ends[1][place][k] -= eps
            high, low = (loss_at(model, test, after_inner(end), ("triplet",)) for end in ends)
            assert outer[place][k].item() == pytest.approx(
                (high - low) / (2 * eps), rel=1e-5, abs=1e-9
            )


def test_the_whole_second_order_episode_is_that_of_norms_written_out():
    """Gates moved by an episode, against the same network on torch's own norms."""
    start = toy(kind=WithInstanceNorm)
    made = {}
    for way in ("one pass", "torch's own"):
        model = copy.deepcopy(start)
        if way == "torch's own":
            model.bn1.forward = model.bn1.two_branches
            model.bn2.forward = model.bn2.two_branches
            model.last.forward = lambda x, norm=model.last: F.instance_norm(
                x.contiguous(), weight=norm.weight, bias=norm.bias
            )
        torch.manual_seed(3)
        MetaBIN(2.0, second_order=True, low=1, high=1).episode(model, batch_of(), 0.3)
        made[way] = torch.cat([gate.detach() for gate in gates(model).values()])
    torch.testing.assert_close(made["one pass"], made["torch's own"], rtol=1e-9, atol=1e-9)
    first = copy.deepcopy(start)
    torch.manual_seed(3)
    MetaBIN(2.0, low=1, high=1).episode(first, batch_of(), 0.3)
    moved = torch.cat([gate.detach() for gate in gates(first).values()])
    assert (moved - made["one pass"]).abs().max() > 1e-3  # the correction is no rounding
