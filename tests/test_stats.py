"""Means with intervals, differences by seed, bootstrap over people: against slow ways."""

import pytest
import torch

from reidkit import stats


def test_an_estimate_decides_where_its_interval_leaves_out_0():
    above = stats.Estimate(2.0, 0.5, 3.5, 3)
    assert above.sign == 1 and above.lowest == 0.5 and above.highest == 3.5
    assert above.whiskers == [[1.5], [1.5]] and above.text() == "+2.0 [+0.5, +3.5]"
    assert stats.Estimate(-2.0, -3.5, -0.5, 3).sign == -1
    assert stats.Estimate(0.5, -0.5, 1.5, 3).sign == 0
    alone = stats.Estimate(2.0, None, None, 1)
    assert alone.sign == 0 and alone.lowest == alone.highest == 2.0
    assert alone.whiskers is None and alone.text("{:.2f}") == "2.00"


def test_estimate_of_values():
    found = stats.estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    assert found.high - found.mean == pytest.approx(4.303 / 3**0.5)
    assert stats.estimate([5.0]) == stats.Estimate(5.0, None, None, 1)


def test_points_of_student_against_scipy():
    from scipy.stats import t

    for degrees in (1, 2, 5, 30, 31, 60, 1000):
        assert stats.t_point(degrees) == pytest.approx(t.ppf(0.975, degrees), abs=2e-3)


def test_pairs_are_those_of_one_seed_in_the_order_of_the_first():
    first = {"2": 5.0, "0": 1.0, "7": 3.0}
    second = {"0": 4.0, "2": 3.0, "9": 1.0}
    assert stats.paired(first, second) == [2.0, -3.0]


def test_bootstrap_draws_whole_people():
    """Against a slow loop over the same draws."""
    groups = torch.tensor([7, 3, 7, 3, 5])
    values = torch.tensor([[1.0, 0.2], [0.0, 0.9], [1.0, 0.4], [1.0, 0.1], [0.0, 0.5]])
    rounds = 50
    draws = torch.Generator().manual_seed(4)
    people = [3, 5, 7]
    means = []
    for chosen in torch.randint(3, (rounds, 3), generator=draws).tolist():
        rows = [values[groups == people[number]] for number in chosen]
        means.append(torch.cat(rows).double().mean(0))
    ends = torch.quantile(torch.stack(means), torch.tensor([0.025, 0.975]).double(), dim=0)
    found = stats.bootstrap(values, groups, seed=4, rounds=rounds)
    torch.testing.assert_close(torch.tensor(found).double(), ends.T, atol=1e-6, rtol=0)


def test_a_mean_of_nothing_is_refused():
    for nothing in ([], ()):
        with pytest.raises(ValueError, match="no value .*expected one of each run"):
            stats.estimate(nothing)
