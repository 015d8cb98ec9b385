"""Norms: which statistics normalise a channel decides what a network keeps of a picture's style.

For activations x[b, c, h, w], batch norm takes the mean and variance of a channel over (b, h, w),
instance norm over (h, w). Both are biased variances, and the two are tied by the law of total
variance: a channel's variance over the batch is the mean of its variances within pictures plus the
variance of its means between pictures. So one pass of instance statistics gives the batch's too,
and any mixture of both norms is y = x a + b with a, b of shape (B, C): see `one_pass`.
"""

import math
import numbers
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from . import one_pass
from .irreplaceable import Irreplaceable
from .maps import check_maps, in_type_of
from .one_pass import moments
from .tracing import is_transformed

__all__ = [
    "moments",
    "InstanceNorm",
    "BatchInstanceNorm",
    "gates",
    "clamp_gates",
    "FeatureNorm",
    "IBN",
    "swap_norms",
]

# ---- instance norm and its mixture with batch norm


def _check_channels(kind, channels):
    if not isinstance(channels, numbers.Integral) or channels < 0:
        raise ValueError(
            f"{kind} got channels={channels!r}; expected a whole number, the C of maps (B, C, H, W)"
        )


class InstanceNorm(nn.Module):
    """Instance norm with learnt weight and bias (Ulyanov et al. 2016): (B, C, H, W) -> the same.

    The numbers of nn.InstanceNorm2d(C, affine=True). There are no running statistics, so training
    and evaluation agree, also in this: maps of one pixel, which would all become `bias`, are a
    ValueError in both. Statistics are taken in float32 (float64 for such input), the result has the
    input's type. Differentiable any number of times.

    Args:
        channels: C.
        eps: added to the variance.
    Raises:
        ValueError: channels is no whole number, or maps have another shape.
    """

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        _check_channels("InstanceNorm", channels)
        self.channels = channels
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        check_maps(self, x, self.channels)
        # torch's own is twice as fast on contiguous maps, and slow on channels_last. Maps of one
        # channel can be both: their stride of channels is 1 then, and torch's may crash (2.13).
        is_contiguous = x.is_contiguous() and x.stride(1) > 1
        if is_contiguous and x.dtype == self.weight.dtype:
            y = F.group_norm(x, self.channels, self.weight, self.bias, self.eps)
            return y.to(x.dtype)
        return one_pass.instance_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps}"


class BatchInstanceNorm(Irreplaceable, nn.BatchNorm2d):
    """y = gate BN(x) + (1 - gate) IN(x), one learnt gate per channel: (B, C, H, W) -> the same.

    weight, bias and the running statistics are those of nn.BatchNorm2d; the instance branch has
    instance_weight and instance_bias of its own. gate 1 is batch norm, gate 0 instance norm, to
    rounding; gates are not held in [0, 1] here, see `clamp_gates`. Maps of one pixel are a
    ValueError. Statistics are taken in float32 (float64 for such input), the result has the input's
    type. Differentiable any number of times. No plain batch norm can take its place, see
    `Irreplaceable`.

    Args:
        channels: C.
        eps: added to the variances.
        momentum: weight of a new batch in the running statistics; None for their plain mean.
        gate: where all gates start.
        track_running_stats: False normalises by the batch in evaluation too.
        one_affine: the older layer, y = weight (gate x_BN + (1 - gate) x_IN) + bias, which is this
            one with weight and bias shared by both branches.
    Raises:
        ValueError: channels is no whole number, gate is no number, or maps have another shape.
    Source:
        Choi et al. 2021 (MetaBIN). one_affine: Nam and Kim 2018; "BIN_gate1" in MetaBIN's code.
    """

    def __init__(
        self,
        channels: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        gate: float = 1.0,
        track_running_stats: bool = True,
        one_affine: bool = False,
    ):
        _check_channels("BatchInstanceNorm", channels)
        if not math.isfinite(gate):
            raise ValueError(
                f"gate is {gate!r}; expected a number, from 0 (instance norm) to 1 (batch norm)"
            )
        super().__init__(channels, eps, momentum, True, track_running_stats)
        del self.affine  # see Irreplaceable
        self.first_gate = float(gate)
        self.gate = nn.Parameter(torch.full((channels,), self.first_gate))
        if one_affine:
            self.instance_weight = self.weight
            self.instance_bias = self.bias
        else:
            self.instance_weight = nn.Parameter(torch.ones(channels))
            self.instance_bias = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        """Make every parameter and running statistic that of a new layer."""
        self.reset_running_stats()
        first = {"weight": 1.0, "bias": 0.0, "instance_weight": 1.0, "instance_bias": 0.0}
        for name, number in first.items():
            if name in self._parameters:  # torch calls this before the layer has its own
                nn.init.constant_(self._parameters[name], number)
        if "gate" in self._parameters:
            nn.init.constant_(self.gate, self.first_gate)

    def forward(self, x: Tensor) -> Tensor:
        check_maps(self, x, self.num_features)
        running = (None, None)
        if not self.training and self.running_mean is not None:
            running = (self.running_mean, self.running_var)
        parameters = (self.gate, self.weight, self.bias, self.instance_weight, self.instance_bias)
        y, batch_mean, batch_variance = one_pass.mixture(x, parameters, running, self.eps)
        if self.training and self.track_running_stats:
            values = x.numel() / x.shape[1]  # B H W
            self._track(batch_mean.flatten(), batch_variance.flatten(), values)
        return y

    @torch.no_grad()
    def _track(self, mean, variance, values):
        """Update the running statistics as nn.BatchNorm2d does: of the variance, unbiased."""
        try:
            momentum = self.momentum
            if momentum is None:  # the plain mean of all batches so far
                momentum = 1 / (int(self.num_batches_tracked) + 1)
            unbiased = variance * (values / (values - 1))
            self.running_mean.lerp_(mean.to(self.running_mean), momentum)
            self.running_var.lerp_(unbiased.to(self.running_var), momentum)
            self.num_batches_tracked += 1
        except RuntimeError as error:
            if not is_transformed():
                raise
            raise RuntimeError(
                "BatchInstanceNorm in training mode cannot update its running statistics inside "
                "torch.func (grad, vmap, jvp, ...), where nothing outside may change; call the "
                "model inside `with layers.statistics.held_statistics(model):`, or model.eval() "
                "first"
            ) from error

    def two_branches(self, x: Tensor) -> Tensor:
        """The same function as the books write it: torch's two norms computed, then mixed.

        Slower than the one pass.

        Args:
            x: (B, C, H, W) maps.
        Returns:
            (B, C, H, W) normalised maps.
        """
        check_maps(self, x, self.num_features)
        gate = self.gate[:, None, None]  # (C, 1, 1)
        instance = F.instance_norm(
            x, weight=self.instance_weight, bias=self.instance_bias, eps=self.eps
        )
        return gate * super().forward(x) + (1 - gate) * instance


