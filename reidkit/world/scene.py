"""What is behind and before the person: wall and ground, lines, foliage, doors, passers-by, and what stands in the
way."""

import functools

import torch
import torch.nn.functional as F

from .hashing import hash32, uniform
from .shapes import LIGHT


@functools.lru_cache(maxsize=8)
def texture_tile(height, device):
    """A square of smooth hashed noise of mean 0, cell sizes from 1/80 to 1/6 of the picture's height."""
    side, total = 3 * height, torch.zeros(3 * height, 3 * height)
    for cells, strength in ((6, 0.4), (14, 0.5), (40, 0.6), (80, 0.5)):
        grid = uniform(3 * cells + 1, "texture", cells, torch.arange(3 * cells + 1)) - 0.5  # (c, c)
        total += (
            strength
            * 2
            * F.interpolate(grid[None, None], (side, side), mode="bilinear", align_corners=True)[
                0, 0
            ]
        )
    return total.to(device)


def _windows(size, device):
    """Every piece of the tile of a picture's size: a view (rows, columns, H, W)."""
    return texture_tile(size[0], str(device)).unfold(0, size[0], 1).unfold(1, size[1], 1)


def texture(key, size, device):
    """A piece of the tile for each picture: key (B,) -> (B, H, W) of mean 0, about -0.8 .. 0.8."""
    windows = _windows(size, device)
    start = hash32(key)  # on the key's device
    return windows[start % windows.shape[0], (start >> 16) % windows.shape[1]]


