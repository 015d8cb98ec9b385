"""The imaging chain: from the light of the scene to the numbers of a picture. Style lives here and
nowhere else.

Pictures are worked on in place, one operation a line: a new plane for each step would cost more
than the step.
"""

import functools
import math

import torch
from torch import Tensor

from .cameras import Cameras
from .hashing import bell, hash32

NOISE = 1 << 20  # length of the line of noise
BLOCK = 8  # side of a block that compression quantises
# what a turn about the grey axis mixes (Rodrigues' formula)
CROSS = ((0.0, -1, 1), (1, 0, -1), (-1, 1, 0))


def colour_matrix(cameras: Cameras) -> Tensor:
    """What a camera does to red, green and blue: gain x white balance x saturation x hue.

    Hue turns colours about the grey axis (Rodrigues' formula), saturation scales their distance
    from it; float64 inside.

    Args:
        cameras: N cameras.
    Returns:
        (N, 3, 3) float32.
    """
    device = cameras.hue.device
    turn = 2 * math.pi * cameras.hue.double()[:, None, None]  # (N, 1, 1) radians
    eye = torch.eye(3, device=device).double()
    grey = torch.full((3, 3), 1 / 3, device=device).double()
    cross = math.sqrt(1 / 3) * torch.tensor(CROSS, device=device).double()
    # cos I + (1 - cos) g g' + sin [g]: a turn about g, the unit vector of the grey axis
    cosine = torch.cos(turn)
    hue = cosine * eye + (1 - cosine) * grey + torch.sin(turn) * cross  # (N, 3, 3)
    saturation = cameras.saturation.double()[:, None, None]
    mixed = saturation * hue + (1 - saturation) * grey  # rows and columns of grey stay
    factors = (cameras.gain[:, None] * cameras.white_balance).double()  # (N, 3)
    return (mixed * factors[:, :, None]).float()


def develop(raw: Tensor, cameras: Cameras, key: Tensor) -> Tensor:
    """From light to a picture.

    Light slope, colour matrix, gamma, contrast and brightness, blur (optics and resolution), noise,
    compression.

    Args:
        raw: (B, 3, H, W) float, the light of the scene.
        cameras: one for each picture.
        key: (B,) int64, what the noise is hashed from.
    Returns:
        uint8 (B, 3, H, W).
    """
    image = _mix(raw, colour_matrix(cameras))
    image.mul_(_light(cameras, raw)[:, None])
    image.clamp_(1e-4, 1)
    image.pow_(_per_picture(cameras.gamma))
    # contrast * image + 0.5 - 0.5 * contrast + brightness: middle grey stays
    contrast = _per_picture(cameras.contrast)
    image.mul_(contrast)
    image.add_(0.5 - 0.5 * contrast + _per_picture(cameras.brightness))
    soften(image, cameras)
    noise = grain(key, raw.shape[1:], raw.device)
    noise.mul_(_per_picture(cameras.noise))
    image.add_(noise)
    compress(image, _per_picture(cameras.compression * min(raw.shape[2] / 128, 1)))
    # rounded
    image.mul_(255)
    image.add_(0.5)
    image.clamp_(0, 255.5)
    return image.to(torch.uint8)


def _per_picture(value):
    """(B,) -> (B, 1, 1, 1)"""
    return value[:, None, None, None]


def _mix(raw, matrix):
    """matrix (B, 3, 3) times the colours of raw (B, 3, H, W), a plane at a time."""
    image = torch.empty_like(raw)
    for c in range(3):
        weights = matrix[:, c, :, None, None]  # (B, 3, 1, 1) of red, green and blue
        plane = torch.mul(raw[:, 0], weights[:, 0], out=image[:, c])
        plane.addcmul_(raw[:, 1], weights[:, 1])
        plane.addcmul_(raw[:, 2], weights[:, 2])
    return image


