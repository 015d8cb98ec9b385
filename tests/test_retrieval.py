"""evaluate, ranking, bootstrap against golden numbers, a slow oracle from the definition, and invariants."""

import dataclasses
import math

import numpy
import pytest
import torch

from reidkit import retrieval
from reidkit.retrieval import bootstrap, evaluate, ranking


def oracle(query, query_ids, query_cameras, gallery, ids, cameras, ap="rectangle"):
    """The definition, one query and one picture at a time. Distances in float64; at a tie the positive comes last."""
    averages, penalties, first = [], [], []
    for q, y, c in zip(query.tolist(), query_ids.tolist(), query_cameras.tolist()):
        kept = []
        for g, other, camera in zip(gallery.tolist(), ids.tolist(), cameras.tolist()):
            if other == -1 or (other == y and camera == c):
                continue  # junk
            kept.append((sum((a - b) ** 2 for a, b in zip(q, g)), other == y))
        ranks = [rank for rank, (_, right) in enumerate(sorted(kept), start=1) if right]
        if not ranks:
            averages.append(math.nan), penalties.append(math.nan), first.append(0)
            continue
        total = 0.0
        for i, rank in enumerate(ranks, start=1):
            total += (
                i / rank
                if ap == "rectangle"
                else (i / rank + ((i - 1) / (rank - 1) if rank > 1 else 1)) / 2
            )
        (
            averages.append(total / len(ranks)),
            penalties.append(len(ranks) / ranks[-1]),
            first.append(ranks[0]),
        )
    return averages, penalties, first


def random_case(seed, queries=13, gallery=60, width=3, people=6, cameras=3, integers=False):
    """Few people, junk, and where asked features on a small grid, which are exact in float and tie often."""
    draw = torch.Generator().manual_seed(seed)

    def features(count):
        if integers:
            return torch.randint(-2, 3, (count, width), generator=draw).float()
        return torch.randn(count, width, generator=draw)

    def labels(low, high, count):
        return torch.randint(low, high, (count,), generator=draw)

    return (
        features(queries),
        labels(0, people + 2, queries),
        labels(0, cameras, queries),
        features(gallery),
        labels(-1, people, gallery),
        labels(0, cameras, gallery),
    )


def check_against_oracle(case, ap="rectangle"):
    found, (averages, penalties, first) = evaluate(*case, ap=ap, ranks=(1, 3)), oracle(*case, ap=ap)
    numpy.testing.assert_allclose(found.average_precisions.numpy(), averages, rtol=1e-12)
    assert found.first_ranks.tolist() == first
    scored = [rank for rank in first if rank]
    assert (found.queries, found.unmatched) == (len(scored), len(first) - len(scored))
    assert found.cmc == pytest.approx(
        {k: sum(rank <= k for rank in scored) / len(scored) for k in (1, 3)}
    )
    assert found.map == pytest.approx(numpy.nanmean(averages))
    assert found.minp == pytest.approx(numpy.nanmean(penalties))


def on_a_line(right, junk=()):
    """One query at 0; the gallery at 1, 2, 3, ...: ranks are read off."""
    count = max(right) + 2
    ids = torch.tensor([-1 if i in junk else 5 if i in right else 7 for i in range(1, count + 1)])
    return (
        torch.zeros(1, 1),
        torch.tensor([5]),
        torch.tensor([0]),
        torch.arange(1.0, count + 1)[:, None],
        ids,
        torch.ones(count, dtype=torch.int64),
    )


@pytest.mark.parametrize(
    "ranks, rectangle, trapezoid, inp",
    [
        ((1, 2, 4, 7), 0.8303571, 0.8110119, 0.5714286),
        ((5,), 0.2, 0.1, 0.2),
        ((1,), 1, 1, 1),
    ],
)
def test_golden_numbers(ranks, rectangle, trapezoid, inp):
    assert evaluate(*on_a_line(ranks)).map == pytest.approx(rectangle, abs=1e-7)
    found = evaluate(*on_a_line(ranks), ap="trapezoid")
    assert found.map == pytest.approx(trapezoid, abs=1e-7)
    assert found.minp == pytest.approx(inp, abs=1e-7)
    assert found.cmc == {k: float(ranks[0] <= k) for k in (1, 5, 10)}


