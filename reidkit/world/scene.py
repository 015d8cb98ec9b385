"""What is behind and before the person: wall and ground, lines, foliage, doors, passers-by, and
what stands in the way."""

import functools
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .cameras import Cameras
from .hashing import hash32, uniform
from .joints import Joints
from .people import People
from .poses import ASIDE, BELOW, NO_OCCLUDER, POLE, Poses
from .shapes import LIGHT, Board

ALL = slice(None)  # every row of a board
OCTAVES = ((6, 0.8), (14, 1.0), (40, 1.2), (80, 1.0))  # cells per picture height, strength
PASSER_SKIN = (0.66, 0.5, 0.4)
OCCLUDER_LEAF = (0.17, 0.28, 0.12)


@functools.lru_cache(maxsize=8)
def texture_tile(height: int, device: str) -> Tensor:
    """A square of smooth hashed noise, cell sizes from 1/80 to 1/6 of the picture's height.

    Args:
        height: of the picture, pixels.
        device: where the tile is kept.
    Returns:
        (3 height, 3 height) of mean 0.
    """
    side = 3 * height
    total = torch.zeros(side, side)
    for cells, strength in OCTAVES:
        corners = 3 * cells + 1
        grid = uniform(corners, "texture", cells, torch.arange(corners)) - 0.5  # (c, c)
        smooth = F.interpolate(
            grid[None, None], (side, side), mode="bilinear", align_corners=True
        )  # (1, 1, side, side)
        total += strength * smooth[0, 0]
    return total.to(device)


def _windows(size, device):
    """Every piece of the tile of a picture's size: a view (rows, columns, H, W)."""
    height, width = size
    tile = texture_tile(height, str(device))
    return tile.unfold(0, height, 1).unfold(1, width, 1)


def texture(key: Tensor, size: tuple[int, int], device: torch.device) -> Tensor:
    """A piece of the tile for each picture.

    Args:
        key: (B,) what the piece is hashed from.
        size: height and width of the pictures.
        device: where the tile is kept.
    Returns:
        (B, H, W) of mean 0, about -0.8 .. 0.8.
    """
    windows = _windows(size, device)
    start = hash32(key)  # on the key's device
    row = start % windows.shape[0]
    column = (start >> 16) % windows.shape[1]
    return windows[row, column]


