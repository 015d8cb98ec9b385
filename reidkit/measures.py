"""What activations hold, in numbers.

How far two sets of pictures lie apart in a layer, what instance norm throws away, and how much of
the style and of the person a probe still reads from features.
"""

from torch import Tensor

from .arguments import describe, features_of, labels_of, tensor_of, whole_number
from .layers.norms import moments
from .record import ReIDData, is_junk

# ---- statistics of a layer


def divergence(one: Tensor, other: Tensor, eps: float = 1e-12) -> Tensor:
    """How far apart two sets of pictures lie in each channel of a layer, in nats.

    A Gaussian is fitted to the pictures' means of a channel in each set; the result is KL(1|2) +
    KL(2|1), 0 for the same mean and variance. Pan et al. 2018 (IBN-Net) average it over channels to
    tell style from content by depth. Variances are at least eps, so that a dead channel, 0 in all
    pictures of both sets, has divergence 0. Computed in float64.

    Args:
        one: (N, C, H, W) or (N, C) activations.
        other: (M, C, ...) of the other pictures.
        eps: smallest variance.
    Returns:
        (C,) divergence of each channel, float64.
    Raises:
        ValueError: other channels, fewer than two pictures, no activations, or an eps that is not
            above 0.
    """
    if not isinstance(eps, (int, float)) or not eps > 0:
        raise ValueError(f"eps is {eps!r}; expected a small number above 0, such as 1e-12")
    means1 = _picture_means(one)  # (N, C)
    means2 = _picture_means(other)  # (M, C)
    if means1.shape[1] != means2.shape[1] or min(len(means1), len(means2)) < 2:
        raise ValueError(
            f"activations are {describe(one)} and {describe(other)}; "
            "expected two or more pictures each, of the same channels"
        )
    mean1 = means1.mean(0)  # (C,)
    mean2 = means2.mean(0)
    var1 = means1.var(0, correction=0).clamp_min(eps)
    var2 = means2.var(0, correction=0).clamp_min(eps)
    # KL(1|2) = (log(var2 / var1) + (var1 + gap) / var2 - 1) / 2; in the sum, the logarithms cancel.
    gap = (mean1 - mean2).square()
    spread = var1 / var2 + var2 / var1
    return (spread + gap * (1 / var1 + 1 / var2)) / 2 - 1


def _picture_means(activations):
    """(N, C, ...) -> (N, C), float64"""
    expected = "real numbers of shape (pictures, channels, height, width) or (pictures, channels)"
    activations = tensor_of(activations, "activations", expected)
    if activations.ndim < 2 or not activations.is_floating_point():
        raise ValueError(f"activations are {describe(activations)}; expected {expected}")
    activations = activations.double()
    if activations.ndim > 2:
        activations = activations.flatten(2).mean(2)
    return activations


def variance_shares(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Of the variance that batch norm divides by, the parts within and between pictures.

    They add up to it (law of total variance). Instance norm divides by the first, picture by
    picture, and throws the second away: the style, and some of the person.

    Args:
        maps: (B, C, H, W).
    Returns:
        The variance within pictures and the variance between them, (C,) each.
    Raises:
        ValueError: no maps.
    """
    if not isinstance(maps, Tensor) or maps.ndim != 4 or not maps.is_floating_point():
        raise ValueError(
            f"maps are {describe(maps)}; expected real numbers of shape (pictures, channels, "
            "height, width)"
        )
    mean, variance = moments(maps)  # (B, C, 1, 1) each
    within = variance.mean(0).flatten()
    between = mean.var(0, correction=0).flatten()
    return within, between


# ---- probes


def probe(features: Tensor, labels: Tensor, groups: Tensor, folds: int = 4) -> float:
    """How well a linear classifier reads a label from frozen features.

    A ridge classifier (scikit-learn) on standardised features, cross-validated so that no group is
    on both sides: domain or camera with groups = person asks for style whoever wears it, identity
    with groups = camera for a person whichever camera looks.

    Args:
        features: (N, D).
        labels: (N,) what is to be read.
        groups: (N,) what may not be on both sides.
        folds: of the cross-validation.
    Returns:
        The share read right, each class counting the same; chance is 1 / the number of classes.
    Raises:
        ValueError: features that are not finite, labels or groups of another length or kind, one
            class, fewer groups than folds, or fewer than 2 folds.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = whole_number(folds, "folds", 2)
    features = features_of(features, "features")
    labels = labels_of(labels, "labels", len(features), "features")
    groups = labels_of(groups, "groups", len(features), "features")
    finite = features.isfinite().all(1)
    if not finite.all():
        raise ValueError(
            f"{int((~finite).sum())} of {len(features)} features are not finite; look for NaN or "
            "overflow in the model that made them"
        )
    classes = len(labels.unique())
    different_groups = len(groups.unique())
    if classes < 2 or different_groups < folds:
        raise ValueError(
            f"{len(features)} features have labels of {classes} classes and {different_groups} "
            f"different groups; expected two classes and {folds} groups or more"
        )
    features = _numpy(features.double())
    labels = _numpy(labels)
    reader = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0))
    split = GroupKFold(folds)
    predicted = cross_val_predict(reader, features, labels, groups=_numpy(groups), cv=split)
    return float(balanced_accuracy_score(labels, predicted))


def _numpy(tensor):
    return tensor.detach().cpu().numpy()


def probes(features: Tensor, data: ReIDData, folds: int = 4) -> dict[str, float]:
    """Three probes of one set of features: domain, camera and identity, shares read right.

    "Forgets the style" is a low first and second number, "forgets the person" a low third. Cameras
    are told apart within all places together; a person is to be read in a camera of the place that
    the classifier has not learnt from. Junk is left out.

    Args:
        features: (N, D).
        data: the N pictures that they come from.
        folds: of the cross-validation; fewer where no place has so many cameras.
    Returns:
        {"domain": ..., "camera": ..., "identity": ...}, see `probe`.
    Raises:
        ValueError: features that are not one for each picture, only junk; and as `probe`.
    """
    if not isinstance(data, ReIDData):
        raise ValueError(f"data is {describe(data)}; expected the record of the pictures, ReIDData")
    folds = whole_number(folds, "folds", 2)
    features = features_of(features, "features")
    if len(features) != len(data):
        raise ValueError(
            f"there are {len(features)} features for {len(data)} pictures of {data.name}; expected "
            "one for each"
        )
    junk = is_junk(data.ids)
    if junk.all():
        raise ValueError(
            f"{data.name}: all {len(data)} pictures are junk (ids below 0), which no probe can "
            "read; give data with identities"
        )
    if junk.any():
        counted = (~junk).nonzero().flatten()
        features = features[counted.to(features.device)]
        data = data[counted]
    camera_in_place = data.cameras.clone()  # counted from 0 in each place
    for domain in data.domains.unique():
        in_domain = data.domains == domain
        camera_in_place[in_domain] -= data.cameras[in_domain].min()
    fewer_folds = min(folds, len(camera_in_place.unique()))
    return {
        "domain": probe(features, data.domains, data.ids, folds),
        "camera": probe(features, data.cameras, data.ids, folds),
        "identity": probe(features, data.ids, camera_in_place, fewer_folds),
    }
