"""A person on the drawing board: joints from the walk, outlines from body and clothes, painted from the far side to the near."""

import torch

from .shapes import Shape

HEAD, UPPER, LOWER, SHOES = 1, 2, 3, 4                      # mask labels; 0 is background
THIGH, SHANK, ARM, FOREARM = 0.235, 0.21, 0.165, 0.15       # lengths in body heights


def walk(people, poses, elevation):
    """Joints in body heights from the phase of the walk, float64 so that they round alike in any batch.

    -> dict: f, s (how much front and right side is seen), drop (how far the stride lowers the pelvis), and for each side
    "near", "far" the tuple of (B,) hip x, knee x, knee y, ankle x, ankle y, shoulder x, elbow x, elbow y, wrist x, wrist y.
    """
    facing, phase = poses.facing.double(), poses.phase.double()
    f, s = torch.cos(facing), torch.sin(facing)
    near = torch.where(s > 0, -1.0, 1.0).double()           # the person's side that is closer to the camera
    build, toward = people.build.double(), f * (0.06 + elevation.double())
    joints = {"f": f, "s": s, "near_side": near}
    for name, side in (("near", near), ("far", -near)):
        thigh = 0.46 * poses.stride * side * torch.sin(phase)
        bend = 0.06 + 0.75 * poses.stride * (side * torch.cos(phase)).clamp(min=0)
        reach = THIGH * torch.sin(thigh), SHANK * torch.sin(thigh - bend)                       # forwards, of thigh and shank
        hip = side * f * 0.047 * build
        knee = hip + s * reach[0] + 0.006 * side * f, 0.50 + THIGH * torch.cos(thigh) + toward * reach[0]
        ankle = knee[0] + s * reach[1], knee[1] + SHANK * torch.cos(thigh - bend) + toward * reach[1]
        swing = -0.42 * poses.swing * side * torch.sin(phase)
        fore = swing + poses.elbow
        shoulder = side * f * 0.102 * build
        out = side * f * (0.022 + 0.012 * build)
        elbow = shoulder + out + s * ARM * torch.sin(swing), 0.205 + ARM * torch.cos(swing)
        wrist = elbow[0] + 0.2 * out + s * FOREARM * torch.sin(fore), elbow[1] + FOREARM * torch.cos(fore).clamp(min=0.15)
        joints[name] = (hip, *knee, *ankle, shoulder, *elbow, *wrist)
    joints["drop"] = 0.945 - torch.maximum(joints["near"][4], joints["far"][4])
    return joints


def _stack(like, shapes):
    """Nested lists of numbers and (B,) tensors -> (B, S, ..., K) float32."""
    if isinstance(shapes, (list, tuple)):
        return torch.stack([_stack(like, shape) for shape in shapes], 1)
    return (shapes if isinstance(shapes, torch.Tensor) else torch.full_like(like, shapes)).float()


def _slant(dx, dy):
    """How much wider than thick a slanted limb is along a row."""
    return torch.sqrt(1 + (dx / dy.clamp(min=0.02)) ** 2).clamp(max=2.2)


