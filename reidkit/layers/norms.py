"""Normalisation layers: which statistics a channel is normalised by decides what a network keeps of a picture's style.

For activations x[b, c, h, w], batch norm takes the mean and variance of a channel over (b, h, w), instance norm over
(h, w). Both are biased variances, and the two are tied by the law of total variance: a channel's variance over the
batch is the mean of its variances within pictures plus the variance of its means between pictures. So one pass of
instance statistics gives the batch's too, and any mixture of both norms is y = x a + b with a, b of shape (B, C).
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

# ---- instance norm and its mixture with batch norm


def moments(x):
    """Mean and biased variance of each picture and channel: (B, C, H, W) -> two of (B, C, 1, 1), in float32 or better.

    The variance is that of x - mean, not E[x^2] - mean^2, which loses digits where the mean is large."""
    return _moments(_wide(x))[:2]


def _moments(x):
    mean = x.mean((2, 3), keepdim=True)
    squares = F.mse_loss(x, mean.expand_as(x), reduction="none")  # (x - mean)^2 in one pass
    return mean, squares.mean((2, 3), keepdim=True), squares


def _wide(x):
    return x if x.dtype == torch.float64 else x.float()


def _scaled(x, a, b, out):
    """x a + b written to `out`; x (B, C, H, W), a and b (B, C, 1, 1)."""
    if x.is_cuda or x.stride(1) == 1:
        return torch.addcmul(b, x, a, out=out)
    return torch.mul(x, a, out=out).add_(
        b
    )  # torch's addcmul is slow where a and b are constant in a row


class _Mixture(torch.autograd.Function):
    """y = gate BN(x) + (1 - gate) IN(x) as y = x a + b, with the derivative in closed form.

    With mean m and inverse deviation r of a picture (i) or of the batch (n), w_i = (1 - gate) iweight r_i and
    w_n = gate weight r_n: a = w_i + w_n, b = gate bias + (1 - gate) ibias - w_i m_i - w_n m_n. The gradient is
    dx = dy a + x c + d, where c and d need only the sums of dy and of x dy over each picture and channel.
    gate None is instance norm alone. centre, spread: the fixed statistics of batch norm (C, 1, 1), None to use those
    of the batch, which are returned. Once differentiable.
    """

    @staticmethod
    def forward(ctx, x, gate, weight, bias, iweight, ibias, centre, spread, eps):
        wide = _wide(x)
        mean, var, out = _moments(wide)  # (B, C, 1, 1) twice; `out` is reused for the result
        ri, rn, wn, ctx.batch = (
            var.add(eps).rsqrt_(),
            None,
            None,
            gate is not None and centre is None,
        )
        scale, shift = (
            iweight[:, None, None],
            ibias[:, None, None],
        )  # (C, 1, 1), as all of a channel below
        if gate is not None:
            gate, weight, bias = gate[:, None, None], weight[:, None, None], bias[:, None, None]
            scale, shift = (
                torch.addcmul(scale, gate, scale, value=-1),
                torch.lerp(shift, bias, gate),
            )
            if ctx.batch:
                centre = mean.mean(0)
                spread = var.mean(0).add_(
                    (mean - centre).square_().mean(0)
                )  # law of total variance
            rn = spread.add(eps).rsqrt_()
            wn = gate * weight * rn
            shift = shift - wn * centre
        wi = scale * ri  # (B, C, 1, 1)
        a = wi if gate is None else wi + wn
        ctx.save_for_backward(
            x, gate, weight, bias, iweight, ibias, mean, ri, wi, centre, rn, wn, a
        )
        y = _scaled(wide, a, torch.addcmul(shift, wi, mean, value=-1), out)
        if not ctx.batch:
            return y.to(x.dtype), None, None
        ctx.mark_non_differentiable(centre, spread)
        return y.to(x.dtype), centre, spread

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, dy, *_):
        x, gate, weight, bias, iweight, ibias, mean, ri, wi, centre, rn, wn, a = ctx.saved_tensors
        dtype, x, dy = x.dtype, _wide(x), _wide(dy)
        pixels = x.shape[2] * x.shape[3]
        sums = dy.sum((2, 3), keepdim=True)  # (B, C, 1, 1): the derivative by b
        out = x * dy
        products = out.sum((2, 3), keepdim=True)  # (B, C, 1, 1): the derivative by a
        dshift = sums.sum(0)
        slopes = torch.addcmul(products, sums, mean, value=-1).mul_(
            ri
        )  # sum of dy (x - mean) / deviation
        dscale = slopes.sum(0)
        towards = wi * (-1 / pixels)
        c = slopes.mul_(ri).mul_(towards)
        d = (towards * sums).addcmul_(c, mean, value=-1)
        grads = [None, None, None, dscale.flatten(), dshift.flatten()]
        if gate is not None:
            dmixed = torch.addcmul(products.sum(0), dshift, centre, value=-1).mul_(
                rn
            )  # by gate times weight
            if ctx.batch:
                through = wn * rn * dmixed / (len(x) * pixels)
                c -= through
                d += through * centre - wn * dshift / (len(x) * pixels)
            iweight, ibias, dbias = iweight[:, None, None], ibias[:, None, None], gate * dshift
            dgate = (
                (weight * dmixed).addcmul_(iweight, dscale, value=-1).addcmul_(bias - ibias, dshift)
            )
            dscale = torch.addcmul(dscale, gate, dscale, value=-1)
            grads = [
                grad.flatten() for grad in (dgate, gate * dmixed, dbias, dscale, dshift - dbias)
            ]
        dx = _scaled(x, c, d, out).addcmul_(dy, a).to(dtype) if ctx.needs_input_grad[0] else None
        return dx, *grads, None, None, None


def _check_maps(layer, x, channels):
    if x.ndim != 4 or x.shape[1] != channels or not len(x) or x.shape[2] * x.shape[3] < 2:
        raise ValueError(
            f"{type(layer).__name__} of {channels} channels got x of shape {tuple(x.shape)}; expected "
            f"(B, {channels}, H, W), B at least 1 and H W at least 2: one value has no variance. Pool "
            "after this layer, or use FeatureNorm for pooled features"
        )


class InstanceNorm(nn.Module):
    """Instance norm with learnt weight and bias (Ulyanov et al. 2016): (B, C, H, W) -> the same.

    The numbers of nn.InstanceNorm2d(C, affine=True). There are no running statistics, so training and evaluation agree,
    also in this: maps of one pixel, which would all become `bias`, are a ValueError in both.
    """

    def __init__(self, channels, eps=1e-5):
        super().__init__()
        self.channels, self.eps = channels, eps
        self.weight, self.bias = (
            nn.Parameter(torch.ones(channels)),
            nn.Parameter(torch.zeros(channels)),
        )

    def forward(self, x):
        _check_maps(self, x, self.channels)
        if (
            x.is_contiguous() and x.dtype == self.weight.dtype
        ):  # torch's own is twice as fast on such maps and
            return F.group_norm(x, self.channels, self.weight, self.bias, self.eps).to(
                x.dtype
            )  # slow on channels_last
        return _Mixture.apply(x, None, None, None, self.weight, self.bias, None, None, self.eps)[0]

    def extra_repr(self):
        return f"{self.channels}, eps={self.eps}"


class BatchInstanceNorm(nn.BatchNorm2d):
    """y = gate BN(x) + (1 - gate) IN(x), one learnt gate a channel (Choi et al. 2021, MetaBIN): (B, C, H, W) -> the same.

    weight, bias and the running statistics are those of nn.BatchNorm2d; the instance branch has instance_weight and
    instance_bias of its own. gate 1 is batch norm, gate 0 instance norm, to rounding; gates are not held in [0, 1] here,
    see clamp_gates. Maps of one pixel are a ValueError. Statistics are taken in float32 (float64 for such input), the
    result has the input's type. The fast form can be differentiated once; for gradients of gradients, set
    second_order = True, which takes `two_branches`. one_affine: the older layer (Nam and Kim 2018; "BIN_gate1" in MetaBIN's
    code), y = weight (gate x_BN + (1 - gate) x_IN) + bias, is this one with weight and bias shared by both branches.
    """

    second_order = False

    def __init__(
        self, channels, eps=1e-5, momentum=0.1, gate=1.0, track_running_stats=True, one_affine=False
    ):
        super().__init__(channels, eps, momentum, True, track_running_stats)
        self.gate = nn.Parameter(torch.full((channels,), float(gate)))
        self.instance_weight = self.weight if one_affine else nn.Parameter(torch.ones(channels))
        self.instance_bias = self.bias if one_affine else nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        if self.second_order:
            return self.two_branches(x)
        _check_maps(self, x, self.num_features)
        fixed = None, None
        if not self.training and self.running_mean is not None:
            fixed = self.running_mean[:, None, None], self.running_var[:, None, None]
        y, centre, spread = _Mixture.apply(
            x,
            self.gate,
            self.weight,
            self.bias,
            self.instance_weight,
            self.instance_bias,
            *fixed,
            self.eps,
        )
        if self.training and self.track_running_stats:
            self._keep(centre.flatten(), spread.flatten(), x.numel() / x.shape[1])
        return y

    @torch.no_grad()
    def _keep(self, centre, spread, values):
        """Running statistics as nn.BatchNorm2d keeps them: of the variance, the unbiased estimate."""
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(centre.to(self.running_mean), share)
        self.running_var.lerp_((spread * (values / (values - 1))).to(self.running_var), share)

    def two_branches(self, x):
        """The same function as the books write it: both norms computed, then mixed. Slower; differentiable twice."""
        _check_maps(self, x, self.num_features)
        gate = self.gate[:, None, None]
        instance = F.instance_norm(
            x, weight=self.instance_weight, bias=self.instance_bias, eps=self.eps
        )
        return gate * super().forward(x) + (1 - gate) * instance


def gates(model):
    """The gates of the model's BatchInstanceNorms by name: "trunk.bn1.gate" -> Parameter (C,), in the order of the layers."""
    return {
        f"{name}.gate".lstrip("."): module.gate
        for name, module in model.named_modules()
        if isinstance(module, BatchInstanceNorm)
    }


