"""The pictures in a folder to features: what `python -m reidkit.retrieval` runs."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from ..pictures import SUFFIXES, picture_names, read_picture
from ..record import ReIDData
from .embed import embed, embed_by_camera
from .model_file import Loaded

PICTURES = SUFFIXES | {".webp"}


@dataclass(frozen=True)
class Embedded:
    """A folder's pictures as features.

    Args:
        features: (N, D) float32 of unit norm, on the CPU.
        names: N paths relative to the folder, with slashes.
        skipped: name -> why it cannot be read.
        cameras: N texts, empty where no pattern was given.
    """

    features: Tensor
    names: tuple[str, ...]
    skipped: dict[str, str]
    cameras: tuple[str, ...]


def embed_folder(
    loaded: Loaded,
    folder: str | Path,
    *,
    cameras: str | None = None,
    batch: int = 256,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Embedded:
    """Embed every .jpg, .jpeg, .png, .bmp and .webp picture in a folder and the folders in it.

    Hidden files are left out, names are sorted. All pictures are in memory at once, 3 H W bytes
    each.

    Args:
        loaded: of `load_model`; its spec says the pictures' size and whether features are summed
            over both orientations.
        folder: where the pictures are.
        cameras: a regular expression with one group, searched in each relative path, which finds
            the camera ("_c(\\d)"). Features then come from `embed_by_camera`, which is
            transductive.
        batch: see `embed`.
        device: see `embed`.
        progress: whether bars are shown.
    Raises:
        FileNotFoundError: a missing folder, or one without pictures.
        ValueError: no picture can be read, or the camera pattern does not fit.
    """
    root = Path(folder).expanduser()
    names = _names_in(root)
    camera_of = dict.fromkeys(names, "") if cameras is None else camera_names(names, cameras)
    pictures, skipped = _read_all(root, names, loaded.spec["size"], progress)
    if not pictures:
        raise ValueError(
            f"none of the {len(names)} pictures in {str(root)!r} can be read; the first: "
            f"{skipped[names[0]]}. Copy them again from their source"
        )
    picture_cameras = [camera_of[name] for name in pictures]
    if cameras is not None:
        _check_two_of_each(picture_cameras)
    data = _make_record(pictures, picture_cameras, root.name)
    method = embed if cameras is None else embed_by_camera
    features = method(
        loaded.model,
        data,
        mirror=loaded.spec["mirror"],
        batch=batch,
        device=device,
        progress=progress,
    )
    return Embedded(features.cpu(), tuple(pictures), skipped, tuple(picture_cameras))


def _names_in(root):
    """Pictures in a folder and the folders in it: sorted relative paths with slashes."""
    names = picture_names(root, root.rglob("*"), PICTURES)
    names = [name for name in names if (root / name).is_file()]
    if not names:
        problem = "holds no picture" if root.is_dir() else "is no folder"
        raise FileNotFoundError(
            f"{str(root)!r} {problem}; expected a folder with names that end in "
            f"{', '.join(sorted(PICTURES))}. Correct the path"
        )
    return names


def _read_all(root, names, size, progress):
    """Two dicts: name -> picture (3, H, W), and name -> why it cannot be read."""
    pictures = {}
    skipped = {}
    for name in tqdm(names, "read pictures", disable=not progress, leave=False):
        try:
            pictures[name] = read_picture(root / name, size)
        except Exception as error:  # decoders fail in more ways than one can list
            skipped[name] = str(error)
    return pictures, skipped


def _check_two_of_each(picture_cameras):
    for camera in sorted(set(picture_cameras)):
        if picture_cameras.count(camera) < 2:
            raise ValueError(
                f"camera {camera!r} has one readable picture, which has no statistics; expected "
                "two or more of each camera. Change the pattern, or move that picture elsewhere"
            )


def _make_record(pictures, picture_cameras, name):
    """Pictures of unknown people; cameras are numbered in the order of their sorted names."""
    order = sorted(set(picture_cameras))
    numbers = torch.tensor([order.index(camera) for camera in picture_cameras])
    unknown = torch.full_like(numbers, -1)
    images = torch.stack(list(pictures.values()))
    return ReIDData(images, ids=unknown, cameras=numbers, domains=unknown, name=name)


def camera_names(names: Sequence[str], pattern: str) -> dict[str, str]:
    """Find the camera in each name.

    Args:
        names: relative paths.
        pattern: a regular expression with one group, round the camera.
    Returns:
        Name -> its camera, the text of the pattern's group.
    Raises:
        ValueError: the pattern cannot be used, or finds no camera in some name.
    """
    cameras = {}
    try:
        for name in names:
            match = re.search(pattern, name)
            if match:
                cameras[name] = match[1]
    except (re.error, IndexError) as error:
        raise ValueError(
            f"camera pattern {pattern!r} cannot be used ({error}); expected a regular expression "
            "with one group, round the camera, such as '_c(\\d)'"
        ) from None
    # A group that takes no part in the match gives None, an empty one no name for a camera.
    unnamed = [repr(name) for name in names if not cameras.get(name)]
    if unnamed:
        raise ValueError(
            f"camera pattern {pattern!r} finds no camera in {len(unnamed)} of {len(names)} names, "
            f"the first {', '.join(unnamed[:3])}. Change the pattern, or move those pictures "
            "elsewhere"
        )
    return cameras
