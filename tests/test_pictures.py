"""One function reads pictures, and every mode has known pixels.

What is no picture: test_pictures_refused.py.
"""

import struct
import subprocess
import sys
import warnings
import zlib

import numpy
import pytest
import torch
from PIL import Image, PngImagePlugin

from reidkit import pictures
from reidkit.pictures import check_size, read_picture

WHITE = [255, 255, 255]


def pixel(path, row=0, column=0, size=(2, 2)):
    return read_picture(path, size)[:, row, column].tolist()


def png(path, depth, colour, rows, *chunks):
    """A PNG from its numbers: colour type 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA.

    rows: (H, W, channels), packed to `depth` bits, of which W channels fill whole bytes.
    """
    rows = numpy.asarray(rows)
    rows = rows.reshape(*rows.shape[:2], -1)
    height, width, channels = rows.shape
    data = b""
    for row in rows.reshape(height, -1).tolist():
        if depth == 16:
            packed = struct.pack(f">{len(row)}H", *row)
        else:
            bits = "".join(format(value, f"0{depth}b") for value in row)
            bits += "0" * (-len(bits) % 8)
            packed = int(bits, 2).to_bytes(len(bits) // 8, "big")
        data += b"\0" + packed
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    whole = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(data)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in whole:
        content += struct.pack(">I", len(body)) + kind + body
        content += struct.pack(">I", zlib.crc32(kind + body))
    path.write_bytes(content)
    return path


# ---- what is upright


# The corners of the upright picture, in reading order: each a shade.
UPRIGHT = numpy.array([[0, 60], [120, 240], [180, 30]], numpy.uint8)
# How a camera stores it (EXIF 2.3, table of tag 274): what of it is row 0 and column 0.
STORED = {
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],  # row 0 is the top, column 0 the right side
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.T,  # row 0 is the left side, column 0 the top
    6: UPRIGHT.T[::-1],  # row 0 is the right side, column 0 the top
    7: UPRIGHT[::-1, ::-1].T,  # right, bottom
    8: UPRIGHT.T[:, ::-1],  # row 0 is the left side, column 0 the bottom
}


def with_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path, orientation, ending):
    blocks = numpy.kron(STORED[orientation], numpy.ones((16, 16), numpy.uint8))
    options = {"lossless": True} if ending == "webp" else {"quality": 100}
    path = tmp_path / f"a.{ending}"
    Image.fromarray(blocks).convert("RGB").save(path, exif=with_exif(orientation), **options)
    found = read_picture(path, (3 * 16, 2 * 16))
    centres = found[:, 8::16, 8::16]  # (3, 3, 2)
    for channel in centres:
        assert (channel.int() - torch.from_numpy(UPRIGHT).int()).abs().max() <= 2


def test_orientation_that_follows_the_pixels_or_is_xmp(tmp_path):
    stored = Image.fromarray(STORED[6]).convert("RGB")
    exif = with_exif(6).tobytes().removeprefix(b"Exif\0\0")
    path = png(tmp_path / "late.png", 8, 2, numpy.asarray(stored))
    content = path.read_bytes()
    chunk = struct.pack(">I", len(exif)) + b"eXIf" + exif
    chunk += struct.pack(">I", zlib.crc32(b"eXIf" + exif))
    path.write_bytes(content[:-12] + chunk + content[-12:])  # before IEND
    assert read_picture(path, (3, 2))[0].tolist() == UPRIGHT.tolist()
    notes = PngImagePlugin.PngInfo()
    notes.add_itxt("XML:com.adobe.xmp", '<rdf tiff:Orientation="6"/>')
    stored.save(tmp_path / "xmp.png", pnginfo=notes)
    assert read_picture(tmp_path / "xmp.png", (3, 2))[0].tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_orientations_that_are_none_change_nothing(tmp_path, orientation):
    Image.fromarray(UPRIGHT).save(tmp_path / "a.png", exif=with_exif(orientation))
    assert read_picture(tmp_path / "a.png", (3, 2))[0].tolist() == UPRIGHT.tolist()


