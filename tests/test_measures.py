"""Divergence and variance shares against torch's own distributions and batch norm."""

from dataclasses import replace

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from reidkit.measures import divergence, probe, probes, variance_shares
from reidkit.record import ReIDData


def activations(count, shift=0.0, scale=1.0, seed=0):
    draw = torch.Generator().manual_seed(seed)
    styles = torch.randn(count, 4, 1, 1, generator=draw)
    return (styles + 0.3 * torch.randn(count, 4, 5, 3, generator=draw)) * scale + shift


def test_divergence_is_both_kl_of_gaussians_fitted_to_the_means():
    one = activations(30)
    other = activations(20, shift=0.5, scale=2.0, seed=1)
    fitted = []
    for side in (one, other):
        means = side.double().mean((2, 3))  # (N, C)
        fitted.append(Normal(means.mean(0), means.std(0, correction=0)))
    expected = kl_divergence(*fitted) + kl_divergence(*fitted[::-1])
    found = divergence(one, other)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(divergence(other, one), found)
    pooled = divergence(one.mean((2, 3)), other)
    torch.testing.assert_close(pooled, found, rtol=1e-4, atol=1e-6)
    without_unit = divergence(3 * one - 1, 3 * other - 1)
    torch.testing.assert_close(without_unit, found, rtol=1e-4, atol=1e-6)
    assert divergence(one, one.flip(0)).abs().max() < 1e-9 < found.min()


def test_a_dead_channel_is_no_difference():
    one = activations(30)
    other = activations(20, seed=1)
    one[:, 2], other[:, 2] = 0, 0
    assert divergence(one, other)[2] == 0
    assert divergence(one, other).isfinite().all()


def test_shares_add_up_to_what_batch_norm_divides_by():
    maps = activations(30, shift=7.0)
    within, between = variance_shares(maps)
    torch.testing.assert_close(within + between, maps.var((0, 2, 3), correction=0))
    assert (between > within).all()
    instance = torch.nn.functional.instance_norm(maps)
    within, between = variance_shares(instance)
    assert between.max() < 1e-8  # what instance norm throws away
    torch.testing.assert_close(within, torch.ones(4), rtol=1e-3, atol=0)


def test_what_cannot_be_compared():
    for one, other in ((activations(3), activations(3)[:, :2]), (activations(1), activations(3))):
        with pytest.raises(
            ValueError, match="expected two or more pictures each, of the same channels"
        ):
            divergence(one, other)


# ---- probes


def people_in_places(style, person, seed=0):
    """Features of 3 places x 6 people x 4 cameras x 2 pictures.

    So much of the place's and camera's style, so much of the person, and noise.
    """
    draw = torch.Generator().manual_seed(seed)
    ids = torch.arange(18).repeat_interleave(8)
    domains = ids // 6
    cameras = ids // 6 * 4 + torch.tensor([0, 0, 1, 1, 2, 2, 3, 3]).repeat(18)
    shares = []
    for labels in (domains, cameras, ids):
        shares.append(torch.randn(len(labels.unique()), 16, generator=draw)[labels])
    of_domain, of_camera, of_person = shares
    noise = torch.randn(len(ids), 16, generator=draw)
    features = style * (of_domain + of_camera) + person * of_person + 0.5 * noise
    images = torch.zeros(len(ids), 3, 8, 8, dtype=torch.uint8)
    return features, ReIDData(images, ids, cameras, domains)


def test_probes_tell_style_from_person():
    style = probes(*people_in_places(style=3.0, person=0.0))
    assert style["domain"] > 0.95
    assert style["camera"] > 0.9
    assert style["identity"] < 0.25
    person = probes(*people_in_places(style=0.0, person=3.0))
    assert person["identity"] > 0.9
    assert person["camera"] < 0.3
    nothing = probes(*people_in_places(style=0.0, person=0.0))
    assert abs(nothing["domain"] - 1 / 3) < 0.2
    assert nothing["camera"] < 0.25
    assert nothing["identity"] < 0.2


def test_a_probe_never_meets_a_group_twice():
    """Features that name the group and nothing else are read within groups, and not across."""
    draw = torch.Generator().manual_seed(1)
    groups = torch.arange(40).repeat_interleave(5)
    labels = groups % 2
    features = torch.randn(40, 64, generator=draw)[groups] * 5
    assert probe(features, labels, torch.arange(200)) > 0.95
    assert probe(features, labels, groups) < 0.75
    one = torch.zeros(200, dtype=torch.int64)
    for wrong in ((one, groups), (labels, one)):
        with pytest.raises(ValueError, match="two classes and 4 groups or more"):
            probe(features, *wrong)


def test_junk_is_no_person_to_be_read():
    features, data = people_in_places(style=1.0, person=1.0)
    expected = probes(features, data)
    junk = torch.arange(5, 45)
    more_features = torch.cat([features, 100 * features[junk]])
    nobody = replace(data[junk], ids=-1 - junk % 3)
    assert probes(more_features, ReIDData.cat([data, nobody])) == expected
    with pytest.raises(ValueError, match="all 40 pictures are junk .ids below 0."):
        probes(features[junk], nobody)


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(features=torch.zeros(144, 0)), "features have shape .144, 0.; expected real numbers"),
        (dict(features=torch.zeros(144)), "features have shape .144,."),
        (dict(features=None), "features are None"),
        (dict(features=[[1.0], [1.0, 2.0]]), "features are list"),
        (dict(features=torch.full((144, 2), torch.nan)), "144 of 144 features are not finite"),
        (dict(labels=torch.arange(5)), "labels are torch.int64 .5,.; expected whole numbers"),
        (dict(labels=["a"] * 144), "labels are list .'a'.*number the texts: numpy.unique"),
        (dict(labels=torch.rand(144)), "labels are torch.float32"),
        (dict(groups=None), "groups are None; expected whole numbers of shape .144,."),
        (dict(groups=torch.ones(144).bool()), "groups are torch.bool"),
        (dict(folds=1), "folds is 1; expected a whole number from 2 up"),
        (dict(folds="4"), "folds is '4'"),
        (dict(folds=2.5), "folds is 2.5"),
    ],
)
def test_what_no_probe_can_read(change, message):
    features, data = people_in_places(style=1.0, person=1.0)
    given = dict(features=features, labels=data.domains, groups=data.ids) | change
    with pytest.raises(ValueError, match=message):
        probe(**given)


def test_what_are_no_features_of_a_record():
    features, data = people_in_places(style=1.0, person=1.0)
    for given, message in (
        ((features[1:], data), "143 features for 144 pictures"),
        ((features, data.ids), "data is torch.int64 .144,.; expected the record"),
        ((None, data), "features are None"),
    ):
        with pytest.raises(ValueError, match=message):
            probes(*given)
    with pytest.raises(ValueError, match="folds is 0"):
        probes(features, data, folds=0)


@pytest.mark.parametrize("wrong", [None, "maps", 3, torch.zeros(3), [[1, 2], [3]]])
def test_what_are_no_activations(wrong):
    for given in ((wrong, activations(3)), (activations(3), wrong)):
        with pytest.raises(ValueError, match="activations are .*; expected real numbers of shape"):
            divergence(*given)
    with pytest.raises(ValueError, match="maps are .*; expected real numbers of shape"):
        variance_shares(wrong)
    with pytest.raises(ValueError, match="eps is 0; expected a small number above 0"):
        divergence(activations(3), activations(3), eps=0)
