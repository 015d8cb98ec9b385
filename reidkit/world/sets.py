"""Whole drawn sets: sample and exam, rendered in seconds and kept as one file with its recipe."""

import os
import pathlib
from dataclasses import asdict

import torch

from .. import files, store
from ..arguments import whole_number
from ..code_digest import folder_digest
from ..pictures import check_size
from ..record import Exam, ReIDData
from ..runtime import pick_device
from .cameras import make_cameras
from .hashing import hash32
from .people import ATTRIBUTES, make_people
from .places import NORMAL, Knobs, make_place
from .poses import make_poses
from .render import render

VERSION = "1.0"
KEPT = ("images", "ids", "cameras", "domains", "masks")  # of a set, beside attributes
ATTRIBUTE = "attribute "  # how their names begin in a file


def sample(
    places: list[tuple[str, int]],
    people: int,
    cameras: int,
    pictures: int,
    size: tuple[int, int] = (64, 32),
    seed: int = 0,
    knobs: Knobs = NORMAL,
    first_person: int = 0,
    device: torch.device | str = "cpu",
    cache: bool = True,
) -> ReIDData:
    """Draw people x cameras x pictures of every place.

    Nobody is in two places. Ids count on from first_person over all places and name the person: the
    same seed and id is the same person, so a second set with a later first_person has new people. A
    place keeps its cameras whatever the seed.

    Args:
        places: (family, index) pairs.
        people: how many in each place.
        cameras: how many in each place.
        pictures: how many of each person in each camera.
        size: height and width of the pictures, pixels.
        seed: any whole number; another seed gives other people and poses.
        knobs: difficulty.
        first_person: id of the first person.
        device: where the pictures are drawn, "auto" for the GPU where there is one; they are kept
            on the CPU.
        cache: keep the set under files.cache_dir()/world, and read it from there while nothing it
            depends on, the drawing code included, has changed. Where the disk does not take it, a
            line says so, and the set is drawn each time; a file that is damaged is drawn again.
    Returns:
        a record with masks and attributes, person by person; its domains are positions in `places`.
    Raises:
        ValueError: for numbers below 1 (0 for first_person), places that are no pairs, a seed that
            is no int, or a device that is not here.
    """
    device = pick_device(device)
    numbers = {"people": people, "cameras": cameras, "pictures": pictures}
    numbers["first_person"] = first_person
    recipe = _recipe("sample", places, numbers, size, seed, knobs, device)
    return _kept(recipe, lambda: _draw(recipe, knobs, device), cache)


def make_exam(
    places: list[tuple[str, int]],
    people: int,
    cameras: int,
    pictures: int,
    size: tuple[int, int] = (64, 32),
    seed: int = 0,
    knobs: Knobs = NORMAL,
    device: torch.device | str = "cpu",
    cache: bool = True,
) -> Exam:
    """A retrieval exam in these places.

    Its people are other people than those of any `sample`, of this seed too, and every family has
    its own: who chooses on validation places never meets the people of the unseen ones. The cameras
    are those of `sample`.

    Args:
        places: (family, index) pairs.
        people: how many in each place.
        cameras: how many in each place.
        pictures: how many of each person in each camera, 2 or more.
        size: height and width of the pictures, pixels.
        seed: any whole number; another seed gives other people and poses.
        knobs: difficulty.
        device: where the pictures are drawn, "auto" for the GPU where there is one; they are kept
            on the CPU.
        cache: as for `sample`.
    Returns:
        query, one picture of each person in each camera, and gallery, the others.
    Raises:
        ValueError: for fewer than 2 pictures, and as `sample` does.
    """
    if whole_number(pictures, "pictures", 1) < 2:
        raise ValueError(
            f"pictures is {pictures!r}; an exam needs 2 or more of each person and camera, "
            "one as query"
        )
    device = pick_device(device)
    numbers = {"people": people, "cameras": cameras, "pictures": pictures, "first_person": 0}
    recipe = _recipe("exam", places, numbers, size, seed, knobs, device)
    data = _kept(recipe, lambda: _draw(recipe, knobs, device), cache)
    is_query = torch.arange(len(data)) % pictures == 0
    return Exam(data[is_query], data[~is_query], data.name)


