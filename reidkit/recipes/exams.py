"""Exams that ask one question each: does a network forget the camera's style, and does it keep the
person's tone?
"""

from collections.abc import Sequence
from dataclasses import replace

import torch

from .. import world
from ..record import Exam, ReIDData

COLOURS = ("skin", "hair", "hat_colour", "upper", "upper2", "lower", "legs", "shoes", "bag_colour")
TONES = tuple(2 ** (-step / 2) for step in range(4))  # reflectances 1, 0.71, 0.5, 0.35


def make_style_exam(
    size: tuple[int, int],
    seed: int = 0,
    places: int = 4,
    people: int = 15,
    cameras: int = 4,
    device: str | torch.device = "cpu",
) -> Exam:
    """Places that differ by style: ordinary people in demo places whose cameras differ twice as
    much as usual.

    A network that keeps the camera's style ("under-style-normalisation") fails here.

    Args:
        size: (height, width) of a picture.
        seed: of the world.
        places: how many.
        people: of each place.
        cameras: of each place.
        device: to draw on.
    """
    strong = replace(world.NORMAL, camera_shift=2.0)
    where = [("demo", place) for place in range(places)]
    return world.make_exam(where, people, cameras, 2, size, seed, strong, device)


def make_tone_exam(
    size: tuple[int, int],
    seed: int = 0,
    bodies: int = 12,
    tones: Sequence[float] = TONES,
    cameras: int = 2,
    pictures: int = 2,
    device: str | torch.device = "cpu",
) -> Exam:
    """People who differ by tone: each body is here len(tones) times, all its colours darkened by
    each tone, and each of these is a person of her own.

    The studio has a black wall and ideal cameras, so that half the tone is half of every number of
    a picture: what instance norm divides out ("over-style-normalisation"). Whoever keeps the body
    and nothing else is right once in cameras x len(tones) - 1 searches, since the wrong tones of
    the query's own camera compete, too.

    Args:
        size: (height, width) of a picture.
        seed: other bodies for every seed.
        bodies: how many.
        tones: reflectances.
        cameras: of the studio.
        pictures: of each person and camera; the first is the query.
        device: to draw on.
    Returns:
        An exam whose ids are body times len(tones) plus tone; attributes hold both.
    """
    count = len(tones) * bodies
    who = torch.arange(count).repeat_interleave(cameras * pictures)  # (N,)
    where = torch.arange(cameras).repeat_interleave(pictures).repeat(count)  # (N,)
    body = who // len(tones)
    tone = who % len(tones)
    crowd = world.make_people(bodies, seed=f"tone {seed}")[body]
    factor = torch.tensor(tones)[tone, None]  # (N, 1)
    crowd = replace(crowd, **{name: getattr(crowd, name) * factor for name in COLOURS})
    scene = make_studio(cameras)[where]
    # Everybody from the front.
    still = replace(world.EASY, occlusion=0.0, misalignment=0.0, views=0.0)
    poses = world.make_poses(len(who), seed=f"tone {seed}", knobs=still, cameras=scene)
    drawn = world.render(crowd, scene, poses, size, device, raw=False)
    data = ReIDData(
        drawn.images.cpu(),
        who,
        where,
        torch.zeros_like(who),
        drawn.masks.cpu(),
        {"body": body, "tone": tone},
        f"tone exam, seed {seed}",
    )
    is_query = torch.arange(len(who)) % pictures == 0
    return Exam(data[is_query], data[~is_query], data.name)


def make_studio(cameras: int, wall: float = 0.0) -> world.Cameras:
    """Cameras before one bare wall: ideal imaging chains, nothing in the background.

    Args:
        cameras: how many.
        wall: its brightness, 0 .. 1.
    Returns:
        world.Cameras.
    """
    ideal = world.neutral(world.make_cameras(world.make_place("demo", 0), cameras))
    bare = {}
    for name in ("wall", "ground", "lines", "foliage", "boxes", "crowd", "grit"):
        value = wall if name in ("wall", "ground") else 0.0
        bare[name] = torch.full_like(getattr(ideal, name), value)
    return replace(ideal, **bare)
