"""CMC, mAP and mINP under the Market-1501 rules, without sorting the gallery and in bounded memory.

For a query of person y seen by camera c, the gallery falls into three parts (Zheng et al. 2015,
their Matlab code):
junk      an id below 0, or person y in camera c again: taken out of the ranking, neither right nor
          wrong;
positive  person y in another camera;
negative  everybody else, distractors (id 0 of Market-1501) included.
A query of an id below 0 shows nobody who could be found; it has no positive.
The rank of a positive is one plus the number of gallery pictures, without junk, that are closer. So
nothing has to be sorted: it is enough to count, for each of the few positives of a query, the
negatives that are at least as close.

In the shapes, Q and G are the pictures of query and gallery, R the queries of a chunk, P its pairs
of equal id, and n the most positives that one of its queries has.
"""

from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from .. import stats
from ..arguments import describe, labels_of, whole_number
from ..record import is_junk
from .scoring import Scorer, places_in_rows

FEW = 256  # up to here a CPU compares with each positive faster than it searches among them

Labels = Tensor | numpy.ndarray  # whole numbers
Features = Tensor | numpy.ndarray


@dataclass(frozen=True)
class Metrics:
    """The scores of a ranking: fractions of one, over the queries with a positive in the gallery.

    Args:
        cmc: rank -> share of queries with a positive among the first `rank`.
        map: mean average precision.
        minp: mean inverse negative penalty.
        queries: how many were scored.
        unmatched: how many had no positive and are left out.
        ap: the definition of average precision.
        average_precisions: (Q,) float64, nan where unmatched.
        first_ranks: (Q,) int64, rank of the first positive, 0 where unmatched.
    """

    cmc: dict[int, float]
    map: float
    minp: float
    queries: int
    unmatched: int
    ap: str
    average_precisions: Tensor
    first_ranks: Tensor

    def __str__(self) -> str:
        ranks = "  ".join(f"rank-{rank} {100 * value:.1f} %" for rank, value in self.cmc.items())
        left_out = f", {self.unmatched} without a match left out" if self.unmatched else ""
        return (
            f"{ranks}  mAP {100 * self.map:.1f} % ({self.ap} AP)  mINP {100 * self.minp:.1f} %"
            f"  ({self.queries} queries{left_out})"
        )


@torch.no_grad()
def evaluate(
    query: Features,
    query_ids: Labels,
    query_cameras: Labels,
    gallery: Features,
    gallery_ids: Labels,
    gallery_cameras: Labels,
    *,
    ap: str = "rectangle",
    ranks: tuple[int, ...] = (1, 5, 10),
) -> Metrics:
    """Score the ranking of the gallery by Euclidean distance.

    With features of unit norm this is the cosine ranking. mINP is the mean of n/r_n (Ye et al.,
    arXiv 2001.04193), where r_i is the rank of the i-th of n positives. A tie never helps: a
    negative at the same distance, up to the rounding of a dot product, ranks before the positive,
    so constant features score as badly as they can. Memory beyond the inputs is bounded, whatever
    Q, G and the number of positives.

    Args:
        query: (Q, D) float of any width on any device.
        query_ids: (Q,) int; below 0 is junk, here as in the gallery.
        query_cameras: (Q,) int.
        gallery: (G, D) float; the work is done where it is.
        gallery_ids: (G,) int.
        gallery_cameras: (G,) int.
        ap: "rectangle", (1/n) sum i/r_i, as torchreid and FastReID; or "trapezoid",
            (1/n) sum (i/r_i + (i-1)/(r_i-1))/2, as the Matlab code of Market-1501.
        ranks: of the CMC.
    Raises:
        ValueError: arguments of another kind, shapes that do not fit, features that are not finite,
            and where no query has a positive.
    """
    ranks = check_options(ap, ranks)
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    average_precisions, penalties, first_ranks = _score_queries(scorer, ap)
    matched = first_ranks > 0  # (Q,)
    if not matched.any():
        same_camera = (scorer.group_size > 0).sum()
        nobody = is_junk(scorer.query_ids).sum()
        raise ValueError(
            f"none of {len(matched)} queries has its person in another camera of the gallery; "
            f"{same_camera} have it in the same camera only, which is junk, and {nobody} are junk "
            "themselves (an id below 0). Check the ids and cameras, and which part is the query"
        )
    cmc = {}
    for rank in ranks:
        within_rank = first_ranks[matched] <= rank
        cmc[rank] = float(within_rank.mean())
    return Metrics(
        cmc=cmc,
        map=float(average_precisions[matched].mean()),
        minp=float(penalties[matched].mean()),
        queries=int(matched.sum()),
        unmatched=int((~matched).sum()),
        ap=ap,
        average_precisions=torch.from_numpy(average_precisions),
        first_ranks=torch.from_numpy(first_ranks),
    )


