"""The joints of a walking body, from the phase of its walk.

Lengths in body heights, y from 0 (top of the head) to 1 (soles), x from the body's axis; everything
float64, so that a person rounds alike in any batch.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from .people import People
from .poses import Poses

THIGH, SHANK, ARM, FOREARM = 0.235, 0.21, 0.165, 0.15
PELVIS = 0.50  # y of the hips

Number = Tensor | float  # (B,) float64, or the same for everybody


class Point(NamedTuple):
    """A joint."""

    x: Number
    y: Number


@dataclass(frozen=True)
class Side:
    """The joints of one side of the body."""

    hip: Point
    knee: Point
    ankle: Point
    shoulder: Point
    elbow: Point
    wrist: Point


@dataclass(frozen=True)
class Joints:
    """A walking body as the camera sees it.

    Args:
        front: (B,) cosine of the facing: how much of the front shows, below 0 from behind.
        right: (B,) sine of the facing: how far the body looks to the right.
        near_side: (B,) -1 or 1, the person's side that is closer to the camera.
        near: joints of that side.
        far: joints of the other side.
    """

    front: Tensor
    right: Tensor
    near_side: Tensor
    near: Side
    far: Side

    @property
    def drop(self) -> Tensor:
        """(B,) how far the stride lowers the pelvis."""
        return 0.945 - torch.maximum(self.near.ankle.y, self.far.ankle.y)

    @property
    def face(self) -> Tensor:
        """(B,) 0 .. 1: how much of the face the camera sees."""
        return ((self.front + 0.42) / 0.62).clamp(0, 1)

    def section(self, front: Number, side: Number) -> Tensor:
        """Half width of an ellipse.

        Args:
            front: half width seen from the front.
            side: half width seen from the side.
        Returns:
            (B,).
        """
        return torch.sqrt((front * self.front) ** 2 + (side * self.right) ** 2)


def walk(people: People, poses: Poses, elevation: Tensor) -> Joints:
    """Joints from the phase of the walk.

    Args:
        people: B people, whose build counts.
        poses: B poses.
        elevation: (B,) of the camera, 0 level .. 0.2 from above.
    Returns:
        the joints.
    """
    facing = poses.facing.double()
    front = torch.cos(facing)
    right = torch.sin(facing)
    near_side = torch.where(right > 0, -1.0, 1.0).double()
    build = people.build.double()
    toward = front * (0.06 + elevation.double())  # a step to the camera ends lower
    near = _side(poses, build, front, right, toward, near_side)
    far = _side(poses, build, front, right, toward, -near_side)
    return Joints(front, right, near_side, near, far)


def _side(poses, build, front, right, toward, side):
    """The joints of one side of the body (B,): -1 or 1."""
    phase = poses.phase.double()
    ahead = side * torch.sin(phase)  # how far this leg is ahead, the arm behind
    outward = side * front  # which way and how much the side shows

    thigh = 0.46 * poses.stride * ahead  # radians from the vertical, forwards
    swung = (side * torch.cos(phase)).clamp(min=0)
    bend = 0.06 + 0.75 * poses.stride * swung  # the leg that swings is bent
    shank = thigh - bend
    thigh_reach = THIGH * torch.sin(thigh)  # how far forwards its end is
    shank_reach = SHANK * torch.sin(shank)

    hip = Point(outward * 0.047 * build, PELVIS)
    knee = Point(
        hip.x + right * thigh_reach + 0.006 * outward,
        hip.y + THIGH * torch.cos(thigh) + toward * thigh_reach,
    )
    ankle = Point(
        knee.x + right * shank_reach,
        knee.y + SHANK * torch.cos(shank) + toward * shank_reach,
    )

    swing = -0.42 * poses.swing * ahead  # arms against legs
    forearm = swing + poses.elbow
    away = outward * (0.022 + 0.012 * build)  # the elbow stands off the body
    shoulder = Point(outward * 0.102 * build, 0.2)
    elbow = Point(
        shoulder.x + away + right * ARM * torch.sin(swing),
        0.205 + ARM * torch.cos(swing),
    )
    wrist = Point(
        elbow.x + 0.2 * away + right * FOREARM * torch.sin(forearm),
        elbow.y + FOREARM * torch.cos(forearm).clamp(min=0.3),
    )
    return Side(hip, knee, ankle, shoulder, elbow, wrist)
