"""Whole drawn sets: labels, the cache that is never stale, and knobs that do what they say."""

import errno
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import safetensors
import torch

from reidkit import files, store, tensor_files, world
from reidkit.world import sets

PLACES = [("train", 0), ("train", 1)]
SMALL = dict(people=3, cameras=2, pictures=2, size=(64, 32))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path))


def cache_files():
    return sorted((files.cache_dir() / "world").glob("*.safetensors"))


def are_equal(a, b):
    return a.fingerprint() == b.fingerprint()


# ---- labels


def test_labels_of_a_set():
    data = world.sample(PLACES, **SMALL)
    assert len(data) == 2 * 3 * 2 * 2
    assert data.images.shape[1:] == (3, 64, 32)
    assert data.masks.shape == (24, 64, 32)
    assert data.numbers() == {"pictures": 24, "ids": 6, "cameras": 4, "domains": 2}
    for person in range(6):  # nobody is in two places
        assert len(set(data.domains[data.ids == person].tolist())) == 1
    for camera in range(4):
        assert len(set(data.domains[data.cameras == camera].tolist())) == 1
    later = world.sample(PLACES, first_person=6, **SMALL)
    assert later.ids.min() == 6
    assert not torch.equal(later.images, data.images)
    assert len(torch.unique(data.images.reshape(24, -1), dim=0)) == 24  # no picture twice


def test_an_exam_asks_for_new_people_in_the_same_cameras():
    exam = world.make_exam(PLACES, **SMALL)
    train = world.sample(PLACES, **SMALL)
    assert len(exam.query) == len(exam.gallery) == 12
    pairs = set(zip(exam.query.ids.tolist(), exam.query.cameras.tolist()))
    assert len(pairs) == 12  # one picture of each person in each camera

    def looks_of(data):
        """The different rows of attributes."""
        names = sorted(set(data.attributes) - {"facing"})
        rows = torch.stack([data.attributes[name] for name in names], 1)
        return {tuple(row) for row in rows.tolist()}

    assert len(looks_of(train) & looks_of(exam.gallery)) <= 1
    images = torch.cat([exam.query.images, exam.gallery.images])
    assert not torch.equal(images.sort(0).values, train.images.sort(0).values)


# ---- the cache


def test_the_second_call_reads_the_file(monkeypatch):
    first = world.sample(PLACES, **SMALL)
    assert len(cache_files()) == 1
    with safetensors.safe_open(cache_files()[0], "pt") as stream:
        assert json.loads(stream.metadata()["notes"])["people"] == 3
    monkeypatch.setattr(sets, "_draw", lambda *_: pytest.fail("drawn again"))
    again = world.sample(PLACES, **SMALL)
    assert are_equal(first, again)
    assert torch.equal(first.masks, again.masks)
    assert first.name == again.name


def test_without_cache_nothing_is_written():
    first = world.sample(PLACES, cache=False, **SMALL)
    again = world.sample(PLACES, cache=False, **SMALL)
    assert are_equal(first, again)
    assert not (files.cache_dir() / "world").exists()


@pytest.mark.parametrize(
    "change",
    [{"seed": 1}, {"people": 4}, {"size": (96, 32)}, {"knobs": world.HARD}, {"first_person": 9}],
)
def test_a_changed_argument_draws_afresh(change):
    first = world.sample(PLACES, **SMALL)
    assert not are_equal(first, world.sample(PLACES, **(SMALL | change)))
    assert len(cache_files()) == 2


def test_changed_drawing_code_draws_afresh(monkeypatch):
    world.sample(PLACES, **SMALL)
    monkeypatch.setattr(sets, "source_hash", lambda: "other code")
    world.sample(PLACES, **SMALL)
    assert len(cache_files()) == 2


def test_the_source_hash_follows_every_file_of_the_world(monkeypatch, tmp_path):
    for name in ("sets.py", "body.py"):
        (tmp_path / name).write_text("a = 1\n")
    monkeypatch.setattr(sets, "__file__", str(tmp_path / "sets.py"))
    before = sets.source_hash()
    (tmp_path / "body.py").write_text("a = 2\n")
    assert sets.source_hash() != before


