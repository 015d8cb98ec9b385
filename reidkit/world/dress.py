"""What people wear: which garments, of what cut, in which colours."""

from typing import NamedTuple

import torch
from torch import Tensor

from .hashing import bell, pick, uniform_by_name

# colour -> red, green, blue, how common above the waist, how common below
COLOURS = {
    "black": (0.075, 0.075, 0.085, 20, 28),
    "grey": (0.42, 0.42, 0.43, 14, 12),
    "white": (0.88, 0.87, 0.85, 17, 4),
    "brown": (0.33, 0.22, 0.15, 5, 5),
    "beige": (0.72, 0.63, 0.49, 6, 9),
    "red": (0.68, 0.10, 0.11, 8, 1.5),
    "orange": (0.87, 0.43, 0.12, 2, 0.5),
    "yellow": (0.88, 0.75, 0.20, 2.5, 0.5),
    "green": (0.16, 0.40, 0.20, 6, 2),
    "blue": (0.20, 0.37, 0.68, 9, 16),
    "navy": (0.10, 0.13, 0.27, 9, 16),
    "purple": (0.36, 0.17, 0.44, 3, 1),
    "pink": (0.86, 0.52, 0.60, 4, 1),
}

# The table above as tensors: (13, 3) red, green, blue; (13,) how common.
COLOUR_TABLE = torch.tensor(list(COLOURS.values()))
RGB = COLOUR_TABLE[:, :3]
COMMON_ABOVE = COLOUR_TABLE[:, 3]
COMMON_BELOW = COLOUR_TABLE[:, 4]

# The words of people.ATTRIBUTES as the numbers that the tables hold.
SHIRT, JACKET, COAT, DRESS = range(4)
TROUSERS, SHORTS, SKIRT = range(3)
PLAIN, HORIZONTAL, VERTICAL, CHECKS, TWO_TONE, PRINT, OTHER_SLEEVES, BLOTCHES = range(8)

# How common each garment and pattern is.
UPPER_WHEN_WARM = torch.tensor([8.0, 1.0, 0.1, 0.0])
UPPER_WHEN_COLD = torch.tensor([4.0, 4.0, 3.0, 0.0])
LOWER_OF_WOMEN = torch.tensor([6.0, 1.0, 3.0])
LOWER_OF_MEN = torch.tensor([6.0, 2.0, 0.0])
PATTERN_WEIGHTS = torch.tensor([9.0, 2.0, 0.7, 1.5, 1.5, 2.5, 1.5, 2.0])

# Where each garment ends, in fractions of the body's height, and by how much that differs.
UPPER_HEM = torch.tensor([0.520, 0.545, 0.68, 0.50])
UPPER_HEM_SPREAD = torch.tensor([0.05, 0.03, 0.12, 0.02])
LOWER_HEM = torch.tensor([1.2, 0.66, 0.66])
LOWER_HEM_SPREAD = torch.tensor([0.0, 0.10, 0.20])
FLARE = torch.tensor([0.0, 0.0, 0.055])


class OutfitDraws(NamedTuple):
    """The uniform numbers behind an outfit, in the order in which they are drawn."""

    upper_colour: Tensor
    lower_colour: Tensor
    second_colour: Tensor
    warmth: Tensor  # below the season: dressed for summer
    upper_kind: Tensor
    dress: Tensor  # whether a woman wears one
    lower_kind: Tensor
    sleeves: Tensor
    pattern: Tensor
    patterned_jacket: Tensor  # whether a jacket or coat has its pattern
    hem_upper: Tensor
    hem_lower: Tensor
    flare: Tensor
    summer_tights: Tensor  # whether legs under a skirt are covered when it is warm
    tights_grey: Tensor
    period: Tensor
    loose: Tensor
    mottle: Tensor
    fit: Tensor
    wash: Tensor


def clothes(
    dress_key: Tensor, key: Tensor, season: Tensor, fashion: Tensor, body: dict[str, Tensor]
) -> dict[str, Tensor]:
    """Everything of People that is cloth.

    Args:
        dress_key: (N,) what the outfit is hashed from; lookalikes share it.
        key: (N,) the person's own, from which the shades of the colours are hashed.
        season: (N,) 0 winter .. 1 summer.
        fashion: (2, 13) factors on how common each colour is, above the waist and below.
        body: the fields of People that are body; curve and skin are used.
    Returns:
        field of People -> a tensor of N rows.
    """
    draws = uniform_by_name(OutfitDraws, "dress", dress_key)
    is_warm = draws.warmth < season
    is_woman = body["curve"] > 0.5
    worn = _garments(draws, season, is_warm, is_woman)
    worn |= _cut(draws, worn, body["curve"])
    worn |= _colours(draws, key, fashion, worn["upper_kind"])
    # skirts over bare legs in summer, over tights in winter
    has_tights = (worn["lower_kind"] == SKIRT) & (~is_warm | (draws.summer_tights < 0.2))
    tights = 0.06 + 0.14 * draws.tights_grey[:, None].expand(-1, 3)  # (N, 3)
    worn["legs"] = torch.where(has_tights[:, None], tights, body["skin"])
    worn["period"] = 0.03 + 0.07 * draws.period**1.5
    worn["mottle"] = 0.3 * draws.mottle**2
    worn["wash"] = 0.25 * draws.wash**2
    return worn


