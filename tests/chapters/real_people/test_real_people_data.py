"""Chapter 11 on real pictures, rerun by papermill with the parameters DATA and FOLDER."""

import nbformat
import pytest

from reidkit.chapters.real_people import experiments
from reidkit.teach import build, rerun
from reidkit.teach.start import Run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "claims"),
    [("pku-reid", "pku-reid", 8), ("market1501", "market1501-sample", 7)],
)
def test_chapter_11_takes_a_real_data_set_by_path(name, folder, claims, data_root, tmp_path):
    parameters = [f"DATA={name}:{data_root / folder}", "PRESET=smoke", "SEED=1"]
    (row,) = rerun.run_grid(rerun.find("11"), parameters, tmp_path, progress=False)
    assert (row["status"], row["error"]) == ("ok", "")
    # The table names the set, not a folder of this machine.
    assert row["parameters"]["DATA"] == name
    records = row["records"]
    assert 0 <= records["real_as_trained_rank1"] <= 100
    assert 0 <= records["real_per_camera_map"] <= 100

    path = next((tmp_path / "11_real_people").glob("*smoke*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    states = [claim["state"] for _, claim in build.claims(notebook)]
    assert states.count("held") == claims
    assert "not held" not in states
    assert len(states) == 9

    cell = next(cell for cell in notebook.cells if cell.id == "load")
    text = "".join(output.get("text", "") for output in cell.outputs)
    assert ("37 people" in text) == (name == "pku-reid")  # the development half only


def test_real_people_are_the_development_half_only(data_root):
    run = Run("11", None, 0, f"pku-reid:{data_root / 'pku-reid'}", "cpu", 1)
    exam = experiments.real_exam(run, (64, 32))
    assert len(exam.query) == len(exam.gallery) == 296
    of_world = Run("11", None, 0, "world", "cpu", 1)
    assert experiments.real_exam(of_world, (64, 32)) is None


@pytest.mark.slow
def test_chapter_11_takes_a_folder(tmp_path):
    (tmp_path / "album").mkdir()
    experiments.draw_album(tmp_path / "album", seed=5)
    parameters = [f"FOLDER={tmp_path / 'album'}", "PRESET=smoke", "SEED=1"]
    (row,) = rerun.run_grid(rerun.find("11"), parameters, tmp_path / "runs", progress=False)
    assert (row["status"], row["error"]) == ("ok", "")
