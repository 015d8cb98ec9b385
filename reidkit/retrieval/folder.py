"""The pictures in a folder to features: what `python -m reidkit.retrieval` runs."""

import pathlib
import re
from dataclasses import dataclass

import torch
from tqdm import tqdm

from ..pictures import SUFFIXES, picture_names, read_picture
from ..record import ReIDData
from .embed import embed, embed_by_camera

PICTURES = SUFFIXES | {".webp"}


@dataclass(frozen=True)
class Embedded:
    """What `embed_folder` found. features (N, D) float32 of unit norm, on the CPU; names: N paths relative to the
    folder, with slashes; skipped: name -> why it cannot be read; cameras: N texts, empty where no pattern was given.
    """

    features: torch.Tensor
    names: tuple
    skipped: dict
    cameras: tuple


def embed_folder(loaded, folder, *, cameras=None, batch=256, device=None, progress=False):
    """Embed every .jpg, .jpeg, .png, .bmp and .webp picture in a folder and the folders in it -> Embedded.

    loaded: of `load_model`; its spec says the pictures' size and whether features are summed over both orientations.
    Hidden files are left out, names are sorted; all pictures are in memory at once, 3 H W bytes each. cameras: a
    regular expression with one group, searched in each relative path, which finds the camera ("_c(\\d)"): then features
    come from `embed_by_camera`, which is transductive. batch, device: see `embed`. FileNotFoundError for a missing
    folder or one without pictures; ValueError where none can be read, and for a camera pattern that does not fit.
    """
    root, pictures, skipped = pathlib.Path(folder).expanduser(), {}, {}
    names = _names_in(root)
    seen = dict.fromkeys(names, "") if cameras is None else camera_names(names, cameras)
    for name in tqdm(names, "read pictures", disable=not progress, leave=False):
        try:
            pictures[name] = read_picture(root / name, loaded.spec["size"])
        except Exception as error:  # decoders fail in more ways than one can list
            skipped[name] = str(error)
    if not pictures:
        raise ValueError(
            f"none of the {len(names)} pictures in {str(root)!r} can be read; the first: "
            f"{skipped[names[0]]}. Copy them again from their source"
        )
    seen = tuple(seen[name] for name in pictures)
    order = sorted(set(seen))
    if cameras is not None and (alone := [camera for camera in order if seen.count(camera) < 2]):
        raise ValueError(
            f"camera {alone[0]!r} has one readable picture, which has no statistics; expected two or more "
            "of each camera. Change the pattern, or move that picture elsewhere"
        )
    numbers = torch.tensor([order.index(camera) for camera in seen])
    unknown = torch.full_like(numbers, -1)
    data = ReIDData(torch.stack(list(pictures.values())), unknown, numbers, unknown, name=root.name)
    method = embed if cameras is None else embed_by_camera
    features = method(
        loaded.model,
        data,
        mirror=loaded.spec["mirror"],
        batch=batch,
        device=device,
        progress=progress,
    )
    return Embedded(features.cpu(), tuple(pictures), skipped, seen)


def _names_in(root):
    """Pictures in a folder and the folders in it: sorted relative paths with slashes. FileNotFoundError for none."""
    names = picture_names(root, root.rglob("*"), PICTURES)
    names = [name for name in names if (root / name).is_file()]
    if not names:
        raise FileNotFoundError(
            f"{str(root)!r} {'holds no picture' if root.is_dir() else 'is no folder'}; expected a "
            f"folder with names that end in {', '.join(sorted(PICTURES))}. Correct the path"
        )
    return names


def camera_names(names, pattern):
    """Names -> {name: its camera, the text of the pattern's group}. ValueError for a pattern that does not fit."""
    try:
        found = {name: match[1] for name in names if (match := re.search(pattern, name))}
    except (re.error, IndexError) as error:
        raise ValueError(
            f"camera pattern {pattern!r} cannot be used ({error}); expected a regular expression with one "
            "group, round the camera, such as '_c(\\d)'"
        ) from None
    if bad := [name for name in names if not found.get(name)]:
        raise ValueError(
            f"camera pattern {pattern!r} finds no camera in {len(bad)} of {len(names)} names, the first "
            f"{', '.join(map(repr, bad[:3]))}. Change the pattern, or move those pictures elsewhere"
        )
    return found