def test_junk_is_taken_out_of_the_ranking():
    assert evaluate(*on_a_line((2, 5), junk=(1, 4))).average_precisions.tolist() == [
        (1 + 2 / 3) / 2
    ]
    query, query_ids, query_cameras, gallery, ids, cameras = on_a_line((1, 2, 4))
    cameras[0] = 0  # the closest is the same person in the same camera
    found = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
    assert found.average_precisions.tolist() == [(1 + 2 / 3) / 2]


@pytest.mark.parametrize("ap", ["rectangle", "trapezoid"])
@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_oracle(seed, integers, ap):
    check_against_oracle(random_case(seed, integers=integers), ap)


def test_oracle_with_more_positives_than_are_compared_one_by_one(monkeypatch):
    case = random_case(1, queries=9, gallery=400, people=2, integers=True)
    monkeypatch.setattr(retrieval.metrics, "FEW", 20)
    assert (case[4] == 0).sum() > 100
    check_against_oracle(case)
    query, query_ids, query_cameras, gallery, ids, cameras = case
    check_against_oracle(
        (query, query_ids * 0, query_cameras * 0, gallery, ids * 0, cameras * 0 + 1)
    )  # nobody else


def test_oracle_across_chunks_and_tiles(monkeypatch):
    monkeypatch.setattr(retrieval.scoring, "CHUNK", 150)
    monkeypatch.setattr(retrieval.scoring, "TILE", 21)
    for seed in range(3):
        check_against_oracle(random_case(seed, integers=True))
    monkeypatch.setattr(retrieval.metrics, "FEW", 2)
    check_against_oracle(random_case(3, integers=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_widths_of_numbers(dtype):
    case = random_case(4, integers=True)
    half = evaluate(case[0].to(dtype), *case[1:3], case[3].to(dtype), *case[4:])
    assert half.average_precisions.nan_to_num().equal(
        evaluate(*case).average_precisions.nan_to_num()
    )


def test_arrays_and_narrow_labels_are_taken():
    case = random_case(4)
    arrays = [
        value.numpy() if value.is_floating_point() else value.to(torch.int16).numpy()
        for value in case
    ]
    assert evaluate(*arrays).map == evaluate(*case).map


def test_features_that_need_gradients_are_taken_and_left_alone():
    case = random_case(4)
    case[0].requires_grad_()
    assert not evaluate(*case).average_precisions.requires_grad and case[0].grad is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_gpu_agrees_with_cpu():
    for integers in (True, False):
        case = random_case(5, integers=integers, gallery=300)
        there = evaluate(*(value.cuda() for value in case))
        numpy.testing.assert_allclose(there.average_precisions, evaluate(*case).average_precisions)
        assert ranking(*(value.cuda() for value in case))[0].equal(ranking(*case)[0])


@pytest.mark.parametrize("width, count", [(16, 33), (64, 7), (512, 1000), (500, 257), (2048, 100)])
def test_constant_features_do_not_score(width, count, monkeypatch):
    """Where everything is the same picture, each positive ranks behind all negatives: rounding must not help either."""
    for onednn in (torch.backends.mkldnn.is_available(), False):
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda onednn=onednn: onednn)
        torch.manual_seed(0)
        same = torch.nn.functional.normalize(torch.randn(1, width), dim=1)
        ids = torch.arange(count) % 5
        found = evaluate(
            same.repeat(5, 1),
            torch.arange(5),
            torch.zeros(5).long(),
            same.repeat(count, 1),
            ids,
            torch.ones(count).long(),
        )
        others = torch.tensor([(ids != person).sum() for person in range(5)])
        assert found.first_ranks.equal(others + 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_of_a_product_does_not_break_ties(dtype, monkeypatch):
    """Equal pictures whose scores differ in the last digits, as at the edge of a block of a matrix product."""
    exact = retrieval.scoring.Scorer.scores

    def rounded(self, rows):
        scores = exact(self, rows)
        draw = torch.Generator().manual_seed(int(rows[0]))
        return (
            scores + torch.randint(-3, 4, scores.shape, generator=draw) * torch.finfo(dtype).eps / 2
        )

    monkeypatch.setattr(retrieval.scoring.Scorer, "scores", rounded)
    ids = torch.cat(
        [torch.arange(200) % 5, torch.full((200,), 9)]
    )  # 200 equal pictures, 200 opposite ones:
    point = torch.eye(5, 64, dtype=dtype)[:1]  # their mean is 0
    found = evaluate(
        point.repeat(5, 1),
        torch.arange(5),
        torch.zeros(5).long(),
        torch.cat([point.repeat(200, 1), -point.repeat(200, 1)]),
        ids,
        torch.ones(400).long(),
    )
    assert found.first_ranks.tolist() == [161] * 5


def test_random_features_score_the_share_of_positives():
    draw = torch.Generator().manual_seed(0)
    queries, gallery = (
        torch.arange(3000),
        torch.arange(200),
    )  # 10 pictures of each of 20 people, 5 of them in the
    found = evaluate(
        torch.randn(3000, 8, generator=draw),
        queries % 20,
        queries // 20 % 2,  # query's camera
        torch.randn(200, 8, generator=draw),
        gallery % 20,
        gallery // 20 % 2,
    )
    assert found.cmc[1] == pytest.approx(5 / 195, abs=0.015)


def perfect_case():
    """Ten people at ten points, seen by two cameras."""
    points, numbers = torch.eye(10), torch.arange(20)
    return (
        points,
        numbers[:10],
        torch.zeros(10).long(),
        points.repeat(2, 1),
        numbers % 10,
        torch.ones(20).long(),
    )


@pytest.mark.parametrize("ap", ["rectangle", "trapezoid"])
def test_perfect_ranking(ap):
    found = evaluate(*perfect_case(), ap=ap)
    assert (found.cmc[1], found.map, found.minp, found.queries) == (1, 1, 1, 10)


def test_invariants():
    case = query, query_ids, query_cameras, gallery, ids, cameras = random_case(7, people=4)
    base = evaluate(*case)

    def same(*changed):
        found = evaluate(*changed)
        numpy.testing.assert_allclose(found.average_precisions, base.average_precisions)
        assert found.cmc == base.cmc and found.minp == pytest.approx(base.minp)

    shuffle = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    same(query, query_ids, query_cameras, gallery[shuffle], ids[shuffle], cameras[shuffle])
    same(query * 3, query_ids, query_cameras, gallery * 3, ids, cameras)
    junk, far = query[:1], torch.full((1, 3), 1e3)
    one = torch.tensor([1])
    cameras = torch.cat([cameras, one])
    same(
        query, query_ids, query_cameras, torch.cat([gallery, junk]), torch.cat([ids, -one]), cameras
    )
    same(
        query,
        query_ids,
        query_cameras,
        torch.cat([gallery, far]),
        torch.cat([ids, 99 * one]),
        cameras,
    )


def test_unit_norm_is_the_cosine_ranking_and_other_norms_the_euclidean():
    query, labels = torch.tensor([[1.0, 0.0]]), (torch.tensor([1]), torch.tensor([0]))
    gallery = torch.tensor(
        [[5.0, 0.0], [0.8, 0.6]]
    )  # same direction but far; another direction but near
    other = torch.tensor([1, 2]), torch.tensor([1, 1])
    assert evaluate(query, *labels, gallery, *other).first_ranks.item() == 2
    assert (
        evaluate(query, *labels, torch.nn.functional.normalize(gallery), *other).first_ranks.item()
        == 1
    )


def test_unmatched_queries_are_counted_and_left_out():
    query, query_ids, query_cameras, gallery, ids, cameras = perfect_case()
    query_ids = torch.cat(
        [query_ids[:8], torch.tensor([77, -1])]
    )  # nobody of that id; junk as a query
    ids[ids == -1] = 5
    found = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
    assert (found.queries, found.unmatched, found.cmc[1]) == (8, 2, 1)
    assert found.average_precisions.isnan().tolist() == [False] * 8 + [True] * 2
    assert "2 without a match" in str(found) and "rectangle AP" in str(found)


def test_metrics_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluate(*perfect_case()).map = 1.0


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(ap="interpolated"), "rectangle"),
        (dict(ranks=()), "ranks"),
        (dict(ranks=(0,)), "whole numbers"),
        (dict(query=torch.zeros(0, 10)), "query features have shape \\(0, 10\\)"),
        (dict(gallery=torch.zeros(0, 10)), "gallery features have shape \\(0, 10\\)"),
        (dict(gallery=torch.zeros(20)), "gallery features have shape \\(20,\\)"),
        (dict(query=torch.zeros(10, 3)), "same model"),
        (dict(query_ids=torch.arange(9)), "query ids"),
        (dict(gallery_ids=torch.arange(20.0)), "gallery ids are torch.float32"),
        (dict(gallery_cameras=torch.zeros(20, 1).long()), "gallery cameras"),
        (dict(query=torch.full((10, 10), torch.nan)), "10 of 10 query features are not finite"),
        (
            dict(gallery=torch.eye(20, 10) / torch.tensor([0.0, *[1] * 9])),
            "not finite, the first in row 0",
        ),
        (dict(query_ids=torch.arange(50, 60)), "none of 10 queries"),
        (dict(query_cameras=torch.ones(10).long()), "10 have it in the same camera only"),
    ],
)
def test_errors(change, message):
    names = ("query", "query_ids", "query_cameras", "gallery", "gallery_ids", "gallery_cameras")
    with pytest.raises(ValueError, match=message):
        evaluate(**{**dict(zip(names, perfect_case())), **change})


