"""Readers: right labels from names, an error that helps for all that is wrong; and the journey."""

import dataclasses
import os
import pathlib
from types import SimpleNamespace

import numpy
import pytest
import torch
from PIL import Image

from reidkit import datasets
from reidkit.datasets import load_journey, parse, read, readers
from reidkit.record import Exam

MARKET = {
    "bounding_box_train": [
        "0007_c1s1_000001_01.jpg",
        "0002_c2s1_000451_03.jpg",
        "0002_c1s1_000451_03.jpg",
    ],
    "query": ["0003_c1s1_000001_00.jpg", "0009_c6s4_000001_00.jpg"],
    "bounding_box_test": [
        "-1_c3s1_000401_03.jpg",
        "0000_c1s1_000151_01.jpg",
        "0003_c1s2_000002_00.jpg",
        "0003_c5s1_000003_00.jpg",
        "0009_c6s1_000005_00.jpg",
    ],
}


def paint(path, shade=128, size=(8, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 2, 3)).save(path)


def market(root, change=()):
    for folder, names in {**MARKET, **dict(change)}.items():
        for name in names:
            paint(root / folder / name)
    return root


def pku(root, people=("001", "004", "009", "010", "011"), cameras=("01", "02"), poses=2):
    for number, person in enumerate(people):
        for camera in cameras:
            for pose in range(1, poses + 1):
                paint(root / person / f"{camera}_{pose}.png", 10 * number + pose)
    return root


def test_fingerprint_of_files(tmp_path):
    data = read("market1501", market(tmp_path)).query
    first = data.fingerprint()
    assert first == read("market1501", tmp_path).query.fingerprint()
    assert first != read("market1501", tmp_path, size=(16, 8)).query.fingerprint()
    os.utime(data.images[0], (1, 1))
    assert first != data.fingerprint()


def test_market_labels(tmp_path):
    splits = read("market1501", market(tmp_path))
    # in sorted order
    assert splits.train.ids.tolist() == [2, 2, 7]
    assert splits.train.cameras.tolist() == [0, 1, 0]
    assert splits.gallery.ids.tolist() == [-1, 0, 3, 3, 9]
    assert splits.gallery.cameras.tolist() == [2, 0, 0, 4, 5]
    assert splits.query.ids.tolist() == [3, 9]
    assert splits.query.pictures().shape == (2, 3, 128, 64)
    assert splits.note == (
        "A sample of the set: 3 train, 2 query, 5 gallery pictures. "
        "1 of 2 queries have no match in another camera."
    )
    assert isinstance(splits.exam, Exam)
    assert splits.exam.gallery is splits.gallery


def test_market_inside_its_own_folder_and_with_litter(tmp_path):
    root = market(tmp_path / "Market-1501-v15.09.15")
    (root / "query" / "Thumbs.db").write_bytes(b"x")
    (root / "query" / "._0003_c1s1_000001_00.jpg").write_bytes(b"x")
    (root / "query" / "readme.txt").write_bytes(b"x")
    assert len(read("market1501", tmp_path).query) == len(read("market1501", str(root)).query) == 2


def test_pku_halves(tmp_path):
    whole = read("pku-reid", pku(tmp_path))
    assert len(whole.train) == 0
    assert (whole.query.cameras == 0).all()
    assert (whole.gallery.cameras == 1).all()
    assert whole.query.ids.tolist() == [1, 1, 4, 4, 9, 9, 10, 10, 11, 11]
    assert whole.gallery.ids.equal(whole.query.ids)
    assert whole.query.attributes["pose"].tolist() == [1, 2] * 5
    assert whole.query.size == (128, 48)
    development = read("pku-reid", tmp_path, half="development")
    assert development.query.ids.unique().tolist() == [1, 9, 11]
    report = read("pku-reid", tmp_path, half="report")
    assert report.gallery.ids.unique().tolist() == [4, 10]
    assert development.note.startswith("development half, 3 people.")


