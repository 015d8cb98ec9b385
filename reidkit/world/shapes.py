"""The drawing board: soft-edged shapes given row by row.

Almost everything of a walking person is taller than wide, so a shape is a centre and a half width
for each picture row (the signed distance to its edge is then one subtraction), and a shape painted
on B pictures costs a dozen passes over the rows that it can touch.

Whole planes of pixels are worked on in place, one operation a line: a new plane for each step would
cost more than the step.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from .cameras import Cameras
from .poses import Poses

MARGIN = 0.06  # body heights by which a warp or a step may move a shape
LIGHT = 1.06  # light where nothing is dark


@dataclass
class Shape:
    """A soft-edged shape on B pictures.

    Args:
        centre: (B, H) column of its middle in each row, pixels.
        half: (B, H) half of its width, pixels.
        cover: (B, H) 0 .. 1: which rows it has, softly.
        rows: a window of rows outside which cover is 0.
    """

    centre: Tensor
    half: Tensor
    cover: Tensor
    rows: slice

    def within(self, rows: slice) -> Self:
        """The same shape in another window of rows."""
        return replace(self, rows=rows)


class Board:
    """B pictures in the making.

    colour (B, 3, H, W), dark (B, H, W) the light it lacks, labels (B, H, W) float.

    y (B, H) is the body's own coordinate of each row (0 top of the head, 1 sole), unit (B, H)
    pixels per body height across, tall (B, 1) pixels per body height downwards, axis (B, H) the
    column of the body's axis, x (W,) that of each pixel's middle.

    Args:
        cameras: B cameras.
        poses: B poses.
        drop: (B,) body heights by which the stride lowers the pelvis.
        size: height and width, pixels.
        device: where the pictures are.
    """

    def __init__(
        self,
        cameras: Cameras,
        poses: Poses,
        drop: Tensor,
        size: tuple[int, int],
        device: torch.device,
    ):
        height, width = size
        count = len(poses)
        scale = (poses.scale * cameras.scale).double()
        top = (poses.top - 0.5) * cameras.scale + 0.5 + cameras.shift[:, 1]
        # (B,) pixels, for the windows
        self.tops = (top.double() * height).cpu()
        self.heights = (scale * height).cpu()
        # (B, 1) pixels
        top = (top * height)[:, None]
        self.tall = (scale.float() * height)[:, None]

        rows = torch.arange(height, device=device) + 0.5
        t = (rows - top) / self.tall - drop.float()[:, None]  # (B, H) 0 head .. 1 sole
        lift = cameras.elevation[:, None]
        self.y = t - lift * t * (1 - t)  # from above: large head, short legs
        nearness = 1 - lift * (1 - 2 * t.clamp(0, 1))
        self.unit = self.tall * poses.stretch[:, None] / nearness
        tilt = (cameras.roll + poses.lean)[:, None]
        middle = (poses.x + cameras.shift[:, 0])[:, None] * width
        self.axis = middle + tilt * (0.5 - t) * self.tall
        self.x = torch.arange(width, device=device) + 0.5

        self.colour = torch.empty(count, 3, height, width, device=device)
        self.dark = torch.empty(count, height, width, device=device)
        self.labels = torch.zeros(count, height, width, device=device)

    def window(self, first: float, last: float) -> slice:
        """The picture rows that a shape can touch in any picture.

        Args:
            first: y of its upper end, in body heights.
            last: y of its lower end.
        """
        height = self.labels.shape[1]
        low = float((self.tops + (first - MARGIN) * self.heights).min()) - 1
        high = float((self.tops + (last + MARGIN) * self.heights).max()) + 2
        low = min(max(math.floor(low), 0), height - 1)
        high = min(math.ceil(high), height)
        return slice(low, max(high, low + 1))

    def ramp(self, distance: Tensor) -> Tensor:
        """0 outside, 1 inside, linear over one pixel.

        Args:
            distance: (B, ...) body heights to the edge, positive inside.
        Returns:
            (B, ...) in 0 .. 1.
        """
        tall = self.tall.reshape(-1, *[1] * (distance.ndim - 1))  # (B, 1, ...)
        return (distance * tall + 0.5).clamp_(0, 1)

    def limbs(self, knots: Tensor, bounds: list[tuple[float, float]]) -> list[Shape]:
        """Shapes with piecewise linear outlines.

        Args:
            knots: (B, S, 3, K) of y, centre, half width of each knot from the top down, body
                heights.
            bounds: S pairs of y that each shape lies between.
        Returns:
            S shapes.
        """
        ys = knots[:, :, 0, :, None]  # (B, S, K, 1)
        values = knots[:, :, 1:, :, None]  # (B, S, 2, K, 1) centre and half width
        y = self.y[:, None]  # (B, 1, H)
        # value of the first knot, then along each piece its change times the share gone through
        outline = values[:, :, :, 0] + torch.zeros_like(y)[:, :, None]  # (B, S, 2, H)
        for k in range(knots.shape[3] - 1):
            piece = (ys[:, :, k + 1] - ys[:, :, k]).clamp_min(1e-4)
            share = ((y - ys[:, :, k]) / piece).clamp_(0, 1)  # (B, S, H)
            change = values[:, :, :, k + 1] - values[:, :, :, k]
            outline += change * share[:, :, None]
        cover = self.ramp(y - ys[:, :, 0]) * self.ramp(ys[:, :, -1] - y)
        return self._shapes(outline[:, :, 0], outline[:, :, 1], cover, bounds)

    def ovals(self, knots: Tensor, bounds: list[tuple[float, float]]) -> list[Shape]:
        """Ellipses and boxes with round corners.

        Args:
            knots: (B, S, 5) of x, y, half width, half height (body heights) and squareness (1
                ellipse, 2 box with round corners).
            bounds: S pairs of y that each shape lies between.
        Returns:
            S shapes.
        """
        x, middle, wide, high, square = knots[..., None].unbind(2)  # (B, S, 1) each
        distance = self.y[:, None] - middle  # (B, S, H)
        t = distance / high
        # min(1, squareness * sqrt(1 - t^2)): the share of the full width that a row has
        share = 1 - t * t
        share.clamp_(min=0)
        share.sqrt_()
        share = share * square
        share.clamp_(max=1)
        cover = self.ramp(high - distance.abs())
        return self._shapes(x, share * wide, cover, bounds)

    def _shapes(self, x, half, cover, bounds):
        """S shapes from x and half (B, S, H or 1), body heights from the axis, and cover."""
        unit = self.unit[:, None]  # (B, 1, H)
        centre = self.axis[:, None] + x * unit
        half = half * unit
        windows = [self.window(*bound) for bound in bounds]
        parts = zip(centre.unbind(1), half.unbind(1), cover.unbind(1), windows)
        return [Shape(*part) for part in parts]

    def darken(self, rows: slice, share: Tensor, dark: float = LIGHT) -> None:
        """Move the light that is lacking towards a value.

        Args:
            rows: the window.
            share: (B, h, W) how far, 0 .. 1.
            dark: the value; LIGHT takes all light away, LIGHT - 1 is that of a plain surface.
        """
        window = self.dark[:, rows]
        window.lerp_(window.new_full((1, 1, 1), dark).expand_as(window), share)

    def light(self) -> Tensor:
        """Colours in their light, colour * (LIGHT - dark): (B, 3, H, W). Uses the board up."""
        self.dark.neg_()
        self.dark.add_(LIGHT)
        self.colour.mul_(self.dark[:, None])
        return self.colour.clamp_(0, 1)

    def across(self, shape: Shape) -> Tensor:
        """(B, h, W) signed distance of a window's pixels from the shape's centre line, pixels."""
        return self.x - shape.centre[:, shape.rows, None]

    def blend(self, rows: slice, colour: Tensor, share: Tensor) -> None:
        """Mix a colour into the pictures.

        Args:
            rows: the window.
            colour: (B, 3), (B, 3, H) one for each row, or (B, 3, h, W) of the window.
            share: (B, h, W) how much of it, 0 .. 1.
        """
        if colour.ndim == 2:
            colour = colour[:, :, None, None]
        elif colour.ndim == 3:
            colour = colour[:, :, rows, None]
        colour = colour.expand(*colour.shape[:2], *share.shape[1:])  # (B, 3, h, W)
        self.colour[:, :, rows].lerp_(colour, share[:, None])

    def paint(
        self,
        shape: Shape,
        colour: Tensor,
        label: int | None = None,
        weight: Tensor | None = None,
        light: Tensor | None = None,
        depth: float = 0.34,
    ) -> None:
        """Lay a colour over the pictures.

        Args:
            shape: where.
            colour: (B, 3), (B, 3, H) one for each row, or (B, 3, h, W) of the window.
            label: what the mask says there; None leaves it.
            weight: (B,) or (B, H) thins the shape.
            light: (B, 1, 1) shades it as a round body lit from that side.
            depth: how strong the shading is.
        """
        rows = shape.rows
        distance = self.across(shape)  # (B, h, W)
        cover = shape.cover
        if weight is not None:
            cover = cover * (weight if weight.ndim == 2 else weight[:, None])
        # share = cover * clamp(half + 0.5 - |distance|): soft over one pixel
        share = torch.abs(distance)
        torch.sub(shape.half[:, rows, None] + 0.5, share, out=share)
        share.clamp_(0, 1)
        share.mul_(cover[:, rows, None])
        self.blend(rows, colour, share)
        if light is not None:
            # dark = depth * (distance / half - light)^2: none where the surface faces the light
            slope = depth**0.5
            normal = distance.mul_(slope / shape.half[:, rows, None].clamp_min(3))
            normal.sub_(slope * light)
            normal.mul_(normal)
            self.dark[:, rows].lerp_(normal, share)
        if label is not None:
            number = self.labels.new_full((1, 1, 1), label).expand_as(share)
            self.labels[:, rows].lerp_(number, share.round_())
