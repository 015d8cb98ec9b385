"""evaluate against golden numbers, a slow oracle from the definition, and invariants.

`ranking` and `bootstrap`: test_retrieval_ranking.py.
"""

import dataclasses
import math

import numpy
import pytest
import torch

from reidkit import retrieval
from reidkit.retrieval import evaluate, ranking


def oracle(query, query_ids, query_cameras, gallery, ids, cameras, ap="rectangle"):
    """The definition, one query and one picture at a time.

    Distances in float64; at a tie the positive comes last.
    """
    averages = []
    penalties = []
    first = []
    for q, y, c in zip(query.tolist(), query_ids.tolist(), query_cameras.tolist()):
        pictures = []  # (distance, whether it is the person), without junk
        for g, person, camera in zip(gallery.tolist(), ids.tolist(), cameras.tolist()):
            if person < 0 or (person == y and camera == c):
                continue  # junk
            distance = sum((a - b) ** 2 for a, b in zip(q, g))
            pictures.append((distance, person == y))
        ranks = [rank for rank, (_, right) in enumerate(sorted(pictures), start=1) if right]
        if not ranks:
            averages.append(math.nan)
            penalties.append(math.nan)
            first.append(0)
            continue
        precisions = [oracle_precision(i, rank, ap) for i, rank in enumerate(ranks, start=1)]
        averages.append(sum(precisions) / len(ranks))
        penalties.append(len(ranks) / ranks[-1])
        first.append(ranks[0])
    return averages, penalties, first


def oracle_precision(i, rank, ap):
    """What the i-th positive adds to the average precision, before the division."""
    precision = i / rank
    if ap == "rectangle":
        return precision
    precision_before = (i - 1) / (rank - 1) if rank > 1 else 1
    return (precision + precision_before) / 2


def random_case(seed, queries=13, gallery=60, width=3, people=6, cameras=3, integers=False):
    """The arguments of `evaluate`: few people, and junk of several ids on both sides.

    Where asked, features lie on a small grid, where they are exact in float and tie often.
    """
    draw = torch.Generator().manual_seed(seed)

    def features(count):
        if integers:
            return torch.randint(-2, 3, (count, width), generator=draw).float()
        return torch.randn(count, width, generator=draw)

    def labels(low, high, count):
        return torch.randint(low, high, (count,), generator=draw)

    return (
        features(queries),
        labels(-2, people + 2, queries),
        labels(0, cameras, queries),
        features(gallery),
        labels(-3, people, gallery),
        labels(0, cameras, gallery),
    )


def check_against_oracle(case, ap="rectangle"):
    found = evaluate(*case, ap=ap, ranks=(1, 3))
    averages, penalties, first = oracle(*case, ap=ap)
    numpy.testing.assert_allclose(found.average_precisions.numpy(), averages, rtol=1e-12)
    assert found.first_ranks.tolist() == first
    scored = [rank for rank in first if rank]
    assert found.queries == len(scored)
    assert found.unmatched == len(first) - len(scored)
    cmc = {k: sum(rank <= k for rank in scored) / len(scored) for k in (1, 3)}
    assert found.cmc == pytest.approx(cmc)
    assert found.map == pytest.approx(numpy.nanmean(averages))
    assert found.minp == pytest.approx(numpy.nanmean(penalties))


def on_a_line(right, junk=()):
    """One query at 0; the gallery at 1, 2, 3, ...: ranks are read off."""
    count = max(right) + 2
    ids = torch.full((count,), 7)
    ids[[rank - 1 for rank in right]] = 5
    ids[[rank - 1 for rank in junk]] = -1
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


@pytest.mark.parametrize("junk", [-1, -2, -3, -1000, -(2**63)])
def test_every_id_below_0_is_junk(junk):
    query, query_ids, query_cameras, gallery, ids, cameras = perfect_case()
    whole = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
    # Junk right where the queries are, in another camera, and queries of the same id.
    with_junk = (
        torch.cat([query, query[:3]]),
        torch.cat([query_ids, torch.full((3,), junk)]),
        torch.cat([query_cameras, torch.zeros(3).long()]),
        torch.cat([query, gallery]),
        torch.cat([torch.full((10,), junk), ids]),
        torch.cat([torch.ones(10).long(), cameras]),
    )
    found = evaluate(*with_junk)
    assert (found.map, found.cmc, found.minp) == (whole.map, whole.cmc, whole.minp)
    assert (found.queries, found.unmatched) == (10, 3)
    order, right = ranking(*with_junk, top=30)
    assert not torch.isin(order, torch.arange(10)).any() and not right[10:].any()
    intervals = retrieval.bootstrap(found, with_junk[1])
    assert intervals == retrieval.bootstrap(whole, query_ids)
    nobody = list(with_junk)
    nobody[1] = torch.full((13,), junk)
    with pytest.raises(ValueError, match="13 are junk themselves .an id below 0."):
        evaluate(*nobody)


