"""Chapter 01: the ranking explorer and the world explorer."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from ... import retrieval, world
from ...record import Exam, ReIDData
from ...teach.figures import grid, strip
from ...teach.start import Run
from ...teach.widgets import Control, Frame, choice, slider

# ---- rankings


def ranking_explorer(
    exam: Exam, query_features: Tensor, gallery_features: Tensor, top: int = 8
) -> tuple[Callable, dict[str, Control]]:
    """Choose a query and a camera to leave out of the gallery; see its ranked strip and AP.

    Args:
        exam: the pictures.
        query_features: (Q, D), unit norm.
        gallery_features: (G, D), unit norm.
        top: how many pictures of the gallery are shown.
    Returns:
        (draw, controls) for `teach.explore`.
    """

    def draw(state, artists=None):
        number = int(state["query"])
        query = exam.query[[number]]
        stay = _without_camera(exam.gallery, state["without"])  # (G,)
        gallery = exam.gallery[stay]
        asked = (
            query_features[[number]],
            query.ids,
            query.cameras,
            gallery_features[stay],
            gallery.ids,
            gallery.cameras,
        )
        orders, matches = retrieval.ranking(*asked, top=top)
        filled = orders[0] >= 0  # a short gallery ends in -1
        order = orders[0][filled]
        right = matches[0][filled]
        picture = strip(query.pictures(), gallery.pictures(order), right)
        if not _is_answerable(query, gallery):
            return Frame(picture, _unanswerable(number, query))
        scores = retrieval.evaluate(*asked)
        return Frame(picture, _verdict(number, query, scores, right))

    cameras = _cameras_to_leave_out(exam.gallery)
    controls = {
        "query": slider(0, len(exam.query) - 1, 1, 0, "query"),
        "without": choice(cameras, "none", "leave out camera"),
    }
    return draw, controls


def _cameras_to_leave_out(gallery):
    """Words for the control; a gallery's only camera cannot go, for nothing would be left."""
    cameras = gallery.cameras.unique().tolist()
    if len(cameras) < 2:
        return ["none"]
    return ["none", *map(str, cameras)]


def _without_camera(gallery, camera):
    """(G,) bool: which pictures stay; `camera` is a number in words, or "none"."""
    if camera == "none":
        return torch.ones(len(gallery), dtype=torch.bool)
    return gallery.cameras != int(camera)


def _is_answerable(query, gallery):
    """Whether another camera than the query's has seen the query's person."""
    same_person = gallery.ids == query.ids
    other_camera = gallery.cameras != query.cameras
    return (same_person & other_camera).any()


def _unanswerable(number, query):
    person = query.ids.item()
    return (
        f"query {number}: no other camera saw person {person} in what is left: "
        "the query does not count."
    )


def _verdict(number, query, scores, right):
    person = query.ids.item()
    camera = query.cameras.item()
    rank = scores.first_ranks.item()
    hits = int(right.sum())
    return (
        f"query {number}: person {person}, camera {camera}. "
        f"AP {scores.map:.2f}, INP {scores.minp:.2f}, first right answer at rank {rank:.0f}, "
        f"{hits} right among the first {len(right)}."
    )


# ---- the world


def world_explorer(
    model: torch.nn.Module, run: Run, people: int = 8
) -> tuple[Callable, dict[str, Control]]:
    """Push the imaging chain, turn the person, hide part of her: is she still found?

    Args:
        model: a trained one.
        run: the chapter's Run.
        people: how many there are to choose from.
    Returns:
        (draw, controls) for `teach.explore`.
    """
    crowd = world.make_people(people, seed=run.seed)
    cameras = world.make_cameras(world.make_place("train", 0), 1)
    camera = world.neutral(cameras)
    pose = _plain_pose(run.seed)

    def picture(person, camera, pose):
        """(1, 3, H, W)"""
        drawn = world.render(person, camera, pose, size=run.preset.size, raw=False, seed=run.seed)
        return drawn.images

    untouched = torch.cat([picture(crowd[[i]], camera, pose) for i in range(people)])
    similarity_of_strangers = _mean_similarity(_features(model, untouched, run.device))  # (people,)

    def draw(state, artists=None):
        number = state["person"]
        person = crowd[[number]]
        before = picture(person, camera, pose)
        after = picture(person, _changed_camera(camera, state), _changed_pose(pose, state))
        both = torch.cat([before, after])  # (2, 3, H, W)
        page = grid(both, columns=2, labels=["untouched", "changed"], height=256)
        feature_before, feature_after = _features(model, both, run.device)
        similarity = (feature_before @ feature_after).item()
        text = (
            f"{world.describe(crowd, number)}: cosine similarity {similarity:.2f} to the untouched "
            f"picture; untouched strangers have {similarity_of_strangers[number]:.2f} on average, "
            "the same picture 1."
        )
        return Frame(page, text)

    controls = {
        "person": slider(0, people - 1, 1, 0, "person"),
        "light": slider(-1.0, 1.0, 0.1, 0.0, "light (powers of two)"),
        "warmth": slider(-1.0, 1.0, 0.1, 0.0, "warmth"),
        "blur": slider(0.0, 3.0, 0.25, 0.0, "blur"),
        "facing": slider(0, 180, 15, 0, "turned (degrees)"),
        "occlusion": slider(0.0, 1.0, 0.1, 0.0, "occluder from the side"),
    }
    return draw, controls


def _plain_pose(seed):
    """One easy pose, seen from the front, with nothing before her."""
    pose = world.make_poses(1, seed=seed, knobs=world.EASY)
    return replace(pose, facing=torch.zeros(1), occluder=torch.zeros_like(pose.occluder))


def _features(model, images, device):
    """(N, 3, H, W) -> (N, D), unit norm."""
    nobody = torch.zeros(len(images), dtype=torch.int64)
    data = ReIDData(images, nobody, nobody, nobody, name="explorer")
    return retrieval.embed(model, data, device=device)


def _mean_similarity(features):
    """(N, D) -> (N,) mean cosine of each to the others; its own is 1."""
    sums = (features @ features.T).sum(1)
    return (sums - 1) / (len(features) - 1)


def _changed_camera(camera, state):
    """The camera with the light, the colour cast and the blur of the sliders."""
    warm = 2 ** (0.8 * state["warmth"])
    cast = torch.tensor([[warm, 1.0, 1 / warm]])  # (1, RGB) red up, blue down
    return replace(
        camera,
        gain=camera.gain * 2 ** state["light"],
        blur=camera.blur + state["blur"],
        white_balance=camera.white_balance * cast,
    )


def _changed_pose(pose, state):
    """The pose turned, and covered from the side, as the sliders say."""
    facing = torch.tensor([math.radians(state["facing"])])
    kind = 3 if state["occlusion"] else 0
    occluder = torch.full_like(pose.occluder, kind)
    hides = torch.tensor([state["occlusion"]])
    return replace(pose, facing=facing, occluder=occluder, hides=hides)
