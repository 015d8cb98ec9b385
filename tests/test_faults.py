"""A sample of `make faults`: damaged inputs, killed writers, two at once, bad disks."""

import random

import pytest
from faults import damage, outcomes, suite

SHARE = 0.12  # of the trials: about two minutes


def test_damage_is_the_same_for_the_same_seed_and_never_nothing():
    whole = b'{"a": [1, 2], "b": {"c": "x"}}\n'
    for ways in (damage.BYTES, damage.TEXT[:1], damage.JSON):
        runs = []
        for _ in range(2):
            draw = random.Random(5)
            runs.append([damage.damaged(draw, whole, ways) for _ in range(50)])
        assert runs[0] == runs[1]
        assert all(changed != whole for _, changed in runs[0])


def ours(error):
    """The outcome of an error that this package's own code raises."""
    code = compile("raise error", str(outcomes.PACKAGE / "files.py"), "exec")
    try:
        exec(code, {"error": error})
    except Exception as raised:
        return outcomes.judge_error(raised, "x.csv")


def test_only_our_own_sentences_count_as_refusals():
    told = "x.csv has 3 rows, expected 5: record it again"
    assert ours(ValueError(told)) == outcomes.REFUSED
    assert ours(ValueError("x.csv is bad")) == outcomes.TRACEBACK  # too short to hold a remedy
    assert ours(ValueError(told.replace("x.csv", "it"))) == outcomes.TRACEBACK
    assert ours(KeyError(told)) == outcomes.TRACEBACK
    assert ours(ValueError(f"{told} with weights_only=False")) == outcomes.TRACEBACK
    try:
        raise ValueError(told)  # here, not in the package
    except ValueError as error:
        assert outcomes.judge_error(error, "x.csv") == outcomes.TRACEBACK


def test_a_trial_that_does_not_end_is_a_hang(monkeypatch):
    def attempt(name, changed, said):
        while True:
            pass

    monkeypatch.setattr(outcomes, "SECONDS", 1)
    limit = outcomes.time_limit
    monkeypatch.setattr(outcomes, "time_limit", lambda: limit(1))
    assert outcomes.run_trial(attempt, "x", b"")[0] == outcomes.HANG


def test_bad_ends_are_counted_and_told():
    counts = suite.Counts()
    for outcome in (outcomes.SAME, outcomes.LOST, outcomes.LOST, outcomes.SILENT):
        counts.add("a kind", outcome, "a cut", "what was said")
    assert counts.bad() == 3 and counts.tried() == 4 and len(counts.told) == 3
    last = suite.table(counts).splitlines()[-1].split()
    assert last[:3] == ["all", "4", "1"] and last.count("2") == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", suite.all_kinds(), ids=lambda kind: kind.name)
def test_damaged_inputs(kind):
    counts = suite.Counts()
    suite.run_kind(kind, max(2, round(SHARE * kind.trials)), seed=1, counts=counts)
    assert counts.bad() == 0, "\n".join(counts.told)


@pytest.mark.slow
def test_killed_writers_two_at_once_and_bad_disks():
    counts = suite.run(SHARE, seed=1, only=["troubles"])
    assert counts.bad() == 0, "\n".join([suite.table(counts), *counts.told])
