"""The imaging chain: from the light of the scene to the numbers of a picture. Style lives here and nowhere else."""

import functools
import math

import torch

from .hashing import bell, hash32

NOISE = 1 << 20


def colour_matrix(cameras):
    """(N, 3, 3): gain x white balance x saturation x hue, what a camera does to red, green and blue.

    Hue turns colours about the grey axis (Rodrigues' formula), saturation scales their distance from it; float64
    inside.
    """
    turn = 2 * math.pi * cameras.hue.double()[:, None, None]
    third, cross = (
        1 / 3,
        math.sqrt(1 / 3)
        * torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=turn.device).double(),
    )
    eye, grey = (
        torch.eye(3, device=turn.device).double(),
        torch.full((3, 3), third, device=turn.device).double(),
    )
    hue = torch.cos(turn) * eye + (1 - torch.cos(turn)) * grey + torch.sin(turn) * cross
    saturation = cameras.saturation.double()[:, None, None]
    mixed = saturation * hue + (1 - saturation) * grey  # rows and columns of grey stay
    return (mixed * (cameras.gain[:, None] * cameras.white_balance).double()[:, :, None]).float()


def develop(raw, cameras, key):
    """raw (B, 3, H, W) float, one camera a picture, key (B,) int64 for the noise -> uint8 (B, 3, H, W).

    Light slope, colour matrix, gamma, contrast and brightness, blur (optics and resolution), noise, compression.
    """
    height, width = raw.shape[2:]
    scalar = lambda value: value[:, None, None, None]
    matrix = colour_matrix(cameras)  # (B, 3, 3)
    image = torch.empty_like(raw)
    for c in range(3):
        plane = torch.mul(raw[:, 0], matrix[:, c, 0, None, None], out=image[:, c])
        for k in (1, 2):
            plane.addcmul_(raw[:, k], matrix[:, c, k, None, None])
    slope = lambda count, k: (
        1
        + cameras.light[:, k, None] * ((torch.arange(count, device=raw.device) + 0.5) / count - 0.5)
    )
    light = slope(height, 0)[:, :, None] * slope(width, 1)[:, None]  # (B, H, W)
    image.mul_(light[:, None]).clamp_(1e-4, 1).pow_(scalar(cameras.gamma))
    contrast = scalar(cameras.contrast)
    image.mul_(contrast).add_(0.5 - 0.5 * contrast + scalar(cameras.brightness))
    soften(image, cameras)
    image.add_(grain(key, raw.shape[1:], raw.device).mul_(scalar(cameras.noise)))
    compress(image, scalar(cameras.compression * min(height / 128, 1)))
    return image.mul_(255).add_(0.5).clamp_(0, 255.5).to(torch.uint8)


@functools.lru_cache(maxsize=4)
def _noise_line(device):
    return bell(1, "noise", torch.arange(NOISE))[:, 0].to(device)


def grain(key, shape, device):
    """(B, *shape) of hashed noise, mean 0 and variance 1: a piece of one long line of it for each key."""
    windows = _noise_line(str(device)).unfold(0, math.prod(shape), 32)
    return windows[hash32(key) % len(windows)].view(-1, *shape)


def soften(image, cameras):
    """Blur in place: variances of the optics and of the pixels of a coarse sensor add up.

    Two passes of three taps each way, one and `step` pixels apart (a wavelet's holes), weights for each picture:
    variance 2 w d^2.
    """
    height = image.shape[2]
    coarse = ((128 / cameras.resolution) ** 2 - 1).clamp(min=0) / 5
    variance = (cameras.blur**2 + coarse) * (height / 128) ** 2  # (B,) pixels^2
    step = 3 if height >= 96 else 2
    for apart in (1, step):
        weight = (variance / (2 * apart**2)).clamp(max=0.30)
        variance = variance - 2 * apart**2 * weight
        for dim in (2, 3):
            _taps(image, dim, apart, weight[:, None, None, None])


def _taps(image, dim, apart, weight):
    """image <- (1 - 2 w) image + w (left + right), the border pixels repeated."""
    size = image.shape[dim]
    inner, first, last = size - 2 * apart, image.narrow(dim, 0, 1), image.narrow(dim, size - 1, 1)
    both = torch.empty_like(image)
    torch.add(
        image.narrow(dim, 0, inner),
        image.narrow(dim, 2 * apart, inner),
        out=both.narrow(dim, apart, inner),
    )
    torch.add(image.narrow(dim, apart, apart), first, out=both.narrow(dim, 0, apart))
    torch.add(
        image.narrow(dim, size - 2 * apart, apart), last, out=both.narrow(dim, size - apart, apart)
    )
    image.mul_(1 - 2 * weight).addcmul_(both, weight)


def compress(image, threshold):
    """What coarse quantisation does to 8 x 8 blocks, in place: detail weaker than the threshold falls to the block's
    mean."""
    b, c, h, w = image.shape
    blocks = image.view(b, c, h // 8, 8, w)
    total = blocks[:, :, :, 0] + blocks[:, :, :, 1]
    for k in range(2, 8):
        total += blocks[:, :, :, k]  # (B, 3, H/8, W)
    columns = total.view(b, c, h // 8, w // 8, 8)
    mean = columns[..., 0] + columns[..., 1]
    for k in range(2, 8):
        mean += columns[..., k]
    mean = (mean / 64).repeat_interleave(8, 3)[:, :, :, None]  # (B, 3, H/8, 1, W)
    detail = blocks - mean
    limit = threshold[..., None].expand_as(detail)
    blocks.sub_(torch.minimum(torch.maximum(detail, -limit), limit))
