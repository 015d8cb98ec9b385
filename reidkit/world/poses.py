"""Poses: how a person walks into one picture, how well the detector cropped it, and what stands in the way."""

from dataclasses import dataclass

import torch

from .hashing import bell, hash32, table, uniform
from .places import NORMAL, Knobs


@dataclass(frozen=True)
class Poses(
    table(
        "key facing phase stride swing elbow lean top scale x stretch occluder hides occluder_x "
        "occluder_colour stand passers folds"
    )
):
    """N poses; every field has N rows.

    facing (radians: 0 front, pi/2 walking to the right, pi back), phase of the walk (radians), stride and swing (0 ..
    1.3 of legs and arms), elbow (radians of bend), lean; top and scale (fractions of the picture's height: where the
    head begins, how much the body fills), x (fraction of its width), stretch (crops made twice as tall as wide broaden
    people); occluder: 0 none, 1 from below, 2 a pole, 3 from the side; hides (0 .. 1) how much; occluder_x and
    occluder_colour (3); stand: the piece of background behind; passers (3, 6): x, depth and
    colours; folds: how strong creases and patches of light are.
    """

    def attributes(self):
        """{"facing": (N,) int64 into ATTRIBUTES["facing"]}, the nearest of the four."""
        return {"facing": torch.floor(self.facing.double() / (torch.pi / 2) + 0.5).long() % 4}


def make_poses(count, seed, knobs=NORMAL, cameras=None, first=0):
    """`count` poses, hashed from the seed and their number (from `first` on). With cameras (one for each pose) people
    walk along the camera's viewpoint, either way; without, they face anywhere. misalignment and occlusion act here."""
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    if cameras is not None and len(cameras) != count:
        raise ValueError(
            f"{len(cameras)} cameras for {count} poses; expected one a pose (cameras[index] repeats them)"
        )
    key = hash32("pose", seed, torch.arange(first, first + count))
    u, b = uniform(14, "pose", key), bell(6, "pose", key)
    off, error = knobs.misalignment, bell(4, "crop", key)
    worse = 1 + 2.2 * (uniform(1, "bad crop", key) < 0.12)  # (N, 1) a detector's slips
    error = error * worse * off
    if cameras is None:
        facing = 6.2831853 * (u[:, 0] - 0.5)
    else:
        facing = cameras.viewpoint + 3.1415927 * (u[:, 0] < 0.5) + 0.3 * b[:, 0]
    facing = knobs.views * torch.remainder(facing + 3.1415927, 6.2831853) - 3.1415927 * knobs.views
    still = (u[:, 1] < 0.12).float()
    scale = (0.915 + 0.030 * error[:, 0]).clamp(0.74, 1.15)
    return Poses(
        key=key,
        facing=facing,
        phase=6.2831853 * u[:, 2],
        stride=(0.55 + 0.6 * u[:, 3]) * (1 - 0.8 * still),
        swing=(0.3 + 0.8 * u[:, 4]) * (1 - 0.7 * still),
        elbow=0.1 + 0.35 * u[:, 5] + 0.6 * (u[:, 6] < 0.15),
        lean=0.02 * b[:, 1],
        top=(0.5 - scale / 2 + 0.014 * error[:, 1]).clamp(-0.14, 0.22),
        scale=scale,
        x=(0.5 + 0.028 * error[:, 2]).clamp(0.3, 0.7),
        stretch=(1.26 + 0.10 * error[:, 3]).clamp(0.9, 1.6),
        occluder=torch.where(
            u[:, 7] < 0.22 * knobs.occlusion, 1 + torch.floor(3 * u[:, 8]).long(), 0
        ),
        hides=(0.2 + 0.8 * u[:, 9]) * min(knobs.occlusion, 1.5),
        occluder_x=u[:, 10],
        occluder_colour=uniform(3, "occluder", key) * 0.35 + 0.5 * u[:, 11:12] ** 2 + 0.03,
        stand=u[:, 12],
        passers=uniform(18, "passers", key).reshape(-1, 3, 6),
        folds=(0.1 + 0.4 * u[:, 13]) * knobs.texture,
    )