@pytest.mark.parametrize("ap", ["rectangle", "trapezoid"])
@pytest.mark.parametrize("integers", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_oracle(seed, integers, ap):
    check_against_oracle(random_case(seed, integers=integers), ap)


def test_oracle_with_more_positives_than_are_compared_one_by_one(monkeypatch):
    case = random_case(1, queries=9, gallery=400, people=2, integers=True)
    monkeypatch.setattr(retrieval.metrics, "FEW", 20)
    assert (case[4] == 0).sum() > 60
    check_against_oracle(case)
    query, query_ids, query_cameras, gallery, ids, cameras = case
    one_person = (query, query_ids * 0, query_cameras * 0, gallery, ids * 0, cameras * 0 + 1)
    check_against_oracle(one_person)


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
    query, query_ids, query_cameras, gallery, ids, cameras = case
    found = evaluate(query.to(dtype), query_ids, query_cameras, gallery.to(dtype), ids, cameras)
    expected = evaluate(*case)
    assert found.average_precisions.nan_to_num().equal(expected.average_precisions.nan_to_num())


def test_arrays_and_narrow_labels_are_taken():
    case = random_case(4)
    narrow = [value if value.is_floating_point() else value.to(torch.int16) for value in case]
    arrays = [value.numpy() for value in narrow]
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
    """Of equal pictures each positive ranks behind all negatives: rounding must not help either."""
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
    """Equal pictures whose scores differ in the last digits.

    So they do at the edge of a block of a matrix product.
    """
    exact = retrieval.scoring.Scorer.scores

    def rounded(self, rows):
        scores = exact(self, rows)
        draw = torch.Generator().manual_seed(int(rows[0]))
        steps = torch.randint(-3, 4, scores.shape, generator=draw)
        return scores + steps * torch.finfo(dtype).eps / 2

    monkeypatch.setattr(retrieval.scoring.Scorer, "scores", rounded)
    # 200 equal pictures, 200 opposite ones: their mean is 0
    ids = torch.cat([torch.arange(200) % 5, torch.full((200,), 9)])
    point = torch.eye(5, 64, dtype=dtype)[:1]
    equal_pictures = point.repeat(200, 1)
    found = evaluate(
        point.repeat(5, 1),
        torch.arange(5),
        torch.zeros(5).long(),
        torch.cat([equal_pictures, -equal_pictures]),
        ids,
        torch.ones(400).long(),
    )
    assert found.first_ranks.tolist() == [161] * 5


def test_random_features_score_the_share_of_positives():
    draw = torch.Generator().manual_seed(0)
    queries = torch.arange(3000)
    # 10 pictures of each of 20 people, 5 of them in the query's camera
    gallery = torch.arange(200)
    found = evaluate(
        torch.randn(3000, 8, generator=draw),
        queries % 20,
        queries // 20 % 2,
        torch.randn(200, 8, generator=draw),
        gallery % 20,
        gallery // 20 % 2,
    )
    assert found.cmc[1] == pytest.approx(5 / 195, abs=0.015)


def perfect_case():
    """Ten people at ten points, seen by two cameras."""
    points = torch.eye(10)
    numbers = torch.arange(20)
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
    query, query_ids, query_cameras, gallery, ids, cameras = random_case(7, people=4)
    base = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)

    def same(query, gallery, ids, cameras):
        found = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
        numpy.testing.assert_allclose(found.average_precisions, base.average_precisions)
        assert found.cmc == base.cmc
        assert found.minp == pytest.approx(base.minp)

    shuffle = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    same(query, gallery[shuffle], ids[shuffle], cameras[shuffle])
    same(query * 3, gallery * 3, ids, cameras)
    # one picture more, which is junk or far away
    more_cameras = torch.cat([cameras, torch.tensor([1])])
    with_junk = torch.cat([gallery, query[:1]])
    same(query, with_junk, torch.cat([ids, torch.tensor([-1])]), more_cameras)
    with_far = torch.cat([gallery, torch.full((1, 3), 1e3)])
    same(query, with_far, torch.cat([ids, torch.tensor([99])]), more_cameras)


def test_unit_norm_is_the_cosine_ranking_and_other_norms_the_euclidean():
    query = torch.tensor([[1.0, 0.0]])
    labels = (torch.tensor([1]), torch.tensor([0]))
    # same direction but far; another direction but near
    gallery = torch.tensor([[5.0, 0.0], [0.8, 0.6]])
    gallery_labels = (torch.tensor([1, 2]), torch.tensor([1, 1]))
    euclidean = evaluate(query, *labels, gallery, *gallery_labels)
    assert euclidean.first_ranks.item() == 2
    unit = torch.nn.functional.normalize(gallery)
    cosine = evaluate(query, *labels, unit, *gallery_labels)
    assert cosine.first_ranks.item() == 1


def test_unmatched_queries_are_counted_and_left_out():
    query, query_ids, query_cameras, gallery, ids, cameras = perfect_case()
    # nobody of that id; junk as a query
    query_ids = torch.cat([query_ids[:8], torch.tensor([77, -1])])
    ids[ids == -1] = 5
    found = evaluate(query, query_ids, query_cameras, gallery, ids, cameras)
    assert (found.queries, found.unmatched, found.cmc[1]) == (8, 2, 1)
    assert found.average_precisions.isnan().tolist() == [False] * 8 + [True] * 2
    assert "2 without a match" in str(found)
    assert "rectangle AP" in str(found)


def test_metrics_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        evaluate(*perfect_case()).map = 1.0
