"""The drawn world: the same for the same seed, whoever else is drawn; labels that tell the truth;
style apart from content."""

import math
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from reidkit import files, world
from reidkit.world import shapes
from reidkit.world.imaging import develop
from reidkit.world.render import draw

OFF = world.Knobs(occlusion=0, misalignment=0, clutter=0)
SIZE = (64, 32)


def scene(count, seed=1, knobs=world.NORMAL, place=0):
    """People, cameras and poses of one demo place."""
    place = world.make_place("demo", place)
    return (
        world.make_people(count, seed, knobs, place),
        world.make_cameras(place, count, 0, knobs),
        world.make_poses(count, seed, knobs),
    )


def facing(poses, angle):
    return replace(poses, facing=torch.full_like(poses.facing, angle))


# ---- the same for the same seed


def test_a_picture_does_not_depend_on_its_neighbours_or_threads():
    people, cameras, poses = scene(7)
    together = world.render(people, cameras, poses, SIZE)
    threads = torch.get_num_threads()
    for i in range(7):
        alone = world.render(people[i], cameras[i], poses[i], SIZE)
        assert torch.equal(alone.images[0], together.images[i])
        assert torch.equal(alone.masks[0], together.masks[i])
    try:
        torch.set_num_threads(3)
        many = torch.arange(7).repeat(30)  # several pieces, an odd last one
        again = world.render(people[many], cameras[many], poses[many], SIZE)
        assert torch.get_num_threads() == 3  # left as it was found
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(again.images, together.images[many])


def test_numbers_do_not_depend_on_how_many_are_asked_for():
    place = world.make_place("train", 2)
    for few, many in (
        (world.make_people(3, 5, place=place), world.make_people(9, 5, place=place)),
        (world.make_cameras(place, 3), world.make_cameras(place, 9)),
        (world.make_poses(3, 5), world.make_poses(9, 5)),
    ):
        for name, value in vars(few).items():
            assert torch.equal(value, getattr(many, name)[:3]), name
    later = world.make_people(4, 5, place=place, first=5)
    assert torch.equal(later.upper, world.make_people(9, 5, place=place).upper[5:])


@pytest.mark.slow
def test_another_process_draws_the_same():
    code = """
from reidkit import files, world
people, poses = world.make_people(4, 1), world.make_poses(4, 1)
cameras = world.make_cameras(world.make_place("demo", 0), 4)
print(files.digest(world.render(people, cameras, poses, (64, 32)).images))
"""
    outside = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=files.project_root()
    )
    cameras = world.make_cameras(world.make_place("demo", 0), 4)
    inside = world.render(world.make_people(4, 1), cameras, world.make_poses(4, 1), SIZE)
    assert outside.stdout.strip() == files.digest(inside.images), outside.stderr


def test_seeds_and_families_differ():
    assert not torch.equal(world.make_people(5, 1).upper, world.make_people(5, 2).upper)
    keys = [world.make_place(family, index).key for family in world.FAMILIES for index in range(40)]
    assert len(set(keys)) == len(keys)
    cameras = [world.make_cameras(world.make_place(family, 0), 4) for family in world.FAMILIES]
    assert len({tuple(c.gain.tolist()) for c in cameras}) == len(cameras)


def test_nothing_is_made_on_another_device_than_the_people(monkeypatch):
    """The meta device refuses to be mixed with the CPU, as a GPU would; windows need numbers, which
    it has not."""
    people, cameras, poses = (table.to("meta") for table in scene(4))
    monkeypatch.setattr(shapes.Board, "window", lambda self, first, last: slice(0, 64))
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: tensor)
    raw, masks = draw(people, cameras, poses, SIZE)
    images = develop(raw, cameras, poses.key)
    assert raw.device.type == masks.device.type == images.device.type == "meta"


# ---- style and content


def test_restyle_changes_the_picture_and_not_the_mask():
    people, cameras, poses = scene(7)
    first = world.render(people, cameras, poses, SIZE)
    elsewhere = world.make_cameras(world.make_place("demo", 1), 7)
    again = world.restyle(people, cameras, poses, elsewhere, SIZE)
    assert torch.equal(first.masks, again.masks)
    assert torch.equal(first.raw, again.raw)
    assert (first.images.float() - again.images.float()).abs().mean() > 10