@pytest.mark.parametrize("damage", ["cut", "flip", "empty"])
def test_a_damaged_file_is_noticed_and_replaced(damage):
    first = world.sample(PLACES, **SMALL)
    path = cache_files()[0]
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-5000] ^= 0x40  # inside the tensors: lengths and header stay right
    path.write_bytes(
        {"cut": bytes(content[: len(content) // 2]), "flip": bytes(content), "empty": b""}[damage]
    )
    assert are_equal(world.sample(PLACES, **SMALL), first)
    assert len(path.read_bytes()) == len(content)


# ---- devices and numbers


def test_auto_is_a_device():
    data = world.sample(PLACES, device="auto", **SMALL)
    assert not data.images.is_cuda
    assert len(world.make_exam(PLACES, device="auto", **SMALL).query) == 12
    if not torch.cuda.is_available():
        assert are_equal(data, world.sample(PLACES, **SMALL))
        assert len(cache_files()) == 2  # the set and the exam: "auto" was the CPU
    people, cameras, poses = scene(world.NORMAL, 2)
    drawn = world.render(people, cameras, poses, (64, 32), "auto")
    here = world.render(people, cameras, poses, (64, 32))
    assert drawn.masks.cpu().equal(here.masks)
    styled = world.restyle(people, cameras, poses, cameras, (64, 32), "auto")
    assert styled.masks.cpu().equal(here.masks)


@pytest.mark.parametrize("device", ["mps", "tpu", "cuda:99", "", None, 3, torch.device("meta")])
def test_devices_that_are_not_here(device):
    people, cameras, poses = scene(world.NORMAL, 2)
    calls = (
        lambda: world.sample(PLACES, device=device, **SMALL),
        lambda: world.make_exam(PLACES, device=device, **SMALL),
        lambda: world.render(people, cameras, poses, (64, 32), device),
        lambda: world.restyle(people, cameras, poses, cameras, (64, 32), device),
    )
    for call in calls:
        with pytest.raises(ValueError, match="cannot be used here.*: use 'auto' or 'cpu'"):
            call()
    assert not cache_files()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(first_person=-1), "first_person is -1; expected a whole number from 0 up"),
        (dict(people=0), "people is 0; expected a whole number from 1 up"),
        (dict(people="3"), "people is '3'"),
        (dict(cameras=2.0), "cameras is 2.0"),
        (dict(pictures=True), "pictures is True"),
        (dict(size=64), "size is 64; expected .height, width."),
        (dict(size=(64,)), "size is .64,.; expected .height, width."),
        (dict(size=None), "size is None"),
    ],
)
def test_numbers_that_are_none(change, message):
    with pytest.raises(ValueError, match=message):
        world.sample(PLACES, **(SMALL | change))
    if "first_person" not in change:
        with pytest.raises(ValueError, match=message):
            world.make_exam(PLACES, **(SMALL | change))


def rewritten(change):
    """Store the one file again with other tensors: sound by its digest."""
    path = cache_files()[0]
    tensors, notes = store.load(path)
    store.save(path, change(tensors), notes)


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


def changed(name, change):
    return lambda tensors: tensors | {name: change(tensors[name])}


@pytest.mark.parametrize(
    "change",
    [
        without("masks"),
        without("images"),
        without("attribute bag"),
        lambda tensors: {},
        lambda tensors: tensors | {"attribute wings": tensors["ids"]},
        lambda tensors: tensors | {"more": tensors["ids"]},
        changed("images", torch.Tensor.float),
        changed("images", lambda images: images[:5]),
        changed("images", lambda images: images[:, :, ::2]),
        changed("images", lambda images: images[0, 0, 0, 0]),
        changed("ids", torch.Tensor.int),
        changed("ids", lambda ids: ids.flip(0)),
        changed("ids", lambda ids: ids[:, None]),
        changed("cameras", torch.zeros_like),
        changed("domains", lambda domains: domains + 1),
        changed("masks", lambda masks: masks.bool()),
        changed("attribute bag", torch.Tensor.float),
        changed("attribute bag", lambda values: values[:3]),
        lambda tensors: {name: value[:4] for name, value in tensors.items()},
    ],
)
def test_a_sound_file_of_another_form_is_drawn_again(change, capsys):
    first = world.sample(PLACES, **SMALL)
    rewritten(change)
    assert are_equal(world.sample(PLACES, **SMALL), first)
    again = world.sample(PLACES, **SMALL)
    assert are_equal(again, first) and torch.equal(again.masks, first.masks)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("notes", [None, [], {}, {"people": 3}])
