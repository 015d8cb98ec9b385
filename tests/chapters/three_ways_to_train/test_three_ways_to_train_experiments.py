"""What the chapter looks up in its tables."""

import pytest

from reidkit import stats
from reidkit.chapters.three_ways_to_train import experiments
from reidkit.teach.recorded import Recorded

TABLE = Recorded(
    "ways",
    [
        {"SEED": "0", "identity_home_rank1": "60", "triplet_home_rank1": "64"},
        {"SEED": "1", "identity_home_rank1": "70", "triplet_home_rank1": "71"},
        {"SEED": "2", "identity_home_rank1": "50", "triplet_home_rank1": ""},
    ],
)


def test_the_smallest_gain_is_that_of_the_worst_seed_of_both():
    assert experiments.smallest_gain(TABLE, "triplet", ["identity"], "home") == 1
    assert experiments.smallest_gain(TABLE, "identity", ["identity", "triplet"], "home") == -4


def test_ways_come_in_the_order_of_the_course():
    assert experiments.recorded_ways(TABLE) == ["identity", "triplet"]
    assert experiments.mean_rank1(TABLE, "identity") == pytest.approx(60)
    assert stats.estimate(TABLE.values("triplet_home_rank1")).count == 2


def test_a_run_ends_at_the_mean_of_its_last_ten_steps():
    lab = {"run": {"loss": [9.0, *[1.0] * 5, *[2.0] * 5], "distance": [0.5] * 11}}
    ends = experiments.ends_of(lab)
    assert ends == {"run": {"loss": 1.5, "distance": 0.5}}
