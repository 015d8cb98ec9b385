"""Claims in three states, papers' numbers beside ours, recorded tables with intervals and
provenance.
"""

import json
import types

import numpy as np
import pytest
import torch

pytest.importorskip("IPython")
from show_case import CLAIM, RECORD, make_results, watch  # noqa: E402

from reidkit import teach  # noqa: E402
from reidkit.stats import t_interval  # noqa: E402


@pytest.fixture
def shown(monkeypatch):
    return watch(monkeypatch)


@pytest.fixture
def results(tmp_path, monkeypatch):
    return make_results(tmp_path, monkeypatch)


def run(preset="laptop", source="world"):
    return types.SimpleNamespace(preset=types.SimpleNamespace(name=preset), source=source)


@pytest.mark.parametrize(
    "value, where, state",
    [
        (1.0, run(), "held"),
        (-1.0, run(), "not held"),
        (-1.0, run("smoke"), "not tested here"),
        (1.0, run(source="market1501"), "not tested here"),
        (-1.0, None, "not held"),
    ],
)
def test_claim_states(shown, value, where, state):
    teach.claim(
        "IN travels <well>",
        measured=torch.tensor(value),
        holds=lambda v: v > 0,
        unit="points",
        run=where,
    )
    (bundle,) = shown
    assert bundle[CLAIM] == {
        "sentence": "IN travels <well>",
        "state": state,
        "measured": value,
        "unit": "points",
        "recorded": None,
    }
    assert (
        f"[{state}]" in bundle["text/plain"]
        and state in bundle["text/html"]
        and "&lt;well&gt;" in bundle["text/html"]
    )
    json.dumps(bundle)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), torch.tensor(float("-inf"))])
def test_a_number_that_is_not_finite_holds_nothing(shown, value):
    for holds in (lambda v: v > 0, lambda v: True):
        teach.claim("s", measured=value, holds=holds)
        assert shown[-1][CLAIM]["state"] == "not held" and shown[-1][CLAIM]["measured"] == str(
            float(value)
        )
    json.dumps(shown, allow_nan=False)


def test_claim_with_recorded_seeds(shown, results):
    teach.claim(
        "s",
        measured=11,
        holds=lambda v: v > 10,
        recorded=teach.recorded("table", "score", NORM="bn"),
    )
    recorded = shown[0][CLAIM]["recorded"]
    assert (recorded["mean"], recorded["n"]) == (12, 3)
    assert (
        recorded["low"] == pytest.approx(12 - 4.303 * 2 / 3**0.5)
        and "12 [7.03, 17]" in shown[0]["text/plain"]
    )
    teach.claim(
        "s",
        holds=lambda v: v > 12.5,
        run=run("smoke"),
        recorded=teach.recorded("table", "score", NORM="bn"),
    )
    assert shown[1][CLAIM]["state"] == "not held"  # the recorded mean is judged whatever the preset
    with pytest.raises(ValueError, match="nothing to judge"):
        teach.claim("s", holds=bool)


def test_claim_in_plain_python_prints_its_text(capsys):
    teach.claim("it holds", measured=1, holds=bool)
    assert capsys.readouterr().out.startswith("✓ it holds [held]")


def test_compare_with_paper_never_fails_and_escapes(shown):
    teach.compare_with_paper(
        [
            ("BN", 12.3, "A 2020, table 1", 11.5),
            ("IN", 28.0, "A", 11.0),
            ("X", "up", "A", "down"),
            ("Y", 5, "A", 1, True),
            ("Z", 5, "A", 9, lambda p, o: o < p, "<b>"),
            ("W", 5, "A", float("nan")),
        ],
        title="Ours",
        tolerance=1.0,
    )
    lines = shown[0]["text/plain"].splitlines()[3:]
    assert [line.count("  yes") + 2 * line.count("  no") for line in lines] == [1, 2, 0, 1, 2, 2]
    assert "cannot be compared" in lines[2] and "&lt;b&gt;" in shown[0]["text/html"]
    teach.compare_with_paper([("BN", 12.3, "A", 11.5)])
    assert "cannot be compared" in shown[1]["text/plain"]  # no tolerance, no verdict


def test_recorded_values_filters_and_seeds(results):
    table = teach.recorded("table", NORM="in")
    assert (
        table.values("score") == [20, 20, 26]
        and table.mean("score") == 22
        and table.seeds == [0, 1, 2]
    )
    estimate = table.estimate("score")
    assert (estimate.low + estimate.high) / 2 == pytest.approx(22) and estimate.count == 3
    assert estimate.high - 22 == pytest.approx(4.303 * 12**0.5 / 3**0.5)
    assert len(teach.recorded("table").rows) == 6  # the failed run is left out
    for word in ("3 seeds", "2026-01-01", "abc1234567", "2 x CPU", "3.11.7", "2.13.0"):
        assert word in table.provenance()


def test_recorded_rows_are_paired_by_seed(results):
    table = teach.recorded("table", "score")
    batch, instance = table.where(NORM="bn"), table.where(NORM="in")
    assert batch.by_seed() == {"0": 10, "1": 12, "2": 14}
    assert instance.differences(batch) == [10, 8, 12]
    change = instance.change(batch)
    assert (
        change.mean == 10
        and change.sign == 1
        and change.lowest == pytest.approx(10 - 4.969, abs=1e-3)
    )
    assert table.where(NORM="ln").rows == []