def test_a_sound_file_of_another_recipe_is_drawn_again(notes):
    first = world.sample(PLACES, **SMALL)
    path = cache_files()[0]
    tensors, _ = store.load(path)
    store.save(path, tensors | {"images": torch.zeros_like(tensors["images"])}, notes)
    assert are_equal(world.sample(PLACES, **SMALL), first)


@pytest.mark.skipif(os.name == "nt", reason="pipes and links of POSIX")
def test_what_is_no_file_is_replaced_or_named(capsys):
    """A pipe (which must not be read from), a link into nowhere, a folder."""
    first = world.sample(PLACES, **SMALL)
    path = cache_files()[0]
    for make in (os.mkfifo, lambda place: os.symlink("nowhere", place)):
        path.unlink()
        make(path)
        assert are_equal(world.sample(PLACES, **SMALL), first)
        assert path.is_file() and capsys.readouterr().err == ""
    path.unlink()
    path.mkdir()
    for _ in range(2):
        assert are_equal(world.sample(PLACES, **SMALL), first)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1  # a loop says it once
    assert "a drawn set was not kept (Is a directory" in said[0]
    assert "it is drawn again when it is needed. REIDKIT_CACHE_DIR can name" in said[0]


def test_a_cache_that_takes_nothing_costs_a_line(tmp_path, monkeypatch, capsys):
    """A file in the way, and disks that refuse: the same pictures, one line a folder."""
    first = world.sample(PLACES, cache=False, **SMALL)
    exam = world.make_exam(PLACES, cache=False, **SMALL)
    for place in ("a", "b"):
        (tmp_path / place).write_text("in the way")
        monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path / place / "deeper"))
        for _ in range(2):
            assert are_equal(world.sample(PLACES, **SMALL), first)
            assert are_equal(world.make_exam(PLACES, **SMALL).both(), exam.both())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all("a file stands where a folder is expected" in line for line in said)


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("part", ["tempfile.mkstemp", "os.replace", "pathlib.Path.mkdir"])
def test_a_disk_that_refuses_costs_a_line(tmp_path, monkeypatch, capsys, number, part):
    first = world.sample(PLACES, cache=False, **SMALL)
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path / f"{part} {number}"))

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "/cache")

    monkeypatch.setattr(part, refuse)
    assert are_equal(world.sample(PLACES, **SMALL), first)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and os.strerror(number) in said[0]
    assert not list(tmp_path.rglob("*.part"))


def test_a_disk_that_is_full_in_the_middle_of_a_file(tmp_path, monkeypatch, capsys):
    first = world.sample(PLACES, cache=False, **SMALL)

    def full(path, tensors, header):
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(temporary))

    monkeypatch.setattr(tensor_files, "write", full)
    assert are_equal(world.sample(PLACES, **SMALL), first)
    said = capsys.readouterr().err
    assert "(No space left on device: " in said and "make room on the disk" in said
    assert not list((tmp_path / "world").iterdir())


def test_leftovers_of_killed_drawings_are_removed(tmp_path):
    (tmp_path / "world").mkdir()
    old = tmp_path / "world" / ".sample-1.safetensors.x.reidkit.part"
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    world.sample(PLACES, **SMALL)
    assert not old.exists() and len(cache_files()) == 1


def test_two_processes_that_draw_the_same_set():
    code = (
        "from reidkit import world\n"
        "for seed in range(3):\n"
        "    data = world.sample([('train', 0)], 3, 2, 2, seed=seed)\n"
        "    print(data.fingerprint())"
    )
    words = [sys.executable, "-c", code]
    root = files.project_root()
    started = [
        subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=120) for process in started]
    assert told[0] == told[1] and told[0][1] == "" and len(told[0][0].split()) == 3
    assert len(cache_files()) == 3


# ---- the knobs


