"""What is in a folder and is not embedded is said and counted; what a model makes is looked at."""

import os
from dataclasses import replace

import numpy
import pytest
import torch
from test_embed_folder import paint, said
from test_model_file import RECIPE, SPEC, trained

from reidkit.retrieval import __main__ as command
from reidkit.retrieval import folder as folders
from reidkit.retrieval.folder import embed_folder, find_pictures, summary
from reidkit.retrieval.model_file import Loaded, load_model, save_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_model(path, trained(), SPEC, RECIPE)
    return path


def test_linked_folders_are_read_once_each(tmp_path):
    root = tmp_path / "in"
    paint(root / "a" / "1.png")
    paint(tmp_path / "elsewhere" / "deep" / "2.png")
    (root / "linked").symlink_to(tmp_path / "elsewhere")
    (root / "again").symlink_to(tmp_path / "elsewhere")
    (root / "0_sibling").symlink_to(root / "a")
    (root / "a" / "up").symlink_to(root)
    (tmp_path / "elsewhere" / "deep" / "round").symlink_to(tmp_path / "elsewhere")
    names, left_out = find_pictures(root)
    assert names == ["a/1.png", "again/deep/2.png"]  # what is really there has its own name
    assert sorted(left_out) == ["0_sibling/", "a/up/", "again/deep/round/", "linked/"]
    assert set(left_out.values()) == {"a folder that is read already, by another name"}


