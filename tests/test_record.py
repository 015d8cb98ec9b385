"""Records: every label follows its picture, on disk too, and what does not fit is refused."""

import dataclasses
from pathlib import Path

import numpy
import pytest
import torch
from PIL import Image

from reidkit.record import ReIDData


def record(count=6, name="six"):
    numbers = torch.arange(count)
    pixels = torch.arange(count * 3 * 4 * 2, dtype=torch.uint8)
    return ReIDData(
        images=pixels.reshape(count, 3, 4, 2),
        ids=numbers % 3 * 5 + 2,
        cameras=numbers % 2,
        domains=numbers * 0,
        masks=pixels[: count * 8].reshape(count, 4, 2),
        attributes={"bag": numbers},
        name=name,
    )


@pytest.mark.parametrize(
    "index, chosen",
    [
        (slice(1, 4), [1, 2, 3]),
        ([5, 0, 5], [5, 0, 5]),
        (torch.tensor([2, 1]), [2, 1]),
        (numpy.array([3]), [3]),
        (4, [4]),
        ([], []),
        (torch.tensor([True, False, False, True, False, False]), [0, 3]),
        ([False, True, False, False, False, True], [1, 5]),
    ],
)
def test_every_label_follows_its_picture(index, chosen):
    data = record()
    part = record()[index]
    assert len(part) == len(chosen)
    assert part.name == data.name
    for label in ("images", "ids", "cameras", "domains", "masks"):
        assert getattr(part, label).equal(getattr(data, label)[chosen])
    assert part.attributes["bag"].tolist() == chosen
    assert data.pictures(index).equal(part.images)


def test_cat_joins_what_all_parts_have():
    six = record()
    three = dataclasses.replace(record(3), masks=None, attributes={})
    both = ReIDData.cat([six, three])
    assert len(both) == 9
    assert both.ids.tolist() == six.ids.tolist() + three.ids.tolist()
    assert both.masks is None
    assert both.attributes == {}
    assert both.name == "six+six"
    twice = ReIDData.cat([six, six], "twice")
    assert twice.attributes["bag"].tolist() == [*range(6)] * 2
    larger = dataclasses.replace(six, images=torch.zeros(6, 3, 5, 2).byte(), masks=None)
    with pytest.raises(ValueError, match="one picture size"):
        ReIDData.cat([six, larger])
    with pytest.raises(ValueError, match="at least one"):
        ReIDData.cat([])


def test_relabelled_is_sorted_and_numbers_leave_junk_out():
    data = dataclasses.replace(record(), ids=torch.tensor([40, -3, 7, 40, 7, 100]))
    assert data.relabelled().ids.tolist() == [1, -1, 0, 1, 0, 2]
    assert data.numbers() == {"pictures": 6, "ids": 3, "cameras": 2, "domains": 1}


def test_unlabelled_keeps_the_truth_for_oracles():
    data = record()
    blind = data.unlabelled()
    assert blind.ids.tolist() == [-1] * 6 and len(blind) == 6
    assert torch.equal(blind.attributes["truth"], data.ids)
    assert torch.equal(blind.attributes["bag"], data.attributes["bag"])
    assert "truth" not in data.attributes and torch.equal(blind.images, data.images)


def test_fingerprint_sees_every_change():
    base = record()
    changed = [
        dataclasses.replace(base, ids=base.ids + 1),
        dataclasses.replace(base, cameras=base.cameras + 1),
        dataclasses.replace(base, images=base.images + 1),
        dataclasses.replace(base, masks=None),
        dataclasses.replace(base, attributes={"bag": base.ids}),
        base[1:],
        dataclasses.replace(base, attributes={"hat": base.attributes["bag"]}),
    ]
    assert len({data.fingerprint() for data in [base, *changed]}) == 8
    assert record().fingerprint() == base.fingerprint()


@pytest.mark.parametrize(
    "index, chosen",
    [
        (slice(None, None, -1), [5, 4, 3, 2, 1, 0]),
        (slice(4, 1, -2), [4, 2]),
        (slice(4, 2), []),
        (slice(-2, 99), [4, 5]),
        (-1, [5]),
        ([-1, 0], [5, 0]),
        ((1, 2), [1, 2]),
        (range(2, 4), [2, 3]),
        (numpy.int64(2), [2]),
        (numpy.array([1, 3], "int16"), [1, 3]),
        (numpy.array([3, 1])[::-1], [1, 3]),
        (torch.tensor([1, 3], dtype=torch.int32), [1, 3]),
        (torch.tensor(2), [2]),
        (torch.empty(0, dtype=torch.int64), []),
        (numpy.array([True, False] * 3), [0, 2, 4]),
    ],
)
def test_indices_of_many_kinds(index, chosen):
    data = record()
    assert data[index].ids.tolist() == data.ids[chosen].tolist()
    assert data.pictures(index).equal(data.images[chosen])


@pytest.mark.parametrize(
    "index", [None, True, False, "ids", 1.0, [0.5], [None], ["a"], {1: 2}, [True] * 5, [False] * 7]
)
def test_indices_that_are_none(index):
    with pytest.raises(
        ValueError, match="six: the indices are .*; expected whole numbers below 6, a slice"
    ):
        record()[index]


def test_bytes_are_no_index():
    """torch would take them for truth values, numpy for numbers."""
    for index in (numpy.array([1, 0], "uint8"), torch.ones(6, dtype=torch.uint8)):
        with pytest.raises(ValueError, match="the indices are torch.uint8"):
            record()[index]


