"""Exams that ask one question each: does a network forget the camera's style, and does it keep the person's tone?"""

from dataclasses import replace

import torch

from .. import world
from ..record import Exam, ReIDData

COLOURS = ("skin", "hair", "hat_colour", "upper", "upper2", "lower", "legs", "shoes", "bag_colour")
TONES = tuple(2 ** (-step / 2) for step in range(4))  # reflectances 1, 0.71, 0.5, 0.35


def style_exam(size, seed=0, places=4, people=15, cameras=4, device="cpu"):
    """Places that differ by style: ordinary people in demo places whose cameras differ twice as much as usual -> Exam.

    A network that keeps the camera's style ("under-style-normalisation") fails here.
    """
    strong = replace(world.NORMAL, camera_shift=2.0)
    return world.make_exam(
        [("demo", place) for place in range(places)], people, cameras, 2, size, seed, strong, device
    )


def tone_exam(size, seed=0, bodies=12, tones=TONES, cameras=2, pictures=2, device="cpu"):
    """People who differ by tone: each of `bodies` people is here len(tones) times, all colours darkened by each tone, and each of
    these is a person of her own, seen by `cameras` cameras of one studio -> Exam (query: one picture of each camera).

    The studio has a black wall and ideal cameras, so that half the tone is half of every number of a picture: what instance
    norm divides out ("over-style-normalisation"). Whoever keeps the body and nothing else is right once in cameras x len(tones) - 1
    searches, since the wrong tones of the query's own camera compete, too. ids are body times len(tones) plus tone; attributes hold
    both. Other bodies for every seed.
    """
    count = len(tones) * bodies
    who = torch.arange(count).repeat_interleave(cameras * pictures)  # (N,)
    where = torch.arange(cameras).repeat_interleave(pictures).repeat(count)  # (N,)
    crowd = world.make_people(bodies, seed=f"tone {seed}")[who // len(tones)]
    factor = torch.tensor(tones)[who % len(tones), None]
    crowd = replace(crowd, **{name: getattr(crowd, name) * factor for name in COLOURS})
    scene = studio(cameras)[where]
    still = replace(
        world.EASY, occlusion=0.0, misalignment=0.0, views=0.0
    )  # everybody from the front
    poses = world.make_poses(len(who), seed=f"tone {seed}", knobs=still, cameras=scene)
    drawn = world.render(crowd, scene, poses, size, device, raw=False)
    data = ReIDData(
        drawn.images.cpu(),
        who,
        where,
        torch.zeros_like(who),
        drawn.masks.cpu(),
        {"body": who // len(tones), "tone": who % len(tones)},
        f"tone exam, seed {seed}",
    )
    first = torch.arange(len(who)) % pictures == 0
    return Exam(data[first], data[~first], data.name)


def studio(cameras, wall=0.0):
    """`cameras` cameras before one bare wall of this brightness (0 .. 1): ideal imaging chains, nothing in the background."""
    made = world.neutral(world.make_cameras(world.make_place("demo", 0), cameras))
    bare = {
        name: torch.full_like(getattr(made, name), wall if name in ("wall", "ground") else 0.0)
        for name in ("wall", "ground", "lines", "foliage", "boxes", "crowd", "grit")
    }
    return replace(made, **bare)