def check_options(ap: str, ranks: tuple[int, ...]) -> tuple[int, ...]:
    """The ranks of a CMC as Python's ints, after a look at them and at `ap`.

    Args:
        ap: see `evaluate`.
        ranks: see `evaluate`.
    Raises:
        ValueError: another ap, or ranks that are no whole numbers from 1 up.
    """
    if not isinstance(ap, str) or ap not in ("rectangle", "trapezoid"):
        raise ValueError(
            f"ap is {ap!r}; expected 'rectangle' (torchreid, FastReID) or 'trapezoid' (Market's "
            "Matlab)"
        )
    try:
        checked = tuple(whole_number(rank, "rank", 1) for rank in ranks)
    except (TypeError, ValueError):
        checked = ()
    if not checked:
        raise ValueError(
            f"ranks are {ranks!r}; expected several whole numbers from 1 up, such as (1, 5, 10); "
            "a single one is (1,)"
        )
    return checked


def _score_queries(scorer, ap):
    """Average precision, inverse negative penalty and first rank of each query, each (Q,).

    Where a query has no positive they are nan, nan and 0.
    """
    count = len(scorer.query)
    average_precisions = numpy.full(count, numpy.nan)
    penalties = numpy.full(count, numpy.nan)
    first_ranks = numpy.zeros(count, dtype=numpy.int64)
    for rows in scorer.chunks():
        pairs = scorer.pairs(rows)
        if not pairs.positive.any():
            continue
        scores = scorer.scores(rows)  # (R, G)
        limits, pair_index = scorer.limits(scores, rows, pairs)
        scores[pair_index] = -torch.inf  # from here on only negatives are counted
        positive_limits = limits[pairs.positive]
        positive_row = pairs.row[pairs.positive]
        limits, number = _table_of_rows(positive_limits, positive_row, len(rows))  # (R, n), (R,)
        closer = _count_at_least(scores, limits, number)  # (R, n)
        matched = number > 0  # (R,)
        precision, penalty, first_rank = _precisions(closer[matched], number[matched], ap)
        matched_rows = rows[matched]
        average_precisions[matched_rows] = precision
        penalties[matched_rows] = penalty
        first_ranks[matched_rows] = first_rank
    return average_precisions, penalties, first_ranks


def _table_of_rows(values, row, count):
    """Values (P,), their rows ascending -> a table with a line per row.

    Returns:
        (count, n) ascending in each line, +inf behind; and how many values each line has (count,).
    """
    number = numpy.bincount(row, minlength=count)
    table = numpy.full((count, number.max()), numpy.inf, dtype=values.dtype)
    table[row, places_in_rows(row, number)] = values
    table.sort(axis=1)  # the one sort: the few positives of a query
    return table, number


def _count_at_least(scores, limits, number):
    """How many scores (R, G) reach each of a row's `number` ascending limits (R, n).

    Returns:
        (R, n) int64.
    """
    if scores.device.type == "cpu" and limits.shape[1] <= FEW:
        return _count_by_comparing(scores.numpy(), limits, number)
    return _count_by_searching(scores, limits)


def _count_by_comparing(scores, limits, number):
    """One pass over a row's scores for each of its limits; the row stays in the cache."""
    counts = numpy.zeros(limits.shape, dtype=numpy.int64)
    for row, row_scores in enumerate(scores):
        count = number[row]
        reached = [numpy.count_nonzero(row_scores >= limit) for limit in limits[row, :count]]
        counts[row, :count] = reached
    return counts


def _count_by_searching(scores, limits):
    """A search for each score among the row's limits, then a histogram of where it ended."""
    limits = torch.from_numpy(limits).to(scores.device)
    # (R, G) how many limits a score reaches
    reached = torch.searchsorted(limits, scores, right=True, out_int32=True)
    bins = limits.shape[1] + 1
    histogram = torch.zeros(len(scores), bins, dtype=torch.int64, device=scores.device)
    for part in reached.split(1 << 14, dim=1):
        histogram.scatter_add_(1, part.long(), torch.ones_like(part, dtype=torch.int64))
    # Limit j is reached by all that reach j + 1 limits or more: a sum from behind.
    counts = histogram[:, 1:].flip(1).cumsum(1).flip(1)
    return counts.cpu().numpy()