def _light(cameras, raw):
    """(B, H, W) factors: brighter towards one side, by Cameras.light downwards and to the right."""
    slopes = []
    for k, count in enumerate(raw.shape[2:]):
        position = (torch.arange(count, device=raw.device) + 0.5) / count - 0.5  # -1/2 .. 1/2
        slopes.append(1 + cameras.light[:, k, None] * position)  # (B, count)
    downwards, rightwards = slopes
    return downwards[:, :, None] * rightwards[:, None]


@functools.lru_cache(maxsize=4)
def _noise_line(device):
    return bell(1, "noise", torch.arange(NOISE))[:, 0].to(device)


def grain(key: Tensor, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Hashed noise: a piece of one long line of it for each key.

    Args:
        key: (B,) int64.
        shape: of one picture.
        device: where the line is kept.
    Returns:
        (B, *shape) of mean 0 and variance 1.
    """
    windows = _noise_line(str(device)).unfold(0, math.prod(shape), 32)  # (pieces, pixels)
    start = hash32(key) % len(windows)
    return windows[start].view(-1, *shape)


def soften(image: Tensor, cameras: Cameras) -> None:
    """Blur in place: variances of the optics and of the pixels of a coarse sensor add up.

    Two passes of three taps each way, one and `step` pixels apart (a wavelet's holes), weights for
    each picture: variance 2 w d^2.

    Args:
        image: (B, 3, H, W) float.
        cameras: blur and resolution of one for each picture.
    """
    height = image.shape[2]
    coarse = ((128 / cameras.resolution) ** 2 - 1).clamp(min=0) / 5
    variance = (cameras.blur**2 + coarse) * (height / 128) ** 2  # (B,) pixels^2
    step = 3 if height >= 96 else 2
    for apart in (1, step):
        weight = (variance / (2 * apart**2)).clamp(max=0.30)
        variance = variance - 2 * apart**2 * weight  # what is left for the next pass
        for dim in (2, 3):
            _taps(image, dim, apart, _per_picture(weight))


def _taps(image, dim, apart, weight):
    """image <- (1 - 2 w) image + w (left + right), the border pixels repeated."""
    size = image.shape[dim]
    inner = size - 2 * apart
    both = torch.empty_like(image)  # left + right
    # where both neighbours are in the picture
    left = image.narrow(dim, 0, inner)
    right = image.narrow(dim, 2 * apart, inner)
    torch.add(left, right, out=both.narrow(dim, apart, inner))
    # at the first border, and at the last
    first = image.narrow(dim, 0, 1)
    right = image.narrow(dim, apart, apart)
    torch.add(right, first, out=both.narrow(dim, 0, apart))
    last = image.narrow(dim, size - 1, 1)
    left = image.narrow(dim, size - 2 * apart, apart)
    torch.add(left, last, out=both.narrow(dim, size - apart, apart))
    image.mul_(1 - 2 * weight)
    image.addcmul_(both, weight)


def compress(image: Tensor, threshold: Tensor) -> None:
    """What coarse quantisation does to 8 x 8 blocks, in place.

    Detail weaker than the threshold falls to the block's mean.

    Args:
        image: (B, 3, H, W) float.
        threshold: (B, 1, 1, 1).
    """
    b, c, h, w = image.shape
    blocks = image.view(b, c, h // BLOCK, BLOCK, w)
    rows = _sum(blocks, 3)  # (B, 3, H/8, W)
    columns = rows.view(b, c, h // BLOCK, w // BLOCK, BLOCK)
    mean = _sum(columns, 4) / BLOCK**2  # (B, 3, H/8, W/8)
    mean = mean.repeat_interleave(BLOCK, 3)[:, :, :, None]  # (B, 3, H/8, 1, W)
    detail = blocks - mean
    # blocks - clamp(detail, -limit, limit)
    limit = threshold[..., None].expand_as(detail)
    weak = torch.minimum(torch.maximum(detail, -limit), limit)
    blocks.sub_(weak)


def _sum(blocks, dim):
    """The sum over a dimension of 8, added one after the other: the same on every machine."""
    first, second, *rest = blocks.unbind(dim)
    total = first + second
    for part in rest:
        total += part
    return total
