"""Losses of re-identification: one value per anchor or per pair, reduced where they are called.

Shapes: B pictures, D feature channels, C identities. Half-precision input is lifted to float32
first: exponents and roots of small numbers do not survive in half precision. float64 stays.

Junk (an id below 0) shows nobody who counts, so it is neither a class nor anybody's positive or
negative: every loss refuses it, as it refuses ids that are no class. See `layers.ids`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from .layers.ids import check_attributes, check_classes, check_ids, check_pairs, check_rows
from .layers.precision import at_least_float32

FAR = 1e9  # "no such pair"; finite, so that gradients stay finite


# ---- distances


def pairwise_distance(a: Tensor, b: Tensor | None = None) -> Tensor:
    """Euclidean distances sqrt(max(|x|^2 + |y|^2 - 2 x.y, 1e-12)) between the rows of two sets.

    The clamp gives identical rows the gradient 0 where a bare root gives NaN. Both sets are moved
    to the mean of `a` first: distances stay, but the difference of two large squares no longer
    swallows a small distance.

    Args:
        a: (A, D) features.
        b: (B, D) features; None for those of `a`.
    Returns:
        (A, B) distances, float32 or better.
    """
    a = at_least_float32(a)
    b = a if b is None else at_least_float32(b)
    centre = a.mean(0, keepdim=True).detach()  # (1, D)
    a = a - centre
    b = b - centre
    a_squared = a.square().sum(1)  # (A,)
    b_squared = b.square().sum(1)  # (B,)
    squared = a_squared[:, None] + b_squared[None, :] - 2 * a @ b.T  # (A, B)
    return squared.clamp_min(1e-12).sqrt()


def cosine_distance(features: Tensor) -> Tensor:
    """2 - 2 cos, the squared Euclidean distance of the rows scaled to length one.

    Args:
        features: (B, D).
    Returns:
        (B, B) distances from 0 to 4, float32 or better.
    """
    return 2 - 2 * _cosines(features)


def _cosines(features):
    unit = F.normalize(at_least_float32(features), dim=1)
    return unit @ unit.T  # (B, B)


def _positives_and_negatives(ids):
    """(B, B) masks: the same person in another picture; another person."""
    same = ids[:, None] == ids[None, :]
    itself = torch.eye(len(ids), dtype=torch.bool, device=ids.device)
    return same & ~itself, ~same


# ---- identity losses


def cross_entropy(
    logits: Tensor, ids: Tensor, smoothing: float = 0.0, form: str = "szegedy"
) -> Tensor:
    """Cross-entropy -sum_k q_k log p_k with a smoothed target q.

    form "szegedy" (Szegedy et al. 2016; BoT, torch): q_y = 1 - eps + eps/C, q_k = eps/C. With eps =
    1, LSRO.

    form "fastreid" (FastReID, MetaBIN): q_y = 1 - eps, q_k = eps/(C - 1).

    form "adaptive" (FastReID, eps < 0 there): as "fastreid" with eps_i = smoothing * p_y of picture
    i, a constant to the gradient: a confident picture is smoothed more.

    Args:
        logits: (B, C).
        ids: (B,) identities, 0..C-1.
        smoothing: eps, the share of the target that the other classes get.
        form: how it is shared out, see above.
    Returns:
        (B,) loss per picture.
    Raises:
        ValueError: shapes that do not fit, ids outside 0..C-1, or another form.
    """
    check_classes("cross_entropy", logits, ids)
    log_p = at_least_float32(logits).log_softmax(1)  # (B, C)
    log_p_true = log_p.gather(1, ids[:, None]).squeeze(1)  # (B,) of the right person
    if form == "szegedy":
        return -(1 - smoothing) * log_p_true - smoothing * log_p.mean(1)
    if form not in ("fastreid", "adaptive"):
        raise ValueError(f"form is {form!r}; expected 'szegedy', 'fastreid' or 'adaptive'")
    if form == "adaptive":
        smoothing = smoothing * log_p_true.exp().detach()  # (B,)
    wrong_classes = max(logits.shape[1] - 1, 1)
    log_p_wrong = (log_p.sum(1) - log_p_true) / wrong_classes  # (B,) mean over the other classes
    return -(1 - smoothing) * log_p_true - smoothing * log_p_wrong


def arcface_logits(cosine: Tensor, ids: Tensor, scale: float = 64.0, margin: float = 0.5) -> Tensor:
    """s cos(arccos(cos_y) + m) for the right person, s cos_k for the others (Deng et al. 2019).

    The cosine is clamped to +-(1 - 1e-7): rounding beyond one would make the angle NaN.

    Args:
        cosine: (B, C) cosines of features and class weights.
        ids: (B,) identities, 0..C-1.
        scale: s.
        margin: m, in radians.
    Returns:
        (B, C) logits.
    Raises:
        ValueError: shapes that do not fit, or ids outside 0..C-1.
    """
    check_classes("arcface_logits", cosine, ids)
    cosine = at_least_float32(cosine)
    angle = cosine.clamp(-1 + 1e-7, 1 - 1e-7).acos()
    with_margin = (angle + margin).cos()
    return scale * torch.where(_is_right_class(cosine, ids), with_margin, cosine)


def cosface_logits(
    cosine: Tensor, ids: Tensor, scale: float = 64.0, margin: float = 0.35
) -> Tensor:
    """s (cos_y - m) for the right person, s cos_k for the others (Wang et al. 2018).

    Args:
        cosine: (B, C) cosines of features and class weights.
        ids: (B,) identities, 0..C-1.
        scale: s.
        margin: m, in units of the cosine.
    Returns:
        (B, C) logits.
    Raises:
        ValueError: shapes that do not fit, or ids outside 0..C-1.
    """
    check_classes("cosface_logits", cosine, ids)
    return scale * (at_least_float32(cosine) - margin * _is_right_class(cosine, ids))


def circle_logits(cosine: Tensor, ids: Tensor, scale: float = 64.0, margin: float = 0.35) -> Tensor:
    """s a_p (cos_y - 1 + m) for the right person, s a_n (cos_k - m) for the others.

    The weights a_p = [1 + m - cos_y]_+ and a_n = [cos_k + m]_+ are held constant.

    Args:
        cosine: (B, C) cosines of features and class weights.
        ids: (B,) identities, 0..C-1.
        scale: s.
        margin: m, in units of the cosine.
    Returns:
        (B, C) logits.
    Raises:
        ValueError: shapes that do not fit, or ids outside 0..C-1.
    Source:
        Sun et al. 2020, the form for classification.
    """
    check_classes("circle_logits", cosine, ids)
    cosine = at_least_float32(cosine)
    positive_weight = (1 + margin - cosine).clamp_min(0).detach()  # a_p
    negative_weight = (cosine + margin).clamp_min(0).detach()  # a_n
    positive = positive_weight * (cosine - 1 + margin)
    negative = negative_weight * (cosine - margin)
    return scale * torch.where(_is_right_class(cosine, ids), positive, negative)


def _is_right_class(values, ids):
    """(B, C) mask, true in the column of a row's identity."""
    return torch.arange(values.shape[1], device=ids.device)[None, :] == ids[:, None]