def test_pictures_that_are_not_there():
    for index in (6, -7, [0, 99], torch.tensor([6])):
        with pytest.raises(IndexError, match="six: there is no picture .*; it has 6"):
            record()[index]
    with pytest.raises(IndexError, match="no picture 0; it has 0"):
        record()[:0][0]
    assert sum(len(part) for part in record()) == 6  # iteration ends where pictures do


@pytest.mark.parametrize("wrong", ["one.jpg", None, 3, {"a.jpg"}, Path("a.jpg"), numpy.zeros(3)])
def test_images_that_are_none(wrong):
    zeros = torch.zeros(1).long()
    with pytest.raises(ValueError, match="unnamed: images is .*; expected a uint8 tensor"):
        ReIDData(wrong, zeros, zeros, zeros, size=(4, 4))


@pytest.mark.parametrize("wrong", [3, None, b"a.jpg", ("a.jpg",), torch.zeros(3)])
def test_paths_that_are_none(wrong):
    zeros = torch.zeros(2).long()
    with pytest.raises(ValueError, match="images.1. is .*; expected the path of a picture file"):
        ReIDData(("a.jpg", wrong), zeros, zeros, zeros, size=(4, 4))


@pytest.mark.parametrize("size", [64, "64", (64,), (0, 32), (64.0, 32), (64, -1), (64, 32, 3)])
def test_sizes_that_are_none(size):
    zeros = torch.zeros(1).long()
    with pytest.raises(ValueError, match="unnamed: size is .*; expected .height, width."):
        ReIDData(("a.jpg",), zeros, zeros, zeros, size=size)


def test_paths_as_texts_in_a_list(tmp_path):
    Image.new("RGB", (4, 6), (9, 8, 7)).save(tmp_path / "a.png")
    zeros = torch.zeros(1).long()
    data = ReIDData([str(tmp_path / "a.png")], zeros, zeros, zeros, size=[6, 4])
    assert data.size == (6, 4) and isinstance(data.images, tuple)
    assert data.pictures()[0, :, 0, 0].tolist() == [9, 8, 7]
    assert data.fingerprint() == data.fingerprint()


def test_files_that_are_gone_are_named():
    zeros = torch.zeros(2).long()
    data = ReIDData(("gone.jpg", "too.jpg"), zeros, zeros, zeros, size=(6, 4), source="Read from x")
    for fetch in (data.pictures, data.in_memory, data.fingerprint, data[:1].fingerprint):
        with pytest.raises(ValueError, match="picture 'gone.jpg' .*correct the path\nRead from x"):
            fetch()


def test_only_records_are_joined():
    for wrong in ([record(), None], [record().images], ["ab"]):
        with pytest.raises(ValueError, match="can only join records"):
            ReIDData.cat(wrong)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            dict(ids=torch.zeros(5).long()),
            "ids is torch.int64 \\(5,\\); expected an int64 tensor of shape \\(6,\\)",
        ),
        (dict(cameras=torch.zeros(6)), "cameras is torch.float32"),
        (dict(domains=[0] * 6), "domains is list .*; expected an int64 tensor .*torch.tensor"),
        (dict(ids=["a"] * 6), "ids is list .'a'"),
        (dict(ids=None), "ids is None; expected an int64 tensor"),
        (dict(ids=numpy.zeros(6, "int64")), "ids is numpy.int64 .6,.; expected an int64 tensor"),
        (dict(cameras=None), "cameras is None"),
        (dict(attributes=None), "attributes is None; expected a dict"),
        (dict(attributes={"bag": [1] * 6}), "bag is list"),
        (dict(masks=[0] * 6), "masks is list"),
        (dict(images=torch.zeros(6, 3, 0, 2).byte()), "expected uint8 \\(N, 3, H, W\\)"),
        (dict(attributes={"bag": torch.zeros(2).long()}), "bag is"),
        (dict(images=torch.zeros(6, 3, 4, 2)), "expected uint8"),
        (dict(images=torch.zeros(6, 4, 2).byte()), "expected uint8 \\(N, 3, H, W\\)"),
        (
            dict(masks=torch.zeros(6, 2, 4).byte()),
            "masks is torch.uint8 \\(6, 2, 4\\); expected uint8 \\(6, 4, 2\\)",
        ),
        (dict(images=tuple("abcdef"), size=None, masks=None), "size=\\(height, width\\)"),
    ],
)
def test_records_that_do_not_fit(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(record(), **change)


def test_pictures_on_disk_are_decoded_at_their_size(tmp_path):
    for shade in (10, 200):
        Image.new("RGB", (8, 16), (shade, 2, 3)).save(tmp_path / f"{shade}.png")
    Image.new("L", (30, 20), 77).save(tmp_path / "grey.png")
    paths = tuple(tmp_path / name for name in ("10.png", "200.png", "grey.png"))
    zeros = torch.zeros(3).long()
    data = ReIDData(paths, zeros, zeros, zeros, size=(6, 4))
    pictures = data.pictures()
    assert pictures.shape == (3, 3, 6, 4)
    assert pictures[:, 0, 0, 0].tolist() == [10, 200, 77]
    second = data.pictures(torch.tensor([1]))
    assert second[0, :, 2, 2].tolist() == [200, 2, 3]
    third_and_first = data[[2, 0]].pictures()
    assert third_and_first[:, 0, 5, 3].tolist() == [77, 10]
    assert data.pictures([]).shape == (0, 3, 6, 4)
    loaded = data.in_memory()
    assert loaded.loaded
    assert not data.loaded
    assert loaded.images.equal(data.pictures())
    mixed = ReIDData.cat([data, loaded])
    assert mixed.images[:, 0, 0, 0].tolist() == [10, 200, 77] * 2
    assert ReIDData.cat([data, data]).images == paths * 2
