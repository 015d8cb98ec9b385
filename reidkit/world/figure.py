"""The figure under the clothes: joints from the walk, outlines from body and dress. Lengths in body heights, y from 0
(top of the head) to 1 (soles), x from the body's axis; everything float64, so that a person rounds alike in any
batch."""

import torch

THIGH, SHANK, ARM, FOREARM = 0.235, 0.21, 0.165, 0.15
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


def walk(people, poses, elevation):
    """Joints from the phase of the walk.

    -> dict: f, s (cosine and sine of the facing: how much front and right side shows), near_side (-1 or 1), drop (how
    far the stride lowers the pelvis), and for "near" and "far" a dict of (B,) hip, knee, ankle, shoulder, elbow, wrist
    as (x, y).
    """
    facing, phase = poses.facing.double(), poses.phase.double()
    f, s = torch.cos(facing), torch.sin(facing)
    near = torch.where(s > 0, -1.0, 1.0).double()  # the person's side that is closer to the camera
    build, toward = people.build.double(), f * (0.06 + elevation.double())
    joints = {"f": f, "s": s, "near_side": near}
    for name, side in (("near", near), ("far", -near)):
        thigh = 0.46 * poses.stride * side * torch.sin(phase)
        bend = 0.06 + 0.75 * poses.stride * (side * torch.cos(phase)).clamp(
            min=0
        )  # the leg that swings is bent
        reach = (
            THIGH * torch.sin(thigh),
            SHANK * torch.sin(thigh - bend),
        )  # forwards, of thigh and shank
        hip = side * f * 0.047 * build
        knee = (
            hip + s * reach[0] + 0.006 * side * f,
            0.50 + THIGH * torch.cos(thigh) + toward * reach[0],
        )
        ankle = (
            knee[0] + s * reach[1],
            knee[1] + SHANK * torch.cos(thigh - bend) + toward * reach[1],
        )
        swing = -0.42 * poses.swing * side * torch.sin(phase)  # arms against legs
        fore, out = swing + poses.elbow, side * f * (0.022 + 0.012 * build)
        shoulder = side * f * 0.102 * build
        elbow = shoulder + out + s * ARM * torch.sin(swing), 0.205 + ARM * torch.cos(swing)
        wrist_y = elbow[1] + FOREARM * torch.cos(fore).clamp(min=0.3)
        wrist = elbow[0] + 0.2 * out + s * FOREARM * torch.sin(fore), wrist_y
        joints[name] = {
            "hip": (hip, 0.50),
            "knee": knee,
            "ankle": ankle,
            "shoulder": (shoulder, 0.2),
            "elbow": elbow,
            "wrist": wrist,
        }
    joints["drop"] = 0.945 - torch.maximum(joints["near"]["ankle"][1], joints["far"]["ankle"][1])
    return joints


def outlines(people, joints):
    """-> limbs (B, 8, 3, K) knots of y, centre, half width in the order of LIMBS; ovals name -> (x, y, half width, half
    height, squareness), stacked (B, S, 5) in the order of their names in BOUNDS."""
    limbs = _trunk(people, joints)
    for side in ("far", "near"):
        limbs |= {
            f"{side}_leg": _leg(people, joints[side]),
            f"{side}_arm": _arm(people, joints[side]),
        }
    knots = max(len(outline) for outline in limbs.values())
    padded = [
        list(zip(*(limbs[name] + [limbs[name][-1]] * (knots - len(limbs[name]))))) for name in LIMBS
    ]
    ovals = _head(people, joints) | _carried(people, joints) | _feet(joints)
    ovals = [ovals[name] for name in BOUNDS if name not in LIMBS]
    return _stack(joints["f"], padded).float(), _stack(joints["f"], ovals).float()


def _stack(like, shapes):
    """Nested lists of numbers and (B,) tensors -> (B, S, ..., K)."""
    if isinstance(shapes, (list, tuple)):
        return torch.stack([_stack(like, shape) for shape in shapes], 1)
    return shapes if isinstance(shapes, torch.Tensor) else torch.full_like(like, shapes)


