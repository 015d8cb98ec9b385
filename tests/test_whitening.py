"""The neck for retrieval: what it makes of the spread within people; its mean is a statistic."""

import numpy as np
import pytest
import torch

from reidkit.layers.statistics import reestimated_statistics
from reidkit.layers.whitening import WhiteningNeck, fit_whitening


def crowd(people=40, pictures=6, width=5, seed=0):
    """Features that spread within a person by 1, 2, 4, 8, 16, turned, away from the origin."""
    draw = torch.Generator().manual_seed(seed)
    turn = torch.linalg.qr(torch.randn(width, width, generator=draw)).Q
    order = torch.randperm(people * pictures, generator=draw)
    ids = torch.arange(people).repeat_interleave(pictures)[order]
    who = 3 * torch.randn(people, width, generator=draw)
    spread = 2.0 ** torch.arange(width)
    return (who[ids] + spread * torch.randn(len(ids), width, generator=draw)) @ turn + 7, ids


def within(features, ids):
    """By hand: the covariance of pictures about their person's mean, over all pictures."""
    rows = features.double().numpy()
    around_mean = []
    for person in ids.unique().tolist():
        of_person = rows[ids.numpy() == person]
        around_mean.append(of_person - of_person.mean(0))
    around_mean = np.concatenate(around_mean)
    return around_mean.T @ around_mean / len(rows)


def test_whitening_is_wccn_at_one_half():
    features, ids = crowd()
    made = fit_whitening(features, ids, 5, power=0.5, ridge=0)(features)
    np.testing.assert_allclose(within(made, ids), np.eye(5), atol=1e-4)
    half = fit_whitening(features, ids, 5, power=0.25, ridge=0)(features)
    before, after = (np.sort(np.linalg.eigvalsh(within(x, ids))) for x in (features, half))
    np.testing.assert_allclose(after, before**0.5, rtol=1e-4)  # half of the way
    assert made.mean(0).abs().max() < 1e-5
    assert made.dtype == torch.float32


def test_the_ridge_and_the_number_of_directions():
    features, ids = crowd()
    spread = within(features, ids)
    whole = fit_whitening(features, ids, 5)
    values, axes = np.linalg.eigh(spread)
    # The same up to a rotation.
    expected = axes @ np.diag((values + 0.3 * values.mean()) ** -0.25) @ axes.T
    centred = (features - features.mean(0)).double().numpy() @ expected
    made = whole(features).double().numpy()
    np.testing.assert_allclose(made @ made.T, centred @ centred.T, rtol=1e-3, atol=1e-3)
    few = fit_whitening(features, ids, 2)
    torch.testing.assert_close(few(features).abs(), whole(features)[:, :2].abs())
    variances = whole(features).var(0)
    assert torch.equal(variances, variances.sort(descending=True).values)
    assert few.projection.shape == (2, 5)


def test_the_mean_is_a_statistic_and_the_map_stays():
    features, ids = crowd()
    neck = fit_whitening(features, ids, 3)
    before = {name: value.clone() for name, value in neck.state_dict().items()}
    expected = (features - features.mean(0)) @ before["projection"].T
    with reestimated_statistics(neck, features + 5):
        torch.testing.assert_close(neck(features + 5), expected, rtol=0, atol=1e-4)
    assert all(torch.equal(value, neck.state_dict()[name]) for name, value in before.items())
    assert not list(neck.parameters())
    assert not neck.training
    assert WhiteningNeck(4, 2)(torch.ones(3, 4)).abs().max() == 0  # a map is to be fitted or read


def test_what_cannot_be_fitted():
    features, ids = crowd()
    with pytest.raises(ValueError, match="dims is 6; expected 1 to 5"):
        fit_whitening(features, ids, 6)
    with pytest.raises(ValueError, match="240 pictures of 240 people"):
        fit_whitening(features, torch.arange(len(ids)), 2)
