"""CAVIAR4REID, 3DPeS and vehicles: labels and quirks on drawn trees, counts on the real ones."""

import dataclasses

import pytest
import real_trees
import torch
from test_datasets import TINY, fails, own_cache, paint, real  # noqa: F401 a fixture

from reidkit.chapters.real_people import experiments
from reidkit.datasets import LAYOUTS, load_journey, parse, read
from reidkit.datasets.journey import FORMS
from reidkit.datasets.layouts import VEHICLE_CLASSES, VEHICLE_FOLDERS
from reidkit.retrieval import evaluate
from reidkit.teach.start import SOURCES, Run, check_parameter

NEW = ("caviar4reid", "3dpes", "vehicles")


def test_caviar_has_the_people_of_both_cameras(tmp_path):
    splits = read("caviar4reid", real_trees.caviar(tmp_path))
    query = splits.query
    gallery = splits.gallery
    assert len(splits.train) == 0
    assert query.ids.tolist() == gallery.ids.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert query.attributes["number"].tolist() == [1, 2, 3] * 3
    assert gallery.attributes["number"].tolist() == [11, 12, 13] * 3
    assert (query.cameras == 0).all()
    assert (gallery.cameras == 1).all()
    assert splits.note == (
        "A sample of the set: 12 query, 9 gallery pictures. "
        "People whom only one camera saw are left out: 1."
    )
    # Files of many sizes become pictures of one.
    assert query.pictures().shape == (9, 3, 128, 64)
    assert read("caviar4reid", tmp_path, size=(64, 32)).gallery.pictures().shape == (9, 3, 64, 32)


def test_caviar_numbers_tell_the_camera(tmp_path):
    for number in (1, 10, 11, 20):
        paint(tmp_path / f"0007_{number:03}.jpg", number)
    splits = read("caviar4reid", tmp_path)
    assert splits.query.attributes["number"].tolist() == [1, 10]
    assert splits.gallery.attributes["number"].tolist() == [11, 20]


def test_nobody_in_both_cameras_of_caviar(tmp_path):
    paint(tmp_path / "0007_001.jpg")
    paint(tmp_path / "0008_011.jpg")
    fails(ValueError, "share no id", name="caviar4reid")(tmp_path)
    (tmp_path / "0008_011.jpg").unlink()
    fails(FileNotFoundError, "of camera 2", name="caviar4reid")(tmp_path)


def test_dpes_searches_every_picture_in_all_of_them(tmp_path):
    splits = read("3dpes", real_trees.dpes(tmp_path))
    query = splits.query
    assert query.images == splits.gallery.images
    assert len(query) == 24
    assert query.ids.unique().tolist() == [9, 10, 11, 12]
    assert query.cameras[query.ids == 10].unique().tolist() == [10, 11]
    assert query.attributes["frame"][query.ids == 9].tolist() == [20, 21, 22, 25, 26, 27]
    skipped = "1 skipped (named like '9_B_459_FRAME_92_RGB.bmp'): each shows another person than"
    assert skipped in splits.note
    # The last person has one sequence.
    assert splits.note.endswith("6 of 24 queries have no match in another camera.")


def test_a_query_of_dpes_never_meets_its_own_sequence(tmp_path):
    query = read("3dpes", real_trees.dpes(tmp_path)).query
    features = torch.eye(24)  # each picture is like itself alone, and itself leaves as junk
    labels = (features, query.ids, query.cameras)
    metrics = evaluate(*labels, *labels)
    assert (metrics.first_ranks > 0).sum() == 18
    assert metrics.cmc[1] < 1


def test_halves_of_dpes(tmp_path):
    real_trees.dpes(tmp_path)
    people = {half: read("3dpes", tmp_path, half=half) for half in ("development", "report")}
    assert people["development"].query.ids.unique().tolist() == [9, 11]
    # By number, not as text: 9 comes before 10.
    assert people["report"].query.ids.unique().tolist() == [10, 12]
    assert people["report"].note.startswith("report half, 2 people. A sample")


def test_vehicles_of_folder_class_and_number(tmp_path):
    splits = read("vehicles", real_trees.vehicles(tmp_path))
    query = splits.query
    ids = splits.gallery.ids
    assert query.ids.equal(ids)
    assert len(ids.unique()) == 4  # three of them have number 1
    kinds = [VEHICLE_CLASSES[kind] for kind in query.attributes["class"].tolist()]
    folders = [VEHICLE_FOLDERS[folder] for folder in query.attributes["folder"].tolist()]
    found = sorted(zip(folders, kinds, query.attributes["number"].tolist()))
    assert found == [
        ("test", "car", 1),
        ("train", "car", 1),
        ("train", "motorcycle", 153),
        ("train", "truck", 1),
    ]
    assert (query.cameras == 0).all()
    assert (splits.gallery.cameras == 1).all()


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("caviar4reid", "0001_021.jpg"),
        ("caviar4reid", "0001_000.jpg"),
        ("caviar4reid", "1_001.jpg"),
        ("caviar4reid", "0001_001.png"),
        ("3dpes", "9_x_FRAME_1_RGB.bmp"),
        ("3dpes", "9_1_FRAME_1.bmp"),
        ("3dpes", "9_1_FRAME_1_RGB.jpg"),
        ("vehicles", "images/train/boat_0001_cam1.jpg"),
        ("vehicles", "images/valid/car_0001_cam1.jpg"),
        ("vehicles", "images/train/car_0001_cam3.jpg"),
    ],
)
def test_names_that_do_not_parse(tmp_path, name, bad):
    paint(real_trees.TREES[name](tmp_path) / bad)
    inside = bad.removeprefix("images/")
    fails(ValueError, "1 of ", f"the first '{inside}'", name=name)(tmp_path)