def test_no_field_of_the_chain_moves_the_raw_light_and_each_moves_the_picture():
    people, cameras, poses = scene(4)
    ideal = world.neutral(cameras)
    plain = world.render(people, ideal, poses, SIZE)
    moved = {
        "gain": 0.3,
        "white_balance": torch.tensor([0.4, 0, -0.3]),
        "gamma": 0.5,
        "hue": 0.1,
        "saturation": -0.6,
        "contrast": -0.4,
        "brightness": 0.15,
        "blur": 2.0,
        "noise": 0.05,
        "resolution": -90.0,
        "compression": 0.08,
        "light": 0.6,
    }
    assert set(moved) == set(world.STYLE)
    for name, by in moved.items():
        changed = replace(ideal, **{name: getattr(ideal, name) + by})
        drawn = world.render(people, changed, poses, SIZE)
        assert torch.equal(drawn.raw, plain.raw), name
        assert (drawn.images.float() - plain.images.float()).abs().mean() > 1, name


def test_an_ideal_camera_shows_the_raw_light():
    people, cameras, poses = scene(4)
    drawn = world.render(people, world.neutral(cameras), poses, SIZE)
    assert (drawn.images.float() / 255 - drawn.raw).abs().max() < 0.6 / 255


def test_the_chain_does_what_its_names_say():
    people, cameras, poses = scene(6)
    ideal = world.neutral(cameras)

    def look(**changes):
        columns = {k: value.expand_as(getattr(ideal, k)) for k, value in changes.items()}
        return world.render(people, replace(ideal, **columns), poses, SIZE).images.float()

    edges = lambda x: (x[..., 1:] - x[..., :-1]).abs().mean()
    plain = look()
    assert look(gain=torch.tensor(0.5)).mean() < 0.6 * plain.mean()
    assert look(contrast=torch.tensor(0.6)).std() < 0.7 * plain.std()
    assert look(saturation=torch.tensor(0.0)).std(1).max() < 1  # grey: the channels agree
    assert edges(look(blur=torch.tensor(2.0))) < 0.7 * edges(plain)
    assert edges(look(resolution=torch.tensor(40.0))) < 0.8 * edges(plain)
    noise = look(noise=torch.tensor(0.04)) - plain
    assert abs(float(noise[(plain > 40) & (plain < 215)].std()) - 0.04 * 255) < 1
    warm = look(white_balance=torch.tensor([1.3, 1.0, 0.7]))
    assert (warm[:, 0] - warm[:, 2]).mean() > (plain[:, 0] - plain[:, 2]).mean() + 20


# ---- labels


def test_masks_run_from_head_to_shoes():
    people, cameras, poses = scene(40, knobs=OFF)
    masks = world.render(people, cameras, poses, SIZE).masks
    rows = torch.arange(64.0)[None, :, None]
    middles = []
    for label in (1, 2, 3, 4):
        is_part = masks == label
        middles.append((rows * is_part).sum((1, 2)) / is_part.sum((1, 2)))
    for upper, lower in zip(middles, middles[1:]):
        assert (upper < lower).all()  # NaN, a missing part, fails too
    share = (masks > 0).float().mean((1, 2))
    assert (share > 0.12).all() and (share < 0.6).all()
    tall = (masks > 0).any(2).float().mean(1)  # rows that show some of the person
    assert 0.82 < tall.mean() < 0.96


def test_the_upper_mask_shows_the_upper_garment():
    people, cameras, poses = scene(30, knobs=OFF)
    ones = torch.ones(30, dtype=torch.int64)
    none = 0 * ones
    people = replace(
        people, pattern=none, upper_kind=none, sleeves=ones, bag=none, hair_length=none
    )
    drawn = world.render(people, cameras, poses)
    mask = (drawn.masks == 2)[:, None].float()
    mean = (drawn.raw * mask).sum((2, 3)) / mask.sum((2, 3))
    assert (mean - 0.88 * people.upper).abs().max() < 0.16  # shading takes an eighth of the light
    hue = mean / mean.sum(1, keepdim=True)
    true_hue = people.upper / people.upper.sum(1, keepdim=True)
    assert (hue - true_hue).abs().max() < 0.08  # hands are in it, shading keeps the hue


