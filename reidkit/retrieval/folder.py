"""The pictures in a folder to features: what `python -m reidkit.retrieval` runs.

Nothing is passed over in silence: what is in the folder is embedded, or skipped because it cannot
be read, or left out with a reason.
"""

import collections
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from .. import console
from ..arguments import describe
from ..files import PART
from ..pictures import HIDDEN, SUFFIXES, check_size, folder_path, read_picture
from ..record import ReIDData
from .embed import embed, embed_by_camera
from .model_file import Loaded

# Endings that are read: JPEG, PNG, BMP and WebP by all of their usual names.
PICTURES = SUFFIXES | {".webp", ".jpe", ".jfif"}

# Endings of pictures of other kinds.
OTHER_PICTURES = frozenset(
    ".tif .tiff .gif .heic .heif .avif .apng .jif .jfi .pjpeg .pjp .jp2 .j2k .jpx .jxl .dib .ico "
    ".pbm .pgm .ppm .pnm .pfm .tga .pcx .psd .svg .eps .exr .hdr .raw .dng .cr2 .cr3 .nef .arw "
    ".orf .rw2".split()
)


@dataclass(frozen=True)
class Embedded:
    """A folder's pictures as features.

    Args:
        features: (N, D) float32 of unit norm, on the CPU.
        names: N paths relative to the folder, with slashes.
        skipped: name -> why it cannot be read.
        cameras: N texts, empty where no pattern was given.
        left_out: name -> why it was not even tried: hidden, no picture by its name, a link to
            nothing, a folder that cannot be opened. A folder's name ends with a slash, and stands
            for all that is in it.
    """

    features: Tensor
    names: tuple[str, ...]
    skipped: dict[str, str]
    cameras: tuple[str, ...]
    left_out: dict[str, str] = field(default_factory=dict)


def embed_folder(
    loaded: Loaded,
    folder: str | Path,
    *,
    cameras: str | None = None,
    batch: int = 256,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Embedded:
    """Embed every picture (by its name, see PICTURES) in a folder and the folders in it.

    Links are followed, but no folder is entered twice. Names are sorted. All pictures are in memory
    at once, 3 H W bytes each. What is hidden or has another ending is left out: it is listed, and
    a line on stderr says how much it is.

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
        ValueError: no picture can be read, the camera pattern does not fit, or the model's features
            are not finite.
        TypeError: loaded is no Loaded.
    """
    if not isinstance(loaded, Loaded):
        raise TypeError(f"loaded is {describe(loaded)}; expected what load_model returns")
    root = folder_path(folder, "folder")
    names, left_out = find_pictures(root)
    if not names:
        raise FileNotFoundError(_no_pictures(root, left_out))
    camera_of = dict.fromkeys(names, "") if cameras is None else camera_names(names, cameras)
    pictures, skipped = _read_all(root, names, check_size(loaded.spec["size"]), progress)
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
    options = {"mirror": loaded.spec["mirror"], "batch": batch, "device": device}
    features = method(loaded.model, data, progress=progress, **options).cpu()
    _check_finite(features, tuple(pictures))
    for line in summary(left_out):
        console.say(line)
    return Embedded(features, tuple(pictures), skipped, tuple(picture_cameras), left_out)


def find_pictures(root: Path) -> tuple[list[str], dict[str, str]]:
    """The pictures in a folder and the folders in it, and what else is there.

    Links to folders are followed once all that is really there has been seen, and no folder is
    entered twice, so that links in a circle do no harm.

    Args:
        root: the folder.
    Returns:
        The pictures' sorted paths relative to it, with slashes; and name -> why it was left out.
    """
    names = []
    left_out = {}
    entered = set()  # real paths of folders
    waiting = collections.deque([root])
    while waiting:
        folder = waiting.popleft()
        real_path = os.path.realpath(folder)
        if real_path in entered:
            left_out[_name(folder, root) + "/"] = "a folder that is read already, by another name"
            continue
        entered.add(real_path)
        try:
            inside = sorted(os.listdir(folder))
        except OSError as error:
            left_out[_name(folder, root) + "/"] = f"cannot be opened ({error.strerror})"
            continue
        for path in [folder / name for name in inside if not name.endswith(PART)]:
            is_folder = os.path.isdir(path)
            reason = _why_left_out(path, is_folder)
            if reason:
                left_out[_name(path, root) + "/" * is_folder] = reason
            elif not is_folder:
                names.append(_name(path, root))
            elif path.is_symlink():
                waiting.append(path)  # behind all that is really there
            else:
                waiting.appendleft(path)
    return sorted(names), dict(sorted(left_out.items()))


def _name(path, root):
    return path.relative_to(root).as_posix()


def _why_left_out(path, is_folder):
    """A reason not to read what has this path; empty where there is none."""
    if path.name.startswith(HIDDEN):
        return "hidden"
    if is_folder:
        return ""
    suffix = path.suffix.lower()
    if suffix in OTHER_PICTURES:
        return f"{suffix} is not read, save it as .png"
    if suffix not in PICTURES:
        return "no picture by its name"
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        return f"cannot be found ({error.strerror})"  # a link to nothing, or to itself
    return "" if is_file else "no ordinary file, but a pipe or a device"


def summary(left_out: dict[str, str]) -> list[str]:
    """A line for each reason why something was left out, with how much it was and the first names.

    Args:
        left_out: name -> reason, of `Embedded`.
    """
    names_of = {}
    for name, reason in left_out.items():
        names_of.setdefault(reason, []).append(name)
    lines = []
    for reason, names in names_of.items():
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        first = ", ".join(map(repr, names[:3]))
        lines.append(f"left out {len(names)} ({reason}): {first}{more}")
    return lines


def _no_pictures(root, left_out):
    """What to say of a folder without pictures."""
    problem = "holds no picture" if root.is_dir() else "is no folder"
    found = "".join(f"; {line}" for line in summary(left_out)) if root.is_dir() else ""
    return (
        f"{str(root)!r} {problem}; expected a folder with names that end in "
        f"{', '.join(sorted(PICTURES))}{found}. Correct the path"
    )


def _read_all(root, names, size, progress):
    """Two dicts: name -> picture (3, H, W), and name -> why it cannot be read."""
    pictures = {}
    skipped = {}
    for name in console.bar(names, show=progress, desc="read pictures", leave=False):
        try:
            pictures[name] = read_picture(root / name, size)
        except ValueError as error:
            skipped[name] = str(error)
    return pictures, skipped


def _check_two_of_each(picture_cameras):
    for camera in sorted(set(picture_cameras)):
        if picture_cameras.count(camera) < 2:
            raise ValueError(
                f"camera {camera!r} has one readable picture, which has no statistics; expected "
                "two or more of each camera. Change the pattern, or move that picture elsewhere"
            )


def _check_finite(features, names):
    bad = (~features.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"{len(bad)} of {len(features)} features are not finite, the first that of "
            f"{names[bad[0]]!r}: the model's weights are damaged, or its numbers overflow. Copy "
            "the model again from its source, or train it anew"
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
    if not isinstance(pattern, str):
        raise ValueError(
            f"camera pattern {pattern!r} cannot be used; expected a regular expression with one "
            "group, a text such as '_c(\\d)'"
        )
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
