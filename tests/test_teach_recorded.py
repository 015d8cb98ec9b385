"""Recorded tables in a notebook: seeds, damage, names, and text from outside on the page."""

import numpy as np
import pytest

pytest.importorskip("IPython")
from show_case import make_results, watch  # noqa: E402

from reidkit import files, teach  # noqa: E402


@pytest.fixture
def shown(monkeypatch):
    return watch(monkeypatch)


@pytest.fixture
def results(tmp_path, monkeypatch):
    return make_results(tmp_path, monkeypatch)


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
    from matplotlib import pyplot

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
    pyplot.close(figure)
