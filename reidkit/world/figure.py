"""The figure under the clothes: outlines from joints, body and dress.

Lengths in body heights, y from 0 (top of the head) to 1 (soles), x from the body's axis; everything
float64, so that a person rounds alike in any batch.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .dress import COAT
from .joints import PELVIS, THIGH, Joints, Number
from .people import People

LIMBS = ("far_leg", "near_leg", "far_arm", "near_arm", "torso", "skirt", "neck", "seat")
BOUNDS = {  # rows that a shape can touch
    "far_leg": (0.44, 0.99),
    "near_leg": (0.44, 0.99),
    "far_arm": (0.16, 0.60),
    "near_arm": (0.16, 0.60),
    "torso": (0.14, 0.76),
    "skirt": (0.41, 0.86),
    "neck": (0.1, 0.2),
    "seat": (0.41, 0.58),
    "far_shoe": (0.90, 1.0),
    "near_shoe": (0.90, 1.0),
    "skull": (-0.02, 0.16),
    "mane": (0.02, 0.31),
    "face": (0.02, 0.15),
    "nose": (0.06, 0.11),
    "ear": (0.05, 0.1),
    "pack": (0.17, 0.45),
    "hand_bag": (0.48, 0.74),
    "side_bag": (0.44, 0.60),
    "eyes": (0.06, 0.09),
    "brim": (0.02, 0.06),
    "shadow": (0.9, 1.05),
}
OVALS = tuple(name for name in BOUNDS if name not in LIMBS)


class Knot(NamedTuple):
    """One point of a limb's outline, which is linear in between: how wide the limb is at y."""

    y: Number
    x: Number
    half: Number


class Oval(NamedTuple):
    """An ellipse (squareness 1) or a box with round corners (towards 2)."""

    x: Number
    y: Number
    half_width: Number
    half_height: Number
    squareness: float


def outlines(people: People, joints: Joints) -> tuple[Tensor, Tensor]:
    """The outlines of all shapes of B people.

    Args:
        people: their builds and dress.
        joints: as they walk.
    Returns:
        (B, 8, 3, K) knots of y, centre, half width of the limbs, in the order of LIMBS;
        (B, S, 5) x, y, half width, half height, squareness of the ovals, in the order of OVALS.
    """
    limbs = _trunk(people, joints)
    for name, side in (("far", joints.far), ("near", joints.near)):
        limbs[f"{name}_leg"] = _leg(people, side)
        limbs[f"{name}_arm"] = _arm(people, side)
    ovals = _head(people, joints) | _carried(people, joints) | _feet(joints)

    most = max(len(knots) for knots in limbs.values())
    stacks = []
    for name in LIMBS:
        knots = limbs[name]
        knots = knots + [knots[-1]] * (most - len(knots))  # the last one again
        stacks.append(list(zip(*knots)))  # 3 tuples of K numbers
    limb_knots = _stack(joints.front, stacks)  # (B, 8, 3, K)
    oval_knots = _stack(joints.front, [ovals[name] for name in OVALS])  # (B, S, 5)
    return limb_knots.float(), oval_knots.float()


def _stack(like, shapes):
    """Nested lists of numbers and (B,) tensors -> (B, S, ..., K)."""
    if isinstance(shapes, (list, tuple)):
        return torch.stack([_stack(like, shape) for shape in shapes], 1)
    if isinstance(shapes, Tensor):
        return shapes
    return torch.full_like(like, shapes)


def _slant(upper, lower):
    """How much wider than thick a slanted limb is along a row."""
    slope = (lower.x - upper.x) / (lower.y - upper.y).clamp(min=0.02)
    return torch.sqrt(1 + slope**2).clamp(max=2.2)


def _leg(people, side):
    """Knots from the hip to the ankle."""
    build = people.build.double()
    hip, knee, ankle = side.hip, side.knee, side.ankle
    thigh = _slant(hip, knee)
    shank = _slant(knee, ankle)
    calf_y = knee.y + 0.35 * (ankle.y - knee.y)
    calf_x = knee.x + 0.35 * (ankle.x - knee.x)
    return [
        Knot(0.46, hip.x, 0.050 * build),
        Knot(0.53, hip.x + 0.15 * (knee.x - hip.x), 0.053 * build * thigh),
        Knot(knee.y, knee.x, 0.037 * build * thigh),
        Knot(calf_y, calf_x, 0.036 * build * shank),
        Knot(ankle.y, ankle.x, 0.021 * shank),
        Knot(ankle.y + 0.03, ankle.x, 0.021),
    ]


