"""Any folder of pictures to features, and what goes wrong.

Which pictures, in which order, decoded as data sets decode them.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy
import pytest
import torch
from PIL import Image
from test_model_file import RECIPE, SPEC, trained

from reidkit import files
from reidkit.pictures import read_picture
from reidkit.record import ReIDData
from reidkit.retrieval import __main__ as command
from reidkit.retrieval import embed, embed_by_camera
from reidkit.retrieval.folder import embed_folder
from reidkit.retrieval.model_file import load_model, save_model

# sorted, as they must come out
NAMES = ["a/x_c1.png", "a/x_c2.jpeg", "b.c1/y_c1.webp", "b_c1.JPG", "z/q/w_c2.bmp"]


def paint(path, number=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    draw = numpy.random.default_rng(number)
    pixels = draw.integers(0, 256, (40 + number, 20, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    for number, name in reversed(list(enumerate(NAMES))):  # written in another order than sorted
        paint(tmp_path / "in" / name, number)
    for name in (
        ".hidden/h_c1.png",
        "a/._x_c1.png",
        "__MACOSX/m_c1.png",
        "empty.png/inside.txt",
        "notes.txt",
    ):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"litter")
    return tmp_path / "in"


@pytest.fixture
def weights(tmp_path):
    save_model(tmp_path / "model.safetensors", trained(), SPEC, RECIPE)
    return tmp_path / "model.safetensors"


def by_hand(folder, cameras=(0, 1, 0, 0, 1)):
    none = torch.zeros(len(NAMES), dtype=torch.int64)
    images = torch.stack([read_picture(folder / name, (32, 16)) for name in NAMES])
    return ReIDData(images, none, torch.tensor(cameras), none)


def test_every_picture_once_in_sorted_order(folder, weights):
    loaded = load_model(weights)
    found = embed_folder(loaded, folder, batch=2)
    assert list(found.names) == NAMES
    assert found.skipped == {}
    assert found.cameras == ("",) * 5
    assert found.features.shape == (5, 3 * 192)
    assert found.features.dtype == torch.float32
    expected = embed(loaded.model, by_hand(folder), mirror=True)  # as the spec says
    assert torch.allclose(found.features, expected, atol=1e-5)
    assert (expected @ expected[0])[1:].max() < 0.9999  # so that a wrong order would show
    plain = embed_folder(replace(loaded, spec={**SPEC, "mirror": False}), str(folder)).features
    assert torch.allclose(plain, embed(loaded.model, by_hand(folder)), atol=1e-5)
    assert not torch.allclose(plain, expected, atol=1e-3)


def test_cameras_by_a_regular_expression(folder, weights):
    loaded = load_model(weights)
    found = embed_folder(loaded, folder, cameras=r"_c(\d)\.")
    assert found.cameras == ("1", "2", "1", "1", "2")
    expected = embed_by_camera(loaded.model, by_hand(folder), mirror=True)
    assert torch.allclose(found.features, expected, atol=1e-5)
    plain = embed(loaded.model, by_hand(folder), mirror=True)
    assert not torch.allclose(expected, plain, atol=1e-3)
    other = embed_by_camera(loaded.model, by_hand(folder, (0, 1, 1, 0, 1)), mirror=True)
    assert not torch.allclose(expected, other, atol=1e-3)


@pytest.mark.parametrize(
    "pattern, said",
    [
        (
            r"/.*_c(\d)",
            r"finds no camera in 1 of 5 names, the first 'b_c1.JPG'\. Change the pattern",
        ),
        (r"_c(1)?", "finds no camera in 2 of 5 names, the first 'a/x_c2.jpeg', 'z/q/w_c2.bmp'"),
        (r"_c\d", "cannot be used .no such group.; expected .* one group"),
        ("", "cannot be used"),
        ("_c(", "cannot be used .*; expected a regular expression"),
        ("([axbyzqw])_c", "camera 'b' has one readable picture.*expected two or more"),
    ],
)
def test_camera_patterns_that_do_not_fit(folder, weights, pattern, said):
    with pytest.raises(ValueError, match=said):
        embed_folder(load_model(weights), folder, cameras=pattern)


def test_broken_pictures_are_skipped(folder, weights, monkeypatch):
    whole = (folder / NAMES[0]).read_bytes()
    (folder / NAMES[0]).write_bytes(whole[: len(whole) // 2])
    (folder / NAMES[3]).write_bytes(b"")
    loaded = load_model(weights)
    found = embed_folder(loaded, folder)
    assert list(found.skipped) == [NAMES[0], NAMES[3]]
    assert list(found.names) == [NAMES[1], NAMES[2], NAMES[4]]
    assert all("cannot be read" in why for why in found.skipped.values())
    expected = embed(loaded.model, by_hand_of(folder, found.names), mirror=True)
    assert torch.allclose(found.features, expected, atol=1e-5)
    with pytest.raises(ValueError, match="camera '1' has one readable picture"):
        embed_folder(loaded, folder, cameras=r"_c(\d)\.")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20 * 43)
    assert list(embed_folder(loaded, folder).skipped) == [NAMES[0], NAMES[3], NAMES[4]]
    for name in NAMES:
        (folder / name).write_bytes(b"no picture")
    with pytest.raises(
        ValueError, match="none of the 5 pictures in .* can be read; the first: picture .*Copy them"
    ):
        embed_folder(loaded, folder)


def by_hand_of(folder, names):
    none = torch.zeros(len(names), dtype=torch.int64)
    return ReIDData(
        torch.stack([read_picture(folder / name, (32, 16)) for name in names]), none, none, none
    )


def test_folders_without_pictures(tmp_path, weights):
    loaded = load_model(weights)
    with pytest.raises(
        FileNotFoundError, match="nowhere' is no folder; expected.*Correct the path"
    ):
        embed_folder(loaded, tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    with pytest.raises(
        FileNotFoundError,
        match="bare' holds no picture; expected .* .bmp, .jfif, .jpe, .jpeg, .jpg, .png, .webp",
    ):
        embed_folder(loaded, tmp_path / "bare")


# the command


def said(capsys, *words):
    """What the command says when it gives up: one sentence."""
    assert command.main([str(word) for word in words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and "Traceback" not in lines[0]
    return lines[0]


@pytest.mark.slow
def test_the_command_in_a_process_of_its_own(folder, weights, tmp_path):
    (folder / NAMES[3]).write_bytes(b"broken")
    out = tmp_path / "new" / "features.npz"
    words = [weights, folder, "--out", out, "--device", "cpu"]
    ended = subprocess.run(
        [sys.executable, "-m", "reidkit.retrieval", *words],
        capture_output=True,
        text=True,
        cwd=files.project_root(),
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{out}: 576 numbers for each of 4 pictures; 1 skipped, 5 left out\n"
    assert f"skipped {NAMES[3]!r}: picture" in ended.stderr
    assert "left out 3 (hidden): '.hidden/', '__MACOSX/', 'a/._x_c1.png'" in ended.stderr
    assert "left out 2 (no picture by its name): 'empty.png/inside.txt'" in ended.stderr
    assert "Warning" not in ended.stderr
    assert "%|" not in ended.stderr  # a log has no bars
    assert os.listdir(out.parent) == ["features.npz"]  # nothing half-written beside it
    with numpy.load(out, allow_pickle=False) as found:
        assert set(found.files) == {
            "features",
            "names",
            "skipped",
            "left_out",
            "cameras",
            "weights",
            "spec",
            "recipe",
        }
        assert found["names"].tolist() == [name for name in NAMES if name != NAMES[3]]
        assert found["skipped"].tolist() == [NAMES[3]]
        assert found["features"].dtype == numpy.float32
        assert found["features"].shape == (4, 576)
        assert numpy.allclose(numpy.linalg.norm(found["features"], axis=1), 1, atol=1e-5)
        assert str(found["weights"]) == files.sha256_file(weights)
        assert json.loads(str(found["spec"])) == SPEC
        assert json.loads(str(found["recipe"])) == RECIPE
        assert found["cameras"].tolist() == [""] * 4


def test_options_of_the_command(folder, weights, tmp_path, capsys, monkeypatch):
    out = tmp_path / "f.npz"
    loaded = load_model(weights)
    command.main([str(weights), str(folder), "--out", str(out), "--batch", "3"])
    with numpy.load(out) as found:
        assert found["skipped"].tolist() == []
        assert numpy.allclose(found["features"], embed_folder(loaded, folder).features, atol=1e-5)
    command.main([str(weights), str(folder), "--out", str(out), "--cameras", r"_c(\d)\."])
    with numpy.load(out) as found:
        assert found["cameras"].tolist() == ["1", "2", "1", "1", "2"]
        expected = embed_folder(loaded, folder, cameras=r"_c(\d)\.").features
        assert numpy.allclose(found["features"], expected, atol=1e-5)
    monkeypatch.setattr(command, "load_drawn_laptop", lambda: loaded)
    command.main(["drawn-laptop", str(folder), "--out", str(out)])
    assert "576 numbers for each of 5 pictures; 0 skipped, 5 left out" in capsys.readouterr().out


def test_what_the_command_cannot_do(folder, weights, tmp_path, capsys):
    out = tmp_path / "f.npz"
    assert "is no folder" in said(capsys, weights, tmp_path / "nowhere", "--out", out)
    assert "no weights at" in said(capsys, tmp_path / "none.safetensors", folder, "--out", out)
    assert "finds no camera" in said(capsys, weights, folder, "--out", out, "--cameras", "_cam(.)")
    assert "device 'tpu' cannot be used" in said(
        capsys, weights, folder, "--out", out, "--device", "tpu"
    )
    for batch in ("0", "-1", "1.5", "many"):
        with pytest.raises(SystemExit) as ended:
            command.main([str(weights), str(folder), "--out", str(out), "--batch", batch])
        assert ended.value.code == 2
        assert "expected a whole number from 1" in capsys.readouterr().err
    assert "ends in .npz" in said(capsys, weights, folder, "--out", tmp_path / "f.csv")
    assert sorted(os.listdir(tmp_path)) == ["in", "model.safetensors"]  # no half file is left


def test_what_cannot_be_written_shows_before_the_work(folder, weights, capsys, monkeypatch):
    monkeypatch.setattr(command, "embed_folder", lambda *_, **__: pytest.fail("worked for nothing"))
    below_a_file = weights / "f.npz"
    assert str(weights) in said(capsys, weights, folder, "--out", below_a_file)
    a_folder = folder / "f.npz"
    a_folder.mkdir()
    assert "expected the name of a file" in said(capsys, weights, folder, "--out", a_folder)


def test_help_says_what_transductive_means(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "transductive: a picture's feature depends on which other" in " ".join(
        capsys.readouterr().out.split()
    )
