"""Losses of re-identification. Each gives one value an anchor (or a pair); the call shows how they are reduced.

B pictures, D feature channels, C identities. Half-precision input is lifted to float32 first: exponents and roots of
small numbers do not survive in half precision.
"""

import torch
import torch.nn.functional as F

FAR = 1e9  # "no such pair"; finite, so that gradients stay finite


def _check(name, values, ids):
    if values.ndim != 2 or ids.shape != values.shape[:1] or ids.dtype != torch.int64:
        raise ValueError(
            f"{name}: got values {tuple(values.shape)} with ids {ids.dtype} {tuple(ids.shape)}; "
            f"expected (B, D) or (B, C) with int64 ids (B,)"
        )


def pairwise_distance(a, b=None):
    """Euclidean distances sqrt(max(|x|^2 + |y|^2 - 2 x.y, 1e-12)) between the rows of a (A, D) and b (B, D) -> (A, B).

    The clamp gives identical rows the gradient 0 where a bare root gives NaN. Both sets are moved to the mean of `a`
    first: distances stay, but the difference of two large squares no longer swallows a small distance.
    """
    a = a.float()
    b = a if b is None else b.float()
    centre = a.mean(0, keepdim=True).detach()
    a, b = a - centre, b - centre
    squared = a.square().sum(1)[:, None] + b.square().sum(1)[None, :] - 2 * a @ b.T  # (A, B)
    return squared.clamp_min(1e-12).sqrt()


def cosine_distance(features):
    """2 - 2 cos, the squared Euclidean distance of the rows scaled to length one; (B, D) -> (B, B)."""
    unit = F.normalize(features.float(), dim=1)
    return 2 - 2 * unit @ unit.T


def _same_and_other(ids):
    """(B, B) masks: the same person in another picture, another person."""
    same = ids[:, None] == ids[None, :]
    return same & ~torch.eye(len(ids), dtype=torch.bool, device=ids.device), ~same


# identity losses


def cross_entropy(logits, ids, smoothing=0.0, form="szegedy"):
    """Cross-entropy -sum_k q_k log p_k with a smoothed target q; logits (B, C), ids (B,) in 0..C-1 -> (B,).

    form "szegedy" (Szegedy et al. 2016; BoT, torch): q_y = 1 - eps + eps/C, q_k = eps/C. With eps = 1, LSRO.
    form "fastreid" (FastReID, MetaBIN):              q_y = 1 - eps,         q_k = eps/(C - 1).
    form "adaptive" (FastReID, eps < 0 there): as "fastreid" with eps_i = smoothing * p_y of picture i, a constant to
    the gradient: a confident picture is smoothed more.
    """
    _check("cross_entropy", logits, ids)
    logs = logits.float().log_softmax(1)  # (B, C)
    true = logs.gather(1, ids[:, None]).squeeze(1)  # (B,) log p of the right person
    if form == "szegedy":
        return -(1 - smoothing) * true - smoothing * logs.mean(1)
    if form not in ("fastreid", "adaptive"):
        raise ValueError(f"form is {form!r}; expected 'szegedy', 'fastreid' or 'adaptive'")
    share = smoothing * true.exp().detach() if form == "adaptive" else smoothing
    others = (logs.sum(1) - true) / max(logs.shape[1] - 1, 1)
    return -(1 - share) * true - share * others


def arcface_logits(cosine, ids, scale=64.0, margin=0.5):
    """Deng et al. 2019: s cos(arccos(cos_y) + m) for the right person, s cos_k for the others; cosine (B, C) -> (B, C).

    The cosine is clamped to +-(1 - 1e-7): rounding beyond one would make the angle NaN.
    """
    _check("arcface_logits", cosine, ids)
    angle = cosine.float().clamp(-1 + 1e-7, 1 - 1e-7).acos()
    return scale * torch.where(_right(cosine, ids), (angle + margin).cos(), cosine.float())


def cosface_logits(cosine, ids, scale=64.0, margin=0.35):
    """Wang et al. 2018: s (cos_y - m) for the right person, s cos_k for the others; (B, C) cosines -> (B, C)."""
    _check("cosface_logits", cosine, ids)
    return scale * (cosine.float() - margin * _right(cosine, ids))


def circle_logits(cosine, ids, scale=64.0, margin=0.35):
    """Sun et al. 2020, classification form: s a_p (cos_y - 1 + m) and s a_n (cos_k - m), with the weights
    a_p = [1 + m - cos_y]_+ and a_n = [cos_k + m]_+ held constant; (B, C) cosines -> (B, C)."""
    _check("circle_logits", cosine, ids)
    cosine = cosine.float()
    towards = (1 + margin - cosine).clamp_min(0).detach() * (cosine - 1 + margin)
    away = (cosine + margin).clamp_min(0).detach() * (cosine - margin)
    return scale * torch.where(_right(cosine, ids), towards, away)


def _right(values, ids):
    return torch.arange(values.shape[1], device=ids.device)[None, :] == ids[:, None]  # (B, C)


def attribute_loss(logits, labels):
    """APR (Lin et al. 2019): (1/M) sum_m cross-entropy of attribute m, one value a picture.

    logits: dict name -> (B, values of it); labels: dict name -> (B,) int64, -1 where not known (counts 0) -> (B,).
    """
    missing = sorted(set(logits) - set(labels))
    if missing or not logits:
        raise ValueError(
            f"attribute_loss: no labels for {missing or 'an empty set'}; known are {sorted(labels)}"
        )
    return sum(
        F.cross_entropy(value.float(), labels[name], ignore_index=-1, reduction="none")
        for name, value in logits.items()
    ) / len(logits)