def _precisions(closer, number, ap):
    """Average precision, inverse negative penalty and rank of the first positive, each (R,).

    Args:
        closer: (R, n) negatives closer than each positive, the farthest positive first.
        number: (R,) how many positives each query has, 1 or more.
        ap: see `evaluate`.
    """
    # i of the i-th positive; below 1 is padding
    place = number[:, None] - numpy.arange(closer.shape[1])  # (R, n)
    is_positive = place > 0
    rank = numpy.where(is_positive, closer + place, 1)  # r_i
    precision = place / rank  # i/r_i
    if ap == "trapezoid":
        ratio = (place - 1) / numpy.maximum(rank - 1, 1)
        precision_before = numpy.where(rank > 1, ratio, 1)  # (i-1)/(r_i-1)
        precision = (precision + precision_before) / 2
    sums = numpy.where(is_positive, precision, 0).sum(axis=1)
    average_precision = sums / number
    last_rank = rank[:, 0]
    first_rank = rank[numpy.arange(len(rank)), number - 1]
    return average_precision, number / last_rank, first_rank


@torch.no_grad()
def ranking(
    query: Features,
    query_ids: Labels,
    query_cameras: Labels,
    gallery: Features,
    gallery_ids: Labels,
    gallery_cameras: Labels,
    *,
    top: int = 10,
) -> tuple[Tensor, Tensor]:
    """The first pictures of each ranking, junk taken out: what a ranked strip shows.

    The order agrees with the ranks that `evaluate` counts.

    Args:
        query: as all labels and the gallery, see `evaluate`.
        top: how many pictures of each ranking.
    Returns:
        order (Q, top) int64 gallery numbers, and right (Q, top) bool, both on the CPU, with G
        columns where `top` is more. Where a query has fewer pictures left, its row ends in -1.
    Raises:
        ValueError: as `evaluate`, and a top below 1.
    """
    top = whole_number(top, "top", 1)
    scorer = Scorer(query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras)
    width = min(top, len(scorer.ids))
    order = torch.full((len(scorer.query), width), -1)
    for rows in scorer.chunks():
        pairs = scorer.pairs(rows)
        scores = scorer.scores(rows)  # (R, G)
        limits, pair_index = scorer.limits(scores, rows, pairs)
        # Positives have the scores that `evaluate` compares with, junk is never shown.
        limits = numpy.where(pairs.positive, limits, -numpy.inf).astype(limits.dtype)
        scores[pair_index] = torch.from_numpy(limits).to(scores.device)
        best, chosen = scores.topk(width, dim=1)  # (R, top)
        chosen = chosen.where(best > -torch.inf, -1)
        order[torch.from_numpy(rows)] = chosen.cpu()
    shown_ids = torch.from_numpy(scorer.ids)[order]  # (Q, top)
    query_ids = torch.from_numpy(scorer.query_ids)
    right = shown_ids == query_ids[:, None]
    return order, right & (order >= 0)


def bootstrap(
    metrics: Metrics, query_ids: Labels, *, seed: int = 0, rounds: int = 1000
) -> dict[str, tuple[float, float]]:
    """How far rank-1 and mAP would move with other people: 95 % intervals.

    People are drawn with replacement, all queries of a person together: queries of one person are
    not independent, so drawing single queries would promise too much (Efron and Tibshirani 1993,
    chapter 8).

    Args:
        metrics: of `evaluate`.
        query_ids: (Q,) as given to it.
        seed: of the draws.
        rounds: how many draws of identities.
    Returns:
        {"rank1": (low, high), "map": (low, high)}, fractions.
    Raises:
        ValueError: no Metrics, other ids than as many whole numbers as it has queries, no whole
            seed, or rounds below 1.
    """
    if not isinstance(metrics, Metrics):
        raise ValueError(f"metrics is {describe(metrics)}; expected what evaluate returns")
    count = len(metrics.first_ranks)
    query_ids = labels_of(query_ids, "query_ids", count, "queries given to evaluate").cpu()
    seed = whole_number(seed, "seed")
    rounds = whole_number(rounds, "rounds", 1)
    matched = metrics.first_ranks > 0
    hits = (metrics.first_ranks[matched] == 1).double()
    values = torch.stack([hits, metrics.average_precisions[matched]], dim=1)  # (M, 2)
    rank1, mean_precision = stats.bootstrap(values, query_ids[matched], seed=seed, rounds=rounds)
    return {"rank1": rank1, "map": mean_precision}
