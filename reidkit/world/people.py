"""People: bodies, faces, hair and what they wear, with the attributes a witness would name."""

from dataclasses import dataclass

import torch

from .hashing import bell, hash32, pick, table, uniform
from .places import NORMAL, Knobs

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


@dataclass(frozen=True)
class People(
    table(
        "key build curve skin hair hair_length hat hat_colour upper upper2 upper_colour upper_kind sleeves "
        "pattern period mottle fit hem_upper lower lower_colour lower_kind hem_lower flare loose legs shoes bag "
        "bag_colour bag_side wash"
    )
):
    """N people; every field has N rows. Colours (3) are reflectances 0 .. 1, lengths fractions of the body's height.

    build (width, 1 is average), curve (hips against waist), skin, hair, hair_length, hat (0 or 1), hat_colour; upper,
    upper2 (second or inner colour), upper_kind, sleeves, pattern, period (of the pattern), mottle (unevenness of
    the cloth), fit (0 tight .. 1 wide), hem_upper, lower,
    lower_kind, hem_lower, flare, loose, legs (skin or tights), shoes, bag, bag_colour, bag_side (-1 or 1), wash (unevenness below),
    upper_colour, lower_colour (into COLOURS).
    """

    def attributes(self):
        """name -> (N,) int64, an index into world.ATTRIBUTES[name]."""
        return {name: getattr(self, name) for name in ATTRIBUTES if name != "facing"}


def make_people(count, seed, knobs=NORMAL, place=None, first=0):
    """`count` people, hashed from the seed and their number (from `first` on); a place's season and fashion decide what
    is common.

    lookalike is the share of people who wear one of four outfits of this seed (and place): the same garments, in
    slightly different shades; their bodies, hair, shoes and bags stay their own.
    """
    if not isinstance(knobs, Knobs):
        raise ValueError(f"knobs are {knobs!r}; expected a world.Knobs, for example world.NORMAL")
    key = hash32("person", seed, torch.arange(first, first + count))
    outfit = hash32(
        "outfit",
        seed,
        0 if place is None else place.key,
        torch.floor(4 * uniform(1, "which outfit", key)[:, 0]).long(),
    )
    dress_key = torch.where(uniform(1, "alike", key)[:, 0] < knobs.lookalike, outfit, key)
    season = torch.full((count,), 0.5 if place is None else place.season)
    fashion = torch.ones(2, len(COLOURS)) if place is None else place.palette
    body = _body(key)
    clothes = _clothes(dress_key, key, season, fashion, body["curve"], body["skin"])
    clothes |= _carried(key)
    plain = uniform(1, "plain", key)[:, 0] >= knobs.variety  # nobody where variety is 1
    usual = {
        "upper_kind": 0,
        "pattern": 0,
        "lower_kind": 0,
        "bag": 0,
        "hat": 0,
        "hem_upper": 0.53,
        "hem_lower": 1.2,
    }
    for name, value in usual.items():
        clothes[name] = clothes[name].masked_fill(plain, value)
    for name in ("mottle", "wash"):
        clothes[name] = clothes[name] * knobs.texture
    return People(key=key, **body, **clothes)


def _body(key):
    u, b = uniform(8, "body", key), bell(5, "body", key)
    woman = (u[:, 0] < 0.5).float()
    skin = SKINS[pick(u[:, 1], torch.tensor([3.0, 4.0, 3.0, 2.0, 2.0]))] * (1 + 0.05 * b[:, :1])
    hair = HAIRS[pick(u[:, 2], torch.tensor([5.0, 4.0, 4.0, 2.0, 2.0, 1.0]))] * (
        1 + 0.12 * b[:, 1:2]
    )
    length = torch.where(
        woman > 0,
        pick(u[:, 3], torch.tensor([2.0, 3.0, 5.0])),
        pick(u[:, 3], torch.tensor([9.0, 1.0, 0.4])),
    )
    return {
        "build": (1.07 - 0.07 * woman + 0.13 * b[:, 2]).clamp(0.78, 1.45),
        "curve": (woman + 0.15 * b[:, 3]).clamp(0, 1),
        "skin": skin.clamp(0.05, 0.98),
        "hair": hair.clamp(0.02, 0.95),
        "hair_length": length,
    }


def _colour(u, weights, jitter):
    """Bins (N,) and their colours (N, 3), a little different for everybody."""
    table = torch.tensor(list(COLOURS.values()))
    chosen = pick(u, weights)
    colour = table[chosen, :3]
    grey = colour.mean(1, keepdim=True)
    colour = grey + (colour - grey) * (0.85 + 0.2 * jitter[:, 3:]).clamp(0.3, 1.2)  # dyes fade
    return chosen, (colour * torch.exp2(0.28 * jitter[:, :1]) + 0.018 * jitter[:, 1:4]).clamp(
        0.03, 0.96
    )


