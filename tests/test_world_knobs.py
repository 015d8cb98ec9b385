"""Whole drawn sets: devices, numbers that are none, and knobs that do what they say."""

import itertools
from dataclasses import replace

import pytest
import torch

from reidkit import files, world

PLACES = [("train", 0), ("train", 1)]
SMALL = dict(people=3, cameras=2, pictures=2, size=(64, 32))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path))


def cache_files():
    return sorted((files.cache_dir() / "world").glob("*.safetensors"))


def are_equal(a, b):
    return a.fingerprint() == b.fingerprint()


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