def _limb_knots(people, j):
    """Outlines of legs, arms, torso, skirt, neck, trousers' seat: six knots each of y, centre, half width."""
    f, s, build, curve = j["f"], j["s"], people.build.double(), people.curve.double()
    round_ = lambda front, side: torch.sqrt((front * f) ** 2 + (side * s) ** 2)                 # an elliptic section, turned
    knots = []
    for name in ("far", "near"):
        hip, kx, ky, ax, ay = j[name][:5]
        w1, w2 = _slant(kx - hip, ky - 0.5), _slant(ax - kx, ay - ky)
        calf = 0.35
        knots.append([[0.46, 0.53, ky, ky + calf * (ay - ky), ay, ay + 0.03], [hip, hip + 0.15 * (kx - hip), kx, kx + calf * (ax - kx), ax, ax],
                      [0.050 * build, 0.053 * build * w1, 0.036 * build * w1, 0.035 * build * w2, 0.021 * w2, 0.021]])
    for name in ("far", "near"):
        sx, ex, ey, wx, wy = j[name][5:]
        w1, w2 = _slant(ex - sx, ey - 0.2), _slant(wx - ex, wy - ey)
        knots.append([[0.172, 0.20, ey, wy - 0.01, wy + 0.015, wy + 0.055], [sx * 0.93, sx, ex, wx, wx + 0.1 * (wx - ex), wx + 0.25 * (wx - ex)],
                      [0.016, 0.031 * build, 0.026 * build * w1, 0.018 * w2, 0.022, 0.012]])
    long_, wide = people.hem_upper.double(), torch.where(people.upper_kind.double() % 3 > 0, 0.010, 0.003).double()
    waist, hips = 0.096 - 0.016 * curve, 0.094 + 0.010 * curve
    open_hem = torch.where(people.upper_kind == 2, 0.020, 0.002).double()
    half = lambda front, side: round_(front * build, side * build) + wide
    knots.append([[0.148, 0.170, 0.196, 0.27, 0.40, long_], [0.006 * s, 0.004 * s, 0.0, 0.008 * s, 0.0, -0.004 * s],
                  [round_(0.030, 0.034), half(0.078, 0.045), half(0.114, 0.058), half(0.108 - 0.004 * curve, 0.072), half(waist, 0.062),
                   half(hips, 0.070) + open_hem]])
    hem, flare = people.hem_lower.double().clamp(max=0.9), people.flare.double()
    knots.append([[0.42, 0.46, 0.52, 0.56, 0.6, hem], [0.0, 0.0, -0.004 * s, -0.002 * s, 0.0, 0.01 * s],
                  [half(waist, 0.062), half(hips - 0.006, 0.066), half(hips + 0.004, 0.074), half(hips + 0.006, 0.076) + 0.2 * flare,
                   half(hips + 0.006, 0.078) + 0.4 * flare, half(hips, 0.08) + flare]])
    knots.append([[0.10, 0.12, 0.15, 0.165, 0.18, 0.192], [0.004 * s] * 6, [0.026, 0.026, 0.028, 0.033, 0.026, 0.008]])
    knots.append([[0.42, 0.45, 0.48, 0.52, 0.545, 0.565], [0.0] * 3 + [-0.006 * s] * 2 + [0.0],
                  [half(waist, 0.060), half(hips - 0.006, 0.066), half(hips, 0.070), half(hips, 0.072), half(hips - 0.02, 0.06), half(0.03, 0.04)]])
    return knots


LIMBS = {"far_leg": (.44, .99), "near_leg": (.44, .99), "far_arm": (.16, .60), "near_arm": (.16, .60), "torso": (.14, .75), "skirt": (.41, .85),
         "neck": (.1, .2), "seat": (.41, .58)}
OVALS = {"far_shoe": (.90, 1.), "near_shoe": (.90, 1.), "skull": (-.02, .16), "mane": (.02, .31), "face": (.02, .15), "nose": (.06, .11),
         "pack": (.17, .45), "hand_bag": (.48, .74), "eyes": (.06, .09), "brim": (.02, .06), "shadow": (.9, 1.05)}


def _oval_knots(people, j):
    f, s, build = j["f"], j["s"], people.build.double()
    round_ = lambda front, side: torch.sqrt((front * f) ** 2 + (side * s) ** 2)
    seen = ((f + 0.42) / 0.62).clamp(0, 1)                  # how much of the face the camera sees
    knots = []
    for name in ("far", "near"):
        ax, ay = j[name][3:5]
        knots.append([ax + 0.026 * s, ay + 0.030 + 0.006 * f.clamp(min=0), round_(0.030, 0.062), 0.027 + 0.005 * f.abs(), 1.25])
    length = people.hair_length.double()
    mane = torch.tensor([0.052, 0.062, 0.118], dtype=f.dtype, device=f.device)[people.hair_length]
    wide = round_(0.050, 0.057) + 0.004 * length
    knots.append([0.003 * s, 0.063, wide, 0.066, 1.08])
    knots.append([-0.020 * s, 0.055 + mane - 0.01, round_(0.054, 0.045) + 0.004 * length, mane + 0.02, 1.3])
    knots.append([0.024 * s, 0.080, round_(0.041, 0.036) * seen, 0.052, 1.08])
    knots.append([0.060 * s, 0.086, 0.010 * s.abs() * seen, 0.014, 1.0])
    knots.append([-0.088 * s * (0.55 + 0.45 * build), 0.30, round_(0.082, 0.048) * (0.7 + 0.3 * build), 0.118, 1.5])
    side = people.bag_side.double()
    near = side == j["near_side"]
    wx, wy = (torch.where(near, j["near"][k], j["far"][k]) for k in (8, 9))
    knots.append([wx + 0.012 * side * f, wy + 0.10, round_(0.034, 0.062), 0.055, 1.6])
    knots.append([0.036 * s, 0.073, 0.009 * seen * (1 - 0.4 * s.abs()), 0.006, 1.5])
    knots.append([0.055 * s * seen, 0.040, round_(0.050, 0.062) * seen.clamp(min=0.2), 0.008, 1.5])
    knots.append([0.0, 0.985 + j["drop"] * 0, 0.15 + 0.06 * s.abs(), 0.026, 1.0])
    return knots