@pytest.mark.parametrize("name", NEW)
def test_folders_that_are_not_there(tmp_path, name):
    fails(FileNotFoundError, "is no folder", name=name)(tmp_path / "nowhere")
    missing = "holds no folder 'images'" if name == "vehicles" else "there is no picture"
    fails(FileNotFoundError, missing, name=name)(tmp_path)
    # Found inside the folder around it, too.
    real_trees.TREES[name](tmp_path / LAYOUTS[name].inside)
    assert len(read(name, tmp_path).query)


@pytest.mark.parametrize("name", NEW)
def test_what_is_nearly_the_set_is_refused(tmp_path, monkeypatch, name):
    root = real_trees.TREES[name](tmp_path)
    fails(ValueError, "query: found ", "the published set has", name=name, strict=True)(root)
    assert "sample" not in read(name, root, strict=False).note
    counts = {}
    for split in ("query", "gallery"):
        pictures, ids = LAYOUTS[name].counts[split]
        counts[split] = (pictures // 100 + 20, ids)
    layout = dataclasses.replace(LAYOUTS[name], counts=counts)
    monkeypatch.setitem(LAYOUTS, name, layout)
    fails(ValueError, "strict=False", name=name)(root)


@pytest.mark.parametrize("name", NEW)
def test_halves_that_are_none(tmp_path, name):
    with pytest.raises(ValueError, match="'development' or 'report'|it is not divided"):
        read(name, real_trees.TREES[name](tmp_path), half="first")


def test_a_broken_picture_is_named_with_the_tree(tmp_path):
    data = read("3dpes", real_trees.dpes(tmp_path)).query
    data.images[0].write_bytes(b"BM, and no more")
    with pytest.raises(ValueError, match="cannot be read") as caught:
        data.pictures([0])
    assert LAYOUTS["3dpes"].tree in str(caught.value)


# ---- what a chapter runs on


def test_data_may_name_every_set():
    assert SOURCES == ("world", *LAYOUTS)
    for name in NEW:
        assert parse(f"{name}:/x") == (name, "/x")
        assert f"'{name}:PATH'" in FORMS
        with pytest.raises(ValueError, match=f'"{name}:PATH"'):
            check_parameter("DATA", name)


@pytest.mark.parametrize(("name", "count"), [("caviar4reid", 9), ("3dpes", 12)])
def test_journeys_to_people(own_cache, tmp_path, name, count):  # noqa: F811
    folder = real_trees.TREES[name](tmp_path)
    trip = load_journey(f"{name}:{folder}", TINY)
    assert trip.real
    assert len(trip.train) == 24  # drawn
    assert trip.away.query.images.shape == (count, 3, 64, 32)
    assert "real people" in trip.note
    assert ("development half" in trip.note) == (name == "3dpes")


def test_no_journey_shows_number_plates(tmp_path):
    with pytest.raises(ValueError, match="expected people, since number plates"):
        load_journey(f"vehicles:{real_trees.vehicles(tmp_path)}", TINY)


def test_chapter_11_takes_sets_with_cameras(tmp_path):
    for name, count in (("caviar4reid", 9), ("vehicles", 4)):
        folder = real_trees.TREES[name](tmp_path / name)
        run = Run("11", None, 0, f"{name}:{folder}", "cpu", 1)
        assert len(experiments.real_exam(run, (64, 32)).query) == count
    run = Run("11", None, 0, f"3dpes:{real_trees.dpes(tmp_path / '3dpes')}", "cpu", 1)
    with pytest.raises(ValueError, match="one to six pictures.*recipes reals"):
        experiments.real_exam(run, (64, 32))


# ---- real pictures


def test_real_caviar():
    splits = read("caviar4reid", real("caviar4reid"), strict=True)
    assert [len(splits.query), len(splits.gallery)] == [500, 500]
    assert splits.query.numbers()["ids"] == splits.gallery.numbers()["ids"] == 50
    assert splits.note == "People whom only one camera saw are left out: 22."


def test_real_dpes():
    folder = real("3dpes")
    whole = read("3dpes", folder, strict=True)
    assert len(whole.query) == len(whole.gallery) == 1006
    assert whole.query.numbers()["ids"] == 193
    assert whole.note.startswith("6 skipped")
    assert "61 of 1006 queries have no match" in whole.note
    halves = [read("3dpes", folder, half=half).query for half in ("development", "report")]
    people = [set(half.ids.tolist()) for half in halves]
    assert [len(ids) for ids in people] == [97, 96]
    assert not people[0] & people[1]
    assert len(halves[0]) == 490


def test_real_vehicles():
    splits = read("vehicles", real("vehicles"), strict=True)
    assert splits.note == ""
    assert splits.query.numbers()["ids"] == 567
    counts = torch.bincount(splits.query.attributes["class"])
    assert dict(zip(VEHICLE_CLASSES, counts.tolist())) == {
        "bus": 7,
        "car": 141,
        "motorcycle": 350,
        "truck": 69,
    }
