"""Cameras: a geometry and background that decide what is in the picture, and an imaging chain that decides how it
looks."""

from dataclasses import dataclass, replace

import torch

from .hashing import bell, hash32, pick, table, uniform
from .places import BACKGROUNDS, NORMAL, POWERS, STYLE, Knobs


@dataclass(frozen=True)
class Cameras(
    table(
        "key viewpoint elevation scale shift roll sun horizon wall ground lines line_size foliage boxes crowd grit "
        "gain white_balance gamma hue saturation contrast brightness blur noise resolution compression light"
    )
):
    """N cameras; every field has N rows, and dataclasses.replace changes one (a slider does).

    Geometry: viewpoint (radians; people mostly walk this way or the opposite: 0 towards the camera, pi/2 to the right),
    elevation (0 level .. 0.2 from above), scale and shift (2) of the crop, roll, sun (side the light comes from).
    Background: horizon (fraction of the height), wall, ground (3), lines, line_size (2), foliage, boxes (3, 8), crowd, grit (2: unevenness of
    wall and ground).
    Imaging chain: the names of places.STYLE, units there.
    """


def make_cameras(place, count, seed=0, knobs=NORMAL):
    """`count` cameras of a place. The same place, seed and number give the same camera however many are asked for.

    place_shift scales the place's distance from a neutral style, camera_shift each camera's distance from its place,
    clutter the background. ValueError for a count below 1 or knobs that are no Knobs.
    """
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    if count < 1:
        raise ValueError(f"count is {count!r}; a place needs at least one camera")
    key = hash32("camera", place.key, seed, torch.arange(count))
    return Cameras(
        key=key,
        **_geometry(key),
        **_background(place, key, knobs.clutter),
        **_style(place, key, knobs),
    )


def neutral(cameras):
    """The same geometry and background through an ideal imaging chain: no cast, blur, noise or loss."""
    ideal = {
        "gain": 1.0,
        "saturation": 1.0,
        "contrast": 1.0,
        "blur": 0.0,
        "noise": 0.0,
        "resolution": 128.0,
        "compression": 0.0,
    }
    return replace(
        cameras,
        **{
            name: torch.full_like(getattr(cameras, name), ideal.get(name, STYLE[name][1]))
            for name in STYLE
        },
    )


def _geometry(key):
    u, b = uniform(3, "geometry", key), bell(6, "geometry", key)
    return {
        "viewpoint": (u[:, 0] - 0.5) * 6.2831853,
        "elevation": 0.16 * u[:, 1],
        "scale": 1 + 0.02 * b[:, 0],
        "shift": 0.012 * b[:, 1:3],
        "roll": 0.02 * b[:, 3],
        "sun": 0.14 * b[:, 4],
    }


def _background(place, key, clutter):
    u, b = uniform(8, "background", key), bell(6, "background", key)
    table = torch.tensor(list(BACKGROUNDS.values()))  # (kinds, 4)
    amount = table[pick(u[:, 0], place.kinds)] * min(clutter, 1.6)  # (N, 4)
    base = uniform(6, "ground and wall", place.key)
    grey = (0.2 + 0.6 * base[[0, 3]] + 0.12 * b[:, :2]).clamp(
        0.08, 0.92
    )  # (N, 2) brightness of both
    tint = 0.18 * (base[[1, 2, 4, 5]] - 0.5) + 0.035 * b[:, 2:6]  # (N, 4) red and blue of both
    wall = torch.stack([grey[:, 0] + tint[:, 0], grey[:, 0], grey[:, 0] + tint[:, 1]], 1)
    ground = torch.stack(
        [0.85 * grey[:, 1] + tint[:, 2], 0.85 * grey[:, 1], 0.85 * grey[:, 1] + tint[:, 3]], 1
    )
    leaf = torch.tensor([0.22, 0.34, 0.16]) * (0.6 + u[:, 1:2])  # bushes are green, lawns too
    wall = wall + (leaf - wall) * (amount[:, 1:2] > 0.6) * 0.85
    ground = ground + (leaf - ground) * ((amount[:, 1] > 0.6) & (u[:, 2] < 0.5))[:, None] * 0.7
    box = uniform(24, "boxes", key).reshape(-1, 3, 8)  # x, width, top, bottom, colour (3), strength
    box = torch.cat([box[..., :7], (box[..., 7:] < 0.9 * amount[:, None, 2:3]).float()], -1)
    return {
        "horizon": (0.35 + 0.5 * u[:, 3]),
        "wall": wall.clamp(0.03, 0.95),
        "ground": ground.clamp(0.03, 0.95),
        "lines": amount[:, 0],
        "line_size": 0.05 + 0.13 * u[:, 4:6] ** 2,
        "foliage": amount[:, 1],
        "boxes": box,
        "crowd": amount[:, 3],
        "grit": 0.06 + torch.tensor([0.4, 0.8]) * u[:, 6:8] ** 1.5 * min(clutter, 1.6),
    }


def _style(place, key, knobs):
    deviations, start, style = bell(sum(row[0] for row in STYLE.values()), "style", key), 0, {}
    for name, (values, middle, of_places, of_cameras, low, high) in STYLE.items():
        own = deviations[:, start : start + values]  # (N, values)
        move = (
            knobs.place_shift * of_places * place.style[name]
            + knobs.camera_shift * of_cameras * own
        )
        value = (
            middle * torch.exp2(move.double()) if name in POWERS else middle + move.double()
        ).float()
        value = value.clamp(low, high)
        if name == "resolution":
            value = 128 * (value / 128) ** knobs.degradation
        elif name in ("blur", "noise", "compression"):
            value = value * knobs.degradation
        style[name], start = (value if values > 1 else value[:, 0]), start + values
    return style


CHAIN = tuple(STYLE)  # the fields that restyle exchanges
