"""Held and re-estimated statistics of norms that somebody wrote by hand, without torch's base."""

import copy

import pytest
import torch
from torch import nn

from reidkit.layers.statistics import held_statistics, reestimated_statistics


class Norm(nn.Module):
    """Batch norm as a student writes it: it knows nothing of `track_running_stats`."""

    def __init__(self, channels, momentum=0.1, eps=1e-5):
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        mean = self.running_mean
        variance = self.running_var
        if self.training:
            mean = x.mean((0, 2, 3))
            variance = x.var((0, 2, 3), unbiased=False)
            n = x.numel() / x.shape[1]
            self.remember(mean.detach(), variance.detach() * n / (n - 1))
        scale = self.weight / (variance + self.eps).sqrt()
        return (x - mean[:, None, None]) * scale[:, None, None] + self.bias[:, None, None]

    def remember(self, mean, variance):
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class OtherTensors(Norm):
    """It does not change its buffers, but puts other tensors there."""

    def remember(self, mean, variance):
        self.running_mean = (1 - self.momentum) * self.running_mean + self.momentum * mean
        self.running_var = (1 - self.momentum) * self.running_var + self.momentum * variance


class Stubborn(Norm):
    """It has the attribute, and does not heed it."""

    track_running_stats = True


KINDS = [Norm, OtherTensors, Stubborn]


def pair(kind):
    """A network with a norm by hand, and its twin with torch's."""
    torch.manual_seed(0)
    mine = nn.Sequential(nn.Conv2d(3, 4, 3), kind(4), nn.ReLU(), nn.Conv2d(4, 5, 3), kind(5))
    twin = copy.deepcopy(mine)
    for place in (1, 4):
        norm = nn.BatchNorm2d(mine[place].weight.numel())
        norm.load_state_dict(mine[place].state_dict(), strict=False)
        twin[place] = norm
    return mine, twin


def pictures(count=12):
    return torch.rand(count, 3, 9, 7, generator=torch.Generator().manual_seed(1)) * 5


def state(model):
    return {
        name: (value, value.clone()) for name, value in model.state_dict(keep_vars=True).items()
    }


def is_as_before(model, before):
    """Whether each tensor is the very one, with the very bits."""
    now = model.state_dict(keep_vars=True)
    return all(
        now[name] is tensor and now[name].equal(copy) for name, (tensor, copy) in before.items()
    )


@pytest.mark.parametrize("kind", KINDS)
def test_reestimated_statistics_are_those_that_torchs_norm_gets(kind):
    mine, twin = pair(kind)
    mine.train()(pictures() + 3)  # statistics to be forgotten
    mine.train()
    mine[4].eval()
    before = state(mine)
    modes = [module.training for module in mine.modules()]
    for batch in (None, 4):
        with reestimated_statistics(mine, pictures(), batch) as inside:
            assert not any(module.training for module in mine.modules())
            with reestimated_statistics(twin, pictures(), batch):
                torch.testing.assert_close(inside(pictures()), twin(pictures()))
                torch.testing.assert_close(mine[4].running_var, twin[4].running_var)
        assert is_as_before(mine, before)
    assert mine[1].momentum == 0.1 and modes == [module.training for module in mine.modules()]
    with pytest.raises(KeyError), reestimated_statistics(mine, pictures()):
        raise KeyError
    assert is_as_before(mine, before)


@pytest.mark.parametrize("kind", KINDS)
def test_held_statistics_stay(kind):
    mine, _ = pair(kind)
    before = state(mine)
    expected = copy.deepcopy(mine)(pictures())
    with held_statistics(mine) as inside:
        result = inside(pictures())
        assert result.equal(expected)
    assert is_as_before(mine, before)
    result.sum().backward()  # what was computed inside has its gradients outside
    with pytest.raises(RuntimeError), held_statistics(mine):
        mine(pictures())
        raise RuntimeError
    assert is_as_before(mine, before)
    mine(pictures())
    assert not is_as_before(mine, before)  # and it is tracked again


def test_norms_of_torch_keep_their_own_tensors_inside():
    """Nothing is lent for these: they are held as they always were."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Norm(4))
    buffer = model[1].running_mean
    with held_statistics(model):
        assert model[1].running_mean is buffer and model[2].running_mean is not None
    with reestimated_statistics(model, pictures()):
        assert model[1].running_mean is buffer


def test_what_has_no_running_statistics_is_left_alone():
    class Bare(nn.Module):
        momentum = 0.1

        def __init__(self):
            super().__init__()
            self.register_buffer("running_mean", None)
            self.register_buffer("running_var", None)

        def forward(self, x):
            return x

    model = nn.Sequential(nn.Conv2d(3, 4, 3), Bare(), nn.InstanceNorm2d(4), nn.BatchNorm2d(4))
    with held_statistics(model), reestimated_statistics(model, pictures()):
        assert model[1].running_mean is None