def _clothes(dress, key, season, fashion, woman, skin):
    u, own = uniform(20, "dress", dress), bell(12, "shade", key)
    table = torch.tensor(list(COLOURS.values()))
    upper_colour, upper = _colour(u[:, 0], table[:, 3] * fashion[0], own[:, :4])
    lower_colour, lower = _colour(u[:, 1], table[:, 4] * fashion[1], own[:, 4:8])
    _, upper2 = _colour(u[:, 2], table[:, 3] + 4, own[:, 8:12])
    close = (upper2 - upper).abs().sum(1, keepdim=True) < 0.45  # a second colour must be seen
    upper2 = torch.where(
        close,
        torch.where(upper.mean(1, keepdim=True) > 0.45, upper2 * 0.25, 0.5 + 0.45 * upper2),
        upper2,
    )
    warm, female = (u[:, 3] < season), woman > 0.5
    kind = torch.where(
        warm,
        pick(u[:, 4], torch.tensor([8.0, 1.0, 0.1, 0.0])),
        pick(u[:, 4], torch.tensor([4.0, 4.0, 3.0, 0.0])),
    )
    kind = torch.where(female & (u[:, 5] < 0.14), 3, kind)
    below = torch.where(
        female,
        pick(u[:, 6], torch.tensor([6.0, 1.0, 3.0])),
        pick(u[:, 6], torch.tensor([6.0, 2.0, 0.0])),
    )
    below = torch.where(~warm & (below == 1), 0, below)
    below = torch.where(kind == 3, 2, below)
    sleeves = torch.where((kind == 0) | (kind == 3), (u[:, 7] > 0.25 + 0.6 * season).long(), 1)
    pattern = pick(u[:, 8], torch.tensor([9.0, 2.0, 0.7, 1.5, 1.5, 2.5, 1.5, 2.0]))
    pattern = torch.where(
        (kind == 1) | (kind == 2), torch.where(pattern == 5, 0, pattern) * (u[:, 9] < 0.5), pattern
    )
    hem_upper = torch.tensor([0.520, 0.545, 0.68, 0.50])[kind] + torch.tensor(
        [0.05, 0.03, 0.12, 0.02]
    )[kind] * (u[:, 10] - 0.4)
    hem_lower = torch.tensor([1.2, 0.66, 0.66])[below] + torch.tensor([0.0, 0.10, 0.20])[below] * (
        u[:, 11] - 0.3
    )
    flare = torch.tensor([0.0, 0.0, 0.055])[below] * u[:, 12]
    tights = (below == 2) & (~warm | (u[:, 13] < 0.2))
    legs = torch.where(tights[:, None], 0.06 + 0.14 * u[:, 14:15].expand(-1, 3), skin)
    lower = torch.where((kind == 3)[:, None], upper, lower)
    return {
        "upper": upper,
        "upper2": upper2,
        "upper_colour": upper_colour,
        "upper_kind": kind,
        "sleeves": sleeves,
        "pattern": pattern,
        "period": 0.03 + 0.07 * u[:, 15] ** 1.5,
        "mottle": 0.3 * u[:, 17] ** 2,
        "fit": u[:, 18],
        "wash": 0.25 * u[:, 19] ** 2,
        "hem_upper": hem_upper,
        "lower": lower,
        "lower_colour": torch.where(kind == 3, upper_colour, lower_colour),
        "lower_kind": below,
        "hem_lower": hem_lower,
        "flare": flare,
        "loose": 0.003 + 0.022 * u[:, 16] * (1 - 0.5 * woman),
        "legs": legs,
    }


def _carried(key):
    u, jitter = uniform(6, "carried", key), bell(12, "carried", key)
    table = torch.tensor(list(COLOURS.values()))
    _, shoes = _colour(
        u[:, 0],
        torch.tensor([9.0, 3, 4, 3, 1, 0.7, 0.2, 0.2, 0.2, 0.5, 1, 0.2, 0.3]),
        jitter[:, :4],
    )
    _, bag_colour = _colour(u[:, 1], table[:, 3] * 0.5 + 3, jitter[:, 4:8])
    _, hat_colour = _colour(u[:, 2], table[:, 3], jitter[:, 8:12])
    return {
        "shoes": shoes,
        "bag": pick(u[:, 3], torch.tensor([5.0, 2.0, 3.0, 2.5])),
        "bag_colour": bag_colour,
        "bag_side": torch.where(u[:, 4] < 0.5, -1.0, 1.0),
        "hat": (u[:, 5] < 0.12).long(),
        "hat_colour": hat_colour,
    }


def describe(people, index):
    """A witness's words for one person: "red shirt with horizontal stripes, black shorts, long hair, backpack"."""
    word = {
        name: ATTRIBUTES[name][int(value[index])] for name, value in people.attributes().items()
    }
    special = {"plain": "", "print": " with a print", "two-tone": " in two colours"}
    pattern = special.get(word["pattern"], f" with {word['pattern']}")
    parts = [f"{word['upper_colour']} {word['upper_kind']}{pattern}"]
    if word["upper_kind"] != "dress":
        parts.append(f"{word['lower_colour']} {word['lower_kind']}")
    parts.append(f"{word['hair_length']} hair")
    parts += [word["bag"]] if word["bag"] != "none" else []
    return ", ".join(parts + (["hat"] if word["hat"] == "yes" else []))
