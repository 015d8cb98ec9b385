"""Chapter 00: what is drawn for its pictures."""

from dataclasses import fields

import torch
from torch import Tensor

from ... import world
from ...record import ReIDData


def mixed_gallery(others: ReIDData, seed: int = 0) -> ReIDData:
    """Sixteen pictures in no order, among them all of the first person.

    Args:
        others: 12 people in 3 cameras, person by person, the one who is searched first.
        seed: of the choice and the order.
    Returns:
        Her 3 pictures and 13 of the 33 pictures of the other people.
    """
    draws = torch.Generator().manual_seed(seed)
    strangers = 3 + torch.randperm(33, generator=draws)[:13]
    chosen = torch.cat([torch.arange(3), strangers])  # (16,)
    draws = torch.Generator().manual_seed(seed + 1)
    order = torch.randperm(16, generator=draws)
    return others[chosen[order]]


def one_person_many_cameras(
    seed: int = 0, size: tuple[int, int] = (128, 64)
) -> tuple[Tensor, Tensor]:
    """Two people, one pose each, through the imaging chains of four cameras of two places.

    Args:
        seed: of the people and their poses.
        size: (height, width) of a picture.
    Returns:
        images (16, 3, H, W), one person a row of eight, and masks (2, 8, H, W).
    """
    people = world.make_people(2, seed=seed)
    poses = world.make_poses(2, seed=seed)
    cameras = _cameras_of_two_places()
    person = torch.arange(2).repeat_interleave(8)  # (16,) one person a row
    camera = torch.arange(8).repeat(2)  # (16,) each camera once a row
    nowhere_else = torch.zeros(16, dtype=torch.int64)
    geometry = cameras[nowhere_else]  # one geometry and background for all
    drawn = world.restyle(
        people[person],
        geometry,
        poses[person],
        cameras[camera],
        size=size,
        raw=False,
        seed=seed,
    )
    return drawn.images, drawn.masks.view(2, 8, *size)  # (16, H, W) -> (2, 8, H, W)


def _cameras_of_two_places() -> world.Cameras:
    """Four cameras of training place 2, then four of training place 4."""
    first = world.make_cameras(world.make_place("train", 2), 4)
    second = world.make_cameras(world.make_place("train", 4), 4)
    joined = {}
    for field in fields(first):
        values = [getattr(first, field.name), getattr(second, field.name)]
        joined[field.name] = torch.cat(values)
    return world.Cameras(**joined)
