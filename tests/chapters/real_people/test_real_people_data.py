"""Chapter 11 on real pictures, rerun by papermill with the parameters DATA and FOLDER."""

import nbformat
import pytest

from reidkit.chapters.real_people import figures as c11
from reidkit.teach import build, rerun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "claims"),
    [("pku-reid", "pku-reid", 8), ("market1501", "market1501-sample", 7)],
)
def test_chapter_11_takes_a_real_data_set_by_path(name, folder, claims, data_root, tmp_path):
    rows = rerun.run_grid(
        rerun.find("11"),
        [f"DATA={name}:{data_root / folder}", "PRESET=smoke", "SEED=1"],
        tmp_path,
        progress=False,
    )
    assert [(row["status"], row["error"]) for row in rows] == [("ok", "")]
    assert (
        rows[0]["parameters"]["DATA"] == name
    )  # the table names the set, not a folder of this machine
    assert (
        0 <= rows[0]["records"]["real_as_trained_rank1"] <= 100
        and 0 <= rows[0]["records"]["real_per_camera_map"] <= 100
    )
    made = nbformat.read(next((tmp_path / "11_real_people").glob("*smoke*.ipynb")), as_version=4)
    states = [claim["state"] for _, claim in build.claims(made)]
    assert states.count("held") == claims and "not held" not in states and len(states) == 9
    told = "".join(
        output.get("text", "")
        for cell in made.cells
        if cell.id == "load"
        for output in cell.outputs
    )
    assert ("37 people" in told) == (name == "pku-reid")  # the development half only


def test_real_people_are_the_development_half_only(data_root):
    from reidkit.teach.start import Run

    exam = c11.real_exam(
        Run("11", None, 0, f"pku-reid:{data_root / 'pku-reid'}", "cpu", 1), (64, 32)
    )
    assert len(exam.query) == len(exam.gallery) == 296
    assert c11.real_exam(Run("11", None, 0, "world", "cpu", 1), (64, 32)) is None


@pytest.mark.slow
def test_chapter_11_takes_a_folder(tmp_path):
    (tmp_path / "album").mkdir()
    c11.draw_album(tmp_path / "album", seed=5)
    rows = rerun.run_grid(
        rerun.find("11"),
        [f"FOLDER={tmp_path / 'album'}", "PRESET=smoke", "SEED=1"],
        tmp_path / "runs",
        progress=False,
    )
    assert [(row["status"], row["error"]) for row in rows] == [("ok", "")]
