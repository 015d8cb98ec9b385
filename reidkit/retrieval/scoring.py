"""Scores of queries against the gallery, chunk by chunk, and the pairs of equal id, found without a Q x G table.

Only the products and the counting run on the device of the gallery. Labels and the few scores of positives are numpy's
on the CPU: a dozen tiny steps a chunk, each of which would wake all of torch's threads on a machine that may be busy.
"""

import functools

import numpy
import torch
import torch.nn.functional as F

CHUNK = 4 << 20  # scores in flight: 16 MB of float32, and a few times that in temporaries
TILE = 8 << 20  # gallery numbers that one matrix product takes: 32 MB, copied in the order it likes


class Scorer:
    """One checked query and gallery. Score: q.g - |g|^2/2 = (|q|^2 - |q - g|^2)/2; higher is closer, -inf is junk.

    Rounding grows with |q| and |g|. Where nearly all of a length is an offset that all features share, the gallery's
    mean is taken from both sides first: no distance changes."""

    def __init__(self, query, query_ids, query_cameras, gallery, gallery_ids, gallery_cameras):
        self.query, self.query_ids, self.query_cameras = _checked(
            "query", query, query_ids, query_cameras
        )
        self.gallery, self.ids, self.cameras = _checked(
            "gallery", gallery, gallery_ids, gallery_cameras
        )
        if self.query.shape[1] != self.gallery.shape[1]:
            raise ValueError(
                f"query features have {self.query.shape[1]} numbers each, gallery features "
                f"{self.gallery.shape[1]}; expected both from the same model"
            )
        self.dtype = torch.promote_types(
            torch.promote_types(self.query.dtype, self.gallery.dtype), torch.float32
        )
        squares = _squares("gallery", self.gallery, self.dtype)  # (G,) |g|^2
        self.centre = _offset(self.gallery, squares)  # (D,)
        if self.centre is not None:
            squares = _squares("gallery", self.gallery, self.dtype, self.centre)
        junk = torch.from_numpy(self.ids == -1).to(squares.device)
        self.bias = (squares / -2).masked_fill(junk, -torch.inf)
        self.lengths = squares.sqrt().cpu().numpy()
        self.query_lengths = (
            _squares("query", self.query, self.dtype, self.centre).sqrt().cpu().numpy()
        )
        self.order = self.ids.argsort(kind="stable")  # gallery grouped by id
        grouped = self.ids[self.order]
        self.first = grouped.searchsorted(self.query_ids)  # (Q,) where a query's group
        self.same = (
            grouped.searchsorted(self.query_ids, side="right") - self.first
        )  # starts, how long it is
        self.same[self.query_ids == -1] = 0
        # oneDNN's product is about twice as fast as MKL's on CPUs where MKL holds back, and as fast elsewhere
        cpu = self.gallery.device.type == "cpu" and self.dtype == torch.float32
        self.onednn = cpu and torch.backends.mkldnn.is_available()
        self.tile = max(1, TILE // self.gallery.shape[1])
        self.packed = functools.lru_cache(maxsize=1)(
            self._pack
        )  # a gallery of one tile is copied only once

    def chunks(self):
        """Query numbers (R,) in chunks of about CHUNK scores; queries with equally many pairs come together."""
        order, start = (-self.same).argsort(kind="stable"), 0
        while start < len(order):
            count = max(1, CHUNK // (len(self.ids) + 8 * int(self.same[order[start]])))
            yield order[start : start + count]
            start += count

    def pairs(self, rows):
        """Who has the id of a query: row, column (P,), and whether the cameras differ (positive) or not (junk)."""
        same = self.same[rows]
        row = numpy.repeat(numpy.arange(len(rows)), same)  # 0 0 0 1 1 2 ...
        place = numpy.arange(len(row)) - (same.cumsum() - same)[row]  # 0 1 2 0 1 0 ...
        column = self.order[self.first[rows][row] + place]
        return row, column, self.cameras[column] != self.query_cameras[rows][row]

    def scores(self, rows):
        """(R, G) scores of these queries, on the device of the gallery."""
        query = self.query[torch.from_numpy(rows).to(self.query.device)].to(
            self.gallery.device, self.dtype
        )
        query = _centred(query, self.dtype, self.centre)
        query, parts = query.to_mkldnn() if self.onednn else query, []
        for start in range(0, len(self.ids), self.tile):
            part, bias = self.packed(start)
            parts.append(
                F.linear(query, part, bias).to_dense()
                if self.onednn
                else torch.addmm(bias, query, part.T)
            )
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)

    def _pack(self, start):
        part, bias = self.gallery[start : start + self.tile], self.bias[start : start + self.tile]
        part = _centred(part, self.dtype, self.centre)
        return (part.to_mkldnn(), bias.to_mkldnn()) if self.onednn else (part, bias)

    def limits(self, scores, rows, row, column):
        """(P,) scores of these pairs, lowered by what two equal distances may differ by rounding: not even equal
        pictures always score equal, because a matrix product sums in another order at the edge of a block."""
        pairs = torch.from_numpy(row).to(scores.device), torch.from_numpy(column).to(scores.device)
        slack = (
            2
            * torch.finfo(self.dtype).eps
            * (self.query_lengths[rows][row] + self.lengths[column]) ** 2
        )
        return scores[pairs].cpu().numpy() - slack, pairs


def _checked(side, features, ids, cameras):
    features, ids, cameras = (torch.as_tensor(value) for value in (features, ids, cameras))
    if features.ndim != 2 or not len(features):
        raise ValueError(
            f"{side} features have shape {tuple(features.shape)}; expected (pictures, numbers), "
            "one picture or more"
        )
    for label, value in (("ids", ids), ("cameras", cameras)):
        if value.shape != (len(features),) or value.is_floating_point() or value.is_complex():
            raise ValueError(
                f"{side} {label} are {value.dtype} {tuple(value.shape)}; expected whole numbers of shape "
                f"({len(features)},), one for each of the {side} features"
            )
    return features.detach(), ids.cpu().long().numpy(), cameras.cpu().long().numpy()


def _tiles(features):
    return features.split(max(1, TILE // features.shape[1]))


def _offset(features, squares):
    """Mean feature (D,), or None where it makes less than 99 % of |f|^2 (N,): then rounding is harmless as it is."""
    mean = sum(part.to(squares.dtype).sum(0) for part in _tiles(features)) / len(features)
    return mean if mean.square().sum() > 0.99 * squares.mean() else None


def _centred(features, dtype, centre):
    return features.to(dtype) if centre is None else features.to(dtype) - centre.to(features.device)


def _squares(side, features, dtype, centre=None):
    """|f - centre|^2 of each row (N,)."""
    squares = torch.cat(
        [_centred(part, dtype, centre).square().sum(1) for part in _tiles(features)]
    )
    bad = (~torch.isfinite(squares)).nonzero()[:, 0]
    if len(bad):
        raise ValueError(
            f"{len(bad)} of {len(features)} {side} features are not finite, the first in row "
            f"{bad[0].item()}; look for NaN or overflow in the model that made them"
        )
    return squares
