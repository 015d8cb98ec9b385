"""The drawn world: the same for the same seed, independent of its neighbours, with truthful labels."""

import torch

from reidkit import world


def scene(count, seed=1, **knobs):
    place = world.make_place("demo", 0)
    people, cameras = world.make_people(count, seed, place=place), world.make_cameras(place, count)
    return people, cameras, world.make_poses(count, seed, world.Knobs(**knobs))


def test_a_picture_does_not_depend_on_its_neighbours():
    people, cameras, poses = scene(7)
    together = world.render(people, cameras, poses, (64, 32))
    for i in range(7):
        alone = world.render(people[i], cameras[i], poses[i], (64, 32))
        assert torch.equal(alone.images[0], together.images[i]) and torch.equal(alone.masks[0], together.masks[i])


def test_restyle_changes_the_picture_and_not_the_mask():
    people, cameras, poses = scene(7)
    first = world.render(people, cameras, poses, (64, 32))
    again = world.restyle(people, cameras, poses, world.make_cameras(world.make_place("demo", 1), 7), (64, 32))
    assert torch.equal(first.masks, again.masks) and torch.equal(first.raw, again.raw)
    assert (first.images.float() - again.images.float()).abs().mean() > 10