def _arm(people, side):
    """Knots from the shoulder to the finger tips."""
    build = people.build.double()
    elbow, wrist = side.elbow, side.wrist
    shoulder_x = side.shoulder.x
    upper = _slant(side.shoulder, elbow)
    lower = _slant(elbow, wrist)
    onward = wrist.x - elbow.x  # the hand goes on as the forearm does
    return [
        Knot(0.176, shoulder_x * 0.90, 0.014),
        Knot(0.192, shoulder_x * 0.97, 0.026 * build),
        Knot(0.215, shoulder_x, 0.031 * build),
        Knot(elbow.y, elbow.x, 0.026 * build * upper),
        Knot(wrist.y - 0.01, wrist.x, 0.018 * lower),
        Knot(wrist.y + 0.015, wrist.x + 0.1 * onward, 0.022),
        Knot(wrist.y + 0.055, wrist.x + 0.25 * onward, 0.012),
    ]


class _Trunk:
    """What torso, skirt and seat share: elliptic sections, turned with the facing, under cloth."""

    def __init__(self, people, joints):
        self.joints = joints
        self.right = joints.right
        self.build = people.build.double()
        self.curve = people.curve.double()
        self.waist = 0.096 - 0.016 * self.curve
        self.hips = 0.094 + 0.010 * self.curve
        self.flare = people.flare.double()
        stands_off = torch.where(people.upper_kind % 3 > 0, 0.010, 0.002).double()  # jackets do
        self.cloth = stands_off + 0.016 * people.fit.double()
        near_x = joints.near.knee.x
        far_x = joints.far.knee.x
        self.knees = (near_x + far_x) / 2  # the middle between them
        self.spread = (near_x - far_x).abs() / 2 + 0.045 * self.build

    def half(self, front, side):
        """Half width of the trunk in its cloth, from how wide it is from the front and the side."""
        return self.joints.section(front, side) * self.build + self.cloth

    def down(self, y):
        """How far down the thigh a hem at y hangs."""
        return ((y - PELVIS) / THIGH).clamp(0, 1.2)

    def middle(self, y):
        """The centre of a hem at y, which goes along with the knees."""
        return self.knees * self.down(y)

    def pushed(self, y, least):
        """The half width of a hem at y: at least `least`, more where the legs push it."""
        return torch.maximum(least, self.spread * self.down(y))


def _trunk(people, joints):
    """Knots of torso (the upper garment), skirt, seat of the trousers and neck."""
    trunk = _Trunk(people, joints)
    return {
        "torso": _torso(trunk, people),
        "skirt": _skirt(trunk, people),
        "seat": _seat(trunk),
        "neck": _neck(joints.right),
    }


def _torso(trunk, people):
    right, half = trunk.right, trunk.half
    is_coat = people.upper_kind == COAT
    coat = torch.where(is_coat, 0.014, 0.002).double()
    hem_y = people.hem_upper.double()
    hips = half(trunk.hips, 0.070) + coat / 2
    hem = half(trunk.hips, 0.070) + coat + trunk.flare * is_coat
    return [
        Knot(0.148, 0.006 * right, trunk.joints.section(0.030, 0.034)),  # collar
        Knot(0.168, 0.004 * right, half(0.070, 0.045)),
        Knot(0.180, 0.0, half(0.096, 0.054)),
        Knot(0.20, 0.004 * right, half(0.112, 0.060)),  # shoulders
        Knot(0.27, 0.008 * right, half(0.107 - 0.004 * trunk.curve, 0.072)),  # chest
        Knot(0.40, 0.0, half(trunk.waist, 0.062)),
        Knot((hem_y - 0.01).clamp(max=0.49), -0.004 * right, hips),
        Knot(hem_y, trunk.middle(hem_y), trunk.pushed(hem_y, hem)),
    ]


def _skirt(trunk, people):
    half, hips, flare = trunk.half, trunk.hips, trunk.flare
    hem_y = people.hem_lower.double().clamp(max=0.9)
    hem = half(hips, 0.080) + flare
    return [
        Knot(0.42, 0.0, half(trunk.waist, 0.062)),
        Knot(0.46, 0.0, half(hips - 0.006, 0.066)),
        Knot(0.51, -0.004 * trunk.right, half(hips + 0.004, 0.074)),
        Knot(0.56, trunk.knees * 0.2, half(hips + 0.006, 0.076) + 0.3 * flare),
        Knot(hem_y, trunk.middle(hem_y), trunk.pushed(hem_y, hem)),
    ]