def gates(model: nn.Module) -> dict[str, nn.Parameter]:
    """The gates of the model's BatchInstanceNorms by name.

    Args:
        model: any module.
    Returns:
        "trunk.bn1.gate" -> Parameter (C,), in the order of the layers.
    """
    gate_of = {}
    for name, module in model.named_modules():
        if isinstance(module, BatchInstanceNorm):
            gate_of[f"{name}.gate".lstrip(".")] = module.gate
    return gate_of


@torch.no_grad()
def clamp_gates(model: nn.Module) -> None:
    """Bring every gate of the model's BatchInstanceNorms back into [0, 1], in place.

    Call it after each step of the optimizer.

    Args:
        model: any module.
    """
    for gate in gates(model).values():
        gate.clamp_(0, 1)


# ---- batch norm at the feature, and side by side with instance norm


class FeatureNorm(_BatchNorm):
    """Batch norm without learnt scale and shift: weight 1 and bias 0, both frozen.

    (B, D) or (B, C, H, W) -> the same. DualNorm (Jia et al. 2019) ends in such a norm of the pooled
    feature. The paper's idea is the normalisation alone; the authors' code freezes only the bias
    and learns the scale from 1, as BNNeck does. The result has the type of the parameters, or of x
    where that is of half precision. Turned into a SyncBatchNorm it gives the same numbers.

    Args:
        channels: D or C.
        learn_scale: True learns the scale, as the authors' code does.
    """

    def __init__(self, channels: int, learn_scale: bool = False):
        super().__init__(channels)
        self.weight.requires_grad_(learn_scale)
        self.bias.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        # torch's batch norm takes half-precision input beside float32 parameters, and no other mix.
        if self.weight.dtype != torch.float32 or x.dtype == torch.float64:
            x = x.to(self.weight.dtype)
        return super().forward(x)

    def _check_input_dim(self, x):
        if x.ndim not in (2, 4):
            raise ValueError(
                f"FeatureNorm got x of shape {tuple(x.shape)}; expected (B, D) or (B, C, H, W)"
            )


