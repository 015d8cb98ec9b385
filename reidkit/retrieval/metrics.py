"""CMC, mAP and mINP under the Market-1501 rules, without sorting the gallery and in bounded memory.

For a query of person y seen by camera c, the gallery falls into three parts (Zheng et al. 2015, their Matlab code):
junk      id -1, or person y in camera c again: taken out of the ranking, neither right nor wrong;
positive  person y in another camera;
negative  everybody else, distractors (id 0 of Market-1501) included.
The rank of a positive is one plus the number of kept pictures that are closer. So nothing has to be sorted: it is
enough to count, for each of the few positives of a query, the negatives that are at least as close.
"""

from dataclasses import dataclass

import numpy
import torch

from .scoring import Scorer

FEW = 256  # up to here a CPU compares with each positive faster than it searches among them


@dataclass(frozen=True)
class Metrics:
    """What `evaluate` found. Rates are fractions of one, over the queries that have a positive in the gallery.

    cmc: rank -> share of queries with a positive among the first `rank`; map, minp: mean average precision and mean
    inverse negative penalty; queries: how many were scored; unmatched: how many had no positive and are left out;
    ap: the definition of average precision; average_precisions (Q,) float64, nan where unmatched; first_ranks (Q,)
    int64: rank of the first positive, 0 where unmatched.
    """

    cmc: dict
    map: float
    minp: float
    queries: int
    unmatched: int
    ap: str
    average_precisions: torch.Tensor
    first_ranks: torch.Tensor

    def __str__(self):
        ranks = "  ".join(f"rank-{rank} {100 * value:.1f} %" for rank, value in self.cmc.items())
        left_out = f", {self.unmatched} without a match left out" if self.unmatched else ""
        return (
            f"{ranks}  mAP {100 * self.map:.1f} % ({self.ap} AP)  mINP {100 * self.minp:.1f} %"
            f"  ({self.queries} queries{left_out})"
        )


@torch.no_grad()
def evaluate(
    query,
    query_ids,
    query_cameras,
    gallery,
    gallery_ids,
    gallery_cameras,
    *,
    ap="rectangle",
    ranks=(1, 5, 10),
):
    """Score the ranking of the gallery by Euclidean distance; with features of unit norm this is the cosine ranking.

    query (Q, D), gallery (G, D) float of any width on any device (the work is done where the gallery is); ids and
    cameras (Q,) and (G,) int -> Metrics. ap: "rectangle" (1/n) sum i/r_i, as torchreid and FastReID, or "trapezoid"
    (1/n) sum (i/r_i + (i-1)/(r_i-1))/2, as the Matlab code of Market-1501; r_i is the rank of the i-th of n positives.
    mINP is the mean of n/r_n (Ye et al., arXiv 2001.04193). A tie never helps: a negative at the same distance, up to
    the rounding of a dot product, ranks before the positive, so constant features score as badly as they can.
    Memory beyond the inputs is bounded, whatever Q, G and the number of positives. Raises ValueError for shapes that
    do not fit, features that are not finite, and where no query has a positive.
    """
    if ap not in ("rectangle", "trapezoid"):
        raise ValueError(
            f"ap is {ap!r}; expected 'rectangle' (torchreid, FastReID) or 'trapezoid' (Market's Matlab)"
        )
    if not ranks or any(rank != int(rank) or rank < 1 for rank in ranks):
        raise ValueError(
            f"ranks are {ranks!r}; expected whole numbers from 1 up, such as (1, 5, 10)"
        )
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    average, penalty = numpy.full((2, len(scorer.query)), numpy.nan)
    first = numpy.zeros(len(average), dtype=numpy.int64)
    for rows in scorer.chunks():
        row, column, good = scorer.pairs(rows)
        if not good.any():
            continue
        scores = scorer.scores(rows)  # (R, G)
        limits, pairs = scorer.limits(scores, rows, row, column)
        scores[pairs] = -torch.inf  # from here on only negatives are counted
        limits, number = _by_row(limits[good], row[good], len(rows))  # (R, n), (R,)
        closer, matched = _count_at_least(scores, limits, number), number > 0
        found = _precisions(closer[matched], number[matched], ap)
        average[rows[matched]], penalty[rows[matched]], first[rows[matched]] = found
    matched = first > 0
    if not matched.any():
        raise ValueError(
            f"none of {len(first)} queries has its person in another camera of the gallery; "
            f"{(scorer.same > 0).sum()} have it in the same camera only, which is junk. Check the ids and "
            "cameras, and which part is the query"
        )
    return Metrics(
        {int(rank): float((first[matched] <= rank).mean()) for rank in ranks},
        float(average[matched].mean()),
        float(penalty[matched].mean()),
        int(matched.sum()),
        int((~matched).sum()),
        ap,
        torch.from_numpy(average),
        torch.from_numpy(first),
    )