def _garments(draws, season, is_warm, is_woman):
    """Which garments: upper_kind, lower_kind, sleeves and pattern, (N,) int64 each."""
    warm_kind = pick(draws.upper_kind, UPPER_WHEN_WARM)
    cold_kind = pick(draws.upper_kind, UPPER_WHEN_COLD)
    upper_kind = torch.where(is_warm, warm_kind, cold_kind)
    wears_dress = is_woman & (draws.dress < 0.14)
    upper_kind = torch.where(wears_dress, DRESS, upper_kind)

    womens_kind = pick(draws.lower_kind, LOWER_OF_WOMEN)
    mens_kind = pick(draws.lower_kind, LOWER_OF_MEN)
    lower_kind = torch.where(is_woman, womens_kind, mens_kind)
    too_cold = ~is_warm & (lower_kind == SHORTS)
    lower_kind = torch.where(too_cold, TROUSERS, lower_kind)
    lower_kind = torch.where(wears_dress, SKIRT, lower_kind)

    may_be_short = (upper_kind == SHIRT) | (upper_kind == DRESS)
    long_sleeves = draws.sleeves > 0.25 + 0.6 * season
    sleeves = torch.where(may_be_short, long_sleeves.long(), 1)

    pattern = pick(draws.pattern, PATTERN_WEIGHTS)
    # jackets and coats have no print, and half of them no pattern at all
    outdoor_pattern = torch.where(pattern == PRINT, PLAIN, pattern)
    outdoor_pattern = outdoor_pattern * (draws.patterned_jacket < 0.5)
    is_outdoor = (upper_kind == JACKET) | (upper_kind == COAT)
    pattern = torch.where(is_outdoor, outdoor_pattern, pattern)
    return {
        "upper_kind": upper_kind,
        "lower_kind": lower_kind,
        "sleeves": sleeves,
        "pattern": pattern,
    }


def _cut(draws, garments, curve):
    """How long and how wide the garments are: fit, hems, flare and loose, (N,) each."""
    upper_kind = garments["upper_kind"]
    lower_kind = garments["lower_kind"]
    longer_above = UPPER_HEM_SPREAD[upper_kind] * (draws.hem_upper - 0.4)
    longer_below = LOWER_HEM_SPREAD[lower_kind] * (draws.hem_lower - 0.3)
    return {
        "fit": draws.fit,
        "hem_upper": UPPER_HEM[upper_kind] + longer_above,
        "hem_lower": LOWER_HEM[lower_kind] + longer_below,
        "flare": FLARE[lower_kind] * draws.flare,
        "loose": 0.003 + 0.022 * draws.loose * (1 - 0.5 * curve),
    }


def _colours(draws, key, fashion, upper_kind):
    """The garments' colours, (N, 3), and their numbers in COLOURS, (N,)."""
    upper_shade, lower_shade, second_shade = bell(12, "shade", key).split(4, 1)  # (N, 4) each
    upper_index, upper = colour(draws.upper_colour, COMMON_ABOVE * fashion[0], upper_shade)
    lower_index, lower = colour(draws.lower_colour, COMMON_BELOW * fashion[1], lower_shade)
    _, second = colour(draws.second_colour, COMMON_ABOVE + 4, second_shade)
    # a second colour must be seen: darker where the first is light, lighter where it is dark
    too_close = (second - upper).abs().sum(1, keepdim=True) < 0.45
    is_light = upper.mean(1, keepdim=True) > 0.45
    contrasting = torch.where(is_light, second * 0.25, 0.5 + 0.45 * second)
    is_dress = upper_kind == DRESS  # one piece of cloth
    return {
        "upper": upper,
        "upper2": torch.where(too_close, contrasting, second),
        "upper_colour": upper_index,
        "lower": torch.where(is_dress[:, None], upper, lower),
        "lower_colour": torch.where(is_dress, upper_index, lower_index),
    }


def colour(u: Tensor, weights: Tensor, shade: Tensor) -> tuple[Tensor, Tensor]:
    """A colour of COLOURS for everybody, a little different from person to person.

    Args:
        u: (N,) numbers in [0, 1) that choose it.
        weights: (13,) how common each is.
        shade: (N, 4) of mean 0 and variance 1. The first moves the brightness; the other three
            move red, green and blue; the last also says how faded the dye is.
    Returns:
        (N,) int64 into COLOURS, and (N, 3) reflectances.
    """
    index = pick(u, weights)
    rgb = RGB[index]  # (N, 3)
    grey = rgb.mean(1, keepdim=True)
    dye = (0.85 + 0.2 * shade[:, 3:]).clamp(0.3, 1.2)  # dyes fade
    rgb = grey + (rgb - grey) * dye
    brightness = torch.exp2(0.28 * shade[:, :1])
    tint = 0.018 * shade[:, 1:4]
    return index, (rgb * brightness + tint).clamp(0.03, 0.96)
