"""Picture files: which files of a folder are pictures, and one of them as a tensor.

Everything that opens a picture does so by `read_picture`.
"""

import os
import stat
import threading
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image
from torch import Tensor

from .arguments import whole_number

LONGEST_SIDE = 8192  # pixels that a picture may be resized to
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp"})  # all else (Thumbs.db, readme.txt) is not
HIDDEN = (".", "__MACOSX")  # what macOS leaves in archives looks like pictures

# What is decoded, whatever a file is called. Other decoders of Pillow may start other programs.
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")

# How files of these formats begin.
OURS = ((b"\xff\xd8", "JPEG"), (b"\x89PNG", "PNG"), (b"BM", "BMP"), (b"RIFF", "WebP"))
# How other files begin -> what they are. The first that fits counts.
BEGINNINGS = (
    (b"%!PS", "an EPS or PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "an EPS file"),
    (b"%PDF", "a PDF"),
    (b"GIF8", "a GIF"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"8BPS", "a Photoshop file"),
    (b"\0\0\1\0", "an ICO"),
    (b"\0\0\2\0", "a TGA or CUR"),
    (b"\0\0\0\x0cjP", "a JPEG 2000"),
    (b"\xff\x4f\xff\x51", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"icns", "an ICNS"),
    (b"qoif", "a QOI"),
    (b"DDS ", "a DDS"),
    (b"\x01\xda", "an SGI picture"),
    (b"\x0a\x05\x01", "a PCX"),
    (b"SIMPLE", "a FITS file"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\xd7\xcd\xc6\x9a", "a WMF"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"version https://git-lfs", "a pointer of git-lfs, for `git lfs pull` to replace"),
    (b"P1", "a PBM"),
    (b"P2", "a PGM"),
    (b"P3", "a PPM"),
    (b"P4", "a PBM"),
    (b"P5", "a PGM"),
    (b"P6", "a PPM"),
    (b"\x59\xa6\x6a\x95", "a SUN raster"),
    (b"#define", "an XBM"),
    (b"/* XPM", "an XPM"),
    (b"<svg", "an SVG"),
    (b"<?xml", "an XML or SVG file"),
    (b"<", "a web page"),
)

# EXIF's orientation: what turns the stored picture upright. 1 is upright as it is.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,  # Pillow turns against the clock
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112  # its number among EXIF's tags

# Modes of 16 bits, and "I", as which older Pillows give 16-bit PNGs.
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")
# Modes that Pillow converts to RGB as they mean it.
PLAIN = ("1", "L", "P", "RGB", "RGBX", "CMYK", "YCbCr", "HSV", "LAB")

COPY_AGAIN = "copy it again from its source or remove it"
SAVE_AS = "save it as JPEG or PNG, or remove it"

_opening = threading.Lock()  # a filter of warnings holds for all threads


class _Unreadable(Exception):
    """Why a file cannot be read, and what to do about it."""


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


def folder_path(folder: str | os.PathLike, what: str) -> Path:
    """The path of a folder, with ~ replaced; it need not exist.

    Args:
        folder: its path.
        what: what the error calls it.
    Raises:
        ValueError: no path, or a ~ of nobody known.
    """
    if not isinstance(folder, (str, os.PathLike)) or "\0" in str(folder):
        raise ValueError(f"{what} is {folder!r}; expected the path of a folder, a text or a Path")
    try:
        return Path(folder).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{what} is {str(folder)!r} ({error}); write the path in full") from None


def check_size(size: Any) -> tuple[int, int]:
    """The (height, width) of pictures, after a look at it.

    Args:
        size: two whole numbers from 1 to 8192.
    Returns:
        The same as two Python ints.
    Raises:
        ValueError: anything else.
    """
    try:
        height, width = size
        sides = whole_number(height, "height", 1), whole_number(width, "width", 1)
        if max(sides) > LONGEST_SIDE:  # a picture of it could fill the memory
            raise ValueError
        return sides
    except (TypeError, ValueError):
        raise ValueError(
            f"size is {size!r}; expected (height, width), two whole numbers from 1 to "
            f"{LONGEST_SIDE}, for example (128, 64)"
        ) from None


def read_picture(path: str | os.PathLike, size: tuple[int, int]) -> Tensor:
    """Decode one picture file, as a viewer shows it.

    JPEG, PNG, BMP and WebP are decoded, whatever the file is called. It is turned upright as its
    EXIF asks. Of 16 bits a colour the upper 8 count. What is transparent shows white, the ground on
    which people who were cut out are mostly shown. Of an animation the first picture counts. Colour
    profiles are not applied.

    Args:
        path: the file.
        size: (H, W) that the picture is resized to, bilinearly.
    Returns:
        (3, H, W) uint8.
    Raises:
        ValueError: the size is none; or names a file that cannot be read, why, and what to do.
    """
    height, width = check_size(size)
    if not isinstance(path, (str, os.PathLike)):
        raise ValueError(f"picture {path!r} is no path; expected a text or a Path")
    try:
        rgb = _decode(path)
        resized = rgb.resize((width, height), Image.Resampling.BILINEAR)
        pixels = numpy.array(resized)
    except _Unreadable as refusal:
        reason, remedy = refusal.args
    except MemoryError:
        reason = f"there is not enough memory to decode it and resize it to {height} x {width}"
        remedy = "make it smaller, or ask for a smaller size"
    except PermissionError:
        reason = "its owner does not let you read it"
        remedy = "give yourself the right to read it"
    except Exception as error:  # decoders of damaged files fail in more ways than one can list
        reason = str(error) or type(error).__name__
        remedy = COPY_AGAIN
    else:
        return torch.from_numpy(pixels).permute(2, 0, 1)  # (H, W, 3) -> (3, H, W)
    raise ValueError(f"picture {str(path)!r} cannot be read ({reason}); {remedy}")


def _decode(path):
    """The whole picture of a file, upright, in mode RGB."""
    _check_kind(path)
    with open(path, "rb") as stream:
        header = stream.read(64)
        if not header:
            raise _Unreadable("it is empty", COPY_AGAIN)
        stream.seek(0)
        with _open(stream, header) as picture:
            picture.load()
            # A PNG says behind its signature how many bits a colour has.
            depth = header[24] if picture.format == "PNG" else 8
            rgb = _to_rgb(picture, depth)
            turn = TURNS.get(_orientation(picture))
    return rgb if turn is None else rgb.transpose(turn)


def _check_kind(path):
    """Only an ordinary file is opened: to open a pipe waits for a writer, maybe forever."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise _Unreadable("there is no such file", "correct the path") from None
    if stat.S_ISDIR(mode):
        raise _Unreadable("it is a folder", "name a picture in it")
    if not stat.S_ISREG(mode):
        raise _Unreadable("it is no ordinary file, but a pipe or a device", "name a picture")


def _open(stream, header):
    """The picture in a stream, not yet decoded."""
    try:
        with _opening, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            return Image.open(stream, formats=FORMATS)
    except Image.UnidentifiedImageError:
        raise _Unreadable(*_what_it_is(header)) from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        reason, _, _ = str(error).partition(",")
        limit = f"{Image.MAX_IMAGE_PIXELS} pixels"
        raise _Unreadable(reason, f"make it smaller: at most {limit} are decoded") from None


def _what_it_is(header):
    """What a file is that no decoder of ours takes, and what to do about it."""
    listed = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
    for start, name in OURS:
        if header.startswith(start):
            return f"it begins as a {name} does, but is damaged", COPY_AGAIN
    kind = _kind_of(header)
    if kind is None:
        return f"it is no {listed}", COPY_AGAIN
    return f"it is {kind}; expected {listed}", SAVE_AS


def _kind_of(header):
    """What a file that begins so is, such as "a TIFF"; None where nobody knows."""
    for start, kind in BEGINNINGS:
        if header.startswith(start) or header.lstrip().startswith(start):
            return kind
    if header[4:8] == b"ftyp":
        return "an AVIF" if header[8:12] in (b"avif", b"avis") else "a HEIC or a film"
    return None


def _orientation(picture):
    """EXIF's orientation; None where there is none, or where EXIF is damaged."""
    try:
        return picture.getexif().get(ORIENTATION)
    except Exception:  # damaged in any way: then it says nothing, and viewers ignore it
        return None


def _to_rgb(picture, depth=8):
    """A decoded picture of any mode in RGB, over white where it is transparent.

    Args:
        picture: Pillow's.
        depth: bits of a colour, as the file has them.
    """
    key = picture.info.get("transparency")  # of a PNG: the colour or the entries that are
    if picture.mode in DEEP:
        return _upper_bits(picture, key)
    if picture.mode == "La":  # premultiplied by alpha
        picture = picture.convert("LA")
    if picture.has_transparency_data and not _has_unused_alpha(picture):
        if picture.mode in ("L", "RGB"):
            picture.info["transparency"] = _in_8_bits(key, depth)
        see_through = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(white, see_through).convert("RGB")
    if picture.mode not in PLAIN and not picture.has_transparency_data:
        raise _Unreadable(
            f"its numbers are of mode {picture.mode}, whose black and white nobody knows", SAVE_AS
        )
    return picture.convert("RGB")


def _has_unused_alpha(picture):
    """Whether a BMP has a fourth byte that nobody filled; all else that is 0 is transparent."""
    return picture.format == "BMP" and picture.mode == "RGBA" and not picture.getextrema()[3][1]


def _upper_bits(picture, key):
    """RGB of a grey picture with 16 bits: white where they equal the key."""
    values = numpy.asarray(picture)
    grey = (numpy.clip(values, 0, 65535) >> 8).astype(numpy.uint8)
    if key is not None:
        grey[values == key] = 255
    return Image.fromarray(grey).convert("RGB")


def _in_8_bits(key, depth):
    """A transparent grey or colour (a tuple), of pixels with so many bits, as Pillow decodes them.

    Of 16 bits the upper 8 count, as in the pixels.
    """
    if depth == 16:
        return tuple(value >> 8 for value in key)
    if depth < 8:
        return key * 255 // (2**depth - 1)
    return key
