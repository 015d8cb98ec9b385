"""Whole drawn sets: labels, and the cache that is never stale."""

import errno
import json
import os
import subprocess
import sys

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