def attribute_loss(logits: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    """(1/M) sum_m cross-entropy of attribute m (APR, Lin et al. 2019).

    Args:
        logits: name -> (B, values that the attribute has).
        labels: name -> (B,) int64, -1 where not known, which counts 0.
    Returns:
        (B,) loss per picture.
    Raises:
        ValueError: no logits, no labels for some of them, or labels that are none of their values.
    """
    check_attributes("attribute_loss", logits, labels)
    total = 0
    for name, value in logits.items():
        total = total + F.cross_entropy(
            at_least_float32(value), labels[name], ignore_index=-1, reduction="none"
        )
    return total / len(logits)


def centre_loss(features: Tensor, ids: Tensor, centres: Tensor) -> Tensor:
    """BoT's |f - c_y|^2 against one learnt centre per identity.

    Args:
        features: (B, D).
        ids: (B,) identities, 0..C-1.
        centres: (C, D).
    Returns:
        (B,) squared distance per picture.
    Raises:
        ValueError: shapes that do not fit, or ids that are no row of the centres.
    """
    check_rows("centre_loss", features, ids, centres)
    return (at_least_float32(features) - centres[ids]).square().sum(1)


# ---- metric losses: one value per anchor; 0, attached to the graph, where an anchor lacks a
# positive or a negative


def _margin(gap, valid, margin):
    """[gap + margin]_+, or softplus(gap) without a margin; 0 where an anchor is not valid."""
    loss = F.softplus(gap) if margin is None else (gap + margin).clamp_min(0)
    return torch.where(valid, loss, 0 * gap)


def _distances(features, metric):
    if metric not in ("euclid", "cosine"):
        raise ValueError(f"metric is {metric!r}; expected 'euclid' or 'cosine' (2 - 2 cos)")
    return pairwise_distance(features) if metric == "euclid" else cosine_distance(features)


def batch_hard_triplet(
    features: Tensor, ids: Tensor, margin: float | None = 0.3, metric: str = "euclid"
) -> Tensor:
    """Hardest positive against hardest negative of each anchor (Hermans et al. 2017, eq. 5).

    [m + max_p d(a, p) - min_n d(a, n)]_+

    Args:
        features: (B, D) embeddings.
        ids: (B,) identities.
        margin: m, added to the gap before the hinge; None takes softplus of the gap instead.
        metric: "euclid" or "cosine" (2 - 2 cos).
    Returns:
        (B,) loss per anchor; 0, attached to the graph, where an anchor lacks a positive or a
        negative.
    Raises:
        ValueError: shapes that do not fit, ids below 0 (junk), or another metric.
    """
    check_ids("batch_hard_triplet", features, ids)
    distance = _distances(features, metric)  # (B, B)
    positives, negatives = _positives_and_negatives(ids)  # (B, B) each
    hardest_positive = distance.masked_fill(~positives, 0).amax(1)  # (B,)
    hardest_negative = distance.masked_fill(~negatives, FAR).amin(1)  # (B,)
    valid = positives.any(1) & negatives.any(1)
    return _margin(hardest_positive - hardest_negative, valid, margin)


def weighted_triplet(features: Tensor, ids: Tensor, margin: float | None = None) -> Tensor:
    """All pairs count, the hard ones more: softplus(d_ap - d_an) (AGW, Ye et al. 2021).

    d_ap = sum_p w_p d(a, p) with w = softmax_p d, and d_an = sum_n w_n d(a, n) with w = softmax_n
    -d.

    As in the published code the anchor itself counts among its positives, at distance 1e-6. That
    code adds 1e-6 to the softmax's denominators (1e-5 of the value at distances around 3), which at
    distances above 14 empties w; here w sums to one.

    Args:
        features: (B, D) embeddings.
        ids: (B,) identities.
        margin: takes the hinge with this margin instead of softplus.
    Returns:
        (B,) loss per anchor; 0, attached to the graph, where an anchor lacks a positive or a
        negative.
    Raises:
        ValueError: shapes that do not fit, or ids below 0 (junk).
    """
    check_ids("weighted_triplet", features, ids)
    distance = pairwise_distance(features)  # (B, B)
    positives, negatives = _positives_and_negatives(ids)
    same = ids[:, None] == ids[None, :]  # the positives and the anchor itself
    positive_weights = distance.masked_fill(~same, -FAR).softmax(1)  # (B, B)
    negative_weights = (-distance.masked_fill(~negatives, FAR)).softmax(1)
    d_ap = (positive_weights * distance).sum(1)  # (B,)
    d_an = (negative_weights * distance).sum(1)
    valid = positives.any(1) & negatives.any(1)
    return _margin(d_ap - d_an, valid, margin)


def circle(features: Tensor, ids: Tensor, margin: float = 0.25, gamma: float = 128.0) -> Tensor:
    """softplus(LSE_n g a_n (s_n - m) + LSE_p -g a_p (s_p - 1 + m)) on cosines s.

    LSE is the logarithm of the sum of exponentials; a_p = [1 + m - s_p]_+ and a_n = [s_n + m]_+ are
    held constant.

    Args:
        features: (B, D) embeddings.
        ids: (B,) identities.
        margin: m, in units of the cosine.
        gamma: g, the scale.
    Returns:
        (B,) loss per anchor; 0, attached to the graph, where an anchor lacks a positive or a
        negative.
    Raises:
        ValueError: shapes that do not fit, or ids below 0 (junk).
    Source:
        Sun et al. 2020, the pairwise form.
    """
    check_ids("circle", features, ids)
    s = _cosines(features)  # (B, B)
    positives, negatives = _positives_and_negatives(ids)
    positive_weight = (1 + margin - s).clamp_min(0).detach()  # a_p
    negative_weight = (s + margin).clamp_min(0).detach()  # a_n
    pull = -gamma * positive_weight * (s - 1 + margin)  # (B, B)
    push = gamma * negative_weight * (s - margin)
    over_positives = pull.masked_fill(~positives, -FAR).logsumexp(1)  # (B,)
    over_negatives = push.masked_fill(~negatives, -FAR).logsumexp(1)
    gap = over_positives + over_negatives
    valid = positives.any(1) & negatives.any(1)
    return torch.where(valid, F.softplus(gap), 0 * gap)


# ---- verification losses: one value per pair


def pairs(ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of a batch, each once.

    Same-person pairs are rare ((K - 1) / (P K - 1) of a P x K batch), so balance: see
    `balanced_mean`.

    Args:
        ids: (B,) identities.
    Returns:
        first and second, (n,) indices into the batch, and same, (n,) bool; n = B (B - 1) / 2.
    Raises:
        ValueError: ids are no int64 tensor (B,), or some are below 0 (junk).
    """
    check_ids("pairs", None, ids)
    first, second = torch.triu_indices(len(ids), len(ids), offset=1, device=ids.device)
    return first, second, ids[first] == ids[second]


def contrastive(features: Tensor, ids: Tensor, margin: float = 1.0) -> Tensor:
    """y d^2 + (1 - y) [m - d]_+^2 of every pair (Hadsell et al. 2006).

    Args:
        features: (B, D) embeddings.
        ids: (B,) identities; y is 1 for a pair of the same person.
        margin: m, the distance beyond which another person costs nothing.
    Returns:
        (n,) loss per pair, in the order of `pairs`.
    Raises:
        ValueError: shapes that do not fit, or ids below 0 (junk).
    """
    check_ids("contrastive", features, ids)
    first, second, same = pairs(ids)
    distance = pairwise_distance(features)[first, second]  # (B, B) -> (n,)
    shortfall = (margin - distance).clamp_min(0)
    return torch.where(same, distance.square(), shortfall.square())


def verification(logits: Tensor, same: Tensor) -> Tensor:
    """Binary cross-entropy of "the same person" (Zheng, Zheng, Yang 2018).

    There it is a classifier on squared differences, see `layers.heads.PairClassifier`.

    Args:
        logits: (n,) of pairs, large for "same person".
        same: (n,) bool.
    Returns:
        (n,) loss per pair.
    Raises:
        ValueError: the shapes differ, or `same` is not bool.
    """
    check_pairs("verification", logits, same)
    logits = at_least_float32(logits)
    return F.binary_cross_entropy_with_logits(logits, same.to(logits.dtype), reduction="none")


def balanced_mean(values: Tensor, same: Tensor) -> Tensor:
    """Mean over same-person pairs and mean over the others, half each.

    Args:
        values: (n,) one per pair.
        same: (n,) bool.
    Returns:
        A scalar; a side without pairs counts 0.
    Raises:
        ValueError: the shapes differ, or `same` is not bool.
    """
    check_pairs("balanced_mean", values, same)
    total = 0
    for side in (values[same], values[~same]):
        total = total + side.sum() / max(len(side), 1)
    return total / 2
