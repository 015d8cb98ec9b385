"""Widgets of chapter 01: the ranking explorer and the world explorer. Each returns (draw, controls) for `teach.explore`."""

import math
from dataclasses import replace

import torch

from ... import retrieval, world
from ...record import ReIDData
from ...teach.figures import grid, strip
from ...teach.widgets import Frame, choice, slider


def ranking_explorer(exam, query_features, gallery_features, top=8):
    """Choose a query and a camera to leave out of the gallery; see its ranked strip and AP.

    exam: Exam; query_features (Q, D), gallery_features (G, D) unit norm.
    """
    seen = exam.gallery.cameras.unique().tolist()
    cameras = [
        "none",
        *(str(camera) for camera in seen if len(seen) > 1),
    ]  # without its only camera no gallery is left

    def draw(state, artists=None):
        i = int(state["query"])
        stay = torch.ones(len(exam.gallery), dtype=torch.bool)
        if state["without"] != "none":
            stay = exam.gallery.cameras != int(state["without"])
        gallery, features = exam.gallery[stay], gallery_features[stay]
        asked = (
            query_features[i : i + 1],
            exam.query.ids[i : i + 1],
            exam.query.cameras[i : i + 1],
            features,
            gallery.ids,
            gallery.cameras,
        )
        order, right = (row[0] for row in retrieval.ranking(*asked, top=top))
        order, right = order[order >= 0], right[order >= 0]  # a short gallery ends in -1
        picture = strip(exam.query.pictures([i])[0], gallery.pictures(order), right)
        person, camera = exam.query.ids[i].item(), exam.query.cameras[i].item()
        if not ((gallery.ids == person) & (gallery.cameras != camera)).any():
            return Frame(
                picture,
                f"query {i}: no other camera saw person {person} in what is left: the query does not count.",
            )
        scores = retrieval.evaluate(*asked)
        return Frame(
            picture,
            f"query {i}: person {person}, camera {camera}. AP {scores.map:.2f}, INP {scores.minp:.2f}, first right answer "
            f"at rank {scores.first_ranks[0]:.0f}, {int(right.sum())} right among the first {len(right)}.",
        )

    return draw, {
        "query": slider(0, len(exam.query) - 1, 1, 0, "query"),
        "without": choice(cameras, "none", "leave out camera"),
    }


def world_explorer(model, run, people=8):
    """Push the imaging chain, turn the person, hide part of her: how similar does the network still find the picture?

    model: a trained model; run: the chapter's Run -> (draw, controls).
    """
    size = run.preset.size
    crowd, scene = (
        world.make_people(people, seed=run.seed),
        world.neutral(world.make_cameras(world.make_place("train", 0), 1)),
    )
    pose = world.make_poses(1, seed=run.seed, knobs=world.EASY)
    pose = replace(pose, facing=torch.zeros(1), occluder=torch.zeros_like(pose.occluder))

    def features(images):
        nobody = torch.zeros(len(images), dtype=torch.int64)
        return retrieval.embed(
            model, ReIDData(images, nobody, nobody, nobody, name="explorer"), device=run.device
        )

    untouched = features(
        torch.cat(
            [
                world.render(crowd[[i]], scene, pose, size=size, raw=False, seed=run.seed).images
                for i in range(people)
            ]
        )
    )
    stranger = ((untouched @ untouched.T).sum(1) - 1) / (
        people - 1
    )  # (people,) mean similarity to the others

    def draw(state, artists=None):
        person = crowd[[state["person"]]]
        warm = 2 ** (0.8 * state["warmth"])  # red up, blue down
        camera = replace(
            scene,
            gain=scene.gain * 2 ** state["light"],
            blur=scene.blur + state["blur"],
            white_balance=scene.white_balance * torch.tensor([[warm, 1.0, 1 / warm]]),
        )
        turned = replace(
            pose,
            facing=torch.tensor([math.radians(state["facing"])]),
            occluder=torch.full_like(pose.occluder, 3 if state["occlusion"] else 0),
            hides=torch.tensor([state["occlusion"]]),
        )
        both = torch.cat(
            [
                world.render(person, seen, how, size=size, raw=False, seed=run.seed).images
                for seen, how in ((scene, pose), (camera, turned))
            ]
        )
        before, after = features(both)
        page = grid(both, columns=2, labels=["untouched", "changed"], height=256)
        return Frame(
            page,
            f"{world.describe(crowd, state['person'])}: cosine similarity {(before @ after).item():.2f} to the untouched "
            f"picture; untouched strangers have {stranger[state['person']]:.2f} on average, the same picture 1.",
        )

    return draw, {
        "person": slider(0, people - 1, 1, 0, "person"),
        "light": slider(-1.0, 1.0, 0.1, 0.0, "light (powers of two)"),
        "warmth": slider(-1.0, 1.0, 0.1, 0.0, "warmth"),
        "blur": slider(0.0, 3.0, 0.25, 0.0, "blur"),
        "facing": slider(0, 180, 15, 0, "turned (degrees)"),
        "occlusion": slider(0.0, 1.0, 0.1, 0.0, "occluder from the side"),
    }