def fails(error, *words, name="market1501", **more):
    """read() fails with this error, all these words in it, and the expected tree."""

    def check(path):
        with pytest.raises(error) as caught:
            read(name, path, **more)
        for word in (*words, str(path), readers.LAYOUTS[name].tree):
            assert word in str(caught.value)

    return check


def test_wrong_paths(tmp_path):
    fails(FileNotFoundError, "is no folder")(tmp_path / "nowhere")
    fails(FileNotFoundError, "holds no folder 'bounding_box_train', 'query', 'bounding_box_test'")(
        tmp_path
    )
    market(tmp_path / "a", {"query": []})
    fails(FileNotFoundError, "holds no folder 'query'")(tmp_path / "a")
    fails(FileNotFoundError, "no picture", "of camera 1", name="pku-reid")(tmp_path)


def test_empty_folder(tmp_path):
    market(tmp_path, {"query": []})
    (tmp_path / "query").mkdir()
    (tmp_path / "query" / "Thumbs.db").write_bytes(b"x")
    fails(FileNotFoundError, "there is no picture in", "query")(tmp_path)


@pytest.mark.parametrize(
    "bad",
    ["0003_c7s1_000001_00.jpg", "3.jpg", "x0003_c1s1_000001_00.jpg", "0003_c1s1_000001_00.jpg.png"],
)
def test_names_that_do_not_parse(tmp_path, bad):
    names = [bad, *(f"strange {number}.jpg" for number in range(5))]
    market(tmp_path, {"query": [*MARKET["query"], *names]})
    fails(ValueError, "6 of 8 picture names", ", ".join(map(repr, sorted(names)[:3])))(tmp_path)
    paint(pku(tmp_path / "pku") / "001" / "03_1.png")
    fails(ValueError, "1 of 21 picture names", "'001/03_1.png'", name="pku-reid")(tmp_path / "pku")


@pytest.mark.parametrize("content", [b"", b"no picture at all", None])
def test_unreadable_pictures(tmp_path, content):
    victim = market(tmp_path) / "query" / MARKET["query"][0]
    pixels = numpy.random.default_rng(0).integers(0, 255, (128, 64, 3), dtype=numpy.uint8)
    Image.fromarray(pixels).save(victim)
    if content is None:  # a picture that is cut short
        content = victim.read_bytes()[:1500]
    victim.write_bytes(content)
    data = read("market1501", tmp_path).query
    for fetch in (data.pictures, data.in_memory, lambda: data.pictures(torch.tensor([0]))):
        with pytest.raises(ValueError) as caught:
            fetch()
        for words in (
            str(victim),
            "cannot be read",
            "copy it again",
            readers.LAYOUTS["market1501"].tree,
        ):
            assert words in str(caught.value)
    assert len(data.pictures([1])) == 1


def test_no_match_in_another_camera(tmp_path):
    market(
        tmp_path / "a",
        {
            "bounding_box_test": [
                "0003_c1s1_000002_00.jpg",
                "0009_c6s1_000005_00.jpg",
                "-1_c2s1_000005_00.jpg",
            ]
        },
    )
    fails(ValueError, "share ids in the same camera only")(tmp_path / "a")
    market(
        tmp_path / "b",
        {"bounding_box_test": ["0004_c1s1_000002_00.jpg", "0000_c2s1_000002_00.jpg"]},
    )
    fails(ValueError, "share no id")(tmp_path / "b")


def test_published_counts(tmp_path, monkeypatch):
    """A sample is read with a note; what is nearly the set is refused, unless strict=False."""
    market(tmp_path)
    fails(ValueError, "train: found 3 pictures of 2 ids", "12936 of 751", strict=True)(tmp_path)
    # ids: junk left out, distractors in
    counts = {"train": (3, 2), "query": (2, 2), "gallery": (5, 3)}

    def publish(**change):
        layout = dataclasses.replace(readers.LAYOUTS["market1501"], counts={**counts, **change})
        monkeypatch.setitem(readers.LAYOUTS, "market1501", layout)

    publish()
    assert "sample" not in read("market1501", tmp_path).note
    assert read("market1501", tmp_path, strict=True)
    publish(gallery=(50, 3), query=(200, 2), train=(300, 2))  # one split holds a tenth
    fails(
        ValueError,
        "train: found 3 pictures of 2 ids, the published set has 300 of 2",
        "strict=False",
    )(tmp_path)
    assert len(read("market1501", tmp_path, strict=False).gallery) == 5
    publish(gallery=(51, 3), query=(200, 2), train=(300, 2))
    assert "sample" in read("market1501", tmp_path).note
    publish(gallery=(5, 4))
    fails(ValueError, "gallery: found 5 pictures of 3 ids")(tmp_path)