def weave(people, board, joints, size):
    """(B, H, W): a texture that belongs to the clothes: it goes along with the body and turns with it; front and back
    have pieces of their own."""
    height, width = size
    windows = _windows(size, board.x.device)
    start, front = hash32("weave", people.key), joints["f"] > 0
    turn = torch.where(front, 0.1 * joints["s"], 0.6 - 0.1 * joints["s"]) * height
    row = height + start % (height // 2) - board.tops.round().long().to(start.device)
    column = height // 2 + (start >> 16) % (height // 2) + turn.round().long()
    column = column + width // 2 - board.axis[:, height // 3].round().long()
    return windows[row.clamp(0, windows.shape[0] - 1), column.clamp(0, windows.shape[1] - 1)]


def backdrop(board, cameras, poses, grain):
    """Fill colour and dark of the whole board. grain (B, H, W) from `texture`."""
    height, width = board.labels.shape[1:]
    r = (torch.arange(height, device=grain.device) + 0.5) / height  # (H,) 0 top .. 1 bottom
    q = (torch.arange(width, device=grain.device) + 0.5) / height  # (W,) the same units
    horizon = cameras.horizon[:, None]
    floor = ((r - horizon) * height + 0.5).clamp(0, 1)  # (B, H)
    rows = cameras.wall[:, :, None] * (1.1 - 0.25 * r) + 0 * floor[:, None]
    ground = (
        cameras.ground[:, :, None]
        * (0.75 + 0.35 * ((r - horizon) / (1 - horizon)).clamp(0, 1))[:, None]
    )
    rows = rows + (ground - rows) * floor[:, None]  # (B, 3, H)
    board.colour.copy_(rows[..., None].expand_as(board.colour))
    slide = (poses.stand * 1.7)[:, None]  # (B, 1) where along the wall
    for k in range(3):
        x, wide, top, bottom, *colour, strength = cameras.boxes[:, k].unbind(1)
        x, half = ((x + slide[:, 0]) % 1.0) * 0.9 - 0.2, 0.03 + 0.14 * wide * wide
        low = torch.where(bottom < 0.6, cameras.horizon, cameras.horizon * (0.4 + 0.5 * bottom))
        high = low - (0.12 + 0.6 * top)
        across = ((half[:, None] - (q - x[:, None]).abs()) * height + 0.5).clamp(0, 1)  # (B, W)
        down = ((low[:, None] - r) * height + 0.5).clamp(0, 1) * (
            (r - high[:, None]) * height + 0.5
        ).clamp(0, 1)
        down = down * strength[:, None]  # (B, H)
        tone = (
            cameras.wall * 0.45
            + 0.5 * torch.stack(colour, 1)[:, :1] ** 2
            + 0.12 * torch.stack(colour, 1)
        )
        board.colour.lerp_(
            tone.clamp(0, 1)[:, :, None, None].expand_as(board.colour),
            (down[:, :, None] * across[:, None])[:, None],
        )
    _shade(board, cameras, grain, r, q + slide, floor)
    for k in range(3):
        _passer(board, cameras, poses.passers[:, k], r, k)


def _shade(board, cameras, grain, r, q, floor):
    """Texture everywhere, strong where leaves are; mortar or tile lines on the wall."""
    leaves = (cameras.grit[:, :1] + 0.85 * cameras.foliage[:, None] ** 2) * (1 - floor)
    leaves = leaves + (cameras.grit[:, 1:] + 0.34 * cameras.foliage[:, None] ** 2) * floor  # (B, H)
    torch.mul(grain, -leaves[:, :, None], out=board.dark)
    board.dark.add_(LIGHT - 1)
    size = cameras.line_size  # (B, 2) of a brick or tile
    line = lambda at, period: (1 - ((at / period).frac() * period - 0.005).abs() / 0.008).clamp(
        0, 1
    )
    down = line(r[None], size[:, :1] * 0.5) * (1 - floor)  # (B, H)
    # (B, H) each second row of bricks
    odd = ((r[None] / size[:, :1]).frac() < 0.5) * (cameras.lines > 0.8)[:, None] * (1 - floor)
    shifted, straight = line(q + size[:, 1:] / 2, size[:, 1:]), line(q, size[:, 1:])  # (B, W)
    lines = shifted[:, None] * odd[:, :, None]
    lines.add_(straight[:, None] * (1 - floor - odd).clamp(min=0)[:, :, None])
    lines = torch.maximum(lines, down[:, :, None])
    board.dark.add_(lines.mul_((0.28 * cameras.lines)[:, None, None]))


def _passer(board, cameras, passer, r, number):
    """Somebody out of focus in the background."""
    x, size, top, *tone, there = passer.unbind(1)
    tall = 0.38 + 0.3 * size  # (B,) fractions of the picture's height
    foot = cameras.horizon + 0.10 + 0.12 * size
    t = (r - (foot - tall)[:, None]) / tall[:, None]  # (B, H) 0 head .. 1 feet
    height, width = board.labels.shape[1:]
    half = (
        0.05 + 0.075 * ((t - 0.13) * 14).clamp(0, 1) - 0.045 * ((t - 0.45) * 3).clamp(0, 1)
    )  # head, shoulders, legs
    half = half * (tall * height)[:, None]
    cover = (
        ((t * 8).clamp(0, 1) * ((1 - t) * 8).clamp(0, 1))
        * ((there + 0.15 * number) < cameras.crowd)[:, None]
        * 0.9
    )
    centre = ((x[:, None] * 1.3 - 0.15) * width).expand_as(half)
    m = (board.x - centre[:, :, None]).abs_()
    m = (
        torch.sub(half[:, :, None], m, out=m)
        .mul_(16 / height)
        .add_(0.5)
        .clamp_(0, 1)
        .mul_(cover[:, :, None])
    )
    skin = torch.tensor([0.66, 0.5, 0.4], device=r.device)[None, :, None]
    tint = torch.stack([top, *tone], 1)[:, :3, None]  # (B, 3, 1)
    cloth, below = (
        0.05 + 0.6 * tint[:, :1] ** 2 + 0.25 * (tint - 0.5) * tint[:, 1:2],
        0.05 + 0.3 * tint[:, 2:] ** 2,
    )
    soft = lambda edge: ((t - edge) * 20 + 0.5).clamp(0, 1)[:, None]  # (B, 1, H) out of focus
    rows = skin + (cloth - skin) * soft(0.155)
    rows = (rows + (below - rows) * soft(0.52)).clamp(0, 1)  # (B, 3, H)
    board.colour.lerp_(rows[..., None].expand_as(board.colour), m[:, None])
    board.dark.lerp_(m.new_full((1, 1, 1), LIGHT - 1).expand_as(m), m)


def occlude(board, poses, grain):
    """Something before the person: from below (a wall, a car, a hedge), a pole, or from one side. Hidden parts lose
    their label."""
    height, width = board.labels.shape[1:]
    kind, hides, x = poses.occluder[:, None], poses.hides[:, None], poses.occluder_x[:, None]
    r = (torch.arange(height, device=grain.device) + 0.5) / height
    edge = torch.where(
        kind == 1, r - (1 - 0.36 * hides), torch.where(kind == 0, -1.0, 1.0)
    )  # (B, H) above 0: covered
    half = (
        torch.where(
            kind == 1, 9.0, torch.where(kind == 2, 0.03 + 0.07 * hides, 0.08 + 0.24 * hides)
        )
        * width
    )
    centre = torch.where(kind == 3, (x > 0.5) * 1.0, 0.15 + 0.7 * x) * width
    leafy = (kind != 2) & (x * 4 % 1 < 0.4)  # (B, 1) a hedge, a bush
    rough = torch.where(leafy, 0.12, 0.0)[:, :, None] * grain  # (B, H, W) its outline
    m = ((edge[:, :, None] + rough * (kind == 1)[:, :, None]) * height + 0.5).clamp_(0, 1)
    across = (half + 0.5)[:, :, None] - (board.x - centre[:, :, None]).abs_()  # (B, 1, W)
    m.mul_((across + rough * (0.7 * height)).clamp_(0, 1))
    leaf = torch.tensor([0.17, 0.28, 0.12], device=grain.device) * (0.6 + x)
    colour = torch.where(leafy, leaf, poses.occluder_colour)
    board.colour.lerp_(colour[:, :, None, None].expand_as(board.colour), m[:, None])
    board.dark.lerp_(grain.mul(torch.where(leafy, -0.9, -0.2)[:, :, None]).add_(LIGHT - 1), m)
    board.labels.mul_(1 - m.round_())