@torch.no_grad()
def clamp_gates(model):
    """Bring every gate of the model's BatchInstanceNorms back into [0, 1], in place: call it after each optimizer step."""
    for gate in gates(model).values():
        gate.clamp_(0, 1)


# ---- batch norm at the feature, and side by side with instance norm


class FeatureNorm(_BatchNorm):
    """Batch norm without learnt scale and shift: weight 1 and bias 0, both frozen. (B, D) or (B, C, H, W) -> the same.

    DualNorm (Jia et al. 2019) ends in such a norm of the pooled feature. The paper's idea is the normalisation alone; the
    authors' code freezes only the bias and learns the scale from 1, as BNNeck does: learn_scale=True.
    """

    def __init__(self, channels, learn_scale=False):
        super().__init__(channels)
        self.weight.requires_grad_(learn_scale)
        self.bias.requires_grad_(False)

    def _check_input_dim(self, x):
        if x.ndim not in (2, 4):
            raise ValueError(
                f"FeatureNorm got x of shape {tuple(x.shape)}; expected (B, D) or (B, C, H, W)"
            )


class IBN(nn.Module):
    """Instance norm of the first int(channels ratio) channels, batch norm of the rest (Pan et al. 2018, IBN-Net):
    (B, C, H, W) -> the same. The halves are called IN and BN as in the published weights. ratio 0 is batch norm.
    batch_first: batch norm of the first channels and instance norm of the rest, the "half and half" that MetaBIN compares with."""

    def __init__(self, channels, ratio=0.5, batch_first=False):
        super().__init__()
        if not 0 <= ratio <= 1:
            raise ValueError(
                f"ratio is {ratio!r}; expected a share of the channels from 0 (all BN) to 1 (all IN)"
            )
        instance = int(channels * ratio)
        self.IN, self.BN = InstanceNorm(instance), nn.BatchNorm2d(channels - instance)
        self.order = ("BN", "IN") if batch_first else ("IN", "BN")
        self.sizes = (
            (channels - instance, instance) if batch_first else (instance, channels - instance)
        )

    def halves(self):
        """[(norm, slice of the channels that it takes)] in the order of the channels."""
        return list(
            zip(
                (getattr(self, name) for name in self.order),
                (slice(self.sizes[0]), slice(self.sizes[0], None)),
            )
        )

    def forward(self, x):
        return torch.cat(
            [norm(x[:, part]) for (norm, part), size in zip(self.halves(), self.sizes) if size], 1
        )


