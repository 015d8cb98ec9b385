"""CMC, mAP and mINP under the Market-1501 rules, without sorting the gallery and in bounded memory.

For a query of person y seen by camera c, the gallery falls into three parts (Zheng et al. 2015, the authors' Matlab code):
junk      id -1, or person y in camera c again: taken out of the ranking, neither right nor wrong;
positive  person y in another camera;
negative  everybody else, distractors (id 0 of Market-1501) included.
The rank of a positive is one plus the number of kept pictures that are closer. So nothing has to be sorted: it is enough
to count, for each of the few positives of a query, the negatives that are at least as close.
"""

from dataclasses import dataclass

import numpy
import torch

from .scoring import TILE, Scorer

FEW = 64                            # up to here, on a CPU, comparing with each positive beats a binary search among them


@dataclass(frozen=True)
class Metrics:
    """What `evaluate` found. Rates are fractions of one, over the queries that have a positive in the gallery.

    cmc: rank -> share of queries with a positive among the first `rank`; map, minp: mean average precision and mean
    inverse negative penalty; queries: how many were scored; unmatched: how many had no positive and are left out; ap: the
    definition of average precision; average_precisions (Q,) float64, nan where unmatched; first_ranks (Q,) int64: rank of
    the first positive, 0 where unmatched.
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
        return (f"{ranks}  mAP {100 * self.map:.1f} % ({self.ap} AP)  mINP {100 * self.minp:.1f} %"
                f"  ({self.queries} queries{left_out})")


@torch.no_grad()
def evaluate(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras, *, ap="rectangle", ranks=(1, 5, 10)):
    """Score the ranking of the gallery by Euclidean distance, which is the cosine ranking where features have unit norm.

    query (Q, D), gallery (G, D) float of any width on any device (the work is done where the gallery is); ids and
    cameras (Q,) and (G,) int -> Metrics. ap: "rectangle" (1/n) sum i/r_i, as torchreid and FastReID, or "trapezoid"
    (1/n) sum (i/r_i + (i-1)/(r_i-1))/2, as the Matlab code of Market-1501; r_i is the rank of the i-th of n positives.
    mINP is the mean of n/r_n (Ye et al., arXiv 2001.04193). A tie never helps: a negative at the same distance, up to
    the rounding of a dot product, ranks before the positive, so constant features score as badly as they can.
    Memory beyond the inputs is bounded, whatever Q, G and the number of positives. Raises ValueError for shapes that do
    not fit, features that are not finite, and where no query has a positive.
    """
    if ap not in ("rectangle", "trapezoid"):
        raise ValueError(f"ap is {ap!r}; expected 'rectangle' (torchreid, FastReID) or 'trapezoid' (Market-1501's Matlab)")
    if not ranks or any(rank != int(rank) or rank < 1 for rank in ranks):
        raise ValueError(f"ranks are {ranks!r}; expected whole numbers from 1 up, such as (1, 5, 10)")
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    average = torch.full((len(scorer.query),), torch.nan, dtype=torch.float64)
    penalty, first = average.clone(), torch.zeros(len(average), dtype=torch.int64)
    for rows in scorer.chunks():
        row, column, good = scorer.pairs(rows)
        if not good.any():
            continue
        scores = scorer.scores(rows)                                                        # (R, G)
        positives = scores[row, column] - scorer.slack(rows, row, column)
        scores[row, column] = -torch.inf                    # from here on only negatives are counted
        positives, number = _by_row(positives[good], row[good], len(rows))                  # (R, n), (R,)
        found = _precisions(_count_at_least(scores, positives, number), number.cpu(), ap)
        matched = number.cpu() > 0
        rows = rows.cpu()[matched]
        average[rows], penalty[rows], first[rows] = (value[matched] for value in found)
    matched = first > 0
    if not matched.any():
        shared = int((scorer.same > 0).sum())
        raise ValueError(f"none of {len(first)} queries has its person in another camera of the gallery; {shared} have it in the "
                         "same camera only, which is junk. Check the ids and cameras, and which half is the query")
    return Metrics({int(rank): (first[matched] <= rank).double().mean().item() for rank in ranks},
                   average[matched].mean().item(), penalty[matched].mean().item(),
                   int(matched.sum()), int((~matched).sum()), ap, average, first)


def _by_row(values, row, count):
    """Values (P,) with their rows in ascending order -> (count, n) ascending, +inf behind; and how many each row has."""
    number = torch.bincount(row, minlength=count)
    place = torch.arange(len(row), device=row.device) - (number.cumsum(0) - number)[row]    # 0, 1, ... within each row
    table = values.new_full((count, int(number.max())), torch.inf)
    table[row, place] = values
    return table.sort(dim=1)[0], number                     # the one sort: the few positives of a query


def _count_at_least(scores, thresholds, number):
    """How many of the scores (R, G) reach each of a row's `number` ascending thresholds (R, n): (R, n) int64 on the CPU."""
    if scores.device.type == "cpu" and thresholds.shape[1] <= FEW:
        counts = numpy.zeros(thresholds.shape, dtype=numpy.int64)
        for row, (ours, limits, n) in enumerate(zip(scores.numpy(), thresholds.numpy(), number.tolist())):
            counts[row, :n] = [numpy.count_nonzero(ours >= limit) for limit in limits[:n]]      # a row stays in the cache
        return torch.from_numpy(counts)
    reached = torch.searchsorted(thresholds, scores, right=True, out_int32=True)            # (R, G) how many thresholds
    histogram = torch.zeros(len(scores), thresholds.shape[1] + 1, dtype=torch.int64, device=scores.device)
    for part in reached.split(TILE, dim=1):
        histogram.scatter_add_(1, part.long(), torch.ones_like(part, dtype=torch.int64))
    return histogram[:, 1:].flip(1).cumsum(1).flip(1).cpu()     # threshold j is reached by who reaches j+1 or more


