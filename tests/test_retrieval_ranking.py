"""ranking agrees with evaluate; bootstrap draws people, not pictures."""

import math

import pytest
import torch
from test_retrieval import random_case

from reidkit import retrieval
from reidkit.retrieval import bootstrap, evaluate, ranking


def test_ranking_is_in_order_without_junk_and_agrees_with_evaluate():
    for integers in (True, False):
        case = random_case(2, integers=integers)
        query, query_ids, query_cameras, gallery, ids, cameras = case
        order, right = ranking(*case, top=60)
        first = evaluate(*case).first_ranks
        for q in range(len(query)):
            same_camera = (ids == query_ids[q]) & (cameras == query_cameras[q])
            without_junk = ((ids >= 0) & ~same_camera).nonzero().flatten()
            shown = order[q][order[q] >= 0]
            count = len(shown)
            assert sorted(shown.tolist()) == without_junk.tolist()
            assert (order[q][count:] == -1).all()
            distance = (query[q].double() - gallery[shown].double()).norm(dim=1)
            assert (distance.diff() > -1e-5).all()
            assert right[q][:count].equal(ids[shown] == query_ids[q])
            assert not right[q][count:].any()
            assert first[q] == (right[q].int().argmax() + 1 if right[q].any() else 0)
    assert ranking(*case, top=4)[0].equal(order[:, :4])
    assert ranking(*case)[0].shape == (13, 10)


def test_bootstrap_draws_people():
    query, query_ids, query_cameras, gallery, ids, cameras = random_case(
        3, queries=400, people=20, gallery=300
    )
    found = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
    interval = bootstrap(found, query_ids, seed=1)
    for (low, high), value in zip(interval.values(), (found.cmc[1], found.map)):
        assert low < value < high
    assert interval == bootstrap(found, query_ids, seed=1) != bootstrap(found, query_ids, seed=2)
    with pytest.raises(ValueError, match="query_ids"):
        bootstrap(found, query_ids[1:])


def test_bootstrap_width_counts_people_not_pictures():
    """Half of 50 people are always found.

    The interval is that of 50 draws of a coin, with 1 query per person or with 40.
    """

    def width(pictures):
        people = torch.arange(50).repeat(pictures)
        metrics = retrieval.Metrics(
            cmc={1: 0.5},
            map=0.5,
            minp=0.5,
            queries=len(people),
            unmatched=0,
            ap="rectangle",
            average_precisions=(people % 2).double(),
            first_ranks=1 + people % 2,
        )
        low, high = bootstrap(metrics, people, rounds=4000)["rank1"]
        return high - low

    assert width(1) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 50), rel=0.12)
    assert width(40) == pytest.approx(width(1))
