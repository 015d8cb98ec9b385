"""Cameras: a geometry and background that decide what is in the picture, and an imaging chain that
decides how it looks."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .hashing import Rows, bell, hash32, pick, uniform
from .places import BACKGROUNDS, NORMAL, POWERS, STYLE, Knobs, Place

CHAIN = tuple(STYLE)  # the fields that restyle exchanges

# Values of an ideal camera that differ from the neutral ones of places.STYLE.
IDEAL = {
    "gain": 1.0,
    "saturation": 1.0,
    "contrast": 1.0,
    "blur": 0.0,
    "noise": 0.0,
    "resolution": 128.0,
    "compression": 0.0,
}
# (kinds, 4): how much each kind of background has of lines, foliage, boxes and passers-by
BACKGROUND_TABLE = torch.tensor(list(BACKGROUNDS.values()))
LEAF = torch.tensor([0.22, 0.34, 0.16])


@dataclass(frozen=True)
class Cameras(Rows):
    """N cameras; every field has N rows, and dataclasses.replace changes one (a slider does).

    Args:
        key: what everything of this camera is hashed from.
        viewpoint: (geometry) radians; people mostly walk this way or the opposite: 0 towards the
            camera, pi/2 to the right.
        elevation: 0 level .. 0.2 from above.
        scale: of the crop.
        shift: (2) of the crop, to the right and down, fractions of its size.
        roll: columns per row by which the picture leans.
        sun: the side the light comes from.
        horizon: (background) fraction of the picture's height.
        wall: (3) colour.
        ground: (3) colour.
        lines: how strong brick or tile lines are.
        line_size: (2) height and width of a brick or tile, fractions of the picture's height.
        foliage: how much.
        boxes: (3, 8) of each door, window or pillar x, width, top, bottom, colour (3), strength.
        crowd: how likely passers-by are.
        grit: (2) unevenness of wall and ground.
        gain ... light: the imaging chain, with the names and units of places.STYLE.
    """

    key: Tensor
    viewpoint: Tensor
    elevation: Tensor
    scale: Tensor
    shift: Tensor
    roll: Tensor
    sun: Tensor
    horizon: Tensor
    wall: Tensor
    ground: Tensor
    lines: Tensor
    line_size: Tensor
    foliage: Tensor
    boxes: Tensor
    crowd: Tensor
    grit: Tensor
    gain: Tensor
    white_balance: Tensor
    gamma: Tensor
    hue: Tensor
    saturation: Tensor
    contrast: Tensor
    brightness: Tensor
    blur: Tensor
    noise: Tensor
    resolution: Tensor
    compression: Tensor
    light: Tensor


def make_cameras(place: Place, count: int, seed: int = 0, knobs: Knobs = NORMAL) -> Cameras:
    """Cameras of a place.

    The same place, seed and number give the same camera however many are asked for.

    Args:
        place: whose style and backgrounds the cameras vary.
        count: how many cameras.
        seed: any whole number; another seed gives other cameras.
        knobs: place_shift scales the place's distance from a neutral style, camera_shift each
            camera's distance from its place, clutter the background, and degradation what the
            chain loses.
    Returns:
        the cameras numbered 0 .. count - 1.
    Raises:
        ValueError: for a count below 1 or knobs that are no Knobs.
    """
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    if count < 1:
        raise ValueError(f"count is {count!r}; a place needs at least one camera")
    key = hash32("camera", place.key, seed, torch.arange(count))
    return Cameras(
        key=key,
        **_geometry(key),
        **_background(place, key, min(knobs.clutter, 1.6)),
        **_style(place, key, knobs),
    )


def neutral(cameras: Cameras) -> Cameras:
    """The same geometry and background through an ideal imaging chain.

    Args:
        cameras: any cameras.
    Returns:
        cameras without cast, blur, noise or loss.
    """
    chain = {}
    for name, (_, middle, *_) in STYLE.items():
        chain[name] = torch.full_like(getattr(cameras, name), IDEAL.get(name, middle))
    return replace(cameras, **chain)


def _geometry(key):
    """The fields of Cameras that say from where it looks."""
    viewpoint, elevation, _ = uniform(3, "geometry", key).unbind(1)  # (N,) each
    # (N, 1) each, shift (N, 2)
    scale, shift, roll, sun, _ = bell(6, "geometry", key).split((1, 2, 1, 1, 1), 1)
    return {
        "viewpoint": (viewpoint - 0.5) * 6.2831853,
        "elevation": 0.16 * elevation,
        "scale": 1 + 0.02 * scale[:, 0],
        "shift": 0.012 * shift,
        "roll": 0.02 * roll[:, 0],
        "sun": 0.14 * sun[:, 0],
    }


def _background(place, key, clutter):
    """The fields of Cameras that say what is behind people."""
    numbers = uniform(8, "background", key)
    # (N, 1) each, line_size and grit (N, 2)
    kind, leaf, lawn, horizon, line_size, grit = numbers.split((1, 1, 1, 1, 2, 2), 1)
    amounts = BACKGROUND_TABLE[pick(kind[:, 0], place.kinds)] * clutter  # (N, 4)
    lines, foliage, boxes, crowd = amounts.unbind(1)  # (N,) each
    wall, ground = _wall_and_ground(place, key)
    # bushes are green, lawns too
    leaf = LEAF * (0.6 + leaf)  # (N, 3)
    is_green = foliage[:, None] > 0.6  # (N, 1)
    has_lawn = is_green & (lawn < 0.5)
    wall = wall + (leaf - wall) * is_green * 0.85
    ground = ground + (leaf - ground) * has_lawn * 0.7
    return {
        "horizon": 0.35 + 0.5 * horizon[:, 0],
        "wall": wall.clamp(0.03, 0.95),
        "ground": ground.clamp(0.03, 0.95),
        "lines": lines,
        "line_size": 0.05 + 0.13 * line_size**2,
        "foliage": foliage,
        "boxes": _boxes(key, boxes),
        "crowd": crowd,
        "grit": 0.06 + torch.tensor([0.4, 0.8]) * grit**1.5 * clutter,
    }


def _wall_and_ground(place, key):
    """Their colours, (N, 3) each: those of the place, a little different for every camera."""
    base = uniform(6, "ground and wall", place.key)  # (6,)
    shades = bell(6, "background", key)  # (N, 6)
    # (N, 2) brightness of wall and ground
    grey = (0.2 + 0.6 * base[[0, 3]] + 0.12 * shades[:, :2]).clamp(0.08, 0.92)
    # (N, 4) red and blue of wall and ground
    tint = 0.18 * (base[[1, 2, 4, 5]] - 0.5) + 0.035 * shades[:, 2:6]
    wall_grey, ground_grey = grey.unbind(1)
    ground_grey = 0.85 * ground_grey
    wall_red, wall_blue, ground_red, ground_blue = tint.unbind(1)
    wall = torch.stack([wall_grey + wall_red, wall_grey, wall_grey + wall_blue], 1)
    ground = torch.stack([ground_grey + ground_red, ground_grey, ground_grey + ground_blue], 1)
    return wall, ground


def _boxes(key, amount):
    """(N, 3, 8): x, width, top, bottom, colour (3), strength; amount (N,): how common they are."""
    numbers = uniform(24, "boxes", key).reshape(-1, 3, 8)
    is_there = numbers[..., 7:] < 0.9 * amount[:, None, None]  # (N, 3, 1)
    return torch.cat([numbers[..., :7], is_there.float()], -1)


def _style(place, key, knobs):
    """The imaging chain: name -> (N,), or (N, values) where there are several."""
    widths = [values for values, *_ in STYLE.values()]
    deviations = bell(sum(widths), "style", key).split(widths, 1)  # (N, values) each
    style = {}
    for (name, row), deviation in zip(STYLE.items(), deviations):
        _, middle, of_places, of_cameras, low, high = row
        place_move = knobs.place_shift * of_places * place.style[name]
        camera_move = knobs.camera_shift * of_cameras * deviation
        move = (place_move + camera_move).double()
        value = middle * torch.exp2(move) if name in POWERS else middle + move
        value = value.float().clamp(low, high)
        if name == "resolution":
            value = 128 * (value / 128) ** knobs.degradation
        elif name in ("blur", "noise", "compression"):
            value = value * knobs.degradation
        style[name] = value if value.shape[1] > 1 else value[:, 0]
    return style
