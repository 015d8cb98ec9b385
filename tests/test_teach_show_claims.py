"""Claims in three states, papers' numbers beside ours, recorded tables with intervals and
provenance.
"""

import json
import types

import numpy as np
import pytest
import torch

pytest.importorskip("IPython")
from reidkit import files, teach  # noqa: E402
from reidkit.stats import t_interval  # noqa: E402

CLAIM, RECORD = "application/x-reidkit-claim+json", "application/x-reidkit-record+json"


@pytest.fixture
def shown(monkeypatch):
    import IPython
    import IPython.display

    outputs = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(
        IPython.display, "display", lambda data, raw=False, metadata=None: outputs.append(data)
    )
    return outputs


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    folder = tmp_path / "data" / "results"
    folder.mkdir(parents=True)
    about = "2 x CPU,3.11.7,2.13.0,abc1234567,2026-01-0"
    rows = [
        f"{seed},{norm},{score},ok,{about}{seed + 1}"
        for norm, scores in (("bn", (10, 12, 14)), ("in", (20, 20, 26)))
        for seed, score in enumerate(scores)
    ]
    (folder / "table.csv").write_text(
        "\n".join(
            [
                "SEED,NORM,score,status,device,python,torch,commit,date",
                *rows,
                f"9,bn,,failed,{about}9",
            ]
        )
        + "\n"
    )
    return folder


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


# ---- recorded tables: seeds, damage, names


def rewrite(results, text):
    (results / "table.csv").write_text(text, encoding="utf-8")


def test_one_seed_twice_is_no_interval(results):
    table = teach.recorded("table", "score")
    with pytest.raises(ValueError, match=r"table.csv: the rows \[1, 4\] are both of seed 0"):
        table.estimate()
    for ask in (table.by_seed, lambda: table.change(table), lambda: table.table(["score"])):
        with pytest.raises(ValueError, match="each seed once.*choose the rows of one setting"):
            ask()
    rewrite(results, "SEED,score\n0,1.5\n1,2\n2,\n0,1.6\n")
    with pytest.raises(ValueError, match=r"rows \[1, 4\] are both of seed 0"):
        teach.recorded("table", "score").estimate()
    with pytest.raises(ValueError, match="seed 0"):
        teach.claim("s", holds=bool, recorded=teach.recorded("table", "score"))
    assert teach.recorded("table", "score").where(SEED=1).estimate().count == 1


def test_tables_without_seeds_have_estimates(results):
    rewrite(results, "run,score\na,1\nb,3\n")
    assert teach.recorded("table", "score").estimate().mean == 2


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "12.x", "1,5", "NaN", " "])
def test_what_is_no_number_in_a_column_is_named(results, text):
    rewrite(results, f'SEED,score\n0,1\n1,"{text}"\n')
    table = teach.recorded("table", "score")
    for ask in (table.values, table.estimate, table.mean, table.by_seed):
        with pytest.raises(ValueError, match=r"table.csv: row 2 \(1, .*expected a finite number"):
            ask()
    assert table.where(SEED=0).values() == [1.0]


def test_a_column_without_numbers(results):
    rewrite(results, "SEED,score,other\n0,,1\n")
    table = teach.recorded("table", "score")
    for ask in (table.estimate, table.mean, table.where(SEED=7).estimate):
        with pytest.raises(ValueError, match="no row .* has a number in 'score'"):
            ask()


@pytest.mark.parametrize(
    "name", ["../x", "../../results/table", "a/b", "a\\b", "", ".", "..", "/etc/passwd", "C:x", "*"]
)
def test_a_name_is_a_name(results, name):
    with pytest.raises(
        ValueError, match="name of a recorded table is .*expected a name of letters"
    ):
        teach.recorded(name)


COMMITTED = {
    "01_baseline": "recipes baseline --seeds 0 1 2 3 4",
    "01b_chapter": "rerun 01b -p SEED=0,1,2",
    "04_norms": "recipes norms",
}


@pytest.mark.parametrize("name", COMMITTED)
def test_a_damaged_table_of_the_course_says_how_it_is_recorded_again(name, tmp_path, monkeypatch):
    folder = files.results_dir()
    whole = (folder / f"{name}.csv").read_bytes()
    (tmp_path / "hashes.json").write_bytes((folder / "hashes.json").read_bytes())
    monkeypatch.setattr(files, "results_dir", lambda: tmp_path)
    for damaged in (whole[: len(whole) // 2], whole.replace(b",ok,", b",failed,", 1)):
        (tmp_path / f"{name}.csv").write_bytes(damaged)
        with pytest.raises(ValueError, match=f"{name}.csv: .*row .*{COMMITTED[name]}"):
            teach.recorded(name)
    (tmp_path / f"{name}.csv").unlink()
    with pytest.raises(FileNotFoundError, match=COMMITTED[name]):
        teach.recorded(name)


# ---- what comes from outside is shown and does nothing


BAD = "<img src=x onerror=alert(1)>&\"'"


def test_nothing_from_a_table_reaches_the_page_as_markup(shown, results):
    import csv as csv_module
    import io

    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    about = [BAD + part for part in ("device", "python", "torch", "commit", "date", "norm")]
    writer.writerow(["SEED", "score", "status", "device", "python", "torch", "commit", "date", BAD])
    for seed in range(3):
        writer.writerow([seed, seed, "ok", *about])
    rewrite(results, text.getvalue())
    table = teach.recorded("table", "score")
    table.table(["score"], by=BAD, title=BAD)
    teach.claim(BAD, holds=lambda v: v > 0, unit=BAD, recorded=table)
    teach.compare_with_paper([(BAD, BAD, BAD, BAD, None, BAD)], title=BAD)
    assert len(shown) == 3
    for bundle in shown:
        assert "onerror" in bundle["text/html"] and "<img" not in bundle["text/html"]


def test_a_caption_makes_no_markup(shown):
    alt = f"a picture of a file with the name {BAD}"
    for caption in (BAD, f"*what* {BAD}", f"[a](javascript:1) {BAD}"):
        teach.show(np.zeros((8, 8), np.uint8), alt=alt, caption=caption)
    words = [bundle["text/markdown"] for bundle in shown if "text/markdown" in bundle]
    assert len(words) == 3 and not any("<" in text or "](" in text for text in words)
    teach.show(np.zeros((8, 8), np.uint8), alt=alt)  # without a caption: no second output
    assert len(shown) == 7


def test_a_page_of_the_whole_course_escapes_alt_texts():
    from nbformat.v4 import new_code_cell, new_notebook, new_output

    from reidkit.teach.build import to_html

    data = {"image/png": "aGk=", "text/plain": BAD}
    output = new_output("display_data", data, metadata={"image/png": {"alt": BAD}})
    said = new_output("stream", name="stdout", text=BAD)
    page = to_html(new_notebook(cells=[new_code_cell("1", outputs=[output, said])]))
    assert "<img src=x" not in page and "&lt;img src=x" in page


def test_labels_with_dollars_are_words():
    from reidkit.teach import collect, plots

    rows = []
    for seed in (0, 1):
        for word in ("$\\bad{$", "a$b$c"):
            parameters = {"SEED": seed, "K": seed, "WORD": word}
            records = {"$x_{$": 1.0 + seed}
            rows.append({"parameters": parameters, "records": records, "status": "ok"})
    collect.picture(rows).canvas.draw()
    figure, axes = plots.make_figure()
    plots.name_rows(axes, ["$\\bad{$", "b"])
    figure.canvas.draw()