def _precisions(closer, number, ap):
    """Negatives closer (R, n) than each positive, farthest positive first -> AP, INP and first rank, each (R,)."""
    place = number[:, None] - torch.arange(closer.shape[1])         # i of the i-th positive; the padding is below 1
    rank = torch.where(place > 0, closer + place, 1)                # r_i
    precision = place / rank.double()
    if ap == "trapezoid":
        before = torch.where(rank > 1, (place - 1) / (rank - 1).clamp(min=1).double(), 1)
        precision = (precision + before) / 2
    total = number.clamp(min=1)
    average = torch.where(place > 0, precision, 0).sum(1) / total
    return average, total / rank[:, 0].double(), rank.gather(1, (total - 1)[:, None])[:, 0]


@torch.no_grad()
def ranking(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras, *, top=10):
    """The first pictures of each ranking, junk taken out: what a ranked strip shows.

    Arguments as in `evaluate` -> order (Q, top) int64 gallery numbers, right (Q, top) bool, both on the CPU. Where a
    query keeps fewer than `top` pictures its row ends in -1. The order agrees with the ranks that `evaluate` counts.
    """
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    order = torch.full((len(scorer.query), min(top, len(scorer.ids))), -1)
    right = torch.zeros_like(order, dtype=torch.bool)
    for rows in scorer.chunks():
        row, column, good = scorer.pairs(rows)
        scores = scorer.scores(rows)
        scores[row, column] = torch.where(good, scores[row, column] - scorer.slack(rows, row, column), -torch.inf)
        best, chosen = scores.topk(order.shape[1], dim=1)           # (R, top)
        same = scorer.ids[chosen] == scorer.query_ids[rows][:, None]
        kept, rows = best > -torch.inf, rows.cpu()
        order[rows], right[rows] = chosen.where(kept, -1).cpu(), (same & kept).cpu()
    return order, right


def bootstrap(metrics, query_ids, *, seed=0, rounds=1000):
    """How far rank-1 and mAP would move with other people: 95 % interval over `rounds` draws of identities.

    metrics of `evaluate`, query_ids (Q,) -> {"rank1": (low, high), "map": (low, high)}, fractions. People are drawn with
    replacement, all queries of a person together: queries of one person are not independent, so drawing single queries
    would promise too much (Efron and Tibshirani 1993, chapter 8).
    """
    query_ids = torch.as_tensor(query_ids).cpu()
    if query_ids.shape != metrics.first_ranks.shape:
        raise ValueError(f"query_ids have shape {tuple(query_ids.shape)}; expected {tuple(metrics.first_ranks.shape)}, those given to evaluate")
    matched = metrics.first_ranks > 0
    people, person = torch.unique(query_ids[matched], return_inverse=True)
    values = torch.stack([torch.ones(len(person)).double(), (metrics.first_ranks[matched] == 1).double(),
                          metrics.average_precisions[matched]], dim=1)                      # (M, 3)
    sums = torch.zeros(len(people), 3, dtype=torch.float64).index_add_(0, person, values)   # of each person
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (rounds, len(people)), generator=generator)
    times = torch.zeros(rounds, len(people), dtype=torch.float64).scatter_add_(1, drawn, torch.ones(drawn.shape).double())
    number, first, average = (times @ sums).T                                               # (rounds,) each
    return {name: tuple(torch.quantile(total / number, torch.tensor([0.025, 0.975]).double()).tolist())
            for name, total in (("rank1", first), ("map", average))}
