"""What is no picture ends in a sentence: what it is, what was expected, what to do."""

import os
import socket
import subprocess
import threading
import warnings

import numpy
import pytest
from PIL import Image
from test_pictures import pixel, with_exif

from reidkit.pictures import read_picture


def refused(path, *words, size=(4, 4)):
    with pytest.raises(ValueError) as caught:
        read_picture(path, size)
    for word in (repr(str(path)), "cannot be read", *words):
        assert word in str(caught.value)
    assert "Image.open" not in str(caught.value)


@pytest.mark.parametrize(
    "format, kind",
    [
        ("EPS", "an EPS or PostScript file"),
        ("GIF", "a GIF"),
        ("TIFF", "a TIFF"),
        ("PDF", "a PDF"),
        ("ICO", "an ICO"),
        ("PPM", "a PPM"),
        ("JPEG2000", "a JPEG 2000"),
        ("AVIF", "an AVIF"),
        ("ICNS", "an ICNS"),
        ("DDS", "a DDS"),
        ("SGI", "an SGI picture"),
        ("PCX", "a PCX"),
        ("TGA", "a TGA or CUR"),
        ("IM", "it is no JPEG, PNG, BMP or WEBP"),
        ("SPIDER", "it is no JPEG, PNG, BMP or WEBP"),
    ],
)
@pytest.mark.filterwarnings("ignore:IM image format:DeprecationWarning")
def test_other_formats_are_called_what_they_are(tmp_path, format, kind):
    Image.init()
    if format not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {format}")
    picture = Image.new("F" if format == "SPIDER" else "RGB", (64, 64))
    picture.save(tmp_path / "a", format=format)
    for ending in ("jpg", "png", "bmp", "webp"):
        (tmp_path / "a").rename(path := tmp_path / f"a.{ending}")
        refused(path, kind)
        path.rename(tmp_path / "a")


@pytest.mark.parametrize(
    "content, words",
    [
        (b"", "it is empty"),
        (b"no picture at all", "it is no JPEG, PNG, BMP or WEBP"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"\n  <html>", "a web page"),
        (b"<?xml version='1.0'?><svg/>", "an XML or SVG file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"PK\x03\x04....", "a ZIP archive"),
        (b"\0\0\0\x18ftypheic", "a HEIC"),
        (b"\xff\xd8\xff\xe0 broken", "copy it again"),
        (b"\x89PNG\r\n\x1a\nbroken", "damaged"),
        (b"BM broken", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 broken", "copy it again"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "an EPS"),
        (b"\xc5\xd0\xd3\xc6" + b"\0" * 30, "an EPS"),
    ],
)
def test_what_is_no_picture_says_so(tmp_path, content, words):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    refused(path, words)


def test_no_other_program_is_started(tmp_path, monkeypatch):
    """Pillow hands an EPS to Ghostscript."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *words, **_: started.append(words))
    monkeypatch.setattr(os, "system", started.append)
    Image.new("RGB", (64, 64)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / "a.jpg")
    refused(tmp_path / "a.jpg", "an EPS", "save it as JPEG or PNG")
    assert not started


@pytest.mark.parametrize("ending", ["jpg", "png", "bmp", "webp"])
def test_cut_pictures(tmp_path, ending):
    pixels = numpy.random.default_rng(0).integers(0, 256, (60, 40, 3), dtype=numpy.uint8)
    path = tmp_path / f"a.{ending}"
    Image.fromarray(pixels).save(path)
    content = path.read_bytes()
    for share in (0.02, 0.1, 0.5, 0.9):
        path.write_bytes(content[: int(len(content) * share)])
        refused(path, "copy it again")


@pytest.mark.filterwarnings("ignore:Tag data larger:UserWarning")
def test_damaged_pictures_end_in_a_sentence_or_in_pixels(tmp_path):
    draw = numpy.random.default_rng(0)
    pixels = draw.integers(0, 256, (12, 9, 4), dtype=numpy.uint8)
    for ending in ("jpg", "png", "bmp", "webp"):
        path = tmp_path / f"a.{ending}"
        picture = Image.fromarray(pixels).convert("RGBA" if ending != "jpg" else "RGB")
        picture.save(path, **({} if ending == "bmp" else {"exif": with_exif(6)}))
        content = path.read_bytes()
        for _ in range(60):
            damaged = bytearray(content)
            for place in draw.integers(0, min(len(content), 300), 3):
                damaged[place] = draw.integers(0, 256)
            path.write_bytes(damaged)
            try:
                assert read_picture(path, (8, 4)).shape == (3, 8, 4)
            except ValueError as error:
                assert repr(str(path)) in str(error) and "; " in str(error)


def test_places_that_hold_no_file(tmp_path):
    refused(tmp_path, "it is a folder")
    refused(tmp_path / "nowhere.jpg", "there is no such file", "correct the path")
    refused("a\0b.jpg", "null")
    (tmp_path / "file").write_bytes(b"x")
    refused(tmp_path / "file" / "a.jpg", "there is no such file")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    refused(tmp_path / "gone.jpg", "there is no such file")
    for path in (3, None, b"a.jpg", True):
        with pytest.raises(ValueError, match="is no path; expected a text or a Path"):
            read_picture(path, (4, 4))


@pytest.mark.skipif(os.name == "nt", reason="no pipes with names there")
def test_pipes_devices_and_sockets_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    found = []

    def read():
        try:
            read_picture(tmp_path / "pipe.jpg", (4, 4))
        except ValueError as error:
            found.append(str(error))

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(10)
    assert found and "a pipe or a device" in found[0]
    refused("/dev/zero", "a pipe or a device")
    with socket.socket(socket.AF_UNIX) as line:
        line.bind(name := str(tmp_path / "s.jpg"))
        refused(name, "a pipe or a device")


def test_files_that_may_not_be_read(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    refused(tmp_path / "a.png", "give yourself the right to read it")


def test_pictures_with_too_many_pixels(tmp_path, monkeypatch):
    Image.new("1", (40, 30)).save(tmp_path / "a.png")
    for limit in (1199, 500):  # where Pillow warns, and where it refuses
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            refused(tmp_path / "a.png", "1200 pixels", f"at most {limit} pixels are decoded")
        assert not heard
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1200)
    assert pixel(tmp_path / "a.png") == [0, 0, 0]


def test_too_little_memory(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(Image.Image, "resize", fail)
    refused(tmp_path / "a.png", "not enough memory", "make it smaller")
