"""Scores of queries against the gallery, chunk by chunk, and the pairs of equal id.

Pairs are found without a Q x G table. Only the products and the counting run on the device of the
gallery. Labels and the few scores of positives are numpy's on the CPU: a dozen tiny steps per
chunk, each of which would wake all of torch's threads on a machine that may be busy.

In the shapes, Q and G are the pictures of query and gallery, D the numbers of a feature, R the
queries of a chunk, and P the pairs of equal id in it.
"""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor

from ..arguments import features_of, labels_of
from ..record import is_junk

CHUNK = 4 << 20  # scores in flight: 16 MB of float32, and a few times that in temporaries
TILE = 8 << 20  # gallery numbers that one matrix product takes: 32 MB, copied in the order it likes


class Pairs(NamedTuple):
    """Gallery pictures that have the id of a query of the chunk.

    Args:
        row: (P,) which query of the chunk, ascending.
        column: (P,) which gallery picture.
        positive: (P,) bool, whether the cameras differ; if not, the picture is junk.
    """

    row: numpy.ndarray
    column: numpy.ndarray
    positive: numpy.ndarray


class Scorer:
    """One checked query and gallery.

    The score is q.g - |g|^2/2 = (|q|^2 - |q - g|^2)/2; higher is closer, -inf is junk. Rounding
    grows with |q| and |g|. Where nearly all of a length is an offset that all features share, the
    gallery's mean is taken from both sides first: no distance changes.

    Args:
        query: (Q, D) features, on any device, arrays too.
        query_ids: (Q,) whole numbers.
        query_cameras: (Q,) whole numbers.
        gallery: (G, D) features, on the device where the work is done.
        gallery_ids: (G,) whole numbers; below 0 is junk, as in query_ids.
        gallery_cameras: (G,) whole numbers.
    Raises:
        ValueError: shapes do not fit together, or features are not finite.
    """

    def __init__(self, query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras):
        self.query = features_of(query, "query features")
        self.query_ids = _labels("query ids", query_ids, self.query)
        self.query_cameras = _labels("query cameras", query_cameras, self.query)
        self.gallery = features_of(gallery, "gallery features")
        self.ids = _labels("gallery ids", gallery_ids, self.gallery)
        self.cameras = _labels("gallery cameras", gallery_cameras, self.gallery)
        if self.query.shape[1] != self.gallery.shape[1]:
            raise ValueError(
                f"query features have {self.query.shape[1]} numbers each, gallery features "
                f"{self.gallery.shape[1]}; expected both from the same model"
            )
        widest = torch.promote_types(self.query.dtype, self.gallery.dtype)
        self.dtype = torch.promote_types(widest, torch.float32)
        self._measure_lengths()
        self._group_by_id()
        # oneDNN's product is about twice as fast as MKL's on CPUs where MKL holds back, and as fast
        # elsewhere.
        on_cpu = self.gallery.device.type == "cpu" and self.dtype == torch.float32
        self.onednn = on_cpu and torch.backends.mkldnn.is_available()
        self.tile = max(1, TILE // self.gallery.shape[1])
        # A gallery of one tile is copied only once.
        self.packed = functools.lru_cache(maxsize=1)(self._pack)

    def _measure_lengths(self):
        """The mean that is subtracted, if any, lengths of features, and what is added to q.g."""
        squares = _squares("gallery", self.gallery, self.dtype)  # (G,) |g|^2
        self.centre = _offset(self.gallery, squares)  # (D,) or None
        if self.centre is not None:
            squares = _squares("gallery", self.gallery, self.dtype, self.centre)
        query_squares = _squares("query", self.query, self.dtype, self.centre)
        self.lengths = squares.sqrt().cpu().numpy()  # (G,) |g|
        self.query_lengths = query_squares.sqrt().cpu().numpy()  # (Q,) |q|
        junk = torch.from_numpy(is_junk(self.ids)).to(squares.device)
        self.bias = (squares / -2).masked_fill(junk, -torch.inf)  # (G,) -|g|^2/2

    def _group_by_id(self):
        """Where the pictures of each query's id are, once the gallery is sorted by id."""
        self.by_id = self.ids.argsort(kind="stable")  # (G,) gallery pictures, grouped by id
        grouped_ids = self.ids[self.by_id]
        self.group_start = grouped_ids.searchsorted(self.query_ids)  # (Q,)
        group_end = grouped_ids.searchsorted(self.query_ids, side="right")
        self.group_size = group_end - self.group_start  # (Q,)
        self.group_size[is_junk(self.query_ids)] = 0

    def chunks(self) -> Iterator[numpy.ndarray]:
        """Query numbers (R,) in chunks of about CHUNK scores.

        Queries with equally many pairs come together, those with the most first.
        """
        order = (-self.group_size).argsort(kind="stable")
        start = 0
        while start < len(order):
            most_pairs = int(self.group_size[order[start]])
            count = max(1, CHUNK // (len(self.ids) + 8 * most_pairs))
            yield order[start : start + count]
            start += count

    def pairs(self, rows: numpy.ndarray) -> Pairs:
        """The gallery pictures that have the id of one of these queries (R,)."""
        sizes = self.group_size[rows]  # (R,)
        row = numpy.repeat(numpy.arange(len(rows)), sizes)  # 0 0 0 1 1 2 ...
        query = rows[row]  # (P,)
        column = self.by_id[self.group_start[query] + places_in_rows(row, sizes)]
        return Pairs(row, column, self.cameras[column] != self.query_cameras[query])

    def scores(self, rows: numpy.ndarray) -> Tensor:
        """(R, G) scores of these queries, on the device of the gallery."""
        chosen = torch.from_numpy(rows).to(self.query.device)
        query = self.query[chosen].to(self.gallery.device, self.dtype)
        query = _subtract(query, self.dtype, self.centre)
        if self.onednn:
            query = query.to_mkldnn()
        parts = []
        for start in range(0, len(self.ids), self.tile):
            gallery, bias = self.packed(start)
            if self.onednn:
                parts.append(F.linear(query, gallery, bias).to_dense())
            else:
                parts.append(torch.addmm(bias, query, gallery.T))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _pack(self, start):
        """The gallery features and biases of one tile, in the order that the product likes."""
        gallery = _subtract(self.gallery[start : start + self.tile], self.dtype, self.centre)
        bias = self.bias[start : start + self.tile]
        if self.onednn:
            return gallery.to_mkldnn(), bias.to_mkldnn()
        return gallery, bias

    def limits(
        self, scores: Tensor, rows: numpy.ndarray, pairs: Pairs
    ) -> tuple[numpy.ndarray, tuple[Tensor, Tensor]]:
        """The scores of these pairs, lowered by what two equal distances may differ by rounding.

        Not even equal pictures always score equal, because a matrix product sums in another order
        at the edge of a block.

        Args:
            scores: (R, G) of `scores`.
            rows: (R,) the queries of the chunk.
            pairs: of these queries.
        Returns:
            (P,) limits, and the index of the pairs in `scores`.
        """
        row = torch.from_numpy(pairs.row).to(scores.device)
        column = torch.from_numpy(pairs.column).to(scores.device)
        pair_scores = scores[row, column].cpu().numpy()
        # |q.g| and |g|^2 are at most (|q| + |g|)^2.
        length = self.query_lengths[rows[pairs.row]] + self.lengths[pairs.column]
        slack = 2 * torch.finfo(self.dtype).eps * length**2
        return pair_scores - slack, (row, column)


def places_in_rows(row: numpy.ndarray, sizes: numpy.ndarray) -> numpy.ndarray:
    """0, 1, ... within each row.

    Args:
        row: (P,) row numbers, ascending.
        sizes: (R,) how often each row occurs in it.
    Returns:
        (P,) for example 0 1 2 0 1 0 for the rows 0 0 0 1 1 2.
    """
    starts = sizes.cumsum() - sizes  # (R,)
    return numpy.arange(len(row)) - starts[row]


def _labels(name, labels, features):
    """Checked labels as a numpy array (N,) int64."""
    side = name.partition(" ")[0]
    return labels_of(labels, name, len(features), f"{side} features").cpu().numpy()


def _tiles(features):
    return features.split(max(1, TILE // features.shape[1]))


def _offset(features, squares):
    """The mean feature (D,), or None where it makes less than 99 % of |f|^2, given as squares (N,).

    Then rounding is harmless as it is.
    """
    total = sum(part.to(squares.dtype).sum(0) for part in _tiles(features))
    mean = total / len(features)
    return mean if mean.square().sum() > 0.99 * squares.mean() else None


def _subtract(features, dtype, centre):
    """The features in this dtype, without the centre where there is one."""
    features = features.to(dtype)
    return features if centre is None else features - centre.to(features.device)


def _squares(side, features, dtype, centre=None):
    """|f - centre|^2 of each row (N,)."""
    parts = [_subtract(part, dtype, centre).square().sum(1) for part in _tiles(features)]
    squares = torch.cat(parts)
    bad_rows = (~torch.isfinite(squares)).nonzero()[:, 0]
    if len(bad_rows):
        raise ValueError(
            f"{len(bad_rows)} of {len(features)} {side} features are not finite, the first in row "
            f"{bad_rows[0].item()}; look for NaN or overflow in the model that made them"
        )
    return squares