def _recipe(kind, places, numbers, size, seed, knobs, device):
    """All that a set depends on, as json writes it; numbers: people, cameras, pictures and
    first_person."""
    places = [tuple(place) if isinstance(place, (tuple, list)) else place for place in places]
    if not places or any(not isinstance(place, tuple) or len(place) != 2 for place in places):
        raise ValueError(
            f"places are {places!r}; expected (family, index) pairs, for example [('train', 0)]"
        )
    lowest = {"first_person": 0}  # an id below 0 would be junk
    numbers = {
        name: whole_number(value, name, lowest.get(name, 1)) for name, value in numbers.items()
    }
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r} ({type(seed).__name__}); expected a Python int")
    return numbers | {
        "kind": kind,
        "places": [list(place) for place in places],
        "size": list(check_size(size)),
        "seed": seed,
        "knobs": asdict(knobs),
        "device": device.type,
        "version": VERSION,
        "source": source_hash(),
    }


def source_hash() -> str:
    """Of what the drawing code does: changed code never meets an old cache, changed comments void
    nothing."""
    return folder_digest(pathlib.Path(__file__).parent)


def _draw(recipe, knobs, device):
    """The set of a recipe, place by place."""
    parts = []
    for number in range(len(recipe["places"])):
        parts.append(_draw_place(recipe, number, knobs, device))
    return ReIDData.cat(parts, _name(recipe))


def _draw_place(recipe, number, knobs, device):
    """The pictures of place `number` of the recipe, in the order of `_labels`."""
    people, cameras, pictures = recipe["people"], recipe["cameras"], recipe["pictures"]
    family, index = recipe["places"][number]
    place = make_place(family, index)
    first = recipe["first_person"] + number * people
    key = hash32(recipe["kind"], family, recipe["seed"])
    ids, cameras_seen, domains = _labels(recipe, number)
    # (people * cameras * pictures,) rows of the tables below
    who = ids - first
    where = cameras_seen - number * cameras
    crowd = make_people(people, key, knobs, place, first)
    views = make_cameras(place, cameras, 0, knobs)[where]
    poses = make_poses(len(who), key, knobs, views, first * cameras * pictures)
    drawn = render(crowd[who], views, poses, recipe["size"], device, raw=False)
    attributes = {name: value[who] for name, value in crowd.attributes().items()}
    attributes |= poses.attributes()
    return ReIDData(
        images=drawn.images.cpu(),
        ids=ids,
        cameras=cameras_seen,
        domains=domains,
        masks=drawn.masks.cpu(),
        attributes=attributes,
        name=place.name,
    )


def _name(recipe):
    return f"drawn {recipe['kind']} of {len(recipe['places'])} places, seed {recipe['seed']}"


def _kept(recipe, make, cache):
    """The set of a recipe from its file, or made and filed. A file that is damaged or of another
    recipe is made again; a disk that does not take the file costs a line."""
    if not cache:
        return make()
    path = files.cache_dir() / "world" / f"{recipe['kind']}-{files.digest(recipe)}.safetensors"
    data = _read(path, recipe)
    if data is not None:
        return data
    data = make()
    tensors = {name: getattr(data, name) for name in KEPT}
    tensors |= {f"{ATTRIBUTE}{name}": value for name, value in data.attributes.items()}
    files.keep(
        "a drawn set",
        lambda: store.save(path, tensors, recipe),
        "it is drawn again when it is needed",
        once_in=path.parent,
    )
    return data


def _read(path, recipe):
    """The set of a file; None where there is no file, or one that is damaged or holds another."""
    if not os.path.isfile(path):
        return None
    try:
        tensors, notes = store.load(path)
        expected = {*KEPT, *(f"{ATTRIBUTE}{name}" for name in ATTRIBUTES)}
        if notes != recipe or tensors.keys() != expected:
            return None
        labels = [tensors.pop(name) for name in KEPT]
        attributes = {name.removeprefix(ATTRIBUTE): value for name, value in tensors.items()}
        data = ReIDData(*labels, attributes, _name(recipe))
    except (ValueError, TypeError):  # damaged, or of other types and shapes
        return None
    return data if _is_of(recipe, data) else None


def _is_of(recipe, data):
    """Whether a record has the size and the labels of a recipe."""
    parts = [_labels(recipe, number) for number in range(len(recipe["places"]))]
    labels = [torch.cat(values) for values in zip(*parts)]
    if list(data.size) != recipe["size"] or len(data) != len(labels[0]):
        return False
    return all(map(torch.equal, labels, (data.ids, data.cameras, data.domains)))


def _labels(recipe, number):
    """(ids, cameras, domains) of place `number` of the recipe, (n,) each: person by person, then
    camera by camera."""
    people, cameras, pictures = recipe["people"], recipe["cameras"], recipe["pictures"]
    who = torch.arange(people).repeat_interleave(cameras * pictures)
    where = torch.arange(cameras).repeat_interleave(pictures).repeat(people)
    first = recipe["first_person"] + number * people
    return first + who, number * cameras + where, torch.full_like(who, number)