def test_recorded_errors_say_what_there_is(results):
    with pytest.raises(FileNotFoundError, match="table"):
        teach.recorded("tabel")
    with pytest.raises(KeyError, match="NORM"):
        teach.recorded("table", NORN="in")
    with pytest.raises(KeyError, match="score"):
        teach.recorded("table").values("rank1")
    with pytest.raises(ValueError, match="'gate'"):
        teach.recorded("table", NORM="gate")


def test_recorded_table_groups_and_spreads(shown, results):
    teach.recorded("table").table(["score"], by="NORM", title="Scores")
    text = shown[0]["text/plain"]
    assert (
        "12 [7.03, 17]" in text
        and "22 [" in text
        and "abc1234567" in text
        and "<table>" in shown[0]["text/html"]
    )


def test_t_interval_against_scipy():
    stats = pytest.importorskip("scipy.stats")
    generator = torch.Generator().manual_seed(0)
    for count in (2, 3, 5, 11, 31, 32, 60, 400):
        values = torch.randn(count, generator=generator, dtype=torch.float64).tolist()
        low, high = stats.t.interval(
            0.95, count - 1, loc=sum(values) / count, scale=stats.sem(values)
        )
        assert t_interval(values) == pytest.approx((low, high), rel=2e-3, abs=2e-3)
    assert t_interval([1.0]) == (None, None)


def test_record_takes_plain_values_only(shown):
    teach.record(a=torch.tensor(1.5), b="red", c=float("inf"), d=True, e=3)
    assert shown[0][RECORD] == {"a": 1.5, "b": "red", "c": "inf", "d": True, "e": 3}
    with pytest.raises(TypeError, match="f=.*list"):
        teach.record(f=[1])


# ---- what is no number, and what holds cannot be


NOT_ONE = {
    "two values": (torch.tensor([1.0, 2.0]), r"Tensor of shape \(2,\).*mean"),
    "an array": (np.ones((2, 3)), r"ndarray of shape \(2, 3\).*mean"),
    "no values": (torch.ones(0), r"Tensor of shape \(0,\)"),
    "None": (None, "NoneType"),
    "a dict": ({"a": 1}, "dict"),
    "a list": ([1.0], "list"),
    "a complex number": (1j, "complex"),
    "a complex tensor": (torch.tensor(1j), "Tensor"),
    "a tensor without values": (torch.ones(1, device="meta"), "Tensor"),
    "a date": (np.datetime64("2026-01-01"), "datetime64"),
    "a function": (len, "builtin"),
}


@pytest.mark.parametrize("name", NOT_ONE)
def test_what_is_not_one_value_is_not_recorded(shown, name):
    value, words = NOT_ONE[name]
    with pytest.raises(TypeError, match=rf"record\(x=\.\.\.\) got a {words}"):
        teach.record(x=value, y=1)
    if value is not None:
        with pytest.raises(TypeError, match=rf"claim\(measured=\.\.\.\) got a {words}"):
            teach.claim("s", measured=value, holds=bool)
    assert not shown


@pytest.mark.parametrize(
    "value", [np.float32(1.5), np.array([1.5]), np.array(1.5), torch.tensor([[1.5]]), 1.5]
)
def test_one_value_in_any_dress_is_taken(shown, value):
    teach.record(x=value)
    teach.claim("s", measured=value, holds=lambda v: v == 1.5)
    assert shown[0][RECORD] == {"x": 1.5}
    assert shown[1][CLAIM]["state"] == "held" and shown[1][CLAIM]["measured"] == 1.5


def test_a_word_is_no_measurement(shown):
    with pytest.raises(TypeError, match="measured as 'many'; expected a number"):
        teach.claim("s", measured="many", holds=bool)


@pytest.mark.parametrize("holds", [None, True, 3, "v > 0"])
def test_a_claim_needs_a_function_that_judges(shown, holds):
    with pytest.raises(TypeError, match="holds=.*expected a function of the number"):
        teach.claim("s", measured=1.0, holds=holds)
    assert not shown


@pytest.mark.parametrize(
    "holds, words",
    [
        (lambda v: 1 / 0, r"holds\(2.0\), which raised ZeroDivisionError"),
        (lambda: True, "raised TypeError"),
        (lambda v: v.mean() > 1, "raised AttributeError"),
        (lambda v: None, r"returned None; expected True or False"),
        (lambda v: torch.tensor([True, False]), "returned tensor"),
        (lambda v: v, "returned 2.0"),
        (lambda v: "yes", "returned 'yes'"),
        (lambda v: np.ones(2) > 0, "returned array"),
    ],
)
def test_what_holds_does_wrong_is_said_in_our_words(shown, holds, words):
    with pytest.raises((TypeError, ValueError), match=words):
        teach.claim("s", measured=2.0, holds=holds)
    assert not shown


@pytest.mark.parametrize("answer", [True, np.bool_(True), torch.tensor(True), np.array(True)])
def test_a_truth_value_in_any_dress_is_an_answer(shown, answer):
    teach.claim("s", measured=2.0, holds=lambda v: answer)
    assert shown[0][CLAIM]["state"] == "held"


def test_a_claim_on_something_else_than_a_recorded_table(shown):
    with pytest.raises(TypeError, match="expected teach.recorded"):
        teach.claim("s", holds=bool, recorded=3.0)


@pytest.mark.parametrize("row", [("BN", 1), "BN", 7, ("a",) * 7])
def test_a_row_of_a_comparison_of_another_form(shown, row):
    with pytest.raises(ValueError, match="row of the comparison"):
        teach.compare_with_paper([row])
    with pytest.raises(ValueError, match="agree of 'a' is 'yes'"):
        teach.compare_with_paper([("a", 1, "b", 2, "yes")])