@pytest.mark.parametrize("junk", [-1, -2, -77])
def test_every_id_below_0_is_junk(tmp_path, monkeypatch, junk):
    names = [f"{junk}_c1s1_000001_00.jpg", f"{junk}_c3s1_000001_00.jpg"]
    pattern = r"(?P<id>-\d+|\d{4})_c(?P<camera>[1-6])s\d+_\d+_\d+\.jpg"
    layout = dataclasses.replace(readers.LAYOUTS["market1501"], pattern=pattern)
    monkeypatch.setitem(readers.LAYOUTS, "market1501", layout)
    more = {split: [*MARKET[split], *names] for split in ("query", "bounding_box_test")}
    splits = read("market1501", market(tmp_path / "some", more))
    assert "3 of 4 queries have no match in another camera" in splits.note
    only = {"query": names, "bounding_box_test": names}
    fails(ValueError, "share no id")(market(tmp_path / "only", only))
    halves = dataclasses.replace(layout, halves=True)
    monkeypatch.setitem(readers.LAYOUTS, "market1501", halves)
    for half in ("development", "report"):
        people = readers._people_of_half({"query": splits.query, "train": splits.train}, half)
        assert (people >= 0).all() and len(people) == 2


def test_numbers_of_people_may_be_large(tmp_path):
    people = ("001", "20240101", "999999999999999999")
    splits = read("pku-reid", pku(tmp_path, people))
    assert splits.query.ids.unique().tolist() == [1, 20240101, 10**18 - 1]
    pku(tmp_path / "more", (*people, "9" * 19))  # beyond int64
    fails(ValueError, "do not parse", name="pku-reid")(tmp_path / "more")


@pytest.mark.parametrize("path", [None, 3, b"x", ["a"], "a\0b", "~nobody-of-that-name/x"])
def test_paths_that_are_none(path):
    with pytest.raises(ValueError, match="path is .*(expected the path of a folder|in full)"):
        read("market1501", path)


@pytest.mark.parametrize("size", [64, (64,), (0, 32), (64, "32"), (128.0, 64)])
def test_sizes_that_are_none(tmp_path, size):
    with pytest.raises(ValueError, match="size is .*; expected .height, width."):
        read("market1501", market(tmp_path), size=size)


def test_names_that_are_no_text(tmp_path):
    for name in (None, ["market1501"], 3):
        with pytest.raises(ValueError, match="has no reader; there are 'market1501', 'pku-reid'"):
            read(name, tmp_path)


def test_unknown_set_or_half(tmp_path):
    with pytest.raises(ValueError, match="'market1501', 'pku-reid'"):
        read("market", tmp_path)
    with pytest.raises(ValueError, match="'development' or 'report'"):
        read("pku-reid", tmp_path, half="first")
    with pytest.raises(ValueError, match="expected 'all': it is not divided into halves"):
        read("market1501", tmp_path, half="report")


# --- real pictures


def real(name):
    root = os.environ.get("REIDKIT_DATA_ROOT")
    folder = pathlib.Path(root or ".", name)
    if not root or not folder.is_dir():
        if os.environ.get("REQUIRE_DATA") == "1":
            pytest.fail(
                f"REQUIRE_DATA=1, but there is no folder {name} under REIDKIT_DATA_ROOT={root!r}"
            )
        pytest.skip(f"no folder {name} under REIDKIT_DATA_ROOT={root!r}")
    return folder