class Person:
    """Everything about the people of one batch that painting needs: shapes by name, colours, what is seen from here."""

    def __init__(self, board, people, poses, joints, light):
        like = joints["f"]
        limbs, ovals = _stack(like, _limb_knots(people, joints)), _stack(like, _oval_knots(people, joints))
        self.shapes = dict(zip(LIMBS, board.limbs(limbs, list(LIMBS.values()))))
        self.shapes |= dict(zip(OVALS, board.ovals(ovals, list(OVALS.values()))))
        self.board, self.people, self.joints, self.light = board, people, joints, light
        self.f = joints["f"].float()
        self.back = (self.f < 0.12).float()                 # hair and backpack lie over the clothes when seen from behind

    def paint(self):
        self._shadow()
        self.cloth = self._cloth()
        p, board, back = self.people, self.board, self.back
        pack = (p.bag == 2).float()
        board.paint(self.shapes["mane"], p.hair, HEAD, (1 - back) * (p.hair_length > 0), self.light)
        board.paint(self.shapes["pack"], p.bag_colour, UPPER, (1 - back) * pack, self.light)
        self._hand_bag(near=False)
        self._arm("far")
        self._legs()
        self._torso()
        board.paint(self.shapes["pack"], p.bag_colour, UPPER, back * pack, self.light)
        self._straps(pack)
        self._hand_bag(near=True)
        self._arm("near")
        self._head()

    def _shadow(self):
        shape = self.shapes["shadow"]
        m = self.board.across(shape).abs_().neg_().add_(shape.half[:, shape.rows, None]).mul_(0.15).clamp_(0, 0.5)
        self.board.shade[:, shape.rows].mul_(1 - m.mul_(shape.cover[:, shape.rows, None]))

    def _cloth(self):
        """Colour plane of the upper garment (B, 3, h, W) over the rows from the neck to a dress's hem; its first row in self.start."""
        p, board, torso = self.people, self.board, self.shapes["torso"]
        rows = board.window(0.14, 0.85)
        shape = Shape(torso.centre, torso.half, torso.cover, rows)
        u = board.across(shape)                                                                 # (B, h, W)
        period = (p.period[:, None] * board.sharp)                                              # (B, 1) pixels
        kind, one = p.pattern[:, None], torch.ones_like(period)
        up, down = (kind == 1) * one + (kind == 3) * 0.5, (kind == 2) * one + (kind == 3) * 0.5
        band = self._wave(board.y[:, rows] / p.period[:, None] + 8, period) * up                # (B, h)
        band = band + (kind == 4) * board.ramp(0.16 + 0.8 * p.period[:, None] * 3 - board.y[:, rows])
        t = self._wave(u * (1 / period[:, :, None]) + 64.25, period[:, :, None]).mul_(down[:, :, None]).add_(band[:, :, None])
        front = (self.f > 0.25).float()[:, None]
        badge = board.ramp(0.045 - (board.y[:, rows] - 0.275).abs()) * (kind == 5) * (0.055 * board.sharp)
        opened = board.ramp(board.y[:, rows] - 0.155) * (((p.upper_kind == 1) | (p.upper_kind == 2)) & (p.period > 0.055))[:, None]
        opened = opened * (0.018 + 0.05 * (board.y[:, rows] - 0.15)).clamp(max=0.05) * board.sharp
        badge = (badge + opened) * front * self.f[:, None].clamp(min=0) - 0.5                   # (B, h) half width, -0.5 hides it
        shift = (self.joints["s"].float()[:, None] * 0.055 * board.sharp)[:, :, None]
        u = u.sub_(shift).abs_().neg_().add_((badge + 0.5)[:, :, None]).clamp_(0, 1)
        t = torch.maximum(t, u).clamp_(0, 1)
        self.rows = rows
        return p.upper[:, :, None, None] + (p.upper2 - p.upper)[:, :, None, None] * t[:, None]

    @staticmethod
    def _wave(turns, period):
        """Stripes, anti-aliased: 1 on half of each turn, period in pixels."""
        return turns.frac().sub_(0.5).abs_().mul_(4).sub_(1).mul_(period / 4).add_(0.5).clamp_(0, 1)

    def _clothed(self, shape, **how):
        """Paint a shape with the upper garment's cloth."""
        low, high = max(shape.rows.start, self.rows.start), min(shape.rows.stop, self.rows.stop)
        shape = Shape(shape.centre, shape.half, shape.cover, slice(low, high))
        self.board.paint(shape, self.cloth[:, :, low - self.rows.start:high - self.rows.start], light=self.light, **how)

    def _arm(self, name):
        p, board, arm = self.people, self.board, self.shapes[f"{name}_arm"]
        elbow, wrist = (self.joints[name][k].float() for k in (7, 9))
        end = torch.where(p.sleeves > 0, wrist, elbow - 0.03)[:, None]                          # (B, 1) where the sleeve ends
        sleeve = board.ramp(end - board.y)
        board.paint(arm, p.skin, UPPER, light=self.light, depth=0.5)
        wide = torch.where((p.upper_kind % 3) > 0, 0.008, 0.004)[:, None] * board.unit
        self._clothed(Shape(arm.centre, arm.half + wide, arm.cover, arm.rows), label=UPPER, weight=sleeve, depth=0.5)

    def _legs(self):
        p, board = self.people, self.board
        hem = torch.where(p.lower_kind == 2, 0.3, p.hem_lower)[:, None]
        cloth = board.ramp(hem - board.y)                                                       # (B, H) 1 where trousers or shorts are
        rows = p.legs[:, :, None] + (p.lower - p.legs)[:, :, None] * cloth[:, None]             # (B, 3, H)
        wide = (p.loose[:, None] + torch.where(p.lower_kind == 1, 0.012, 0.003)[:, None]) * cloth * board.unit
        for name in ("far", "near"):
            leg = self.shapes[f"{name}_leg"]
            dark = 0.82 if name == "far" else 1.0
            board.paint(self.shapes[f"{name}_shoe"], p.shoes * dark, SHOES, light=self.light)
            board.paint(Shape(leg.centre, leg.half + wide, leg.cover, leg.rows), rows * dark, LOWER, light=self.light, depth=0.5)
        skirt = (p.lower_kind == 2).float()
        board.paint(self.shapes["seat"], p.lower, LOWER, 1 - skirt, self.light)
        dress = (p.upper_kind == 3).float()
        board.paint(self.shapes["skirt"], p.lower, LOWER, skirt, self.light)
        self._clothed(self.shapes["skirt"], label=LOWER, weight=dress)

    def _torso(self):
        board, p = self.board, self.people
        self._clothed(self.shapes["torso"], label=UPPER)
        neck = self.shapes["neck"]
        seen = 0.16 + 0.03 * self.f                                                             # a neckline in front, a collar behind
        board.paint(neck, p.skin * 0.86, HEAD, board.ramp(seen[:, None] - board.y), self.light)

    def _straps(self, pack):
        """A backpack from the front: two straps."""
        board, torso = self.board, self.shapes["torso"]
        rows = board.window(0.17, 0.36)
        away = board.across(Shape(torso.centre, torso.half, torso.cover, rows)).abs_()
        away.sub_((0.064 * self.f.clamp(min=0)[:, None] * board.unit)[:, rows, None]).abs_()
        cover = board.ramp(board.y - 0.168) * board.ramp(0.37 - board.y) * (pack * (self.f > 0.2))[:, None]
        m = away.neg_().add_((0.013 * board.unit + 0.5)[:, rows, None]).clamp_(0, 1).mul_(cover[:, rows, None])
        colour = self.people.bag_colour[:, :, None, None]
        board.colour[:, :, rows].lerp_(colour.expand(-1, -1, *m.shape[1:]), m[:, None])

    def _hand_bag(self, near):
        p = self.people
        here = (p.bag == 1) & ((p.bag_side == self.joints["near_side"].float()) == near)
        self.board.paint(self.shapes["hand_bag"], p.bag_colour, UPPER, here.float(), self.light)

    def _head(self):
        p, board, light = self.people, self.board, self.light
        hat = p.hat.float()[:, None] * board.ramp(0.045 - board.y)                              # (B, H) the rows of a hat
        hair = p.hair[:, :, None] + (p.hat_colour - p.hair)[:, :, None] * hat[:, None]          # (B, 3, H)
        board.paint(self.shapes["mane"], p.hair, HEAD, self.back * (p.hair_length > 0), light)
        board.paint(self.shapes["skull"], hair, HEAD, light=light)
        face = board.ramp(board.y - 0.03 - 0.02 * p.hat[:, None])
        board.paint(self.shapes["nose"], p.skin, HEAD, light=light)
        board.paint(self.shapes["face"], p.skin, HEAD, face * (self.f > -0.42)[:, None], light, 0.25)
        board.paint(self.shapes["brim"], p.hat_colour * 0.7, HEAD, p.hat * (self.f > -0.3).float(), light)
        self._eyes()

    def _eyes(self):
        board, eyes, f = self.board, self.shapes["eyes"], self.f
        rows = eyes.rows
        away = board.across(eyes).abs_().sub_((0.019 * f.clamp(min=0)[:, None] * board.unit)[:, rows, None]).abs_()
        m = away.neg_().add_((eyes.half + 0.5)[:, rows, None]).clamp_(0, 1).mul_((eyes.cover * (f > -0.1)[:, None])[:, rows, None])
        board.shade[:, rows].mul_(1 - m.mul_(0.55))
