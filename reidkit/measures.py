"""What activations hold, in numbers: how far two sets of pictures lie apart in a layer, and what instance norm throws away."""

from .layers.norms import moments


def divergence(one, other, eps=1e-12):
    """How far apart two sets of pictures lie in each channel of a layer: (N, C, H, W) and (M, C, ...) or (N, C) -> (C,).

    A Gaussian is fitted to the pictures' means of a channel in each set; the result is KL(1|2) + KL(2|1), in nats: 0 for
    the same mean and variance. Pan et al. 2018 (IBN-Net) average it over channels to tell style from content by depth.
    Variances are at least eps, so that a dead channel, 0 in all pictures of both sets, has divergence 0. Computed in
    float64. ValueError for other channels or fewer than two pictures.
    """
    sides = [_picture_means(side) for side in (one, other)]  # (N, C), (M, C)
    if sides[0].shape[1] != sides[1].shape[1] or min(map(len, sides)) < 2:
        raise ValueError(
            f"activations have shapes {tuple(one.shape)} and {tuple(other.shape)}; expected two or more pictures "
            "each, of the same channels"
        )
    (mean1, var1), (mean2, var2) = (
        (side.mean(0), side.var(0, correction=0).clamp_min(eps)) for side in sides
    )
    return (var1 / var2 + var2 / var1 + (mean1 - mean2).square() * (1 / var1 + 1 / var2)) / 2 - 1


def _picture_means(activations):
    return activations.double().flatten(2).mean(2) if activations.ndim > 2 else activations.double()


def variance_shares(maps):
    """Of the variance that batch norm divides by, the parts within and between pictures: (B, C, H, W) -> two of (C,).

    They add up to it (law of total variance). Instance norm divides by the first, picture by picture, and throws the
    second away: the style, and some of the person.
    """
    mean, var = moments(maps)  # (B, C, 1, 1)
    return var.mean(0).flatten(), mean.var(0, correction=0).flatten()


def probe(features, labels, groups, folds=4):
    """How well a linear classifier reads a label from frozen features: features (N, D), labels and groups (N,) -> the share read
    right, each class counting the same; chance is 1 / the number of classes.

    A ridge classifier (scikit-learn) on standardised features, cross-validated so that no group is on both sides: domain or camera
    with groups = person asks for style whoever wears it, identity with groups = camera for a person whichever camera looks.
    ValueError for unequal lengths, one class, or fewer groups than folds.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if (
        not len(features) == len(labels) == len(groups)
        or len(labels.unique()) < 2
        or len(groups.unique()) < folds
    ):
        raise ValueError(
            f"{len(features)} features, {len(labels)} labels of {len(labels.unique())} classes, {len(groups)} groups, "
            f"{len(groups.unique())} of them different; expected equal numbers, two classes and {folds} groups or more"
        )
    features, labels, groups = (
        value.detach().cpu().numpy() for value in (features.double(), labels, groups)
    )
    reader = make_pipeline(StandardScaler(), RidgeClassifier(alpha=10.0))
    return float(
        balanced_accuracy_score(
            labels, cross_val_predict(reader, features, labels, groups=groups, cv=GroupKFold(folds))
        )
    )


def probes(features, data, folds=4):
    """Three probes of one set of features (N, D) of a ReIDData -> {"domain", "camera", "identity"}, shares read right.

    "Forgets the style" is a low first and second number, "forgets the person" a low third. Cameras are told apart within all
    places together; a person is to be read in a camera of the place that the classifier has not learnt from.
    """
    first = {
        domain: data.cameras[data.domains == domain].min().item()
        for domain in data.domains.unique().tolist()
    }
    number = data.cameras - data.cameras.new_tensor(
        [first[domain] for domain in data.domains.tolist()]
    )  # within its place
    return {
        "domain": probe(features, data.domains, data.ids, folds),
        "camera": probe(features, data.cameras, data.ids, folds),
        "identity": probe(features, data.ids, number, min(folds, len(number.unique()))),
    }