def test_real_market_sample():
    splits = read("market1501", real("market1501-sample"), size=(64, 32))
    assert [len(data) for data in (splits.train, splits.query, splits.gallery)] == [32, 32, 32]
    assert "2 of 32 queries have no match" in splits.note
    assert splits.train.in_memory().images.shape == (32, 3, 64, 32)
    assert set(splits.train.cameras.tolist()) == set(range(6))


def test_real_pku():
    whole = read("pku-reid", real("pku-reid"), strict=True)
    assert whole.note == ""
    assert whole.query.numbers()["ids"] == 74
    assert len(whole.gallery) == 592
    halves = [read("pku-reid", real("pku-reid"), half=half) for half in ("development", "report")]
    people = [set(half.query.ids.tolist()) for half in halves]
    assert [len(ids) for ids in people] == [37, 37]
    assert not people[0] & people[1]
    assert min(people[0]) == whole.query.ids.min()  # position 0 is in the development half
    pose = whole.query.attributes["pose"]
    in_fourth_or_fifth_pose = (pose == 4) | (pose == 5)
    twins = whole.query[(whole.query.ids == 85) & in_fourth_or_fifth_pose].pictures()
    assert twins[0].equal(twins[1])  # a known quirk of the set


# --- the journey


@pytest.mark.parametrize(
    "spec, parsed",
    [
        ("world", ("world", None)),
        ("market1501:/data/Market", ("market1501", "/data/Market")),
        ("market1501:C:\\data\\Market", ("market1501", "C:\\data\\Market")),
        ("pku-reid: ~/pku ", ("pku-reid", "~/pku")),
    ],
)
def test_data_parameter(spec, parsed):
    assert parse(spec) == parsed


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "World",
        "world:",
        "world:/x",
        "market1501",
        "market1501:",
        "pku-reid: ",
        "duke:/x",
        None,
        3,
    ],
)
def test_data_parameter_errors_name_the_forms(spec):
    with pytest.raises(ValueError, match="'world', 'market1501:PATH', 'pku-reid:PATH', "):
        parse(spec)


TINY = SimpleNamespace(
    size=(64, 32), places=2, people=3, cameras=2, pictures=2, unseen_places=1, exam_people=2
)


@pytest.fixture
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path / "cache"))


def test_journey_in_the_drawn_world(own_cache):
    trip = load_journey("world", TINY, seed=3)
    assert trip.train.numbers() == {"pictures": 24, "ids": 6, "cameras": 4, "domains": 2}
    assert not trip.real
    assert len(trip.home.query) == 8
    assert trip.home.query.numbers()["domains"] == 2
    assert len(trip.away.query) == 4
    assert trip.train.images.shape[1:] == (3, 64, 32)
    other_seed = load_journey("world", TINY, seed=4)
    assert not trip.train.images.equal(other_seed.train.images)
    assert trip.home.query.images[:4].ne(trip.away.query.images).any()


def test_devices_of_a_journey(own_cache):
    trip = load_journey("world", TINY, device="auto")
    assert not trip.train.images.is_cuda
    for device in ("mps", "tpu", "cuda:99", None, 3):
        with pytest.raises(ValueError, match="cannot be used here.*: use 'auto' or 'cpu'"):
            load_journey("world", TINY, device=device)


def test_journeys_with_real_people(own_cache, tmp_path):
    trip = load_journey(f"market1501:{market(tmp_path / 'market')}", TINY)
    assert trip.real
    assert len(trip.train) == 3
    assert len(trip.away.query) == 4
    assert trip.home.gallery.images.shape == (5, 3, 64, 32)
    assert "Market-1501" in trip.note
    assert "sample" in trip.note
    trip = load_journey(f"pku-reid:{pku(tmp_path / 'pku')}", TINY)
    assert trip.real
    assert len(trip.train) == 24
    assert trip.away.gallery.images.shape == (10, 3, 64, 32)
    with pytest.raises(FileNotFoundError, match="bounding_box_train"):
        load_journey(f"market1501:{tmp_path}", TINY)


def test_public_names():
    assert all(hasattr(datasets, name) for name in datasets.__all__)
