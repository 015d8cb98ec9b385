"""What the chapter reads in its recorded study and features."""

import pytest

from reidkit import files, stats
from reidkit.chapters.real_people import results


def test_changes_are_paired_by_seed(table):
    changes = results.changes(table, "validation_map")
    assert changes["stripes", "0"] == [1, 1, 1]
    assert ("stripes", "4") not in changes  # 4 is the usual one
    assert results.agreement(table) == pytest.approx(1)
    rows = [row for row in table.rows if (row["knob"], row["SEED"]) != ("usual", "1")]
    less = type(table)(table.name, rows)
    # A seed without its usual row is left out.
    assert results.changes(less, "validation_map")["stripes", "8"] == [1, 1]


def test_a_change_is_sure_where_its_interval_leaves_out_0():
    assert stats.estimate([1, 1.1, 0.9]).sign
    assert not stats.estimate([1, -1, 0.5]).sign
    assert not stats.estimate([5]).sign


def test_a_knob_that_was_not_turned_is_no_group(table):
    rows = [row for row in table.rows if row["knob"] != "stripes"]
    less = type(table)(table.name, rows)
    assert list(results.groups(table)) == ["normalisation", "stripes"]
    assert list(results.groups(less)) == ["normalisation"]


def test_whiskers_over_people_are_the_mean_of_the_recorded_ones(table):
    score = results.over_people(results.usual(table), "validation_map")
    assert (score.mean, score.low, score.high) == (41, 35, 47)


def test_what_is_more_than_the_sum_is_taken_seed_by_seed():
    changes = {key: [-1.0, -2.0] for key in results.RICHNESS}
    changes[results.PLAIN] = [-10.0, -14.0]
    assert results.beyond_the_sum(changes) == [-3, 0]


def test_recorded_features_are_checked_before_they_are_read(tmp_path, monkeypatch):
    for name in ("11_features.safetensors", "11_outline.safetensors", "hashes.json"):
        (tmp_path / name).write_bytes((files.results_dir() / name).read_bytes())
    monkeypatch.setattr(files, "results_dir", lambda: tmp_path)
    assert results.recorded_features()["bn"].shape == (592, 256)
    damaged = bytearray((tmp_path / "11_outline.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "11_outline.safetensors").write_bytes(damaged)
    with pytest.raises(ValueError, match="11_outline.safetensors has SHA-256"):
        results.recorded_features()
