"""Places (domains) and the difficulty knobs. A place is a distribution over cameras, backgrounds
and dress."""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from .hashing import bell, hash32, uniform

FAMILIES = ("train", "validation", "unseen", "demo")  # unseen: looked at to report, never to choose

# What a camera's imaging chain consists of:
# name -> (values, neutral, spread of places, spread of cameras, low, high).
# gain, white_balance, gamma and resolution move in powers of two around the neutral value, the
# others additively.
STYLE = {
    "gain": (1, 1.20, 0.34, 0.24, 0.50, 2.4),  # factor on the light
    "white_balance": (3, 1.00, 0.14, 0.11, 0.50, 1.9),  # factor on red, green, blue
    "gamma": (1, 1.00, 0.32, 0.17, 0.50, 2.0),  # exponent of the tone curve
    "hue": (1, 0.00, 0.014, 0.010, -0.08, 0.08),  # turns about the grey axis
    "saturation": (1, 1.00, 0.26, 0.17, 0.15, 1.8),
    "contrast": (1, 1.20, 0.17, 0.12, 0.6, 1.8),
    "brightness": (1, 0.00, 0.075, 0.05, -0.2, 0.25),  # added after the tone curve
    "blur": (1, 0.40, 0.42, 0.35, 0.0, 2.4),  # standard deviation in rows of a 128-row picture
    "noise": (1, 0.020, 0.018, 0.012, 0.0, 0.09),  # standard deviation, pictures in 0 .. 1
    "resolution": (1, 108.0, 0.45, 0.40, 32.0, 128.0),  # rows really resolved
    # detail below this is lost from 8 x 8 blocks
    "compression": (1, 0.010, 0.010, 0.008, 0.0, 0.05),
    "light": (2, 0.00, 0.15, 0.28, -0.8, 0.8),  # brightness slope downwards, to the right
}
POWERS = ("gain", "white_balance", "gamma", "resolution")

# How much of each a kind of background has:
# brick or tile lines, foliage, boxes (doors, windows, pillars), passers-by.
BACKGROUNDS = {
    "wall": (0.15, 0.15, 0.55, 0.15),
    "bricks": (1.0, 0.15, 0.4, 0.15),
    "foliage": (0.0, 1.0, 0.1, 0.2),
    "street": (0.3, 0.3, 0.9, 0.5),
    "indoor": (0.55, 0.1, 0.9, 0.3),
    "crowd": (0.2, 0.2, 0.5, 1.0),
}

SHARES = ("lookalike", "variety", "views")  # knobs that end at 1


@dataclass(frozen=True)
class Knobs:
    """Difficulty. 1 is a normal camera network, 0 switches an effect off, 2 doubles it.

    Args:
        camera_shift: how much the cameras of a place differ in style.
        place_shift: how much places differ in style.
        clutter: structure and passers-by in the background.
        occlusion: how often and how much something hides the person.
        misalignment: crop errors.
        texture: unevenness of cloth, creases and patches of light on people.
        degradation: blur, noise, lost pixels and compression.
        lookalike: (0 .. 1) how many people wear one of the place's few common outfits.
        variety: (0 .. 1) how many people wear more than a plain shirt and trousers and carry
            something.
        views: (0 .. 1) from how far around people are seen; 0 is always from the front.
    Raises:
        ValueError: where a knob is no number from 0 to 3, or to 1 where that is its end.
    """

    camera_shift: float = 1.0
    place_shift: float = 1.0
    clutter: float = 1.0
    occlusion: float = 1.0
    misalignment: float = 1.0
    texture: float = 1.0
    degradation: float = 1.0
    lookalike: float = 0.0
    variety: float = 1.0
    views: float = 1.0

    def __post_init__(self):
        for knob in fields(self):
            value = getattr(self, knob.name)
            top = 1 if knob.name in SHARES else 3
            if not isinstance(value, (int, float)) or not 0 <= value <= top:
                raise ValueError(
                    f"knob {knob.name} is {value!r}; expected a number from 0 (off) to {top}"
                )


EASY = Knobs(camera_shift=0.4, place_shift=0.5, clutter=0.4, occlusion=0.2, misalignment=0.4)
NORMAL = Knobs()
HARD = Knobs(
    camera_shift=1.4, place_shift=1.4, clutter=1.5, occlusion=1.6, misalignment=1.5, lookalike=0.5
)


@dataclass(frozen=True)
class Place:
    """One domain.

    Args:
        family: one of FAMILIES.
        index: its number in the family.
        key: what everything of this place is hashed from.
        season: 0 winter .. 1 summer.
        palette: (2, C) factors on how common each garment colour is, above and below.
        kinds: (K,) weights of the backgrounds.
        style: name -> (values,) deviation from neutral in units of the spread of places.
    """

    family: str
    index: int
    key: int
    season: float
    palette: Tensor
    kinds: Tensor
    style: dict

    @property
    def name(self) -> str:
        return f"{self.family} place {self.index}"


def make_place(family: str = "train", index: int = 0) -> Place:
    """A place of a family; the same in every run, families disjoint.

    Args:
        family: train, validation, unseen or demo.
        index: its number: 0, 1, 2, ...
    Returns:
        the place.
    Raises:
        ValueError: for another family or a negative index.
    """
    if family not in FAMILIES:
        raise ValueError(f"place family is {family!r}; expected one of {', '.join(FAMILIES)}")
    if not isinstance(index, int) or index < 0:
        raise ValueError(f"place index is {index!r}; expected a whole number from 0 on")
    key = int(hash32("place", family, index))
    return Place(
        family,
        index,
        key,
        season=float(uniform(1, "season", key)),
        palette=torch.exp2(1.1 * bell(26, "palette", key)).reshape(2, 13),
        kinds=uniform(len(BACKGROUNDS), "kinds", key) ** 3 + 0.02,
        style=_style(key),
    )


def _style(key):
    """name -> (values,) how far the place is from neutral, in units of the spread of places."""
    widths = [values for values, *_ in STYLE.values()]
    deviations = bell(sum(widths), "style", key).split(widths)  # (values,) each
    style = {}
    for name, deviation in zip(STYLE, deviations):
        # a variance of 1.5 for what is one number, of 1 for each of several
        style[name] = deviation * math.sqrt(1.5 if len(deviation) == 1 else 1)
    return style
