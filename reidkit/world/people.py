"""People: bodies, faces, hair and what they wear, with the attributes a witness would name."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from . import dress
from .dress import COLOURS, COMMON_ABOVE
from .hashing import Rows, bell, hash32, pick, uniform, uniform_by_name
from .places import NORMAL, Knobs, Place

ATTRIBUTES = {
    "upper_colour": tuple(COLOURS),
    "lower_colour": tuple(COLOURS),
    "upper_kind": ("shirt", "jacket", "coat", "dress"),
    "lower_kind": ("trousers", "shorts", "skirt"),
    "sleeves": ("short", "long"),
    "pattern": (
        "plain",
        "horizontal stripes",
        "vertical stripes",
        "checks",
        "two-tone",
        "print",
        "other sleeves",
        "blotches",
    ),
    "hair_length": ("short", "medium", "long"),
    "bag": ("none", "hand bag", "backpack", "shoulder bag"),
    "hat": ("no", "yes"),
    "facing": ("front", "right", "back", "left"),
}
NO_BAG, HAND_BAG, BACKPACK, SHOULDER_BAG = range(4)

SKINS = torch.tensor(
    [
        [0.93, 0.76, 0.66],
        [0.87, 0.67, 0.54],
        [0.76, 0.56, 0.42],
        [0.58, 0.40, 0.28],
        [0.36, 0.24, 0.17],
    ]
)
HAIRS = torch.tensor(
    [
        [0.06, 0.05, 0.05],
        [0.13, 0.09, 0.07],
        [0.25, 0.16, 0.10],
        [0.42, 0.28, 0.15],
        [0.70, 0.54, 0.30],
        [0.58, 0.57, 0.56],
    ]
)

# How common each is, in the order of SKINS, HAIRS, ATTRIBUTES and dress.COLOURS.
SKIN_WEIGHTS = torch.tensor([3.0, 4.0, 3.0, 2.0, 2.0])
HAIR_WEIGHTS = torch.tensor([5.0, 4.0, 4.0, 2.0, 2.0, 1.0])
HAIR_LENGTHS_OF_WOMEN = torch.tensor([2.0, 3.0, 5.0])
HAIR_LENGTHS_OF_MEN = torch.tensor([9.0, 1.0, 0.4])
SHOE_WEIGHTS = torch.tensor([9.0, 3, 4, 3, 1, 0.7, 0.2, 0.2, 0.2, 0.5, 1, 0.2, 0.3])
BAG_WEIGHTS = torch.tensor([5.0, 2.0, 3.0, 2.5])

# What somebody wears to whom the knob `variety` leaves nothing special.
USUAL = {
    "upper_kind": dress.SHIRT,
    "pattern": dress.PLAIN,
    "lower_kind": dress.TROUSERS,
    "bag": NO_BAG,
    "hat": 0,
    "hem_upper": 0.53,
    "hem_lower": 1.2,
}


@dataclass(frozen=True)
class People(Rows):
    """N people; every field has N rows.

    Colours (3) are reflectances 0 .. 1, lengths are fractions of the body's height, and kinds are
    indices into ATTRIBUTES.

    Args:
        key: what everything of this person is hashed from.
        build: width; 1 is average.
        curve: hips against waist, 0 .. 1.
        skin: colour.
        hair: colour.
        hair_length: kind.
        hat: 0 or 1.
        hat_colour: colour.
        upper: colour of the upper garment.
        upper2: its second or inner colour.
        upper_colour: index into COLOURS.
        upper_kind: kind.
        sleeves: kind.
        pattern: kind.
        period: length after which the pattern repeats.
        mottle: unevenness of the upper garment's cloth.
        fit: of the upper garment, 0 tight .. 1 wide.
        hem_upper: where the upper garment ends.
        lower: colour of the lower garment.
        lower_colour: index into COLOURS.
        lower_kind: kind.
        hem_lower: where the lower garment ends.
        flare: how much its hem widens.
        loose: how far it stands off the legs.
        legs: colour of skin or tights.
        shoes: colour.
        bag: kind.
        bag_colour: colour.
        bag_side: the side it is carried on, -1 or 1.
        wash: unevenness of the lower garment's cloth.
    """

    key: Tensor
    build: Tensor
    curve: Tensor
    skin: Tensor
    hair: Tensor
    hair_length: Tensor
    hat: Tensor
    hat_colour: Tensor
    upper: Tensor
    upper2: Tensor
    upper_colour: Tensor
    upper_kind: Tensor
    sleeves: Tensor
    pattern: Tensor
    period: Tensor
    mottle: Tensor
    fit: Tensor
    hem_upper: Tensor
    lower: Tensor
    lower_colour: Tensor
    lower_kind: Tensor
    hem_lower: Tensor
    flare: Tensor
    loose: Tensor
    legs: Tensor
    shoes: Tensor
    bag: Tensor
    bag_colour: Tensor
    bag_side: Tensor
    wash: Tensor

    def attributes(self) -> dict[str, Tensor]:
        """What a witness would name.

        Returns:
            name -> (N,) int64, an index into world.ATTRIBUTES[name].
        """
        return {name: getattr(self, name) for name in ATTRIBUTES if name != "facing"}


class CarriedDraws(NamedTuple):
    """The uniform numbers behind shoes, bag and hat, in the order in which they are drawn."""

    shoes: Tensor
    bag_colour: Tensor
    hat_colour: Tensor
    bag: Tensor
    bag_side: Tensor
    hat: Tensor


def make_people(
    count: int, seed: int, knobs: Knobs = NORMAL, place: Place | None = None, first: int = 0
) -> People:
    """People, hashed from the seed and their number.

    A place's season and fashion decide what is common. The knob lookalike is the share of people
    who wear one of four outfits of this seed (and place): the same garments, in slightly different
    shades; their bodies, hair, shoes and bags stay their own.

    Args:
        count: how many people.
        seed: any whole number; another seed gives other people.
        knobs: lookalike, variety and texture act here.
        place: whose season and fashion people follow; None for no place in particular.
        first: the number of the first person.
    Returns:
        the people with the numbers first .. first + count - 1.
    Raises:
        ValueError: where knobs are no Knobs.
    """
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    key = hash32("person", seed, torch.arange(first, first + count))
    dress_key = _dress_key(key, seed, knobs, place)
    season = torch.full((count,), 0.5 if place is None else place.season)
    fashion = torch.ones(2, len(COLOURS)) if place is None else place.palette
    body = _body(key)
    worn = dress.clothes(dress_key, key, season, fashion, body)
    worn |= _carried(key)
    is_plain = uniform(1, "plain", key)[:, 0] >= knobs.variety  # nobody where variety is 1
    for name, value in USUAL.items():
        worn[name] = worn[name].masked_fill(is_plain, value)
    for name in ("mottle", "wash"):
        worn[name] = worn[name] * knobs.texture
    return People(key=key, **body, **worn)


def _dress_key(key, seed, knobs, place):
    """(N,) what the outfits are hashed from: a person's own key, or that of one of four outfits."""
    place_key = 0 if place is None else place.key
    number = torch.floor(4 * uniform(1, "which outfit", key)[:, 0]).long()  # (N,) 0 .. 3
    outfit_key = hash32("outfit", seed, place_key, number)
    is_lookalike = uniform(1, "alike", key)[:, 0] < knobs.lookalike
    return torch.where(is_lookalike, outfit_key, key)