def test_ranking_is_in_order_without_junk_and_agrees_with_evaluate():
    for integers in (True, False):
        case = query, query_ids, query_cameras, gallery, ids, cameras = random_case(
            2, integers=integers
        )
        order, right = ranking(*case, top=60)
        first = evaluate(*case).first_ranks
        for q in range(len(query)):
            kept = [
                g
                for g in range(60)
                if ids[g] != -1 and (ids[g] != query_ids[q] or cameras[g] != query_cameras[q])
            ]
            shown = order[q][order[q] >= 0]
            assert sorted(shown.tolist()) == kept and (order[q][len(shown) :] == -1).all()
            distance = (query[q].double() - gallery[shown].double()).norm(dim=1)
            assert (distance.diff() > -1e-5).all()
            assert (
                right[q][: len(shown)].equal(ids[shown] == query_ids[q])
                and not right[q][len(shown) :].any()
            )
            assert first[q] == (right[q].int().argmax() + 1 if right[q].any() else 0)
    assert ranking(*case, top=4)[0].equal(order[:, :4]) and ranking(*case)[0].shape == (13, 10)


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
    """Half of 50 people are always found: the interval is that of 50 draws of a coin, with 1 query a person or 40."""

    def width(pictures):
        people = torch.arange(50).repeat(pictures)
        found = retrieval.Metrics(
            {1: 0.5}, 0.5, 0.5, len(people), 0, "rectangle", (people % 2).double(), 1 + people % 2
        )
        low, high = bootstrap(found, people, rounds=4000)["rank1"]
        return high - low

    assert width(1) == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 50), rel=0.12) and width(
        40
    ) == pytest.approx(width(1))