def centre_loss(features, ids, centres):
    """BoT's |f - c_y|^2 against one learnt centre an identity, centres (C, D); (B, D), (B,) -> (B,)."""
    return (features.float() - centres[ids]).square().sum(1)


# metric losses: one value an anchor, 0 (attached to the graph) where an anchor has no positive or no negative


def _margin(gap, valid, margin):
    loss = F.softplus(gap) if margin is None else (gap + margin).clamp_min(0)
    return torch.where(valid, loss, 0 * gap)


def _distances(features, metric):
    if metric not in ("euclid", "cosine"):
        raise ValueError(f"metric is {metric!r}; expected 'euclid' or 'cosine' (2 - 2 cos)")
    return pairwise_distance(features) if metric == "euclid" else cosine_distance(features)


def batch_hard_triplet(features, ids, margin=0.3, metric="euclid"):
    """Hermans et al. 2017, eq. 5: [m + max_p d(a, p) - min_n d(a, n)]_+, or softplus of the gap where margin is None.

    features (B, D), ids (B,) -> (B,): the hardest positive against the hardest negative of each anchor.
    """
    _check("batch_hard_triplet", features, ids)
    distance = _distances(features, metric)  # (B, B)
    same, other = _same_and_other(ids)
    hardest_positive = distance.masked_fill(~same, 0).amax(1)
    hardest_negative = distance.masked_fill(~other, FAR).amin(1)
    valid = same.any(1) & other.any(1)
    return _margin(hardest_positive - hardest_negative, valid, margin)


def weighted_triplet(features, ids, margin=None):
    """AGW (Ye et al. 2021): all pairs count, d_ap = sum_p w_p d(a, p) with w = softmax_p d, d_an = sum_n w_n d(a, n)
    with w = softmax_n -d; then softplus(d_ap - d_an), or the hinge with a margin. features (B, D), ids (B,) -> (B,).

    As in the published code the anchor itself counts among its positives, at distance 1e-6. That code adds 1e-6 to the
    softmax's denominators (1e-5 of the value at distances around 3), which at distances above 14 empties w; here w sums
    to one.
    """
    _check("weighted_triplet", features, ids)
    distance = pairwise_distance(features)
    same, other = _same_and_other(ids)
    own = ids[:, None] == ids[None, :]
    d_ap = ((distance.masked_fill(~own, -FAR)).softmax(1) * distance).sum(1)
    d_an = ((-distance.masked_fill(~other, FAR)).softmax(1) * distance).sum(1)
    return _margin(d_ap - d_an, same.any(1) & other.any(1), margin)


def circle(features, ids, margin=0.25, gamma=128.0):
    """Sun et al. 2020, pairwise form on cosines s: softplus(LSE_n g a_n (s_n - m) + LSE_p -g a_p (s_p - 1 + m)),
    a_p = [1 + m - s_p]_+ and a_n = [s_n + m]_+ held constant. features (B, D), ids (B,) -> (B,)."""
    _check("circle", features, ids)
    unit = F.normalize(features.float(), dim=1)
    s = unit @ unit.T  # (B, B) cosines
    same, other = _same_and_other(ids)
    pull = -gamma * (1 + margin - s).clamp_min(0).detach() * (s - 1 + margin)
    push = gamma * (s + margin).clamp_min(0).detach() * (s - margin)
    gap = pull.masked_fill(~same, -FAR).logsumexp(1) + push.masked_fill(~other, -FAR).logsumexp(1)
    return torch.where(same.any(1) & other.any(1), F.softplus(gap), 0 * gap)


# verification losses: one value a pair


def pairs(ids):
    """All pairs of a batch, each once: first, second (n,) indices and same (n,) bool, n = B (B - 1) / 2.

    Same-person pairs are rare ((K - 1) / (P K - 1) of a P x K batch), so balance: see `balanced_mean`.
    """
    first, second = torch.triu_indices(len(ids), len(ids), offset=1, device=ids.device)
    return first, second, ids[first] == ids[second]


def contrastive(features, ids, margin=1.0):
    """Hadsell et al. 2006: y d^2 + (1 - y) [m - d]_+^2 of every pair, in the order of `pairs`; (B, D), (B,) -> (n,)."""
    _check("contrastive", features, ids)
    first, second, same = pairs(ids)
    distance = pairwise_distance(features)[first, second]  # (n,)
    return torch.where(same, distance.square(), (margin - distance).clamp_min(0).square())


def verification(logits, same):
    """Binary cross-entropy of pair logits (n,), large for "same person", against same (n,) bool -> (n,).

    Zheng, Zheng, Yang 2018: a classifier on squared differences, see `layers.heads.PairClassifier`.
    """
    if logits.shape != same.shape:
        raise ValueError(
            f"verification: logits {tuple(logits.shape)}, same {tuple(same.shape)}; need one shape (n,)"
        )
    return F.binary_cross_entropy_with_logits(logits.float(), same.float(), reduction="none")


def balanced_mean(values, same):
    """Mean over same-person pairs and mean over the others, half each: (n,) -> scalar; an empty side counts 0."""
    sides = (values[same], values[~same])
    return sum(side.sum() / max(len(side), 1) for side in sides) / 2