def _by_row(values, row, count):
    """Values (P,), their rows ascending -> (count, n) ascending in each row, +inf behind; and how many a row has."""
    number = numpy.bincount(row, minlength=count)
    place = numpy.arange(len(row)) - (number.cumsum() - number)[row]  # 0, 1, ... within each row
    table = numpy.full((count, number.max()), numpy.inf, dtype=values.dtype)
    table[row, place] = values
    table.sort(axis=1)  # the one sort: the few positives of a query
    return table, number


def _count_at_least(scores, limits, number):
    """How many scores (R, G) reach each of a row's `number` ascending limits (R, n) -> (R, n) int64."""
    if scores.device.type == "cpu" and limits.shape[1] <= FEW:
        counts = numpy.zeros(limits.shape, dtype=numpy.int64)
        for row, (of_row, own, n) in enumerate(zip(scores.numpy(), limits, number)):
            counts[row, :n] = [
                numpy.count_nonzero(of_row >= limit) for limit in own[:n]
            ]  # a row stays in the cache
        return counts
    reached = torch.searchsorted(
        torch.from_numpy(limits).to(scores.device), scores, right=True, out_int32=True
    )
    histogram = torch.zeros(
        len(scores), limits.shape[1] + 1, dtype=torch.int64, device=scores.device
    )
    for part in reached.split(1 << 14, dim=1):  # (R, G) how many limits a score reaches
        histogram.scatter_add_(1, part.long(), torch.ones_like(part, dtype=torch.int64))
    return (
        histogram[:, 1:].flip(1).cumsum(1).flip(1).cpu().numpy()
    )  # limit j: who reaches j + 1 or more


def _precisions(closer, number, ap):
    """Negatives closer (R, n) than each positive, farthest positive first -> AP, INP and first rank, each (R,)."""
    place = number[:, None] - numpy.arange(
        closer.shape[1]
    )  # i of the i-th positive; below 1 is padding
    rank = numpy.where(place > 0, closer + place, 1)  # r_i
    precision = place / rank
    if ap == "trapezoid":
        before = numpy.where(rank > 1, (place - 1) / numpy.maximum(rank - 1, 1), 1)
        precision = (precision + before) / 2
    average = numpy.where(place > 0, precision, 0).sum(axis=1) / number
    return average, number / rank[:, 0], rank[numpy.arange(len(rank)), number - 1]


@torch.no_grad()
def ranking(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras, *, top=10):
    """The first pictures of each ranking, junk taken out: what a ranked strip shows.

    Arguments as in `evaluate` -> order (Q, top) int64 gallery numbers, right (Q, top) bool, both on the CPU. Where a
    query keeps fewer than `top` pictures its row ends in -1. The order agrees with the ranks that `evaluate` counts.
    """
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    order = torch.full((len(scorer.query), min(top, len(scorer.ids))), -1)
    for rows in scorer.chunks():
        row, column, good = scorer.pairs(rows)
        scores = scorer.scores(rows)
        limits, pairs = scorer.limits(scores, rows, row, column)
        scores[pairs] = torch.from_numpy(
            numpy.where(good, limits, -numpy.inf).astype(limits.dtype)
        ).to(scores.device)
        best, chosen = scores.topk(order.shape[1], dim=1)  # (R, top)
        order[torch.from_numpy(rows)] = chosen.where(best > -torch.inf, -1).cpu()
    right = torch.from_numpy(scorer.ids)[order] == torch.from_numpy(scorer.query_ids)[:, None]
    return order, right & (order >= 0)


def bootstrap(metrics, query_ids, *, seed=0, rounds=1000):
    """How far rank-1 and mAP would move with other people: 95 % interval over `rounds` draws of identities.

    metrics of `evaluate`, query_ids (Q,) -> {"rank1": (low, high), "map": (low, high)}, fractions. People are drawn
    with replacement, all queries of a person together: queries of one person are not independent, so drawing single
    queries would promise too much (Efron and Tibshirani 1993, chapter 8).
    """
    query_ids = torch.as_tensor(query_ids).cpu()
    if query_ids.shape != metrics.first_ranks.shape:
        raise ValueError(
            f"query_ids have shape {tuple(query_ids.shape)}; expected those given to evaluate, "
            f"{tuple(metrics.first_ranks.shape)}"
        )
    matched = metrics.first_ranks > 0
    people, person = torch.unique(query_ids[matched], return_inverse=True)
    values = torch.stack(
        [
            torch.ones(len(person)).double(),
            (metrics.first_ranks[matched] == 1).double(),
            metrics.average_precisions[matched],
        ],
        dim=1,
    )  # (M, 3)
    sums = torch.zeros(len(people), 3, dtype=torch.float64).index_add_(
        0, person, values
    )  # of each person
    drawn = torch.randint(
        len(people), (rounds, len(people)), generator=torch.Generator().manual_seed(seed)
    )
    number, first, average = sums[drawn].sum(1).T  # (rounds, people, 3) -> (rounds,) each
    ends = torch.tensor([0.025, 0.975]).double()
    return {
        "rank1": tuple(torch.quantile(first / number, ends).tolist()),
        "map": tuple(torch.quantile(average / number, ends).tolist()),
    }
