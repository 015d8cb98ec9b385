"""Picture files: which files of a folder are pictures, and one of them as a tensor."""

from collections.abc import Iterable
from pathlib import Path

import numpy
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})  # all else (Thumbs.db, readme.txt) is not
HIDDEN = (".", "__MACOSX")  # what macOS leaves in archives looks like pictures

# What Pillow raises for damaged files: all four have been seen.
DAMAGED = (OSError, SyntaxError, ValueError, EOFError)


def picture_names(
    folder: Path, paths: Iterable[Path], suffixes: frozenset[str] = SUFFIXES
) -> list[str]:
    """Which of these paths have the name of a picture that is not hidden.

    Args:
        folder: what the names are relative to.
        paths: paths inside the folder, for example of `folder.glob`.
        suffixes: endings of a picture's name, in lower case.
    Returns:
        Sorted names relative to the folder, with slashes.
    """
    names = []
    for path in paths:
        if path.suffix.lower() not in suffixes:
            continue
        name = path.relative_to(folder)
        if not any(part.startswith(HIDDEN) for part in name.parts):
            names.append(name.as_posix())
    return sorted(names)


def read_picture(path: str | Path, size: tuple[int, int]) -> Tensor:
    """Decode one picture file.

    Args:
        path: the file.
        size: (H, W) that the picture is resized to, bilinearly.
    Returns:
        (3, H, W) uint8.
    Raises:
        ValueError: names a file that cannot be read.
    """
    height, width = size
    try:
        with Image.open(path) as picture:
            rgb = picture.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
    except DAMAGED as error:
        raise ValueError(
            f"picture {str(path)!r} cannot be read ({error}); copy it again from its source "
            "or remove it"
        ) from None
    return torch.from_numpy(numpy.array(rgb)).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