@pytest.mark.parametrize("ending", [".jfif", ".jpe", ".JPG", ".JFIF", ".Png", ".WEBP", ".jpeg"])
def test_endings_that_are_read(tmp_path, ending):
    paint(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", tmp_path / f"a{ending}")
    assert find_pictures(tmp_path) == ([f"a{ending}"], {})


@pytest.mark.parametrize(
    "name, reason",
    [
        *((f"a{ending}", "is not read, save it as .png") for ending in (".tif", ".GIF", ".heic")),
        *((f"a{ending}", "is not read, save it as .png") for ending in (".avif", ".pnm", ".dng")),
        ("notes.txt", "no picture by its name"),
        ("Thumbs.db", "no picture by its name"),
        ("a", "no picture by its name"),
        (".a.png", "hidden"),
        ("._a.jpg", "hidden"),
    ],
)
def test_what_is_left_out_has_a_reason(tmp_path, name, reason):
    (tmp_path / name).write_bytes(b"x")
    names, left_out = find_pictures(tmp_path)
    assert names == [] and list(left_out) == [name] and reason in left_out[name]
    with pytest.raises(FileNotFoundError) as caught:
        embed_folder(Loaded(None, SPEC, {}, ""), tmp_path)
    assert f"left out 1 ({left_out[name]}): {name!r}" in str(caught.value)


def test_links_to_nothing_and_pipes_are_left_out(tmp_path):
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    os.mkfifo(tmp_path / "pipe.png")
    paint(tmp_path / "real.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    names, left_out = find_pictures(tmp_path)
    assert names == ["link.png", "real.png"]
    assert "cannot be found" in left_out["gone.png"] and "cannot be found" in left_out["self.jpg"]
    assert "pipe" in left_out["pipe.png"]


def test_folders_that_cannot_be_opened_are_said(tmp_path, monkeypatch):
    paint(tmp_path / "a.png")
    paint(tmp_path / "closed" / "b.png")
    list_folder = os.listdir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return list_folder(path)

    monkeypatch.setattr(folders.os, "listdir", refuse)
    names, left_out = find_pictures(tmp_path)
    assert names == ["a.png"]
    assert left_out == {"closed/": "cannot be opened (Permission denied)"}


def test_a_line_for_each_reason():
    left_out = {f"{number}.tif": ".tif is not read" for number in range(12)}
    left_out["x.txt"] = "no picture by its name"
    assert summary(left_out) == [
        "left out 12 (.tif is not read): '0.tif', '1.tif', '2.tif' and 9 more",
        "left out 1 (no picture by its name): 'x.txt'",
    ]


def test_the_command_counts_everything(tmp_path, weights, capsys):
    folder = tmp_path / "in"
    paint(folder / "a.png")
    paint(folder / "deep" / "b.png", 1)
    (folder / "broken.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    for name in ("c.tif", "d.gif", ".e.png", "notes.txt"):
        (folder / name).write_bytes(b"x")
    (folder / "again").symlink_to(folder / "deep")
    out = folder / "f.npz"  # beside the pictures
    for left_out in (5, 6):  # the second time its own file is there, too
        assert command.main([str(weights), str(folder), "--out", str(out)]) == 0
        told = capsys.readouterr()
        assert f"for each of 2 pictures; 1 skipped, {left_out} left out" in told.out
        assert "skipped 'broken.jpg'" in told.err and "an EPS" in told.err
        assert "%|" not in told.err  # no bar in a log
        for words in ("(.tif is not read", "(.gif is not read", "(hidden)", "(no picture by its"):
            assert f"left out {1 if 'no pic' not in words else left_out - 4} {words}" in told.err
    with numpy.load(out, allow_pickle=False) as found:
        assert sorted(found["left_out"].tolist())[:2] == [".e.png", "again/"]


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_names_that_are_no_unicode(tmp_path, weights, capsys):
    folder = tmp_path / "in"
    paint(folder / "a.png")
    good = os.fsencode(folder / "a.png")
    for name in (b"p\xff\xfe.png", "行人 é.png".encode()):
        with open(os.path.join(os.fsencode(folder), name), "wb") as stream:
            stream.write(open(good, "rb").read())
    with open(os.path.join(os.fsencode(folder), b"b\xff.png"), "wb") as stream:
        stream.write(b"broken")
    out = tmp_path / "f.npz"
    assert command.main([str(weights), str(folder), "--out", str(out)]) == 0
    assert "skipped 'b\\udcff.png'" in capsys.readouterr().err
    with numpy.load(out, allow_pickle=False) as found:
        names = found["names"].tolist()
    assert b"p\xff\xfe.png" in [os.fsencode(name) for name in names] and len(names) == 3


@pytest.mark.parametrize("wrong", ["all", "one picture", "infinite"])
def test_features_that_are_not_finite_are_not_written(
    wrong, tmp_path, weights, capsys, monkeypatch
):
    paint(tmp_path / "in" / "a.png")
    paint(tmp_path / "in" / "b.png", 1)
    loaded = load_model(weights)

    class Broken(torch.nn.Module):
        def forward(self, images):
            feature = images.mean((2, 3))
            if wrong == "infinite":
                return feature / 0
            feature[slice(None) if wrong == "all" else slice(1, 2)] = torch.nan
            return feature

    broken = replace(loaded, model=Broken())
    monkeypatch.setattr(command, "load_model", lambda path: broken)
    out = tmp_path / "f.npz"
    told = said(capsys, "model.safetensors", tmp_path / "in", "--out", out)
    count = 1 if wrong == "one picture" else 2
    first = "b.png" if wrong == "one picture" else "a.png"
    assert f"{count} of 2 features are not finite, the first that of '{first}'" in told
    assert "Copy the model again" in told
    assert os.listdir(tmp_path) == ["in"]


@pytest.mark.parametrize(
    "change, error, said",
    [
        (dict(folder=3), ValueError, "folder is 3; expected the path of a folder"),
        (dict(folder=None), ValueError, "folder is None; expected the path of a folder"),
        (dict(folder="a\0b"), ValueError, "expected the path of a folder"),
        (dict(folder="~nobody-of-that-name/x"), ValueError, "write the path in full"),
        (dict(loaded="drawn-laptop"), TypeError, "expected what load_model returns"),
        (dict(cameras=3), ValueError, "camera pattern 3 cannot be used"),
        (dict(batch="256"), ValueError, "batches of '256'.*expected a whole number from 1 up"),
        (dict(device="tpu"), ValueError, "device 'tpu' cannot be used here"),
        (dict(device="mps"), ValueError, "use 'auto' or 'cpu'"),
    ],
)
def test_arguments(tmp_path, weights, change, error, said):
    paint(tmp_path / "a.png")
    given = dict(loaded=load_model(weights), folder=tmp_path) | change
    with pytest.raises(error, match=said):
        embed_folder(given.pop("loaded"), given.pop("folder"), **given)


def test_python_hears_of_it_too(tmp_path, weights, capsys):
    paint(tmp_path / "a.png")
    (tmp_path / "b.gif").write_bytes(b"x")
    found = embed_folder(load_model(weights), tmp_path)
    assert found.left_out == {"b.gif": ".gif is not read, save it as .png"}
    assert "left out 1 (.gif is not read, save it as .png): 'b.gif'" in capsys.readouterr().err


def test_auto_is_a_device(tmp_path, weights):
    paint(tmp_path / "a.png")
    assert embed_folder(load_model(weights), tmp_path, device="auto").features.shape == (1, 576)