def styles(knobs, family="train", cameras=6):
    """Log gain and white balance of the cameras of six places: (6, cameras, 4)."""
    rows = []
    for index in range(6):
        chain = world.make_cameras(world.make_place(family, index), cameras, 0, knobs)
        rows.append(torch.cat([chain.gain[:, None], chain.white_balance], 1).log())
    return torch.stack(rows)


def test_camera_and_place_shift():
    within = lambda style: float(style.var(1).mean())
    between = lambda style: float(style.mean(1).var(0).mean())
    normal = styles(world.NORMAL)
    same_cameras = styles(world.Knobs(camera_shift=0))
    assert within(same_cameras) < 1e-9
    assert 0.01 < within(normal) < within(styles(world.Knobs(camera_shift=2)))
    same_places = styles(world.Knobs(place_shift=0), cameras=40)
    assert between(same_places) < 0.1 * between(normal)
    assert between(styles(world.Knobs(place_shift=2))) > 2 * between(normal)


def scene(knobs, count=150):
    place = world.make_place("demo", 3)
    people = world.make_people(count, 1, knobs, place)
    cameras = world.make_cameras(place, count, 0, knobs)
    return people, cameras, world.make_poses(count, 1, knobs)


def test_clutter_adds_structure_behind_people():
    busy = []
    for amount in (0.0, 1.0):
        people, cameras, poses = scene(world.Knobs(clutter=amount, occlusion=0))
        drawn = world.render(people, cameras, poses, (64, 32))
        background = (drawn.masks == 0)[:, None]  # (B, 1, H, W)
        behind = background[..., 1:] & background[..., :-1]
        step = (drawn.raw[..., 1:] - drawn.raw[..., :-1]).abs() * behind
        busy.append(float(step.sum() / behind.sum()))
    assert busy[1] > 1.5 * busy[0]


def test_occlusion_hides_and_misalignment_moves():
    visible, spread = {}, {}
    for amount in (0.0, 1.0, 2.0):
        people, cameras, poses = scene(world.Knobs(occlusion=amount, misalignment=0))
        masks = world.render(people, cameras, poses, (64, 32), raw=False).masks
        visible[amount] = float((masks > 0).float().mean())
        _, _, poses = scene(world.Knobs(misalignment=amount))
        spread[amount] = [float(value.std()) for value in (poses.top, poses.scale, poses.x)]
    assert visible[0.0] > visible[1.0] * 1.02 > visible[2.0] * 1.04
    assert max(spread[0.0]) < 1e-6
    assert all(a < b for a, b in zip(spread[1.0], spread[2.0]))


def test_lookalikes_share_outfits_and_keep_their_bodies():
    def outfits(people):
        """How many different ones people wear."""
        columns = [people.upper_colour, people.pattern, people.sleeves, people.lower_colour]
        return len({tuple(row) for row in torch.stack(columns, 1).tolist()})

    place = world.make_place("demo", 0)
    unlike = world.make_people(60, 1, world.Knobs(lookalike=0.0), place)
    alike = world.make_people(60, 1, world.Knobs(lookalike=1.0), place)
    assert outfits(unlike) > 25
    assert outfits(alike) <= 12
    assert torch.equal(unlike.hair, alike.hair)
    assert torch.equal(unlike.shoes, alike.shoes)
    assert len(torch.unique(alike.upper, dim=0)) > 40  # shades differ in fine details


def test_dress_follows_the_season():
    place = world.make_place("demo", 0)
    cold = world.make_people(200, 1, place=replace(place, season=0.0))
    warm = world.make_people(200, 1, place=replace(place, season=1.0))
    assert (cold.lower_kind == 1).sum() == 0
    assert (warm.lower_kind == 1).sum() > 10
    assert (cold.sleeves == 1).float().mean() > (warm.sleeves == 1).float().mean() + 0.2


def test_every_family_has_its_own_people():
    """Who chooses on validation places must not meet the people of the unseen ones: attributes
    agree by chance only."""
    queries = []
    for family in ("train", "validation", "unseen"):
        exam = world.make_exam(
            [(family, 0)], people=60, cameras=1, pictures=2, size=(32, 32), cache=False
        )
        queries.append(exam.query)
    for first, second in itertools.combinations(queries, 2):
        for name in ("hair_length", "bag", "pattern"):
            agree = first.attributes[name] == second.attributes[name]
            assert agree.float().mean() < 0.85, name
