"""Instance norm and its mixture with batch norm in one pass, with derivatives in closed form.

Symbols, for maps x and y of shape (B, C, H, W). A picture has N = H W pixels, and g is the gradient
of the loss by y:

    m, r    mean of a channel of a picture, and 1 / sqrt(its variance + eps)    (B, C, 1, 1)
    M, R    the same of a channel of the whole batch, or the running ones       (C, 1, 1)
    z, Z    (x - m) r, which is x as instance norm standardises it; (x - M) R, as batch norm does

Forward. Each norm stretches and shifts a channel of a picture, and so does a mixture of the two:

    y = gate (weight Z + bias) + (1 - gate) (instance_weight z + instance_bias) = x a + b

    w = (1 - gate) instance_weight r       slope of the instance branch
    W = gate weight R                      slope of the batch branch
    a = w + W
    b = gate bias + (1 - gate) instance_bias - W M - w m

Backward, to the parameters. All sums are over the values that share the parameter:

    dweight = gate sum Z g                 dinstance_weight = (1 - gate) sum z g
    dbias   = gate sum g                   dinstance_bias   = (1 - gate) sum g
    dgate   = weight sum Z g - instance_weight sum z g + (bias - instance_bias) sum g

Neither z nor Z is ever computed, because sum z g = r (sum x g - m sum g).

Backward, to the map. A pixel of x reaches y directly, with the slope a, and it also moves the mean
and the deviation that all N pixels of its channel are standardised with:

    dz_j / dx_i = r (1[i = j] - 1/N - z_i z_j / N)

Summed over all pixels j with their g_j, this gives pixel i the gradient

    w g_i - w/N sum g - w/N z_i sum z g

and with z_i = (x_i - m) r, what follows the direct part w g_i is linear in x_i. The same holds for
the batch branch, whose sums are over all B N values of a channel. So the gradient of the mixture is

    dx = g a + x (c + c_batch) + (d + d_batch)

    c = - w r / N sum z g                  d = - w / N sum g - c m
    c_batch = - W R / (B N) sum Z g        d_batch = - W / (B N) sum g - c_batch M

Running statistics do not move with x: with them, c_batch and d_batch are 0.

Gradients of gradients. The formulas above use m, r, w, M, R and W as numbers, although they follow
from x and the parameters; differentiated as they are, they would give something else without a
word. So where the gradients are to be differentiated themselves (create_graph=True), they are those
of the same norm in plain operations, see `written_out`. It also takes the place of the whole
function where torch does not only keep a tape: in torch.compile, torch.export and torch.func, and
in forward-mode differentiation.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from . import written_out
from .precision import at_least_float32
from .tracing import is_traced
from .written_out import per_channel


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Instance norm of maps in any memory layout, differentiable any number of times.

    Args:
        x: (B, C, H, W) maps.
        weight: (C,).
        bias: (C,).
        eps: added to the variance.
    Returns:
        (B, C, H, W), in the type of x.
    """
    if is_traced(x, weight, bias):
        return written_out.instance_norm(x, weight, bias, eps)
    return InstanceNormFunction.apply(x, weight, bias, eps)


