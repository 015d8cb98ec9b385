"""Widgets of chapter 01: the ranking explorer and the world explorer. Each returns (draw, controls) for `teach.explore`."""

from dataclasses import replace

import torch

from ... import retrieval, world
from ..figures import grid, strip
from ..widgets import Frame, choice, slider


def ranking_explorer(exam, query_features, gallery_features, top=8):
    """Choose a query and a camera to leave out of the gallery; see its ranked strip and AP.

    exam: Exam; query_features (Q, D), gallery_features (G, D) unit norm.
    """
    cameras = ["none", *(str(camera) for camera in exam.gallery.cameras.unique().tolist())]

    def draw(state, artists=None):
        i = int(state["query"])
        stay = torch.ones(len(exam.gallery), dtype=torch.bool)
        if state["without"] != "none":
            stay = exam.gallery.cameras != int(state["without"])
        gallery, features = exam.gallery[stay], gallery_features[stay]
        order, right = retrieval.ranking(query_features[i], exam.query.ids[i], exam.query.cameras[i],
                                         features, gallery.ids, gallery.cameras, top=top)
        picture = strip(exam.query.pictures([i])[0], gallery.pictures(order), right)
        scores = retrieval.evaluate(query_features[i:i + 1], exam.query.ids[i:i + 1], exam.query.cameras[i:i + 1],
                                    features, gallery.ids, gallery.cameras)
        person = f"query {i}: person {exam.query.ids[i].item()}, camera {exam.query.cameras[i].item()}"
        if not scores.queries:
            return Frame(picture, f"{person}. No other camera saw this person in what is left: the query does not count.")
        return Frame(picture, f"{person}. AP {scores.map:.2f}, INP {scores.minp:.2f}, first right answer at rank {scores.first_ranks[0]:.0f}, "
                              f"{int(right.sum())} right among the first {len(right)}.")

    return draw, {"query": slider(0, len(exam.query) - 1, 1, 0, "query"), "without": choice(cameras, "none", "leave out camera")}
