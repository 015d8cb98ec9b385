"""A person on the drawing board, painted from the far side to the near: arm, legs, torso, bag, arm,
head."""

import torch
from torch import Tensor

from .dress import (
    BLOTCHES,
    CHECKS,
    COAT,
    DRESS,
    HORIZONTAL,
    JACKET,
    OTHER_SLEEVES,
    PRINT,
    SHORTS,
    SKIRT,
    TWO_TONE,
    VERTICAL,
)
from .figure import BOUNDS, LIMBS, OVALS, outlines
from .joints import Joints
from .people import BACKPACK, HAND_BAG, SHOULDER_BAG, People
from .shapes import Board, Shape

HEAD, UPPER, LOWER, SHOES = 1, 2, 3, 4  # mask labels; 0 is background


class Person:
    """The people of one batch on a board.

    Args:
        people: B people.
        board: B pictures with their backdrop.
        joints: as they walk.
        light: (B, 1, 1) the side that the light comes from.
        weave: (B, H, W) the texture of their cloth.
    """

    def __init__(self, people: People, board: Board, joints: Joints, light: Tensor, weave: Tensor):
        limbs, ovals = outlines(people, joints)
        limb_shapes = board.limbs(limbs, [BOUNDS[name] for name in LIMBS])
        oval_shapes = board.ovals(ovals, [BOUNDS[name] for name in OVALS])
        self.shapes = dict(zip(LIMBS + OVALS, limb_shapes + oval_shapes))
        self.people = people
        self.board = board
        self.joints = joints
        self.light = light
        self.weave = weave
        # (B,) each
        self.front = joints.front.float()
        self.right = joints.right.float()
        self.face = joints.face.float()
        # hair and backpack lie over the clothes when seen from behind, under them from the front
        self.from_behind = (self.front < 0.12).float()
        self.from_front = 1 - self.from_behind

    def paint(self) -> None:
        """Paint all of them, from the far side to the near."""
        people = self.people
        has_mane = people.hair_length > 0
        has_pack = people.bag == BACKPACK
        self._shadow()
        self._cloth()
        self._lay("mane", people.hair, HEAD, self.from_front * has_mane)
        self._lay("pack", people.bag_colour, UPPER, self.from_front * has_pack)
        self._hand_bag(near=False)
        self._arm("far")
        self._legs()
        self._clothed(self.shapes["torso"], UPPER)
        self._neckline()
        self._pack(self.from_behind * has_pack)
        self._straps(has_pack)
        self._sling()
        self._hand_bag(near=True)
        self._arm("near")
        self._head(self.from_behind * has_mane)

    def _lay(self, name, colour, label, weight=None, depth=0.34):
        self.board.paint(self.shapes[name], colour, label, weight, self.light, depth)

    def _shadow(self):
        shape = self.shapes["shadow"]
        rows = shape.rows
        # share = cover * clamp(0.15 * (half - |distance|), at most a half): soft to all sides
        share = self.board.across(shape)  # (B, h, W)
        share.abs_()
        share.neg_()
        share.add_(shape.half[:, rows, None])
        share.mul_(0.15)
        share.clamp_(0, 0.5)
        share.mul_(shape.cover[:, rows, None])
        self.board.darken(rows, share)

    def _cloth(self):
        """The upper garment's cloth: a plane of colour (B, 3, h, W) over self.rows, neck to a
        dress's hem."""
        people, board = self.people, self.board
        self.rows = board.window(0.14, 0.86)
        y = board.y[:, self.rows]  # (B, h)
        distance = board.across(self.shapes["torso"].within(self.rows))  # (B, h, W) from the middle
        second = self._pattern(distance, y)  # (B, h, W) 0 .. 1: how much of the second colour
        torch.maximum(second, self._middle(distance, y), out=second)
        second.clamp_(0, 1)
        # upper + (upper2 - upper) * second
        change = (people.upper2 - people.upper)[:, :, None, None]  # (B, 3, 1, 1)
        self.cloth = people.upper[:, :, None, None] + change * second[:, None]
        to_hem = (y - people.hem_upper[:, None] + 0.006).abs()
        seam = 1 - 0.3 * board.ramp(0.007 - to_hem)  # (B, h)
        self.cloth.mul_(seam[:, None, :, None])

    def _pattern(self, distance, y):
        """(B, h, W): how much of the second colour stripes, checks, a yoke and blotches show."""
        board = self.board
        kind = self.people.pattern[:, None]  # (B, 1)
        period = self.people.period[:, None]  # (B, 1) body heights
        pixels = period * board.tall
        # (B, 1) how strong the stripes are
        horizontal = (kind == HORIZONTAL) + (kind == CHECKS) * 0.5
        vertical = (kind == VERTICAL) + (kind == CHECKS) * 0.5
        by_row = self._wave(y / period + 8, pixels) * horizontal  # (B, h)
        yoke = board.ramp(0.16 + 2.4 * period - y)
        by_row = by_row + (kind == TWO_TONE) * yoke
        turns = distance * (1 / pixels[:, :, None]) + 64.25  # (B, h, W)
        second = self._wave(turns, pixels[:, :, None])
        second.mul_(vertical[:, :, None])
        second.add_(by_row[:, :, None])
        threshold = 5 * period[:, :, None] - 0.3
        blotches = self.weave[:, self.rows] * 5 - threshold
        blotches.mul_((kind == BLOTCHES)[:, :, None])
        return torch.maximum(second, blotches, out=second)

    @staticmethod
    def _wave(turns, period):
        """Stripes, anti-aliased: 1 on half of each turn; period in pixels."""
        # clamp((4 |frac(turns) - 1/2| - 1) * period / 4 + 1/2)
        wave = turns.frac()
        wave.sub_(0.5)
        wave.abs_()
        wave.mul_(4)
        wave.sub_(1)
        wave.mul_(period / 4)
        wave.add_(0.5)
        return wave.clamp_(0, 1)

    def _middle(self, distance, y):
        """(B, h, W) 0 .. 1: a print on the chest, or what an open jacket shows. distance is used
        up."""
        people, board = self.people, self.board
        shows = self.front.clamp(min=0) * (self.front > 0.25)  # (B,)
        # (B, h) half widths, body heights
        print_half = 0.055 * board.ramp(0.045 - (y - 0.275).abs())
        print_half = print_half * (people.pattern == PRINT)[:, None]
        is_outdoor = (people.upper_kind == JACKET) | (people.upper_kind == COAT)
        is_open = is_outdoor & (people.period > 0.055)
        gap = (0.018 + 0.25 * (y - 0.15)).clamp(max=0.045)
        gap_half = board.ramp(y - 0.155) * gap * is_open[:, None]
        half = (print_half + gap_half) * shows[:, None] * board.tall  # (B, h) pixels
        shift = (self.right * 0.055)[:, None] * board.tall  # (B, 1)
        # clamp(half - |distance - shift|)
        distance.sub_(shift[:, :, None])
        distance.abs_()
        distance.neg_()
        distance.add_(half[:, :, None])
        return distance.clamp_(0, 1)

    def _clothed(self, shape, label, weight=None, depth=0.34):
        """Paint a shape in the upper garment's cloth."""
        first = self.rows.start
        low = max(shape.rows.start, first)
        high = min(shape.rows.stop, self.rows.stop)
        cloth = self.cloth[:, :, low - first : high - first]
        self.board.paint(shape.within(slice(low, high)), cloth, label, weight, self.light, depth)

    def _arm(self, name):
        """A bare arm, and the sleeve over it."""
        people, board = self.people, self.board
        side = self.joints.near if name == "near" else self.joints.far
        long_end = side.wrist.y.float()
        short_end = side.elbow.y.float() - 0.03
        end = torch.where(people.sleeves > 0, long_end, short_end)[:, None]
        sleeve = board.ramp(end - board.y)  # (B, H) the rows of the sleeve
        stands_off = torch.where((people.upper_kind % 3) > 0, 0.009, 0.004)  # jackets do
        extra = (stands_off + 0.012 * people.fit)[:, None] * board.unit
        arm = self.shapes[f"{name}_arm"]
        sleeve_shape = Shape(arm.centre, arm.half + extra, arm.cover, arm.rows)
        self._lay(f"{name}_arm", people.skin, UPPER, depth=0.6)
        self._clothed(sleeve_shape, UPPER, sleeve, depth=0.75)
        other_sleeve = sleeve * (people.pattern == OTHER_SLEEVES)[:, None]
        board.paint(sleeve_shape, people.upper2, UPPER, other_sleeve, self.light, 0.75)

    def _legs(self):
        """Shoes, legs in skin or cloth, and what covers the hips."""
        people, board = self.people, self.board
        is_skirt = people.lower_kind == SKIRT
        hem = torch.where(is_skirt, 0.3, people.hem_lower)[:, None]
        cloth = board.ramp(hem - board.y)  # (B, H) the rows of trousers or shorts
        change = (people.lower - people.legs)[:, :, None]
        colours = people.legs[:, :, None] + change * cloth[:, None]  # (B, 3, H)
        stands_off = torch.where(people.lower_kind == SHORTS, 0.012, 0.003)[:, None]
        extra = (people.loose[:, None] + stands_off) * cloth * board.unit
        for name, shade in (("far", 0.8), ("near", 1.0)):
            leg = self.shapes[f"{name}_leg"]
            leg_shape = Shape(leg.centre, leg.half + extra, leg.cover, leg.rows)
            self._lay(f"{name}_shoe", people.shoes * shade, SHOES)
            board.paint(leg_shape, colours * shade, LOWER, light=self.light, depth=0.55)
        self._lay("seat", people.lower, LOWER, (~is_skirt).float())
        self._lay("skirt", people.lower, LOWER, is_skirt.float())
        is_dress = people.upper_kind == DRESS
        self._clothed(self.shapes["skirt"], LOWER, is_dress.float())

    def _neckline(self):
        end = (0.16 + 0.03 * self.front)[:, None]  # lower in front
        weight = self.board.ramp(end - self.board.y)
        self._lay("neck", self.people.skin * 0.86, HEAD, weight)

    def _pack(self, weight):
        """A backpack with a darker flap and pocket."""
        y = self.board.y
        to_seam = ((y - 0.30).abs() - 0.035).abs()
        shade = 1 - 0.3 * self.board.ramp(0.006 - to_seam)  # (B, H) two seams
        colours = self.people.bag_colour[:, :, None] * shade[:, None]  # (B, 3, H)
        self._lay("pack", colours, UPPER, weight)

    def _pair(self, shape, apart, half, weight):
        """(B, h, W) cover of two marks, `apart` and `half` (B,) body heights from the shape's
        middle and wide."""
        board, rows = self.board, shape.rows
        apart = apart[:, None] * board.unit  # (B, H) pixels
        half = half[:, None] * board.unit + 0.5
        # weight * clamp(half - ||distance| - apart|)
        cover = board.across(shape)
        cover.abs_()
        cover.sub_(apart[:, rows, None])
        cover.abs_()
        cover.neg_()
        cover.add_(half[:, rows, None])
        cover.clamp_(0, 1)
        return cover.mul_(weight[:, rows, None])

    def _straps(self, has_pack):
        """A backpack from the front: two straps."""
        board = self.board
        rows = board.window(0.16, 0.37)
        shows = has_pack & (self.front > 0.2)
        weight = board.ramp(board.y - 0.168) * board.ramp(0.37 - board.y) * shows[:, None]
        shape = self.shapes["torso"].within(rows)
        half = torch.full_like(self.front, 0.013)
        cover = self._pair(shape, 0.064 * self.front, half, weight)
        board.blend(rows, self.people.bag_colour, cover)

    def _sling(self):
        """A shoulder bag: a strap across the body and the bag at the other hip."""
        people, board = self.people, self.board
        has_bag = people.bag == SHOULDER_BAG
        toward = people.bag_side * self.front  # the side it hangs on, as the camera sees it
        shows = has_bag & (self.front.abs() > 0.2)
        weight = board.ramp(board.y - 0.17) * board.ramp(0.49 - board.y) * shows[:, None]
        # from the shoulder down to the hip
        x = toward[:, None] * (0.06 - (board.y - 0.18) * 0.5) * board.unit
        centre = self.shapes["torso"].centre + x
        strap = Shape(centre, 0.011 * board.unit, weight, board.window(0.16, 0.50))
        board.paint(strap, people.bag_colour * 0.8)
        is_in_sight = (-toward > -0.3) | (self.right.abs() > 0.5)
        self._lay("side_bag", people.bag_colour, UPPER, (has_bag & is_in_sight).float())

    def _hand_bag(self, near):
        """A bag in the near or the far hand."""
        people = self.people
        is_near = people.bag_side == self.joints.near_side.float()
        has_bag = (people.bag == HAND_BAG) & (is_near == near)
        self._lay("hand_bag", people.bag_colour, UPPER, has_bag.float())

    def _head(self, mane):
        """Hair and hat, face, nose, ear and eyes; mane (B,) is the weight of hair seen from
        behind."""
        people, board = self.people, self.board
        hat = people.hat.float()[:, None] * board.ramp(0.045 - board.y)  # (B, H) the rows of a hat
        change = (people.hat_colour - people.hair)[:, :, None]
        colours = people.hair[:, :, None] + change * hat[:, None]  # (B, 3, H)
        profile = self.right.abs()
        has_nose = (profile > 0.4) & (self.front > -0.35)
        has_ear = (profile > 0.55) & (people.hair_length == 0)
        below_hair = board.ramp(board.y - 0.03 - 0.02 * people.hat[:, None])
        face = below_hair * (self.face > 0.05)[:, None]
        self._lay("mane", people.hair, HEAD, mane)
        self._lay("skull", colours, HEAD)
        self._lay("nose", people.skin, HEAD, has_nose.float())
        self._lay("face", people.skin, HEAD, face, 0.25)
        self._lay("ear", people.skin * 0.85, HEAD, has_ear.float())
        self._lay("brim", people.hat_colour * 0.7, HEAD, people.hat * (self.front > -0.3).float())
        self._eyes()

    def _eyes(self):
        eyes = self.shapes["eyes"]
        apart = 0.019 * self.front.clamp(min=0)
        weight = eyes.cover * (self.front > -0.1)[:, None]
        share = self._pair(eyes, apart, 0.009 * self.face, weight)
        share.mul_(0.55)
        self.board.darken(eyes.rows, share)