@pytest.mark.parametrize("exif", [b"Exif\0\0broken", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"])
def test_damaged_exif_says_nothing(tmp_path, exif):
    Image.fromarray(UPRIGHT).convert("RGB").save(tmp_path / "a.png", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_picture(tmp_path / "a.png", (3, 2))[0].tolist() == UPRIGHT.tolist()


# ---- bit depth


@pytest.mark.parametrize("depth, values", [(1, [0, 1]), (2, [0, 1, 2, 3]), (4, [0, 7, 15])])
def test_grey_of_few_bits(tmp_path, depth, values):
    path = png(tmp_path / "a.png", depth, 0, [values])
    expected = [value * 255 // (2**depth - 1) for value in values]
    assert read_picture(path, (1, len(values)))[:, 0].tolist() == [expected] * 3


def test_grey_of_16_bits(tmp_path):
    values = [0, 255, 256, 0x8000, 0x80FF, 65535]
    path = png(tmp_path / "a.png", 16, 0, [values])
    expected = [value >> 8 for value in values]  # not clipped: 256 is nearly black
    assert read_picture(path, (1, 6))[:, 0].tolist() == [expected] * 3


def test_colours_of_16_bits(tmp_path):
    colours = [[0x1234, 0x80FF, 0xFFFF], [256, 255, 0]]
    path = png(tmp_path / "a.png", 16, 2, [colours])
    assert pixel(path, 0, 0, (1, 2)) == [0x12, 0x80, 0xFF]
    assert pixel(path, 0, 1, (1, 2)) == [1, 0, 0]
    with_alpha = [[0x1234, 0x80FF, 0xFFFF, 0xFFFF], [256, 255, 0, 0]]
    path = png(tmp_path / "b.png", 16, 6, [with_alpha])
    assert pixel(path, 0, 0, (1, 2)) == [0x12, 0x80, 0xFF]
    assert pixel(path, 0, 1, (1, 2)) == WHITE
    path = png(tmp_path / "c.png", 16, 4, [[[0x4000, 0xFFFF], [0x4000, 0]]])
    assert pixel(path, 0, 0, (1, 2)) == [0x40] * 3
    assert pixel(path, 0, 1, (1, 2)) == WHITE


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_deep_modes_of_either_order_of_bytes(mode):
    numbers = numpy.array([[0, 256, 65535]], ">u2" if mode.endswith("B") else "<u2")
    picture = Image.frombytes(mode, (3, 1), numbers.tobytes())
    assert numpy.asarray(pictures._to_rgb(picture)).tolist() == [[[0] * 3, [1] * 3, WHITE]]


def test_deep_whole_numbers():
    """As older Pillows decode a PNG of 16 bits."""
    picture = Image.fromarray(numpy.array([[-5, 256, 65535, 70000]], numpy.int32))
    assert picture.mode == "I"
    assert numpy.asarray(pictures._to_rgb(picture))[0, :, 0].tolist() == [0, 1, 255, 255]


# ---- transparency shows white


def test_alpha_is_laid_over_white(tmp_path):
    pixels = numpy.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 128]]], numpy.uint8)
    for ending in ("png", "webp"):
        path = tmp_path / f"a.{ending}"
        Image.fromarray(pixels).save(path, **({"lossless": True} if ending == "webp" else {}))
        assert pixel(path, 0, 0, (1, 3)) == [200, 100, 0]
        assert pixel(path, 0, 1, (1, 3)) == WHITE
        half = torch.tensor(pixel(path, 0, 2, (1, 3)))
        assert (half - torch.tensor([227, 177, 127])).abs().max() <= 1
    Image.fromarray(pixels[..., [0, 3]]).save(tmp_path / "la.png")
    assert Image.open(tmp_path / "la.png").mode == "LA"
    assert pixel(tmp_path / "la.png", 0, 0, (1, 3)) == [200] * 3
    assert pixel(tmp_path / "la.png", 0, 1, (1, 3)) == WHITE


def test_opaque_alpha_changes_no_pixel(tmp_path):
    rgb = numpy.random.default_rng(0).integers(0, 256, (30, 20, 3), dtype=numpy.uint8)
    opaque = numpy.concatenate([rgb, numpy.full((30, 20, 1), 255, numpy.uint8)], axis=2)
    Image.fromarray(opaque).save(tmp_path / "a.png")
    Image.fromarray(rgb).save(tmp_path / "b.png")
    for size in ((30, 20), (13, 7)):
        first = read_picture(tmp_path / "a.png", size)
        assert first.equal(read_picture(tmp_path / "b.png", size))


PALETTE = (b"PLTE", bytes([10, 20, 30, 200, 0, 0, 0, 0, 0]))


@pytest.mark.parametrize(
    "transparency, expected",
    [
        (None, [[10, 20, 30], [200, 0, 0], [0, 0, 0]]),
        (b"\xff\x00", [[10, 20, 30], WHITE, [0, 0, 0]]),  # Pillow makes it a number
        (b"\x00\xff\x00", [WHITE, [200, 0, 0], WHITE]),  # and this bytes
        (b"\x80", [[132, 137, 142], [200, 0, 0], [0, 0, 0]]),
    ],
)
def test_palettes(tmp_path, transparency, expected):
    for depth in (2, 8):
        chunks = [PALETTE] + ([] if transparency is None else [(b"tRNS", transparency)])
        path = png(tmp_path / "a.png", depth, 3, [[0, 1, 2]], *chunks)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read_picture(path, (1, 3))
        wanted = torch.tensor(expected)
        assert (found[:, 0].T.int() - wanted).abs().max() <= 1