def _slant(upper, lower):
    """How much wider than thick a slanted limb is along a row."""
    return torch.sqrt(
        1 + ((lower[0] - upper[0]) / (lower[1] - upper[1]).clamp(min=0.02)) ** 2
    ).clamp(max=2.2)


def _leg(people, joint):
    """Knots (y, centre, half width) from the hip to the ankle."""
    hip, (kx, ky), (ax, ay), build = (
        joint["hip"],
        joint["knee"],
        joint["ankle"],
        people.build.double(),
    )
    thigh, shank = _slant(hip, joint["knee"]), _slant(joint["knee"], joint["ankle"])
    return [
        (0.46, hip[0], 0.050 * build),
        (0.53, hip[0] + 0.15 * (kx - hip[0]), 0.053 * build * thigh),
        (ky, kx, 0.037 * build * thigh),
        (ky + 0.35 * (ay - ky), kx + 0.35 * (ax - kx), 0.036 * build * shank),
        (ay, ax, 0.021 * shank),
        (ay + 0.03, ax, 0.021),
    ]


def _arm(people, joint):
    (sx, _), (ex, ey), (wx, wy), build = (
        joint["shoulder"],
        joint["elbow"],
        joint["wrist"],
        people.build.double(),
    )
    upper, lower = _slant(joint["shoulder"], joint["elbow"]), _slant(joint["elbow"], joint["wrist"])
    return [
        (0.176, sx * 0.90, 0.014),
        (0.192, sx * 0.97, 0.026 * build),
        (0.215, sx, 0.031 * build),
        (ey, ex, 0.026 * build * upper),
        (wy - 0.01, wx, 0.018 * lower),
        (wy + 0.015, wx + 0.1 * (wx - ex), 0.022),
        (wy + 0.055, wx + 0.25 * (wx - ex), 0.012),
    ]


def _trunk(people, joints):
    """Torso (the upper garment), skirt, seat of the trousers and neck; elliptic sections, turned with the facing."""
    s, build, curve = joints["s"], people.build.double(), people.curve.double()
    cloth = (
        torch.where(people.upper_kind % 3 > 0, 0.010, 0.002).double() + 0.016 * people.fit.double()
    )  # jackets stand off
    half = lambda front, side: _section(joints, front, side) * build + cloth
    waist, hips = 0.096 - 0.016 * curve, 0.094 + 0.010 * curve
    hem, low = people.hem_upper.double(), people.hem_lower.double().clamp(max=0.9)
    knees = joints["near"]["knee"][0], joints["far"]["knee"][0]
    middle, spread = (knees[0] + knees[1]) / 2, (knees[0] - knees[1]).abs() / 2 + 0.045 * build
    thigh = lambda y: ((y - 0.5) / THIGH).clamp(0, 1.2)  # how far down the thigh a hem hangs
    wide = lambda y, least: torch.maximum(
        least, spread * thigh(y)
    )  # and so how far the legs push it
    flare, coat = people.flare.double(), torch.where(people.upper_kind == 2, 0.014, 0.002).double()
    torso = [
        (0.148, 0.006 * s, _section(joints, 0.030, 0.034)),
        (0.168, 0.004 * s, half(0.070, 0.045)),
        (0.180, 0.0, half(0.096, 0.054)),
        (0.20, 0.004 * s, half(0.112, 0.060)),
        (0.27, 0.008 * s, half(0.107 - 0.004 * curve, 0.072)),
        (0.40, 0.0, half(waist, 0.062)),
        (torch.minimum(hem - 0.01, 0.49 + 0 * hem), -0.004 * s, half(hips, 0.070) + coat / 2),
        (
            hem,
            middle * thigh(hem),
            wide(hem, half(hips, 0.070) + coat + flare * (people.upper_kind == 2)),
        ),
    ]
    skirt = [
        (0.42, 0.0, half(waist, 0.062)),
        (0.46, 0.0, half(hips - 0.006, 0.066)),
        (0.51, -0.004 * s, half(hips + 0.004, 0.074)),
        (0.56, middle * 0.2, half(hips + 0.006, 0.076) + 0.3 * flare),
        (low, middle * thigh(low), wide(low, half(hips, 0.080) + flare)),
    ]
    seat = [
        (0.42, 0.0, half(waist, 0.060)),
        (0.45, 0.0, half(hips - 0.006, 0.066)),
        (0.52, -0.006 * s, half(hips, 0.072)),
        (0.545, -0.006 * s, half(hips - 0.02, 0.06)),
        (0.565, 0.0, half(0.03, 0.04)),
    ]
    neck = [
        (0.10, 0.004 * s, 0.026),
        (0.15, 0.004 * s, 0.028),
        (0.165, 0.004 * s, 0.033),
        (0.18, 0.004 * s, 0.026),
        (0.192, 0.004 * s, 0.008),
    ]
    return {"torso": torso, "skirt": skirt, "seat": seat, "neck": neck}


