"""The drawing board: soft-edged shapes given row by row.

Almost everything of a walking person is taller than wide, so a shape is a centre and a half width for each picture row
(the signed distance to its edge is then one subtraction), and a shape painted on B pictures costs a dozen passes over
the rows that it can touch.
"""

import math
from dataclasses import dataclass

import torch

MARGIN = 0.06  # body heights by which a warp or a step may move a shape


@dataclass
class Shape:
    """centre, half (B, H) in pixels, cover (B, H) 0 .. 1 (which rows, softly), rows a window outside which cover is
    0."""

    centre: torch.Tensor
    half: torch.Tensor
    cover: torch.Tensor
    rows: slice


LIGHT = 1.06  # light where nothing is dark


class Board:
    """B pictures in the making: colour (B, 3, H, W), dark (B, H, W) the light it lacks, labels (B, H, W) float.

    y (B, H) is the body's own coordinate of each row (0 top of the head, 1 sole), unit (B, H) pixels a body height
    across, axis (B, H) the column of the body's axis.
    """

    def __init__(self, cameras, poses, drop, size, device):
        (height, width), count = size, len(poses)
        scale = (poses.scale * cameras.scale).double()
        top = (poses.top - 0.5) * cameras.scale + 0.5 + cameras.shift[:, 1]
        self.tops, self.tall = (
            (top.double() * height).cpu(),
            (scale * height).cpu(),
        )  # for the windows
        top, tall = (top * height)[:, None], (scale.float() * height)[:, None]  # (B, 1) pixels
        rows = torch.arange(height, device=device) + 0.5
        t = (rows - top) / tall - drop.float()[:, None]  # (B, H)
        lift = cameras.elevation[:, None]
        self.y = t - lift * t * (1 - t)  # from above: large head, short legs
        self.unit = tall * poses.stretch[:, None] / (1 - lift * (1 - 2 * t.clamp(0, 1)))
        tilt = (cameras.roll + poses.lean)[:, None]
        self.axis = (poses.x + cameras.shift[:, 0])[:, None] * width + tilt * (0.5 - t) * tall
        self.sharp = tall  # rows a body height
        self.x = torch.arange(width, device=device) + 0.5
        self.colour = torch.empty(count, 3, height, width, device=device)
        self.dark = torch.empty(count, height, width, device=device)
        self.labels = torch.zeros(count, height, width, device=device)

    def window(self, first, last):
        """The picture rows that a shape from y = first to last can touch, in any of these pictures."""
        height = self.labels.shape[1]
        low = float((self.tops + (first - MARGIN) * self.tall).min()) - 1
        high = float((self.tops + (last + MARGIN) * self.tall).max()) + 2
        low = min(max(math.floor(low), 0), height - 1)
        return slice(low, max(min(math.ceil(high), height), low + 1))

    def ramp(self, distance):
        """0 outside, 1 inside, linear over one pixel: distance (B, ...) body heights, positive inside."""
        return (distance * self.sharp.reshape(-1, *[1] * (distance.ndim - 1)) + 0.5).clamp_(0, 1)

    def limbs(self, knots, bounds):
        """Shapes with piecewise linear outlines: knots (B, S, 3, K) of y, centre, half width; bounds S pairs of y -> S
        Shapes."""
        ys, values = (
            knots[:, :, 0, :, None],
            knots[:, :, 1:, :, None],
        )  # (B, S, K, 1), (B, S, 2, K, 1)
        y, unit = self.y[:, None], self.unit[:, None]  # (B, 1, H)
        outline = values[:, :, :, 0] + torch.zeros_like(y)[:, :, None]  # (B, S, 2, H)
        for k in range(knots.shape[3] - 1):
            step = (ys[:, :, k + 1] - ys[:, :, k]).clamp_min(1e-4)
            t = ((y - ys[:, :, k]) / step).clamp_(0, 1)  # (B, S, H)
            outline += (values[:, :, :, k + 1] - values[:, :, :, k]) * t[:, :, None]
        cover = self.ramp(y - ys[:, :, 0]) * self.ramp(ys[:, :, -1] - y)
        centre, half = self.axis[:, None] + outline[:, :, 0] * unit, outline[:, :, 1] * unit
        return [
            Shape(centre[:, s], half[:, s], cover[:, s], self.window(*bounds[s]))
            for s in range(len(bounds))
        ]

    def ovals(self, knots, bounds):
        """Ellipses: knots (B, S, 5) of x, y, half width, half height, squareness (1 ellipse, 2 box with round
        corners)."""
        x, middle, wide, tall, square = (knots[:, :, i, None] for i in range(5))  # (B, S, 1) each
        t = (self.y[:, None] - middle) / tall  # (B, S, H)
        half = (
            ((1 - t * t).clamp_(min=0).sqrt_() * square).clamp_(max=1) * wide * self.unit[:, None]
        )
        cover = self.ramp(tall - (self.y[:, None] - middle).abs())
        centre = self.axis[:, None] + x * self.unit[:, None]
        return [
            Shape(centre[:, s], half[:, s], cover[:, s], self.window(*bounds[s]))
            for s in range(len(bounds))
        ]

    def darken(self, rows, share):
        """Take away a share (B, h, W) of the light."""
        dark = self.dark[:, rows]
        dark.lerp_(dark.new_full((1, 1, 1), LIGHT).expand_as(dark), share)

    def light(self):
        """(B, 3, H, W): colours in their light. Uses the board up."""
        return self.colour.mul_(self.dark.neg_().add_(LIGHT)[:, None]).clamp_(0, 1)

    def across(self, shape):
        """Signed distance of each pixel from the shape's centre line, pixels: (B, h, W) of its window."""
        return self.x - shape.centre[:, shape.rows, None]

    def paint(self, shape, colour, label=None, weight=None, light=None, depth=0.34):
        """Lay `colour` over the pictures: (B, 3), (B, 3, H) one a row, or (B, 3, h, W) of the window.

        weight (B,) or (B, H) thins the shape; light (B, 1, 1) shades it as a round body lit from that side, `depth`
        strong.
        """
        rows, s = shape.rows, self.across(shape)
        cover = (
            shape.cover
            if weight is None
            else shape.cover * (weight if weight.ndim == 2 else weight[:, None])
        )
        m = torch.abs(s)
        torch.sub(shape.half[:, rows, None] + 0.5, m, out=m).clamp_(0, 1).mul_(cover[:, rows, None])
        if colour.ndim < 4:
            colour = colour[:, :, None, None] if colour.ndim == 2 else colour[:, :, rows, None]
        self.colour[:, :, rows].lerp_(colour.expand(*colour.shape[:2], *m.shape[1:]), m[:, None])
        if light is not None:
            slope = depth**0.5
            n = s.mul_(slope / shape.half[:, rows, None].clamp_min(3)).sub_(slope * light)
            self.dark[:, rows].lerp_(n.mul_(n), m)
        if label is not None:
            self.labels[:, rows].lerp_(
                self.labels.new_full((1, 1, 1), label).expand_as(m), m.round_()
            )