@pytest.mark.parametrize(
    "depth, colour, rows, key, expected",
    [
        (1, 0, [0, 1], struct.pack(">H", 1), [[0] * 3, WHITE]),
        (1, 0, [0, 1], struct.pack(">H", 0), [WHITE, WHITE]),
        (2, 0, [0, 1, 2], struct.pack(">H", 1), [[0] * 3, WHITE, [170] * 3]),
        (4, 0, [0, 3, 2], struct.pack(">H", 3), [[0] * 3, WHITE, [34] * 3]),
        (8, 0, [0, 9, 8], struct.pack(">H", 9), [[0] * 3, WHITE, [8] * 3]),
        (16, 0, [512, 513], struct.pack(">H", 512), [WHITE, [2] * 3]),
        (8, 2, [[1, 2, 3], [1, 2, 4]], struct.pack(">3H", 1, 2, 3), [WHITE, [1, 2, 4]]),
        (
            16,
            2,
            [[256, 512, 768], [256, 512, 1024]],
            struct.pack(">3H", 256, 512, 768),
            [WHITE, [1, 2, 4]],
        ),
    ],
)
def test_a_transparent_colour(tmp_path, depth, colour, rows, key, expected):
    path = png(tmp_path / "a.png", depth, colour, [rows], (b"tRNS", key))
    assert read_picture(path, (1, len(expected)))[:, 0].T.tolist() == expected


def test_other_modes_have_a_meaning():
    """Those that none of our formats holds, too: a picture may come from elsewhere one day."""
    red = Image.new("RGB", (1, 1), (255, 0, 0))
    for mode in ("RGBA", "RGBX", "YCbCr", "HSV"):
        found = numpy.asarray(pictures._to_rgb(red.convert(mode)))[0, 0].tolist()
        assert numpy.abs(numpy.array(found) - [255, 0, 0]).max() <= 2, mode
    clear = Image.new("RGBA", (1, 1), (255, 0, 0, 0))
    grey = clear.convert("LA")
    palette = Image.new("P", (1, 1)).convert("PA")
    palette.putalpha(0)
    for picture in (clear.convert("RGBa"), grey, grey.convert("La"), palette):
        found = numpy.asarray(pictures._to_rgb(picture))[0, 0].tolist()
        assert found == WHITE, picture.mode


def test_cmyk(tmp_path):
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    assert Image.open(tmp_path / "a.jpg").mode == "CMYK"
    found = torch.tensor(pixel(tmp_path / "a.jpg"))
    assert (found - torch.tensor([255, 0, 0])).abs().max() <= 3


def test_floats_have_no_black_and_white():
    with pytest.raises(pictures._Unreadable, match="mode F"):
        pictures._to_rgb(Image.new("F", (2, 2), 0.5))


def bmp(path, alpha):
    """A BMP of 32 bits that has a mask for alpha; one pixel, blue 1, green 2, red 3."""
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 1, 1, 1, 32, 3, 4, 0, 0, 0, 0) + masks
    header += b"\0" * (108 - len(header))
    body = bytes([1, 2, 3, alpha])
    start = 14 + len(header)
    path.write_bytes(b"BM" + struct.pack("<IHHI", start + 4, 0, 0, start) + header + body)
    return path


def test_alpha_of_a_bmp_that_nobody_filled(tmp_path):
    assert pixel(bmp(tmp_path / "a.bmp", 255)) == [3, 2, 1]
    assert pixel(bmp(tmp_path / "b.bmp", 0)) == [3, 2, 1]


@pytest.mark.parametrize("ending", ["webp", "png"])
def test_the_first_picture_of_an_animation(tmp_path, ending):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if ending == "webp" else {}
    path = tmp_path / f"a.{ending}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert Image.open(path).n_frames == 3
    assert pixel(path) == [255, 0, 0]


def test_the_first_of_several_pictures_in_a_jpeg(tmp_path):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black")]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert pixel(tmp_path / "a.jpg") == WHITE


def test_ordinary_pictures_are_as_pillow_has_them(tmp_path):
    draw = numpy.random.default_rng(1)
    for number, ending in enumerate(("jpg", "png", "bmp", "webp")):
        pixels = draw.integers(0, 256, (50 + number, 21, 3), dtype=numpy.uint8)
        path = tmp_path / f"a.{ending}"
        Image.fromarray(pixels).save(path)
        for size in ((50, 21), (128, 64), (7, 9)):
            with Image.open(path) as picture:
                resized = picture.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)
            expected = torch.from_numpy(numpy.array(resized)).permute(2, 0, 1)
            assert read_picture(path, size).equal(expected)


# ---- the size that is asked for


@pytest.mark.parametrize(
    "size",
    [
        *(0, 64, None, "64", (64,), (64, 32, 3), (0, 32), (64, -1), (64.0, 32), (64, "32")),
        *((True, 32), (10**5, 10**6), (10**9, 1), (8193, 8)),
    ],
)
def test_sizes_that_are_none(tmp_path, size):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="size is .*; expected .height, width., two whole numbers"):
        read_picture(tmp_path / "a.png", size)


def test_sizes_of_other_kinds_of_whole_numbers():
    for size in ([8, 4], numpy.array([8, 4]), torch.tensor([8, 4]), torch.Size([8, 4])):
        found = check_size(size)
        assert found == (8, 4) and [type(number) for number in found] == [int, int]


def test_importing_pictures_leaves_warnings_alone():
    code = "import warnings; before = list(warnings.filters); import reidkit.pictures\n"
    code += "from PIL import Image\n"
    code += "assert not [f for f in warnings.filters if f[2] is Image.DecompressionBombWarning]"
    subprocess.run([sys.executable, "-c", code], check=True)
