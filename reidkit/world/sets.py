"""Whole drawn sets: sample and exam, rendered in seconds and kept as one file with its recipe."""

import json
import pathlib
from dataclasses import asdict

import safetensors
import safetensors.torch
import torch

from .. import files
from ..code_digest import folder_digest
from ..record import Exam, ReIDData
from .cameras import make_cameras
from .hashing import hash32
from .people import make_people
from .places import NORMAL, make_place
from .poses import make_poses
from .render import render

VERSION = "1.0"


def sample(
    places,
    people,
    cameras,
    pictures,
    size=(64, 32),
    seed=0,
    knobs=NORMAL,
    first_person=0,
    device="cpu",
    cache=True,
):
    """Draw people x cameras x pictures of every place -> ReIDData with masks and attributes, domains = position in
    `places`.

    places: (family, index) pairs; nobody is in two places. Ids count on from first_person over all places and name the
    person: the same seed and id is the same person, so a second set with a later first_person has new people. A
    place keeps its cameras whatever the seed. With cache, the set is kept under files.cache_dir()/world and read from
    there while nothing it depends on, the drawing code included, has changed. ValueError for numbers below 1 or places
    that are no pairs.
    """
    recipe = _recipe(
        "sample", places, people, cameras, pictures, size, seed, knobs, first_person, device
    )
    return _kept(recipe, lambda: _draw(recipe, knobs, device), cache)


def make_exam(
    places, people, cameras, pictures, size=(64, 32), seed=0, knobs=NORMAL, device="cpu", cache=True
):
    """A retrieval exam in these places: query, one picture of each person in each camera; gallery, the others (pictures
    >= 2).

    Its people are other people than those of any `sample`, of this seed too, and every family has its own: who chooses on
    validation places never meets the people of the unseen ones. The cameras are those of `sample`.
    """
    if pictures < 2:
        raise ValueError(
            f"pictures is {pictures!r}; an exam needs 2 or more of each person and camera, one as query"
        )
    recipe = _recipe("exam", places, people, cameras, pictures, size, seed, knobs, 0, device)
    data = _kept(recipe, lambda: _draw(recipe, knobs, device), cache)
    first = torch.arange(len(data)) % pictures == 0
    return Exam(data[first], data[~first], data.name)


def _recipe(kind, places, people, cameras, pictures, size, seed, knobs, first_person, device):
    places = [tuple(place) if isinstance(place, (tuple, list)) else place for place in places]
    if not places or any(not isinstance(place, tuple) or len(place) != 2 for place in places):
        raise ValueError(
            f"places are {places!r}; expected (family, index) pairs, for example [('train', 0)]"
        )
    for name, value in {"people": people, "cameras": cameras, "pictures": pictures}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; expected a whole number of 1 or more")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise ValueError(f"seed is {seed!r} ({type(seed).__name__}); expected a Python int")
    return {
        "kind": kind,
        "places": [list(place) for place in places],
        "people": people,
        "cameras": cameras,
        "pictures": pictures,
        "size": list(size),
        "seed": seed,
        "knobs": asdict(knobs),
        "first_person": first_person,
        "device": torch.device(device).type,
        "version": VERSION,
        "source": source_hash(),
    }


def source_hash():
    """Of what the drawing code does: changed code never meets an old cache, changed comments void nothing."""
    return folder_digest(pathlib.Path(__file__).parent)


def _draw(recipe, knobs, device):
    people, cameras, pictures = recipe["people"], recipe["cameras"], recipe["pictures"]
    who = torch.arange(people).repeat_interleave(cameras * pictures)  # person by person,
    where = torch.arange(cameras).repeat_interleave(pictures).repeat(people)  # camera by camera
    parts = []
    for number, (family, index) in enumerate(recipe["places"]):
        place, first = make_place(family, index), recipe["first_person"] + number * people
        key = hash32(recipe["kind"], family, recipe["seed"])
        crowd = make_people(people, key, knobs, place, first)
        seen = make_cameras(place, cameras, 0, knobs)[where]
        poses = make_poses(len(who), key, knobs, seen, first * cameras * pictures)
        drawn = render(crowd[who], seen, poses, recipe["size"], device, raw=False)
        attributes = {
            name: value[who] for name, value in crowd.attributes().items()
        } | poses.attributes()
        parts.append(
            ReIDData(
                drawn.images.cpu(),
                first + who,
                number * cameras + where,
                torch.full_like(who, number),
                drawn.masks.cpu(),
                attributes,
                place.name,
            )
        )
    return ReIDData.cat(parts, _name(recipe))


def _name(recipe):
    return f"drawn {recipe['kind']} of {len(recipe['places'])} places, seed {recipe['seed']}"


def _kept(recipe, make, cache):
    """The set of a recipe from its file, or made and filed. A file that is damaged or of another recipe is made
    again."""
    path = files.cache_dir() / "world" / f"{recipe['kind']}-{files.digest(recipe)}.safetensors"
    if cache and path.is_file():
        data = _read(path, recipe)
        if data is not None:
            return data
    data = make()
    if cache:
        tensors = {
            "images": data.images,
            "ids": data.ids,
            "cameras": data.cameras,
            "domains": data.domains,
            "masks": data.masks,
        }
        tensors |= {f"attribute {name}": value for name, value in data.attributes.items()}
        note = {"recipe": json.dumps(recipe, sort_keys=True), "fingerprint": data.fingerprint()}
        with files.atomic_path(path) as temporary:
            safetensors.torch.save_file(
                {name: value.contiguous() for name, value in tensors.items()}, temporary, note
            )
    return data


def _read(path, recipe):
    try:
        with safetensors.safe_open(path, "pt") as stream:
            note, tensors = (
                stream.metadata() or {},
                {name: stream.get_tensor(name) for name in stream.keys()},
            )
        labels = [tensors.pop(name) for name in ("images", "ids", "cameras", "domains", "masks")]
        data = ReIDData(
            *labels,
            {name.removeprefix("attribute "): value for name, value in tensors.items()},
            _name(recipe),
        )
        whole = note.get("recipe"), note.get("fingerprint")
        return data if whole == (json.dumps(recipe, sort_keys=True), data.fingerprint()) else None
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None
