"""The knobs that make people and pictures simpler, the cloth that goes along with a body, and the
frozen world."""

from dataclasses import replace

import pytest
import torch

from reidkit import world
from reidkit.world import places, reference, sets

SIZE = (64, 32)


def people_of(**knobs):
    return world.make_people(200, 3, world.Knobs(**knobs), world.make_place("demo", 0))


def test_variety_says_how_many_wear_more_than_shirt_and_trousers():
    usual = people_of()
    plain = people_of(variety=0)
    half = people_of(variety=0.5)
    for name in ("upper_kind", "pattern", "lower_kind", "bag", "hat"):
        assert getattr(usual, name).unique().numel() > 1
        assert (getattr(plain, name) == 0).all()
        unchanged = getattr(half, name) == getattr(usual, name)
        off = getattr(half, name) == 0
        assert (unchanged | off).all()
    assert torch.equal(plain.upper, usual.upper)
    assert torch.equal(plain.build, usual.build)
    changed = (
        (half.bag != usual.bag)
        | (half.pattern != usual.pattern)
        | (half.upper_kind != usual.upper_kind)
    )
    assert 60 < changed.sum() < 110  # of 200 people, about half are plain, most of them changed
    assert set(range(8)) == set(usual.pattern.tolist())
    assert set(range(4)) == set(usual.bag.tolist())


def test_texture_and_degradation_reach_nothing_else():
    flat = people_of(texture=0)
    assert not flat.mottle.any()
    assert not flat.wash.any()
    assert torch.equal(flat.upper, people_of().upper)
    assert not world.make_poses(5, 1, world.Knobs(texture=0)).folds.any()
    place = world.make_place("demo", 0)
    cameras = world.make_cameras(place, 6)
    clean = world.make_cameras(place, 6, 0, world.Knobs(degradation=0))
    worse = world.make_cameras(place, 6, 0, world.Knobs(degradation=2))
    for name in ("blur", "noise", "compression"):
        assert not getattr(clean, name).any()
        assert torch.equal(getattr(worse, name), 2 * getattr(cameras, name))
    assert (clean.resolution == 128).all()
    assert (worse.resolution <= cameras.resolution).all()
    assert torch.equal(clean.gain, cameras.gain)
    assert torch.equal(worse.gamma, cameras.gamma)


def test_views_turn_people_towards_the_camera():
    cameras = world.make_cameras(world.make_place("demo", 0), 50)
    front, half, usual = (
        world.make_poses(50, 1, world.Knobs(views=views), cameras).facing for views in (0, 0.5, 1)
    )
    assert not front.any()
    assert torch.allclose(half, usual / 2)
    assert 3 < usual.abs().max() <= torch.pi + 1e-5
    assert world.make_poses(200, 1).facing.abs().max() > 3


def test_knobs_that_are_shares_end_at_one():
    for name in places.SHARES:
        with pytest.raises(
            ValueError, match=f"knob {name} is 1.5; expected a number from 0 .off. to 1"
        ):
            world.Knobs(**{name: 1.5})
    assert world.Knobs(texture=3).texture == 3


def garment(facing, x):
    """The cloth of one mottled person from this side, standing at x, and where it is."""
    people = replace(
        world.make_people(1, 5),
        mottle=torch.tensor([0.4]),
        pattern=torch.tensor([0]),
        bag=torch.tensor([0]),
        upper_kind=torch.tensor([0]),
        fit=torch.tensor([0.0]),
    )
    cameras = world.neutral(world.make_cameras(world.make_place("demo", 0), 1))
    poses = world.make_poses(1, 1, world.Knobs(occlusion=0, texture=0))
    poses = replace(
        poses,
        facing=torch.tensor([facing]),
        x=torch.tensor([x]),
        swing=torch.zeros(1),
        lean=torch.zeros(1),
    )
    cameras = replace(
        cameras, roll=torch.zeros(1), shift=torch.zeros(1, 2), light=torch.zeros(1, 2)
    )
    return world.render(people, cameras, poses, SIZE).raw[0, :, 16:28].mean(0)


def test_the_cloth_goes_along_with_the_body():
    """Somebody who stands two pixels further right has the same cloth two pixels further right;
    from behind, another."""
    middle = slice(12, 19)
    cloth = garment(0.0, 0.5)[:, middle]
    moved = garment(0.0, 0.5 + 2 / 32)
    back = garment(torch.pi, 0.5)
    followed = (moved[:, 14:21] - cloth).abs().mean()
    stayed = (moved[:, middle] - cloth).abs().mean()
    turned = (back[:, middle] - cloth).abs().mean()
    assert followed < 0.2 * stayed
    assert turned > 3 * followed


# ---- frozen


def test_the_world_is_the_one_that_tables_were_recorded_in():
    assert reference.compare() == []


def test_the_world_is_the_same_on_a_gpu():
    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    assert reference.compare("cuda") == []


@pytest.mark.slow
def test_a_changed_world_is_noticed_and_not_kept_under_the_old_version(monkeypatch):
    before = reference.path().read_bytes()
    monkeypatch.setitem(places.STYLE, "gain", (1, 1.25, 0.34, 0.24, 0.50, 2.4))
    differences = reference.compare()
    assert differences
    assert all("of the values differ" in line for line in differences)
    with pytest.raises(ValueError, match="set a new VERSION"):
        reference.write()
    assert reference.path().read_bytes() == before
    monkeypatch.undo()
    monkeypatch.setattr(reference, "VERSION", "none")
    assert reference.compare() == [f"version is none, the reference is of {sets.VERSION}"]
    monkeypatch.undo()
    monkeypatch.setattr(
        reference, "make_place", lambda family, index: world.make_place(family, index + 1)
    )
    assert "the families of places have changed" in reference.compare()


@pytest.mark.slow
def test_another_class_of_device_may_round_a_few_values(monkeypatch):
    monkeypatch.setattr(reference, "device_class", lambda device="cpu": "cpu of tomorrow")
    drawn = reference.draw()
    images = drawn["images 64x32"]
    few = images.clone()
    few.view(-1)[::200] ^= 1  # one in 200, by one grey level
    many = images.clone()
    many.view(-1)[::50] ^= 1
    monkeypatch.setattr(reference, "draw", lambda device="cpu": drawn | {"images 64x32": few})
    assert reference.compare() == []
    monkeypatch.setattr(reference, "draw", lambda device="cpu": drawn | {"images 64x32": many})
    assert len(reference.compare()) == 1


@pytest.mark.slow
def test_the_reference_is_kept_whole_and_by_command(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(reference, "path", lambda: tmp_path / "world" / "reference.safetensors")
    assert reference.main(["--write"]) == 0
    assert reference.main([]) == 0
    assert f"the world is version {sets.VERSION}, as kept" in capsys.readouterr().out
