"""Chapter 02: the numbers behind its claims."""

import pytest
import torch

from reidkit.chapters.batch_and_instance_statistics import claims, experiments

# mAP with a gallery per place and with one gallery; rank-1 plays no part.
WAYS = {
    ("home", claims.AS_TRAINED): {"pooled": (0, 40.0), "by place": (1, 46.0)},
    ("home", claims.ADABN): {"pooled": (0, 20.0), "by place": (2, 42.0)},
    ("home", claims.CBN): {"pooled": (0, 35.0), "by place": (3, 64.0)},
    ("new places", claims.AS_TRAINED): {"pooled": (0, 27.0), "by place": (4, 38.0)},
    ("new places", claims.ADABN): {"pooled": (0, 18.0), "by place": (5, 39.0)},
    ("new places", claims.CBN): {"pooled": (0, 41.0), "by place": (6, 65.0)},
}


def test_gains_by_hand():
    assert claims.gains(WAYS) == {
        "per_camera_gain": 27.0,
        "home_gain": 18.0,
        "pooled_loss": 23.0,  # 18 won by place, 5 lost in one gallery
        "beyond_adabn": 26.0,
    }


def test_loss_gaps_by_hand():
    """Two scales, two rates, two seeds; half of what guessing costs is 1.589."""
    plain = torch.tensor([[[2.0, 2.0], [3.0, 3.0]], [[1.0, 1.5], [1.7, float("nan")]]])
    normed = torch.tensor([[[1.0, 1.2], [0.5, 0.9]], [[1.4, 0.9], [0.2, 0.3]]])
    gaps = claims.loss_gaps({"loss": plain}, {"loss": normed}, scale=1, rate=1)
    assert gaps["at_large_rate"] == pytest.approx(1.7 - 1.589, abs=1e-3)
    assert gaps["any_scale"] == pytest.approx(0.8)  # best 1.0 against 0.2


def test_every_number_of_a_claim_is_recorded():
    table = experiments.recorded(claims.TABLE)
    columns = set(table.rows[0])
    for name, claim in claims.CLAIMS.items():
        assert (name in columns) != claim.everywhere
    assert set(claims.name_scores(WAYS)) <= columns


def test_a_claim_holds_above_or_below_its_bound():
    above = claims.Claim("more than ten", "points", above=10)
    below = claims.Claim("less than one", "times", below=1)
    assert above.holds(10.5) and not above.holds(10)
    assert below.holds(0.5) and not below.holds(1)


def test_the_paper_s_table_has_our_numbers():
    trained = {"style": [20.0, 3.0, 1.0], "content": [0.5, 0.25]}
    rows = claims.paper_rows(WAYS, trained)
    what, _, _, ours, agree, _ = rows[1]
    assert (what, ours, agree) == ("new place, per camera (CBN)", "4.0/38.0 -> 6.0/65.0", True)
    assert rows[3][3:] == ("20.0 -> 1.0", True)
    assert rows[4][3:5] == ("0.50 -> 0.25", False)