def test_shorts_show_skin_and_trousers_do_not():
    people, cameras, poses = scene(1, knobs=OFF)
    skin = torch.tensor([[0.87, 0.67, 0.54]])
    blue = torch.tensor([[0.10, 0.13, 0.40]])
    warm = {}
    for kind, hem in ((0, 1.2), (1, 0.66)):
        dressed = replace(
            people,
            legs=skin,
            lower=blue,
            lower_kind=torch.tensor([kind]),
            hem_lower=torch.tensor([hem]),
            upper_kind=torch.tensor([0]),
            hem_upper=torch.tensor([0.52]),
            bag=torch.tensor([0]),
        )
        drawn = world.render(dressed, cameras, facing(poses, 0.0))
        legs = drawn.masks[0] == 3
        warm[kind] = float((drawn.raw[0, 0] > drawn.raw[0, 2])[legs].float().mean())
    assert warm[0] < 0.05 and 0.3 < warm[1] < 0.8


def test_views_change_the_picture_and_not_the_clothes():
    people, cameras, poses = scene(30, knobs=OFF)
    ideal = world.neutral(cameras)
    front = world.render(people, ideal, facing(poses, 0.0))
    back = world.render(people, ideal, facing(poses, math.pi))
    head = (front.masks == 1) & (back.masks == 1)
    skin = people.skin[:, :, None, None]

    def like_skin(drawn):
        """(30,) share of the head that has the colour of skin."""
        is_skin = ((drawn.raw - skin).abs().sum(1) < 0.25) & head
        return is_skin.float().sum((1, 2)) / head.float().sum((1, 2))

    different = (people.skin - people.hair).abs().sum(1) > 0.7
    # a face in front, hair behind
    assert like_skin(front)[different].mean() > 2 * like_skin(back)[different].mean() + 0.1
    pink = torch.tensor([[0.9, 0.1, 0.9]]).expand(30, 3)
    packed = replace(people, bag=torch.full((30,), 2), bag_colour=pink)
    magenta = []
    for angle in (0.0, math.pi):
        raw = world.render(packed, cameras, facing(poses, angle)).raw
        is_magenta = torch.minimum(raw[:, 0], raw[:, 2]) > 3 * raw[:, 1]
        magenta.append(is_magenta.float().mean((1, 2)))
    straps, pack = magenta
    assert (pack > 0.03).all()
    assert (straps > 0).all()
    assert (straps < 0.75 * pack).all()
    side = world.render(people, cameras, facing(poses, math.pi / 2))
    # columns of shoulder and arm
    wide = lambda drawn: (drawn.masks[:, 30:60] == 2).any(1).float().sum(1).mean()
    assert wide(side) < 0.8 * wide(front)


def test_attributes_are_within_their_names_and_described():
    data = world.sample([("train", 0)], people=12, cameras=2, pictures=1, size=SIZE, cache=False)
    assert set(data.attributes) == set(world.ATTRIBUTES)
    for name, value in data.attributes.items():
        assert 0 <= value.min() and value.max() < len(world.ATTRIBUTES[name]), name
        if name != "facing":  # a person's, whatever the picture
            by_person = value.reshape(12, 2)
            assert (by_person == by_person[:, :1]).all(), name
    people = world.make_people(1, 1)
    people = replace(
        people, upper_colour=torch.tensor([5]), pattern=torch.tensor([1]), bag=torch.tensor([2])
    )
    words = world.describe(people, 0)
    assert words.startswith("red ")
    assert "horizontal stripes" in words
    assert "backpack" in words


def test_bad_arguments_say_what_was_expected():
    people, cameras, poses = scene(2)
    for call, words in (
        (lambda: world.make_place("test", 0), "train, validation"),
        (lambda: world.make_place("train", -1), "from 0"),
        (lambda: world.Knobs(clutter=-1), "clutter"),
        (lambda: world.Knobs(lookalike=2), "0 .off. to 1"),
        (lambda: world.render(people, cameras[0], poses), "1 cameras"),
        (lambda: world.render(people, cameras, poses, (60, 30)), "multiples of 32"),
        (lambda: world.restyle(people, cameras, poses, cameras[0]), "1 other cameras"),
        (lambda: world.make_people(2, 1, knobs="hard"), "world.Knobs"),
        (lambda: world.make_cameras(world.make_place(), 0), "camera"),
        (lambda: world.sample(["train"], 2, 2, 2), "pairs"),
        (lambda: world.sample([("train", 0)], 0, 2, 2), "people"),
        (lambda: world.make_exam([("train", 0)], 2, 2, 1), "2 or more"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