class IBN(nn.Module):
    """Instance norm of some channels, batch norm of the rest (Pan et al. 2018, IBN-Net).

    (B, C, H, W) -> the same. The halves are called IN and BN as in the published weights. Right up
    to second derivatives: in training mode, torch's batch norm has no more.

    Args:
        channels: C.
        ratio: int(C ratio) channels get instance norm; 0 is batch norm.
        batch_first: batch norm of the first channels and instance norm of the rest, the "half and
            half" that MetaBIN compares with; False is the other way round.
    Raises:
        ValueError: a ratio that is no share, channels that are no whole number, or maps of another
            shape.
    """

    def __init__(self, channels: int, ratio: float = 0.5, batch_first: bool = False):
        super().__init__()
        _check_channels("IBN", channels)
        if not 0 <= ratio <= 1:
            raise ValueError(
                f"ratio is {ratio!r}; "
                "expected a share of the channels from 0 (all BN) to 1 (all IN)"
            )
        instance = int(channels * ratio)
        batch = channels - instance
        self.IN = InstanceNorm(instance)
        self.BN = nn.BatchNorm2d(batch)
        self.order = ("BN", "IN") if batch_first else ("IN", "BN")
        self.sizes = (batch, instance) if batch_first else (instance, batch)

    def halves(self) -> list[tuple[nn.Module, slice]]:
        """[(norm, slice of the channels that it takes)] in the order of the channels."""
        first, last = self.order
        border = self.sizes[0]
        return [
            (self.get_submodule(first), slice(border)),
            (self.get_submodule(last), slice(border, None)),
        ]

    def forward(self, x: Tensor) -> Tensor:
        channels = sum(self.sizes)
        if x.ndim != 4 or x.shape[1] != channels or channels == 0:
            raise ValueError(
                f"IBN of {channels} channels got x of shape {tuple(x.shape)}; "
                f"expected (B, {channels}, H, W), C at least 1"
            )
        x = in_type_of(self.BN.weight, x)
        normalised = []
        for (norm, channels), size in zip(self.halves(), self.sizes):
            if size:
                normalised.append(norm(x[:, channels]))
        return torch.cat(normalised, 1)


# ---- other norms in a model


def swap_norms(
    model: nn.Module,
    make: Callable[[int], nn.Module],
    where: Callable[[str, nn.Module], bool] | None = None,
) -> nn.Module:
    """Replace BatchNorm2d layers of `model` in place by make(channels) and return the model.

    A new layer gets the old one's device, type, mode, eps and momentum, and the numbers of every
    learnt parameter and buffer of the same name and shape: BatchInstanceNorm keeps the BN's own
    (its instance branch starts at 1 and 0), InstanceNorm weight and bias, IBN those of each half.

        swap_norms(trunk, InstanceNorm, lambda name, norm: name.startswith(("layer1", "layer2")))

    Args:
        model: any module.
        make: number of channels -> the new layer.
        where: chooses among the layers by qualified name ("layer1.0.bn1") and module; None takes
            all.
    Returns:
        The model.
    Raises:
        ValueError: nothing was chosen.
    """
    norms = []  # (name, layer)
    for name, module in model.named_modules(remove_duplicate=False):
        if name and isinstance(module, nn.BatchNorm2d):
            norms.append((name, module))
    chosen = [(name, norm) for name, norm in norms if where is None or where(name, norm)]
    if not chosen:
        raise ValueError(_nothing_chosen(model, [name for name, _ in norms]))
    successors = {}  # old layer -> new layer: one that is used in two places stays one layer
    for name, old in chosen:
        if old not in successors:
            successors[old] = _successor(make(old.num_features), old)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, successors[old])
    return model


def _nothing_chosen(model, names):
    sentence = (
        f"no norm to swap: `where` chose none of the {len(names)} BatchNorm2d layers inside this "
        f"{type(model).__name__}"
    )
    if not names:
        return sentence
    more = " ..." if len(names) > 8 else ""
    return f"{sentence} ({', '.join(names[:8])}{more})"


@torch.no_grad()
def _successor(new, old):
    """`new`, given the device, type, mode, settings and numbers of `old`."""
    values = [value for value in old.state_dict().values() if value.is_floating_point()]
    like = values[0] if values else torch.empty(0)
    new.to(like.device, like.dtype).train(old.training)
    parts = new.halves() if isinstance(new, IBN) else [(new, slice(None))]
    for part, channels in parts:
        for setting in ("eps", "momentum"):
            if hasattr(part, setting):
                setattr(part, setting, getattr(old, setting))
        for name, value in old.state_dict().items():
            if value.ndim:  # a value for each channel; the others are counters
                value = value[channels]
            _copy_where_it_fits(value, getattr(part, name, None))
    return new


def _copy_where_it_fits(value, target):
    """Copy a tensor into a buffer or learnt parameter of the same shape, and nowhere else."""
    if not isinstance(target, Tensor) or target.shape != value.shape:
        return
    frozen = isinstance(target, nn.Parameter) and not target.requires_grad
    if not frozen:
        target.copy_(value)