def _body(key):
    """The fields of People that are body."""
    sex, skin_index, hair_index, length, *_ = uniform(8, "body", key).unbind(1)  # (N,) each
    skin_shade, hair_shade, build, curve, _ = bell(5, "body", key).split(1, 1)  # (N, 1) each
    is_woman = sex < 0.5
    woman = is_woman.float()
    skin = SKINS[pick(skin_index, SKIN_WEIGHTS)]  # (N, 3)
    hair = HAIRS[pick(hair_index, HAIR_WEIGHTS)]  # (N, 3)
    womens_length = pick(length, HAIR_LENGTHS_OF_WOMEN)
    mens_length = pick(length, HAIR_LENGTHS_OF_MEN)
    return {
        "build": (1.07 - 0.07 * woman + 0.13 * build[:, 0]).clamp(0.78, 1.45),
        "curve": (woman + 0.15 * curve[:, 0]).clamp(0, 1),
        "skin": (skin * (1 + 0.05 * skin_shade)).clamp(0.05, 0.98),
        "hair": (hair * (1 + 0.12 * hair_shade)).clamp(0.02, 0.95),
        "hair_length": torch.where(is_woman, womens_length, mens_length),
    }


def _carried(key):
    """The fields of People that are shoes, bag and hat."""
    draws = uniform_by_name(CarriedDraws, "carried", key)
    shoe_shade, bag_shade, hat_shade = bell(12, "carried", key).split(4, 1)  # (N, 4) each
    _, shoes = dress.colour(draws.shoes, SHOE_WEIGHTS, shoe_shade)
    _, bag_colour = dress.colour(draws.bag_colour, COMMON_ABOVE * 0.5 + 3, bag_shade)
    _, hat_colour = dress.colour(draws.hat_colour, COMMON_ABOVE, hat_shade)
    return {
        "shoes": shoes,
        "bag": pick(draws.bag, BAG_WEIGHTS),
        "bag_colour": bag_colour,
        "bag_side": torch.where(draws.bag_side < 0.5, -1.0, 1.0),
        "hat": (draws.hat < 0.12).long(),
        "hat_colour": hat_colour,
    }


def describe(people: People, index: int) -> str:
    """A witness's words: "red shirt with horizontal stripes, black shorts, long hair, backpack".

    Args:
        people: a table of people.
        index: the row of the person to describe.
    Returns:
        what the person wears and carries.
    """
    words = {}
    for name, values in people.attributes().items():
        words[name] = ATTRIBUTES[name][int(values[index])]
    special = {"plain": "", "print": " with a print", "two-tone": " in two colours"}
    pattern = special.get(words["pattern"], f" with {words['pattern']}")
    parts = [f"{words['upper_colour']} {words['upper_kind']}{pattern}"]
    if words["upper_kind"] != "dress":
        parts.append(f"{words['lower_colour']} {words['lower_kind']}")
    parts.append(f"{words['hair_length']} hair")
    if words["bag"] != "none":
        parts.append(words["bag"])
    if words["hat"] == "yes":
        parts.append("hat")
    return ", ".join(parts)
