"""Poses: how a person walks into one picture, how well the detector cropped it, and what stands in
the way."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .cameras import Cameras
from .hashing import Rows, bell, hash32, uniform, uniform_by_name
from .places import NORMAL, Knobs

TURN = 6.2831853  # radians
HALF_TURN = 3.1415927
NO_OCCLUDER, BELOW, POLE, ASIDE = range(4)


@dataclass(frozen=True)
class Poses(Rows):
    """N poses; every field has N rows.

    Args:
        key: what everything of this pose is hashed from.
        facing: radians: 0 front, pi/2 walking to the right, pi back.
        phase: of the walk, radians.
        stride: of the legs, 0 .. 1.3.
        swing: of the arms, 0 .. 1.3.
        elbow: radians of bend.
        lean: of the body, columns per row.
        top: where the head begins, a fraction of the picture's height.
        scale: how much the body fills, a fraction of the picture's height.
        x: where the body stands, a fraction of the picture's width.
        stretch: crops made twice as tall as wide broaden people by this factor.
        occluder: 0 none, 1 from below, 2 a pole, 3 from the side.
        hides: how much the occluder hides, 0 .. 1.
        occluder_x: where it stands, 0 .. 1.
        occluder_colour: (3) its colour.
        stand: the piece of background behind, 0 .. 1.
        passers: (3, 6) of each passer-by: x, depth, three numbers for the colours, and one that
            decides whether there is one.
        folds: how strong creases and patches of light are.
    """

    key: Tensor
    facing: Tensor
    phase: Tensor
    stride: Tensor
    swing: Tensor
    elbow: Tensor
    lean: Tensor
    top: Tensor
    scale: Tensor
    x: Tensor
    stretch: Tensor
    occluder: Tensor
    hides: Tensor
    occluder_x: Tensor
    occluder_colour: Tensor
    stand: Tensor
    passers: Tensor
    folds: Tensor

    def attributes(self) -> dict[str, Tensor]:
        """The view that a witness would name.

        Returns:
            {"facing": (N,) int64 into ATTRIBUTES["facing"]}, the nearest of the four.
        """
        quarters = self.facing.double() / (torch.pi / 2)
        return {"facing": torch.floor(quarters + 0.5).long() % 4}


class PoseDraws(NamedTuple):
    """The uniform numbers behind a pose, in the order in which they are drawn."""

    direction: Tensor  # where somebody walks; with a camera, which of two ways
    stands_still: Tensor
    phase: Tensor
    stride: Tensor
    swing: Tensor
    elbow: Tensor
    bent_elbow: Tensor  # whether the arms are held up
    is_occluded: Tensor
    occluder: Tensor
    hides: Tensor
    occluder_x: Tensor
    occluder_brightness: Tensor
    stand: Tensor
    folds: Tensor


def make_poses(
    count: int, seed: int, knobs: Knobs = NORMAL, cameras: Cameras | None = None, first: int = 0
) -> Poses:
    """Poses, hashed from the seed and their number.

    Args:
        count: how many poses.
        seed: any whole number; another seed gives other poses.
        knobs: views, misalignment, occlusion and texture act here.
        cameras: one for each pose: people walk along the camera's viewpoint, either way. None:
            they face anywhere.
        first: the number of the first pose.
    Returns:
        the poses with the numbers first .. first + count - 1.
    Raises:
        ValueError: where knobs are no Knobs, or cameras are not as many as poses.
    """
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    if cameras is not None and len(cameras) != count:
        raise ValueError(
            f"{len(cameras)} cameras for {count} poses; "
            "expected one a pose (cameras[index] repeats them)"
        )
    key = hash32("pose", seed, torch.arange(first, first + count))
    draws = uniform_by_name(PoseDraws, "pose", key)
    turn, lean, *_ = bell(6, "pose", key).unbind(1)
    still = (draws.stands_still < 0.12).float()
    return Poses(
        key=key,
        facing=_facing(draws.direction, turn, knobs, cameras),
        phase=TURN * draws.phase,
        stride=(0.55 + 0.6 * draws.stride) * (1 - 0.8 * still),
        swing=(0.3 + 0.8 * draws.swing) * (1 - 0.7 * still),
        elbow=0.1 + 0.35 * draws.elbow + 0.6 * (draws.bent_elbow < 0.15),
        lean=0.02 * lean,
        **_crop(key, knobs.misalignment),
        **_occluder(key, draws, knobs.occlusion),
        stand=draws.stand,
        passers=uniform(18, "passers", key).reshape(-1, 3, 6),
        folds=(0.1 + 0.4 * draws.folds) * knobs.texture,
    )


def _facing(direction, turn, knobs, cameras):
    """(N,) radians within half a turn of the camera, less where the knob `views` is below 1."""
    if cameras is None:
        facing = TURN * (direction - 0.5)
    else:
        way = HALF_TURN * (direction < 0.5)
        facing = cameras.viewpoint + way + 0.3 * turn
    turned = torch.remainder(facing + HALF_TURN, TURN)  # 0 .. a turn
    return knobs.views * turned - HALF_TURN * knobs.views


def _crop(key, misalignment):
    """What the detector's frame does: scale, top, x and stretch, (N,) each."""
    slips = uniform(1, "bad crop", key) < 0.12  # (N, 1) a detector's slips
    errors = bell(4, "crop", key) * (1 + 2.2 * slips) * misalignment  # (N, 4)
    scale_error, top_error, x_error, stretch_error = errors.unbind(1)
    scale = (0.915 + 0.030 * scale_error).clamp(0.74, 1.15)
    return {
        "scale": scale,
        "top": (0.5 - scale / 2 + 0.014 * top_error).clamp(-0.14, 0.22),
        "x": (0.5 + 0.028 * x_error).clamp(0.3, 0.7),
        "stretch": (1.26 + 0.10 * stretch_error).clamp(0.9, 1.6),
    }


def _occluder(key, draws, occlusion):
    """What stands in the way: the fields occluder, hides, occluder_x and occluder_colour."""
    kind = BELOW + torch.floor(3 * draws.occluder).long()  # one of the three
    is_occluded = draws.is_occluded < 0.22 * occlusion
    hue = uniform(3, "occluder", key) * 0.35  # (N, 3)
    brightness = 0.5 * draws.occluder_brightness[:, None] ** 2
    return {
        "occluder": torch.where(is_occluded, kind, NO_OCCLUDER),
        "hides": (0.2 + 0.8 * draws.hides) * min(occlusion, 1.5),
        "occluder_x": draws.occluder_x,
        "occluder_colour": hue + brightness + 0.03,
    }
