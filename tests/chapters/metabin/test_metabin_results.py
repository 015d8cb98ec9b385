"""Chapter 4's recorded tables: differences by seed, the ladder, the paper's numbers beside ours."""

import types

import pytest
from metabin_cases import drawn, make_table, without

from reidkit.chapters.metabin import figures, results
from reidkit.stats import estimate


def test_differences_are_paired_by_seed():
    table = make_table()
    runs = results.runs_by_row(table)
    assert list(runs) == ["BN", "IN", "half and half", "BIN", "MetaBIN"]
    assert runs["IN"].differences(runs["BN"], "away_rank1") == [10, 10, 10]
    runs = results.runs_by_row(without(table, "BN", "1"))
    assert runs["IN"].differences(runs["BN"], "away_rank1") == [10, 10]
    assert estimate([1.0, 2.0, 3.0]).text() == "+2.0 [-0.5, +4.5]"
    assert estimate([2.0]).text() == "+2.0"
    assert estimate([2.0]).lowest == 2
    assert estimate([1.0, 2.0, 3.0]).lowest == pytest.approx(2 - 4.303 / 3**0.5)


def test_a_lead_is_judged_at_the_lower_end(capsys):
    runs = results.runs_by_row(make_table())
    results.claim_lead(runs, "IN beats BN", "IN", "BN", "away_rank1")
    results.claim_lead(runs, "BN beats IN", "BN", "IN", "away_rank1")
    first, second = (line for line in capsys.readouterr().out.splitlines() if "beats" in line)
    assert "not held" not in first and "not held" in second


def values(rungs, name):
    return rungs[name].values("away_rank1")


def test_the_ladder_takes_the_seeds_that_both_tables_have():
    names = [name for name in results.PAPER_LADDER if name not in ("BN", "BIN", "MetaBIN")]
    parts = make_table(seeds=(0, 2), rows=names)
    rungs = results.ladder(parts, make_table())
    assert list(rungs) == list(results.PAPER_LADDER)
    assert values(rungs, "BN") == [0, 2]
    assert values(rungs, "BIN") == [30, 32]
    assert values(rungs, "MetaBIN") == [40, 42]
    shorter = results.ladder(without(parts, "triplet", "2"), make_table())
    assert all(len(values(shorter, name)) == 1 for name in shorter)
    assert set(results.STEPS) | {"BN"} == set(rungs)
    assert set(results.STEPS.values()) <= set(rungs)
    drawn(figures.ladder_picture(rungs))


def test_agreement_with_a_paper_needs_the_whole_interval():
    up = estimate([2.0, 3.0, 4.0])
    down = estimate([-2.0, -3.0, -4.0])
    assert results.agreement(up, 5.0) == results.agreement(down, -5.0) == (True, "")
    assert results.agreement(up, -5.0) == results.agreement(down, 5.0) == (False, "")
    assert results.agreement(estimate([-1.0, 0.5, 4.0]), 5.0) == (None, "ours undecided")
    small = estimate([-0.1, 0.1, 0.2])
    smaller = (None, "no sign of ours decided, but smaller than theirs")
    for theirs in (5.0, -5.0):
        assert results.agreement(small, theirs) == smaller
    assert results.agreement(up, 0.3)[0] is None


def test_the_papers_rows_say_both_numbers_and_never_compare_two_kinds_of_ap():
    rows = (*results.PAPER_AWAY, "DualNorm")
    lines = results.paper_rows(results.runs_by_row(make_table(rows=rows)))
    assert len(lines) == 2 * len(results.PAPER_PAIRS) + 2
    what, theirs, _, ours, agree, _ = lines[0]
    assert (what, theirs, ours) == ("IN minus BN, unseen", "+4.0", "+10.0 [+10.0, +10.0]")
    assert agree is True
    assert [agree for *_, agree, _ in lines[-2:]] == [False, None]


def test_percentages_of_live_scores():
    metrics = types.SimpleNamespace(cmc={1: 0.5}, map=0.25)
    percent = results.percentages({"BN": {"home": metrics}})
    assert percent == {"BN_home_rank1": 50, "BN_home_map": 25}