# ---- other norms in a model


def swap_norms(model, make, where=None):
    """Replace BatchNorm2d layers of `model` in place by make(channels) and return the model.

    where(name, module) -> bool chooses among them by qualified name ("layer1.0.bn1"); None takes every one. A new layer
    gets the old one's device, type, mode, eps and momentum, and the numbers of every learnt parameter and buffer of the
    same name and shape: BatchInstanceNorm keeps the BN's own (its instance branch starts at 1 and 0), InstanceNorm
    weight and bias, IBN those of each half. ValueError if nothing was chosen.

        swap_norms(trunk, InstanceNorm, lambda name, norm: name.startswith(("layer1", "layer2")))
    """
    found = [
        (name, module)
        for name, module in model.named_modules(remove_duplicate=False)
        if name and isinstance(module, nn.BatchNorm2d)
    ]
    chosen = [(name, module) for name, module in found if where is None or where(name, module)]
    if not chosen:
        names = ", ".join(name for name, _ in found[:8]) + (" ..." if len(found) > 8 else "")
        raise ValueError(
            f"no norm to swap: `where` chose none of the {len(found)} BatchNorm2d layers inside this "
            f"{type(model).__name__}" + (f" ({names})" if found else "")
        )
    made = {}  # a layer used in two places stays one layer
    for name, old in chosen:
        if old not in made:
            made[old] = _successor(make(old.num_features), old)
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, made[old])
    return model


@torch.no_grad()
def _successor(new, old):
    like = next(
        (value for value in old.state_dict().values() if value.is_floating_point()), torch.empty(0)
    )
    new.to(like.device, like.dtype).train(old.training)
    for part, channels in new.halves() if isinstance(new, IBN) else [(new, slice(None))]:
        for name in ("eps", "momentum"):
            if hasattr(part, name):
                setattr(part, name, getattr(old, name))
        for name, value in old.state_dict().items():
            value, target = value[channels] if value.ndim else value, getattr(part, name, None)
            frozen = isinstance(target, nn.Parameter) and not target.requires_grad
            if isinstance(target, torch.Tensor) and target.shape == value.shape and not frozen:
                target.copy_(value)
    return new