def mixture(
    x: Tensor,
    parameters: Sequence[Tensor],
    running: tuple[Tensor, Tensor] | tuple[None, None],
    eps: float,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The mixture of batch and instance norm, differentiable any number of times.

    Args:
        x: (B, C, H, W) maps.
        parameters: gate, weight, bias, instance_weight and instance_bias, (C,) each.
        running: mean and variance (C,) to normalise by in the batch branch; None and None for
            those of the batch.
        eps: added to the variances.
    Returns:
        y (B, C, H, W) in the type of x, and the mean and the biased variance of the batch, both (C,
        1, 1); None and None with running statistics.
    """
    if is_traced(x, *parameters, *running):
        return written_out.mixture(x, parameters, running, eps)
    return MixtureFunction.apply(x, *parameters, *running, eps)


class InstanceNormFunction(torch.autograd.Function):
    """Instance norm, y = weight z + bias = x a + b, of maps in any memory layout.

    It is the mixture with gate 0, so that a = w = weight r.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = at_least_float32(x)
        mean, variance, squares = _moments(wide)
        inverse_deviation = variance.add(eps).rsqrt_()  # r: (B, C, 1, 1)
        slope = per_channel(weight) * inverse_deviation  # w = weight r: (B, C, 1, 1)
        offset = torch.addcmul(per_channel(bias), slope, mean, value=-1)  # bias - w m
        ctx.save_for_backward(x, weight, bias, mean, inverse_deviation, slope)
        ctx.eps = eps
        y = _affine(wide, slope, offset, out=squares)
        return y.to(x.dtype)

    @staticmethod
    def backward(ctx, grad_y):
        x, weight, bias, mean, inverse_deviation, slope = ctx.saved_tensors
        if torch.is_grad_enabled():

            def norm(x, weight, bias):
                return written_out.instance_norm(x, weight, bias, ctx.eps)

            return *_grads_with_graph(norm, (x, weight, bias), ctx.needs_input_grad, grad_y), None
        wide = at_least_float32(x)
        grad_y = at_least_float32(grad_y)
        sum_g, sum_xg, products = _gradient_sums(wide, grad_y)
        sum_zg = _standardised_sum(sum_xg, sum_g, mean, inverse_deviation)
        grad_weight = sum_zg.sum(0).flatten()
        grad_bias = sum_g.sum(0).flatten()
        grad_x = None
        if ctx.needs_input_grad[0]:
            pixels = x.shape[2] * x.shape[3]
            c, d = _through_moments(sum_g, sum_zg, mean, inverse_deviation, slope, pixels)
            grad_x = _affine(wide, c, d, out=products).addcmul_(grad_y, slope)  # x c + d + g w
            grad_x = grad_x.to(x.dtype)
        return grad_x, grad_weight, grad_bias, None


class MixtureFunction(torch.autograd.Function):
    """The mixture y = gate BN(x) + (1 - gate) IN(x) = x a + b.

    Parameters and running statistics are (C,). Without running statistics, batch norm takes the
    mean and the biased variance of the batch, which are returned beside y as (C, 1, 1); with them,
    None is returned twice.
    """

    @staticmethod
    def forward(
        ctx,
        x,
        gate,
        weight,
        bias,
        instance_weight,
        instance_bias,
        running_mean,
        running_variance,
        eps,
    ):
        inputs = (x, gate, weight, bias, instance_weight, instance_bias)
        gate, weight, bias, instance_weight, instance_bias = map(per_channel, inputs[1:])
        wide = at_least_float32(x)
        mean, variance, squares = _moments(wide)

        # The instance branch: w = (1 - gate) instance_weight r.
        inverse_deviation = variance.add(eps).rsqrt_()  # r: (B, C, 1, 1)
        # (1 - gate) instance_weight: (C, 1, 1)
        instance_scale = torch.addcmul(instance_weight, gate, instance_weight, value=-1)
        instance_slope = instance_scale * inverse_deviation  # w: (B, C, 1, 1)

        # The batch branch: W = gate weight R.
        ctx.of_batch = running_mean is None
        if ctx.of_batch:
            batch_mean, batch_variance = _total_moments(mean, variance)
        else:
            batch_mean = per_channel(running_mean)
            batch_variance = per_channel(running_variance)
        batch_inverse_deviation = batch_variance.add(eps).rsqrt_()  # R: (C, 1, 1)
        batch_slope = gate * weight * batch_inverse_deviation  # W: (C, 1, 1)

        # Both together, b = gate bias + (1 - gate) instance_bias - W M - w m; y takes the memory of
        # the squares.
        slope = instance_slope + batch_slope  # a: (B, C, 1, 1)
        shift = torch.lerp(instance_bias, bias, gate) - batch_slope * batch_mean  # (C, 1, 1)
        offset = torch.addcmul(shift, instance_slope, mean, value=-1)  # b: (B, C, 1, 1)
        y = _affine(wide, slope, offset, out=squares).to(x.dtype)

        instance = (mean, inverse_deviation, instance_slope)
        batch = (batch_mean, batch_inverse_deviation, batch_slope)
        running = (running_mean, running_variance)
        ctx.save_for_backward(*inputs, *running, *instance, *batch, slope)
        ctx.eps = eps
        if not ctx.of_batch:
            return y, None, None
        ctx.mark_non_differentiable(batch_mean, batch_variance)
        return y, batch_mean, batch_variance

    @staticmethod
    def backward(ctx, grad_y, *_):
        saved = ctx.saved_tensors  # once: recomputed activations can be asked for only once
        inputs = saved[:6]
        running = saved[6:8]
        if torch.is_grad_enabled():

            def norm(x, *parameters):
                return written_out.mixture(x, parameters, running, ctx.eps)[0]

            grads = _grads_with_graph(norm, inputs, ctx.needs_input_grad, grad_y)
            return *grads, None, None, None
        x = inputs[0]
        gate, weight, bias, instance_weight, instance_bias = map(per_channel, inputs[1:])
        mean, inverse_deviation, instance_slope = saved[8:11]
        batch_mean, batch_inverse_deviation, batch_slope, slope = saved[11:]
        wide = at_least_float32(x)
        grad_y = at_least_float32(grad_y)

        # The sums that everything is made of: over the pixels of a picture, (B, C, 1, 1), ...
        sum_g, sum_xg, products = _gradient_sums(wide, grad_y)
        sum_zg = _standardised_sum(sum_xg, sum_g, mean, inverse_deviation)
        # ... and over all pictures, (C, 1, 1). The last one is sum Z g.
        total_g = sum_g.sum(0)
        total_zg = sum_zg.sum(0)
        batch_zg = _standardised_sum(sum_xg.sum(0), total_g, batch_mean, batch_inverse_deviation)

        grad_weight = gate * batch_zg  # gate sum Z g
        grad_bias = gate * total_g  # gate sum g
        # (1 - gate) sum z g
        grad_instance_weight = torch.addcmul(total_zg, gate, total_zg, value=-1)
        grad_instance_bias = total_g - grad_bias  # (1 - gate) sum g
        grad_gate = weight * batch_zg  # weight sum Z g ...
        grad_gate.addcmul_(instance_weight, total_zg, value=-1)  # ... - instance_weight sum z g
        grad_gate.addcmul_(bias - instance_bias, total_g)  # ... + (bias - instance_bias) sum g

        grad_x = None
        if ctx.needs_input_grad[0]:
            pixels = x.shape[2] * x.shape[3]  # N
            c, d = _through_moments(sum_g, sum_zg, mean, inverse_deviation, instance_slope, pixels)
            if ctx.of_batch:
                values = len(x) * pixels  # B N
                # c_batch = - W R / (B N) sum Z g
                c_batch = batch_slope * batch_inverse_deviation * batch_zg / -values
                c += c_batch
                # d_batch = - W / (B N) sum g - c_batch M
                d -= c_batch * batch_mean + batch_slope * total_g / values
            grad_x = _affine(wide, c, d, out=products).addcmul_(grad_y, slope)  # x c + d + g a
            grad_x = grad_x.to(x.dtype)
        grads = (grad_gate, grad_weight, grad_bias, grad_instance_weight, grad_instance_bias)
        return grad_x, *[grad.flatten() for grad in grads], None, None, None


# ---- statistics


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each picture and channel, over its pixels.

    The variance is that of x - mean, not E[x^2] - mean^2, which loses digits where the mean is
    large.

    Args:
        x: (B, C, H, W) maps.
    Returns:
        mean and variance, (B, C, 1, 1) each, in float32 or better.
    """
    mean, variance, _ = _moments(at_least_float32(x))
    return mean, variance


def _moments(x):
    """Mean, variance (B, C, 1, 1) and the squared deviations (B, C, H, W): memory to reuse."""
    mean = x.mean((2, 3), keepdim=True)
    squares = F.mse_loss(x, mean.expand_as(x), reduction="none")  # (x - mean)^2 in one pass
    return mean, squares.mean((2, 3), keepdim=True), squares


def _total_moments(mean, variance):
    """From those of the pictures (B, C, 1, 1) to those of the whole batch (C, 1, 1).

    The law of total variance: the mean of the variances plus the variance of the means.
    """
    batch_mean = mean.mean(0)
    between = (mean - batch_mean).square_().mean(0)
    return batch_mean, variance.mean(0).add_(between)


# ---- parts of the derivative


def _grads_with_graph(norm: Callable, inputs, needed, grad_y):
    """Gradients that can be differentiated themselves; None where none is needed.

    Args:
        norm: the norm in plain operations; inputs -> y.
        inputs: the tensors that it was computed from.
        needed: whether the gradient by each of them is asked for.
        grad_y: the gradient by y.
    """
    # Aliases, because one tensor may be given twice (one affine map for both branches), or one may
    # follow from another: each gradient is that of one place alone.
    aliases = [value.view_as(value) for value in inputs]
    wanted = [alias for alias, is_needed in zip(aliases, needed) if is_needed]
    grads = iter(torch.autograd.grad(norm(*aliases), wanted, grad_y, create_graph=True))
    return [next(grads) if is_needed else None for is_needed in needed[: len(inputs)]]


def _gradient_sums(x, grad_y):
    """sum g and sum x g (B, C, 1, 1) over pixels, and x g (B, C, H, W): memory to reuse."""
    sum_g = grad_y.sum((2, 3), keepdim=True)
    products = x * grad_y
    return sum_g, products.sum((2, 3), keepdim=True), products


def _standardised_sum(sum_xg, sum_g, mean, inverse_deviation):
    """sum z g = r (sum x g - m sum g), or sum Z g from the batch's R, M and sums."""
    return torch.addcmul(sum_xg, sum_g, mean, value=-1).mul_(inverse_deviation)


def _through_moments(sum_g, sum_zg, mean, inverse_deviation, branch_scale, pixels):
    """c and d (B, C, 1, 1) of the instance branch: the gradient that m and r pass on."""
    share = branch_scale * (-1 / pixels)  # - w / N
    c = (sum_zg * inverse_deviation).mul_(share)  # - w r / N sum z g
    d = (share * sum_g).addcmul_(c, mean, value=-1)  # - w / N sum g - c m
    return c, d


# ---- small things


def _affine(x, scale, offset, out):
    """x scale + offset for x (B, C, H, W), scale and offset (B, C, 1, 1), written into `out`."""
    if x.is_cuda or x.stride(1) == 1:
        return torch.addcmul(offset, x, scale, out=out)
    # torch's addcmul is slow where scale and offset are constant in a row.
    return torch.mul(x, scale, out=out).add_(offset)