def weave(people: People, board: Board, joints: Joints, size: tuple[int, int]) -> Tensor:
    """The texture of the clothes.

    It goes along with the body and turns with it; front and back have pieces of their own.

    Args:
        people: B people.
        board: where they stand.
        joints: how they are turned.
        size: height and width of the pictures.
    Returns:
        (B, H, W) of mean 0.
    """
    height, width = size
    windows = _windows(size, board.x.device)
    start = hash32("weave", people.key)  # (B,)
    shift = 0.1 * joints.right
    turn = torch.where(joints.front > 0, shift, 0.6 - shift) * height
    body_row = board.tops.round().long().to(start.device)
    body_column = board.axis[:, height // 3].round().long()
    row = height + start % (height // 2) - body_row
    column = height // 2 + (start >> 16) % (height // 2) + turn.round().long()
    column = column + width // 2 - body_column
    row = row.clamp(0, windows.shape[0] - 1)
    column = column.clamp(0, windows.shape[1] - 1)
    return windows[row, column]


class View(NamedTuple):
    """What the parts of a backdrop share; all lengths in fractions of the picture's height.

    Args:
        board: the pictures.
        cameras: B cameras.
        r: (H,) 0 top .. 1 bottom.
        q: (W,) columns in the same units.
        slide: (B, 1) where along the wall the camera stands.
        floor: (B, H) 0 wall .. 1 ground.
    """

    board: Board
    cameras: Cameras
    r: Tensor
    q: Tensor
    slide: Tensor
    floor: Tensor

    def ramp(self, distance: Tensor) -> Tensor:
        """0 outside, 1 inside, linear over one pixel: distance positive inside."""
        return _ramp(distance, len(self.r))


def _ramp(distance, height):
    """0 outside, 1 inside, linear over one of `height` pixels: distance positive inside."""
    return (distance * height + 0.5).clamp_(0, 1)


def backdrop(board: Board, cameras: Cameras, poses: Poses, grain: Tensor) -> None:
    """Fill colour and dark of the whole board.

    Args:
        board: B pictures.
        cameras: whose background it is.
        poses: where along it people stand, and who passes by.
        grain: (B, H, W) from `texture`.
    """
    height, width = board.labels.shape[1:]
    r = (torch.arange(height, device=grain.device) + 0.5) / height
    q = (torch.arange(width, device=grain.device) + 0.5) / height
    floor = _ramp(r - cameras.horizon[:, None], height)
    view = View(board, cameras, r, q, (poses.stand * 1.7)[:, None], floor)
    _wall_and_ground(view)
    for k in range(3):
        _box(view, cameras.boxes[:, k])
    _shade(view, grain)
    for k in range(3):
        _passer(view, poses.passers[:, k], k)


def _wall_and_ground(view):
    """Their colours: the wall darker towards its foot, the ground darker towards the horizon."""
    cameras, r = view.cameras, view.r
    horizon = cameras.horizon[:, None]
    wall = cameras.wall[:, :, None] * (1.1 - 0.25 * r)  # (B, 3, H)
    nearness = ((r - horizon) / (1 - horizon)).clamp(0, 1)  # (B, H)
    ground = cameras.ground[:, :, None] * (0.75 + 0.35 * nearness)[:, None]
    colours = wall + (ground - wall) * view.floor[:, None]  # (B, 3, H)
    view.board.colour.copy_(colours[..., None].expand_as(view.board.colour))


def _box(view, box):
    """A door, a window or a pillar; box (B, 8) from Cameras.boxes."""
    cameras, r = view.cameras, view.r
    x, wide, top, bottom, _, _, _, strength = box.unbind(1)  # (B,) each
    tint = box[:, 4:7]
    x = ((x + view.slide[:, 0]) % 1.0) * 0.9 - 0.2
    half = 0.03 + 0.14 * wide * wide
    # it reaches the ground or hangs on the wall
    hanging = cameras.horizon * (0.4 + 0.5 * bottom)
    low = torch.where(bottom < 0.6, cameras.horizon, hanging)
    high = low - (0.12 + 0.6 * top)
    across = view.ramp(half[:, None] - (view.q - x[:, None]).abs())  # (B, W)
    down = view.ramp(low[:, None] - r) * view.ramp(r - high[:, None])  # (B, H)
    down = down * strength[:, None]
    share = down[:, :, None] * across[:, None]  # (B, H, W)
    colour = cameras.wall * 0.45 + 0.5 * tint[:, :1] ** 2 + 0.12 * tint
    view.board.blend(ALL, colour.clamp(0, 1), share)


def _shade(view, grain):
    """Texture everywhere, strong where leaves are; mortar or tile lines on the wall."""
    board, cameras, floor = view.board, view.cameras, view.floor
    leaves = cameras.foliage[:, None] ** 2
    on_wall = (cameras.grit[:, :1] + 0.85 * leaves) * (1 - floor)
    on_ground = (cameras.grit[:, 1:] + 0.34 * leaves) * floor
    unevenness = on_wall + on_ground  # (B, H)
    torch.mul(grain, -unevenness[:, :, None], out=board.dark)
    board.dark.add_(LIGHT - 1)
    lines = _lines(view)
    lines.mul_((0.28 * cameras.lines)[:, None, None])
    board.dark.add_(lines)


def _lines(view):
    """(B, H, W) 0 .. 1: the lines between bricks or tiles."""
    cameras, r, wall = view.cameras, view.r[None], 1 - view.floor
    high, wide = cameras.line_size.split(1, 1)  # (B, 1) each, of a brick or tile
    q = view.q + view.slide  # (B, W) along the wall
    level = _line(r, high * 0.5) * wall  # (B, H)
    # each second row of bricks is shifted by half of one; tiles are not
    is_bricks = (cameras.lines > 0.8)[:, None]
    odd = ((r / high).frac() < 0.5) * is_bricks * wall  # (B, H)
    even = (wall - odd).clamp(min=0)
    shifted = _line(q + wide / 2, wide)  # (B, W)
    straight = _line(q, wide)
    lines = shifted[:, None] * odd[:, :, None]  # (B, H, W)
    lines.add_(straight[:, None] * even[:, :, None])
    return torch.maximum(lines, level[:, :, None])


def _line(at, period):
    """1 on thin lines, one in each period, 0 between them."""
    distance = ((at / period).frac() * period - 0.005).abs()
    return (1 - distance / 0.008).clamp(0, 1)


def _passer(view, passer, number):
    """Somebody out of focus in the background; passer (B, 6) from Poses.passers, number 0 .. 2."""
    board, cameras = view.board, view.cameras
    height, width = board.labels.shape[1:]
    x, size, _, _, _, rarity = passer.unbind(1)  # (B,) each
    tall = 0.38 + 0.3 * size
    foot = cameras.horizon + 0.10 + 0.12 * size
    t = (view.r - (foot - tall)[:, None]) / tall[:, None]  # (B, H) 0 head .. 1 feet

    # half widths (B, H): a head, wider from the shoulders on, narrower from the legs on
    shoulders = ((t - 0.13) * 14).clamp(0, 1)
    legs = ((t - 0.45) * 3).clamp(0, 1)
    half = 0.05 + 0.075 * shoulders - 0.045 * legs
    half = half * (tall * height)[:, None]  # pixels
    is_there = (rarity + 0.15 * number) < cameras.crowd
    cover = (t * 8).clamp(0, 1) * ((1 - t) * 8).clamp(0, 1)
    cover = cover * is_there[:, None] * 0.9
    centre = (x[:, None] * 1.3 - 0.15) * width  # (B, 1)

    # share = cover * clamp((half - |x - centre|) * 16 / height + 1/2): edges out of focus
    share = board.x - centre.expand_as(half)[:, :, None]  # (B, H, W)
    share.abs_()
    torch.sub(half[:, :, None], share, out=share)
    share.mul_(16 / height)
    share.add_(0.5)
    share.clamp_(0, 1)
    share.mul_(cover[:, :, None])
    board.blend(ALL, _passer_colours(t, passer[:, 2:5]), share)
    board.darken(ALL, share, LIGHT - 1)


def _passer_colours(t, tint):
    """(B, 3, H): skin, then cloth, then trousers, from t (B, H) and tint (B, 3)."""
    tint = tint[:, :, None]  # (B, 3, 1)
    skin = torch.tensor(PASSER_SKIN, device=t.device)[None, :, None]
    cloth = 0.05 + 0.6 * tint[:, :1] ** 2 + 0.25 * (tint - 0.5) * tint[:, 1:2]
    trousers = 0.05 + 0.3 * tint[:, 2:] ** 2
    # (B, 1, H) out of focus
    below_neck = ((t - 0.155) * 20 + 0.5).clamp(0, 1)[:, None]
    below_waist = ((t - 0.52) * 20 + 0.5).clamp(0, 1)[:, None]
    colours = skin + (cloth - skin) * below_neck
    colours = colours + (trousers - colours) * below_waist
    return colours.clamp(0, 1)


def occlude(board: Board, poses: Poses, grain: Tensor) -> None:
    """Put something before the person. Hidden parts lose their label.

    It comes from below (a wall, a car, a hedge), is a pole, or comes from one side.

    Args:
        board: B pictures with their people.
        poses: what stands where.
        grain: (B, H, W) from `texture`.
    """
    kind = poses.occluder[:, None]
    x = poses.occluder_x[:, None]
    is_leafy = (kind != POLE) & (x * 4 % 1 < 0.4)  # (B, 1) a hedge, a bush
    share = _occluded(board, poses, is_leafy, grain)
    leaf = torch.tensor(OCCLUDER_LEAF, device=grain.device) * (0.6 + x)
    board.blend(ALL, torch.where(is_leafy, leaf, poses.occluder_colour), share)
    # dark = grain * (0.9 or 0.2), as on a plain surface
    dark = grain.mul(torch.where(is_leafy, -0.9, -0.2)[:, :, None])
    dark.add_(LIGHT - 1)
    board.dark.lerp_(dark, share)
    board.labels.mul_(1 - share.round_())


def _occluded(board, poses, is_leafy, grain):
    """(B, H, W) 0 .. 1: where the occluder is."""
    height, width = board.labels.shape[1:]
    kind = poses.occluder[:, None]  # (B, 1) each
    hides = poses.hides[:, None]
    x = poses.occluder_x[:, None]
    r = (torch.arange(height, device=grain.device) + 0.5) / height
    # (B, H) above 0 in the rows that are covered: the lower ones, none, or all
    none_or_all = torch.where(kind == NO_OCCLUDER, -1.0, 1.0)
    edge = torch.where(kind == BELOW, r - (1 - 0.36 * hides), none_or_all)
    # (B, 1) half width and centre of the columns that are covered, pixels
    narrow = torch.where(kind == POLE, 0.03 + 0.07 * hides, 0.08 + 0.24 * hides)
    half = torch.where(kind == BELOW, 9.0, narrow) * width
    border = (x > 0.5) * 1.0  # left or right
    centre = torch.where(kind == ASIDE, border, 0.15 + 0.7 * x) * width

    rough = torch.where(is_leafy, 0.12, 0.0)[:, :, None] * grain  # (B, H, W) a hedge's outline
    share = _ramp(edge[:, :, None] + rough * (kind == BELOW)[:, :, None], height)
    distance = (board.x - centre[:, :, None]).abs_()
    across = (half + 0.5)[:, :, None] - distance  # (B, 1, W)
    across = across + rough * (0.7 * height)
    share.mul_(across.clamp_(0, 1))
    return share
