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
"""

import torch
import torch.nn.functional as F
from torch import Tensor


class InstanceNormFunction(torch.autograd.Function):
    """Instance norm, y = weight z + bias = x a + b, of maps in any memory layout.

    It is the mixture with gate 0, so that a = w = weight r. Once differentiable.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, eps):
        wide = _at_least_float32(x)
        mean, variance, squares = _moments(wide)
        inverse_deviation = variance.add(eps).rsqrt_()  # r: (B, C, 1, 1)
        slope = _per_channel(weight) * inverse_deviation  # w = weight r: (B, C, 1, 1)
        offset = torch.addcmul(_per_channel(bias), slope, mean, value=-1)  # bias - w m
        ctx.save_for_backward(x, mean, inverse_deviation, slope)
        y = _affine(wide, slope, offset, out=squares)
        return y.to(x.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y):
        x, mean, inverse_deviation, slope = ctx.saved_tensors
        wide = _at_least_float32(x)
        grad_y = _at_least_float32(grad_y)
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

    Once differentiable. Parameters and running statistics are (C,). Without running statistics,
    batch norm takes the mean and the biased variance of the batch, which are returned beside y as
    (C, 1, 1); with them, None is returned twice.
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
        gate = _per_channel(gate)
        weight = _per_channel(weight)
        bias = _per_channel(bias)
        instance_weight = _per_channel(instance_weight)
        instance_bias = _per_channel(instance_bias)
        wide = _at_least_float32(x)
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
            batch_mean = _per_channel(running_mean)
            batch_variance = _per_channel(running_variance)
        batch_inverse_deviation = batch_variance.add(eps).rsqrt_()  # R: (C, 1, 1)
        batch_slope = gate * weight * batch_inverse_deviation  # W: (C, 1, 1)

        # Both together, b = gate bias + (1 - gate) instance_bias - W M - w m; y takes the memory of
        # the squares.
        slope = instance_slope + batch_slope  # a: (B, C, 1, 1)
        shift = torch.lerp(instance_bias, bias, gate) - batch_slope * batch_mean  # (C, 1, 1)
        offset = torch.addcmul(shift, instance_slope, mean, value=-1)  # b: (B, C, 1, 1)
        y = _affine(wide, slope, offset, out=squares).to(x.dtype)

        parameters = (gate, weight, bias, instance_weight, instance_bias)
        instance = (mean, inverse_deviation, instance_slope)
        batch = (batch_mean, batch_inverse_deviation, batch_slope)
        ctx.save_for_backward(x, *parameters, *instance, *batch, slope)
        if not ctx.of_batch:
            return y, None, None
        ctx.mark_non_differentiable(batch_mean, batch_variance)
        return y, batch_mean, batch_variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_y, *_):
        x, gate, weight, bias, instance_weight, instance_bias, *statistics = ctx.saved_tensors
        mean, inverse_deviation, instance_slope = statistics[:3]
        batch_mean, batch_inverse_deviation, batch_slope, slope = statistics[3:]
        wide = _at_least_float32(x)
        grad_y = _at_least_float32(grad_y)

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
    mean, variance, _ = _moments(_at_least_float32(x))
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


def _at_least_float32(x):
    return x if x.dtype == torch.float64 else x.float()


def _per_channel(values):
    """(C,) -> (C, 1, 1), which spreads over pictures and pixels."""
    return values[:, None, None]