def _section(joints, front, side):
    """Half width of an elliptic section that is `front` wide seen from the front and `side` from the side."""
    return torch.sqrt((front * joints["f"]) ** 2 + (side * joints["s"]) ** 2)


def face_seen(joints):
    """0 .. 1: how much of the face the camera sees."""
    return ((joints["f"] + 0.42) / 0.62).clamp(0, 1)


def _head(people, joints):
    s, seen, length = joints["s"], face_seen(joints), people.hair_length.double()
    mane = torch.tensor([0.052, 0.062, 0.118], dtype=s.dtype, device=s.device)[people.hair_length]
    return {
        "skull": (0.003 * s, 0.063, _section(joints, 0.050, 0.057) + 0.004 * length, 0.066, 1.08),
        "mane": (
            -0.020 * s,
            0.045 + mane,
            _section(joints, 0.054, 0.045) + 0.004 * length,
            mane + 0.02,
            1.3,
        ),
        "face": (0.024 * s, 0.080, _section(joints, 0.041, 0.036) * seen, 0.052, 1.08),
        "nose": (0.060 * s, 0.086, 0.010 * s.abs() * seen, 0.014, 1.0),
        "ear": (joints["near_side"] * joints["f"] * 0.046 - 0.006 * s, 0.078, 0.009, 0.015, 1.0),
        "eyes": (0.036 * s, 0.073, 0.009 * seen * (1 - 0.4 * s.abs()), 0.006, 1.5),
        "brim": (
            0.055 * s * seen,
            0.040,
            _section(joints, 0.050, 0.062) * seen.clamp(min=0.2),
            0.008,
            1.5,
        ),
    }


def _carried(people, joints):
    build, s, side = people.build.double(), joints["s"], people.bag_side.double()
    wx, wy = (
        torch.where(
            side == joints["near_side"], joints["near"]["wrist"][k], joints["far"]["wrist"][k]
        )
        for k in (0, 1)
    )
    broad = 0.7 + 0.3 * build
    return {
        "pack": (
            -0.088 * s * (0.55 + 0.45 * build),
            0.30,
            _section(joints, 0.082, 0.048) * broad,
            0.118,
            1.5,
        ),
        "side_bag": (
            -side * joints["f"] * 0.112 * build + 0.02 * s,
            0.52,
            _section(joints, 0.040, 0.075),
            0.062,
            1.6,
        ),
        "hand_bag": (
            wx + 0.012 * side * joints["f"],
            wy + 0.10,
            _section(joints, 0.034, 0.062),
            0.055,
            1.6,
        ),
    }


def _feet(joints):
    f, s = joints["f"], joints["s"]
    feet, wide, tall = {}, _section(joints, 0.030, 0.062), 0.027 + 0.005 * f.abs()
    for name in ("near", "far"):
        x, y = joints[name]["ankle"]
        feet[f"{name}_shoe"] = (x + 0.026 * s, y + 0.030 + 0.006 * f.clamp(min=0), wide, tall, 1.25)
    middle = (joints["near"]["ankle"][0] + joints["far"]["ankle"][0]) / 2
    apart = (joints["near"]["ankle"][0] - joints["far"]["ankle"][0]).abs() / 2
    return feet | {"shadow": (middle, 0.985, 0.11 + apart, 0.026, 1.0)}
