"""Every real set beside others' networks: whose number stands where, and the picture of it."""

import tomllib

import pytest
from matplotlib import pyplot

from reidkit import files
from reidkit.chapters.real_people import figures, sets
from reidkit.recipes import reals
from reidkit.recipes.tables import read_table
from reidkit.teach import recorded, rooms
from reidkit.teach.recorded import Recorded

ENDS = {"": 0, "_low": -6, "_high": 6}  # of a column's name: its distance to the mean


def row(exam, rank1, ap, per_camera=True):
    """A row of 11_reals as its file has it."""
    cells = {"exam": exam, "SEED": "0"}
    for way, more in (("", 0), ("camera_", 5)):
        for end, distance in ENDS.items():
            shown = not way or per_camera
            cells[f"{way}rank1{end}"] = str(rank1 + more + distance) if shown else ""
            cells[f"{way}map{end}"] = str(ap + more + distance) if shown else ""
    return cells


@pytest.fixture
def tables():
    """(11_reals, 11_models), made up; PKU-Reid's report half is in the second only."""
    in_reals = [row("caviar4reid", 20.0, 12.0), row("3dpes_development", 55.0, 42.0, False)]
    models = []
    for seed in (0, 1):
        cells = {"model": "drawn-laptop", "SEED": str(seed)}
        for name, value in row("", 60.0 + seed, 50.0).items():
            if name not in ("exam", "SEED"):
                cells[f"pku_report_{name}"] = value
        models.append(cells)
    return Recorded("11_reals", in_reals), Recorded("11_models", models)


def marks(exam, tables):
    return {
        score.network: (score.rank1.mean, score.rank1.low, score.ap.mean)
        for score in sets.scores(exam, *tables)
    }


def test_ours_come_from_tables_and_others_from_what_was_measured(tables):
    found = marks("caviar4reid", tables)
    assert list(found)[:2] == [sets.OURS, sets.OURS_PER_CAMERA]
    assert found[sets.OURS] == (20, 14, 12)
    assert found[sets.OURS_PER_CAMERA] == (25, 19, 17)
    assert found["OSNet x0.25, Market-1501"] == (8.8, None, 6.7)
    # The committed network is seed 0.
    assert marks("pku_report", tables)[sets.OURS] == (60, 54, 50)
    # No table holds all of 3DPeS: measured once; its development half is another exam.
    assert marks("3dpes", tables)[sets.OURS] == (43.4, None, 31.7)
    assert sets.OURS_PER_CAMERA not in marks("3dpes", tables)
    assert sets.OURS not in marks("vehicles", tables)
    assert sets.gap("caviar4reid", "OSNet x0.25, MSMT17", *tables) == pytest.approx(-2.2)


def test_a_look_at_all_of_3dpes_replaces_what_was_measured_once(tables):
    in_reals, models = tables
    in_reals.rows.append(row("3dpes", 44.0, 32.0, False))
    more = Recorded("11_reals", in_reals.rows)
    assert marks("3dpes", (more, models))[sets.OURS] == (44, 38, 32)


def test_every_number_says_whose_it_is():
    for network, measured in sets.REFERENCES.items():
        assert sets.WHOSE[network]
        assert set(measured) <= set(sets.EXAMS) <= set(reals.EXAMS)
    assert set(figures.NETWORKS) == set(sets.WHOSE)
    looks = {(look.color, filled) for look, filled in figures.NETWORKS.values()}
    markers = {(look.marker, filled) for look, filled in figures.NETWORKS.values()}
    assert len(looks) == len(markers) == len(figures.NETWORKS)  # not by colour alone


def test_the_picture_of_every_set(tables):
    figure = figures.every_set(*tables)
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("rank-1 (%)", "mAP (%)")
    labels = [label.get_text() for label in left.get_yticklabels()]
    assert list(reversed(labels)) == list(sets.EXAMS.values())
    numbers = [text.get_text() for text in left.texts]
    assert {"60", "65", "42", "93"} <= set(numbers)
    shown = sum(len(sets.scores(exam, *tables)) for exam in sets.EXAMS)
    assert len(left.texts) == len(right.texts) == shown
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(figures.NETWORKS)
    pyplot.close(figure)


def test_its_words():
    path = rooms.room_folder("11") / "figures.toml"
    words = tomllib.loads(path.read_text(encoding="utf-8"))["sets"]
    assert words["caption"].startswith("What you see:")
    assert "{provenance}" in words["caption"]
    assert len(words["alt"]) > 100


# ---- as recorded


def test_the_recorded_table_is_of_the_committed_network():
    table = recorded("11_reals")
    models = recorded("11_models", model="drawn-laptop", SEED=0)
    exams = [cells["exam"] for cells in table.rows]
    assert set(exams) >= {"pku_development", "caviar4reid", "3dpes_development", "vehicles"}
    # Seed 0 of the table of models is this network: the same score on the same exam.
    on_pku = table.where(exam="pku_development")
    for column in ("rank1", "map", "camera_rank1", "camera_map"):
        ours = on_pku.mean(column)
        assert ours == pytest.approx(models.mean(f"pku_development_{column}"), abs=0.7)


def test_looks_of_the_recorded_table_are_logged():
    logged = {look["for"] for look in read_table(files.results_dir() / "looks.csv")}
    for cells in recorded("11_reals").rows:
        if reals.EXAMS[cells["exam"]].reports:
            assert f"11_reals.csv, exam {cells['exam']}" in logged