def _seat(trunk):
    half, hips = trunk.half, trunk.hips
    behind = -0.006 * trunk.right
    return [
        Knot(0.42, 0.0, half(trunk.waist, 0.060)),
        Knot(0.45, 0.0, half(hips - 0.006, 0.066)),
        Knot(0.52, behind, half(hips, 0.072)),
        Knot(0.545, behind, half(hips - 0.02, 0.06)),
        Knot(0.565, 0.0, half(0.03, 0.04)),
    ]


def _neck(right):
    x = 0.004 * right
    return [
        Knot(0.10, x, 0.026),
        Knot(0.15, x, 0.028),
        Knot(0.165, x, 0.033),
        Knot(0.18, x, 0.026),
        Knot(0.192, x, 0.008),
    ]


def _head(people, joints):
    """Ovals of the head, its hair and what is on it."""
    right, face = joints.right, joints.face
    length = people.hair_length.double()
    volume = 0.004 * length
    falls = torch.tensor([0.052, 0.062, 0.118], dtype=right.dtype, device=right.device)
    mane = falls[people.hair_length]  # (B,) how far down the hair falls
    skull = joints.section(0.050, 0.057) + volume
    mane_half = joints.section(0.054, 0.045) + volume
    face_half = joints.section(0.041, 0.036) * face
    brim_half = joints.section(0.050, 0.062) * face.clamp(min=0.2)
    ear_x = joints.near_side * joints.front * 0.046 - 0.006 * right
    eyes_half = 0.009 * face * (1 - 0.4 * right.abs())
    return {
        "skull": Oval(0.003 * right, 0.063, skull, 0.066, 1.08),
        "mane": Oval(-0.020 * right, 0.045 + mane, mane_half, mane + 0.02, 1.3),
        "face": Oval(0.024 * right, 0.080, face_half, 0.052, 1.08),
        "nose": Oval(0.060 * right, 0.086, 0.010 * right.abs() * face, 0.014, 1.0),
        "ear": Oval(ear_x, 0.078, 0.009, 0.015, 1.0),
        "eyes": Oval(0.036 * right, 0.073, eyes_half, 0.006, 1.5),
        "brim": Oval(0.055 * right * face, 0.040, brim_half, 0.008, 1.5),
    }


def _carried(people, joints):
    """Ovals of backpack, shoulder bag and hand bag."""
    build = people.build.double()
    side = people.bag_side.double()
    outward = side * joints.front
    in_near_hand = side == joints.near_side
    wrist_x = torch.where(in_near_hand, joints.near.wrist.x, joints.far.wrist.x)
    wrist_y = torch.where(in_near_hand, joints.near.wrist.y, joints.far.wrist.y)
    pack_x = -0.088 * joints.right * (0.55 + 0.45 * build)
    pack_half = joints.section(0.082, 0.048) * (0.7 + 0.3 * build)
    hip_x = -outward * 0.112 * build + 0.02 * joints.right
    hand_x = wrist_x + 0.012 * outward
    return {
        "pack": Oval(pack_x, 0.30, pack_half, 0.118, 1.5),
        "side_bag": Oval(hip_x, 0.52, joints.section(0.040, 0.075), 0.062, 1.6),
        "hand_bag": Oval(hand_x, wrist_y + 0.10, joints.section(0.034, 0.062), 0.055, 1.6),
    }


def _feet(joints):
    """Ovals of the shoes and of the shadow between them."""
    half = joints.section(0.030, 0.062)
    high = 0.027 + 0.005 * joints.front.abs()
    ovals = {}
    for name, ankle in (("near", joints.near.ankle), ("far", joints.far.ankle)):
        x = ankle.x + 0.026 * joints.right
        y = ankle.y + 0.030 + 0.006 * joints.front.clamp(min=0)
        ovals[f"{name}_shoe"] = Oval(x, y, half, high, 1.25)
    near_x, far_x = joints.near.ankle.x, joints.far.ankle.x
    apart = (near_x - far_x).abs() / 2
    ovals["shadow"] = Oval((near_x + far_x) / 2, 0.985, 0.11 + apart, 0.026, 1.0)
    return ovals
