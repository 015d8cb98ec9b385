"""A person on the drawing board, painted from the far side to the near: arm, legs, torso, bag, arm, head."""

import torch

from .figure import BOUNDS, LIMBS, face_seen, outlines
from .shapes import Shape

HEAD, UPPER, LOWER, SHOES = 1, 2, 3, 4  # mask labels; 0 is background


class Person:
    """The people of one batch on a board: shapes by name, f and s (front and right side shown), light (side it comes
    from), weave (B, H, W) their cloth's texture."""

    def __init__(self, board, people, joints, light, weave):
        limbs, ovals = outlines(people, joints)
        others = [name for name in BOUNDS if name not in LIMBS]
        self.shapes = dict(zip(LIMBS, board.limbs(limbs, [BOUNDS[name] for name in LIMBS])))
        self.shapes |= dict(zip(others, board.ovals(ovals, [BOUNDS[name] for name in others])))
        self.board, self.people, self.joints, self.light, self.weave = (
            board,
            people,
            joints,
            light,
            weave,
        )
        self.f, self.s, self.seen = (
            joints["f"].float(),
            joints["s"].float(),
            face_seen(joints).float(),
        )
        self.back = (
            self.f < 0.12
        ).float()  # hair and backpack lie over the clothes when seen from behind

    def paint(self):
        p, front, back = self.people, 1 - self.back, self.back
        self._shadow()
        self._cloth()
        self._lay("mane", p.hair, HEAD, front * (p.hair_length > 0))
        self._lay("pack", p.bag_colour, UPPER, front * (p.bag == 2))
        self._hand_bag(near=False)
        self._arm("far")
        self._legs()
        self._clothed(self.shapes["torso"], label=UPPER)
        # a neckline
        self._lay(
            "neck",
            p.skin * 0.86,
            HEAD,
            self.board.ramp((0.16 + 0.03 * self.f)[:, None] - self.board.y),
        )
        self._pack(back * (p.bag == 2))
        self._straps()
        self._sling()
        self._hand_bag(near=True)
        self._arm("near")
        self._head()

    def _lay(self, name, colour, label, weight=None, depth=0.34):
        self.board.paint(self.shapes[name], colour, label, weight, self.light, depth)

    def _shadow(self):
        shape = self.shapes["shadow"]
        m = (
            self.board.across(shape)
            .abs_()
            .neg_()
            .add_(shape.half[:, shape.rows, None])
            .mul_(0.15)
            .clamp_(0, 0.5)
        )
        self.board.darken(shape.rows, m.mul_(shape.cover[:, shape.rows, None]))

    def _cloth(self):
        """The upper garment's cloth as a plane of colour (B, 3, h, W) over the rows self.rows, neck to a dress's
        hem."""
        p, board, torso = self.people, self.board, self.shapes["torso"]
        self.rows = rows = board.window(0.14, 0.86)
        y, kind = board.y[:, rows], p.pattern[:, None]
        u = board.across(
            Shape(torso.centre, torso.half, torso.cover, rows)
        )  # (B, h, W) pixels from the middle
        period = p.period[:, None] * board.sharp  # (B, 1) pixels
        # (B, 1) how much of the stripes
        rings, pales = (kind == 1) + (kind == 3) * 0.5, (kind == 2) + (kind == 3) * 0.5
        band = self._wave(y / p.period[:, None] + 8, period) * rings
        band = band + (kind == 4) * board.ramp(
            0.16 + 2.4 * p.period[:, None] - y
        )  # (B, h) a yoke in the second colour
        t = (
            self._wave(u * (1 / period[:, :, None]) + 64.25, period[:, :, None])
            .mul_(pales[:, :, None])
            .add_(band[:, :, None])
        )
        blotches = (self.weave[:, rows] * 5 - (5 * p.period[:, None, None] - 0.3)).mul_(
            (kind == 7)[:, :, None]
        )
        t = torch.maximum(torch.maximum(t, blotches), self._middle(u, y)).clamp_(0, 1)
        self.cloth = p.upper[:, :, None, None] + (p.upper2 - p.upper)[:, :, None, None] * t[:, None]
        hem = 1 - 0.3 * board.ramp(
            0.007 - (y - p.hem_upper[:, None] + 0.006).abs()
        )  # (B, h) a seam
        self.cloth.mul_(hem[:, None, :, None])

    def _middle(self, u, y):
        """(B, h, W) 0 .. 1: a print on the chest, or what an open jacket shows. u is used up."""
        p, board, front = self.people, self.board, self.f.clamp(min=0) * (self.f > 0.25)
        half = 0.055 * board.ramp(0.045 - (y - 0.275).abs()) * (p.pattern == 5)[:, None]
        opened = ((p.upper_kind == 1) | (p.upper_kind == 2)) & (p.period > 0.055)
        half = (
            half
            + board.ramp(y - 0.155) * (0.018 + 0.25 * (y - 0.15)).clamp(max=0.045) * opened[:, None]
        )
        half = half * front[:, None] * board.sharp  # (B, h) pixels
        shift = (self.s * 0.055)[:, None] * board.sharp
        return u.sub_(shift[:, :, None]).abs_().neg_().add_(half[:, :, None]).clamp_(0, 1)

    @staticmethod
    def _wave(turns, period):
        """Stripes, anti-aliased: 1 on half of each turn; period in pixels."""
        return turns.frac().sub_(0.5).abs_().mul_(4).sub_(1).mul_(period / 4).add_(0.5).clamp_(0, 1)

    def _clothed(self, shape, **how):
        """Paint a shape in the upper garment's cloth."""
        low, high = max(shape.rows.start, self.rows.start), min(shape.rows.stop, self.rows.stop)
        shape = Shape(shape.centre, shape.half, shape.cover, slice(low, high))
        self.board.paint(
            shape,
            self.cloth[:, :, low - self.rows.start : high - self.rows.start],
            light=self.light,
            **how,
        )

    def _arm(self, name):
        p, board, arm = self.people, self.board, self.shapes[f"{name}_arm"]
        elbow, wrist = (self.joints[name][joint][1].float() for joint in ("elbow", "wrist"))
        # (B, H) where there is one
        sleeve = board.ramp(torch.where(p.sleeves > 0, wrist, elbow - 0.03)[:, None] - board.y)
        self._lay(f"{name}_arm", p.skin, UPPER, depth=0.6)
        wide = (torch.where((p.upper_kind % 3) > 0, 0.009, 0.004) + 0.012 * p.fit)[
            :, None
        ] * board.unit
        sleeves = Shape(arm.centre, arm.half + wide, arm.cover, arm.rows)
        self._clothed(sleeves, label=UPPER, weight=sleeve, depth=0.75)
        board.paint(sleeves, p.upper2, UPPER, sleeve * (p.pattern == 6)[:, None], self.light, 0.75)

    def _legs(self):
        p, board = self.people, self.board
        hem = torch.where(p.lower_kind == 2, 0.3, p.hem_lower)[:, None]
        cloth = board.ramp(hem - board.y)  # (B, H) where trousers or shorts are
        rows = p.legs[:, :, None] + (p.lower - p.legs)[:, :, None] * cloth[:, None]  # (B, 3, H)
        wide = (
            (p.loose[:, None] + torch.where(p.lower_kind == 1, 0.012, 0.003)[:, None])
            * cloth
            * board.unit
        )
        for name, dark in (("far", 0.8), ("near", 1.0)):
            leg = self.shapes[f"{name}_leg"]
            self._lay(f"{name}_shoe", p.shoes * dark, SHOES)
            board.paint(
                Shape(leg.centre, leg.half + wide, leg.cover, leg.rows),
                rows * dark,
                LOWER,
                light=self.light,
                depth=0.55,
            )
        self._lay("seat", p.lower, LOWER, (p.lower_kind < 2).float())
        self._lay("skirt", p.lower, LOWER, (p.lower_kind == 2).float())
        self._clothed(self.shapes["skirt"], label=LOWER, weight=(p.upper_kind == 3).float())

    def _pack(self, weight):
        """A backpack with a darker flap and pocket."""
        y = self.board.y
        dark = 1 - 0.3 * self.board.ramp(
            0.006 - ((y - 0.30).abs() - 0.035).abs()
        )  # (B, H) two seams
        self._lay("pack", self.people.bag_colour[:, :, None] * dark[:, None], UPPER, weight)

    def _pair(self, shape, apart, half, weight):
        """(B, h, W) cover of two marks, `apart` and `half` (B,) body heights from the shape's middle and wide."""
        board, rows = self.board, shape.rows
        away = board.across(shape).abs_().sub_((apart[:, None] * board.unit)[:, rows, None]).abs_()
        return (
            away.neg_()
            .add_((half[:, None] * board.unit + 0.5)[:, rows, None])
            .clamp_(0, 1)
            .mul_(weight[:, rows, None])
        )

    def _straps(self):
        """A backpack from the front: two straps."""
        board, p, torso = self.board, self.people, self.shapes["torso"]
        rows = board.window(0.16, 0.37)
        weight = (
            board.ramp(board.y - 0.168)
            * board.ramp(0.37 - board.y)
            * ((p.bag == 2) & (self.f > 0.2))[:, None]
        )
        m = self._pair(
            Shape(torso.centre, torso.half, torso.cover, rows),
            0.064 * self.f,
            0.013 + 0 * self.f,
            weight,
        )
        board.colour[:, :, rows].lerp_(
            p.bag_colour[:, :, None, None].expand(-1, -1, *m.shape[1:]), m[:, None]
        )

    def _sling(self):
        """A shoulder bag: a strap across the body and the bag at the other hip."""
        board, p, torso = self.board, self.people, self.shapes["torso"]
        rows, has = board.window(0.16, 0.50), (p.bag == 3)[:, None]
        weight = (
            board.ramp(board.y - 0.17)
            * board.ramp(0.49 - board.y)
            * has
            * (self.f.abs() > 0.2)[:, None]
        )
        middle = (p.bag_side * self.f)[:, None] * (0.06 - (board.y - 0.18) * 0.5) * board.unit
        strap = Shape(torso.centre + middle, 0.011 * board.unit, weight, rows)
        board.paint(strap, p.bag_colour * 0.8)
        here = (p.bag == 3) & ((-p.bag_side * self.f > -0.3) | (self.s.abs() > 0.5))
        self._lay("side_bag", p.bag_colour, UPPER, here.float())

    def _hand_bag(self, near):
        p = self.people
        here = (p.bag == 1) & ((p.bag_side == self.joints["near_side"].float()) == near)
        self._lay("hand_bag", p.bag_colour, UPPER, here.float())

    def _head(self):
        p, board = self.people, self.board
        hat = p.hat.float()[:, None] * board.ramp(0.045 - board.y)  # (B, H) the rows of a hat
        hair = p.hair[:, :, None] + (p.hat_colour - p.hair)[:, :, None] * hat[:, None]  # (B, 3, H)
        self._lay("mane", p.hair, HEAD, self.back * (p.hair_length > 0))
        self._lay("skull", hair, HEAD)
        self._lay("nose", p.skin, HEAD, ((self.s.abs() > 0.4) & (self.f > -0.35)).float())
        hairline = board.ramp(board.y - 0.03 - 0.02 * p.hat[:, None])
        self._lay("face", p.skin, HEAD, hairline * (self.seen > 0.05)[:, None], 0.25)
        self._lay(
            "ear", p.skin * 0.85, HEAD, ((self.s.abs() > 0.55) & (p.hair_length == 0)).float()
        )
        self._lay("brim", p.hat_colour * 0.7, HEAD, p.hat * (self.f > -0.3).float())
        eyes = self.shapes["eyes"]
        m = self._pair(
            eyes,
            0.019 * self.f.clamp(min=0),
            0.009 * self.seen,
            eyes.cover * (self.f > -0.1)[:, None],
        )
        board.darken(eyes.rows, m.mul_(0.55))
