"""Chapter 01 on real pictures, rerun by papermill with the one parameter DATA."""

import nbformat
import pytest

from reidkit.teach import build, rerun


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "claims"),
    [("pku-reid", "pku-reid", 1), ("market1501", "market1501-sample", 1)],
)
def test_chapter_01_takes_a_real_data_set_by_path(name, folder, claims, data_root, tmp_path):
    parameters = [f"DATA={name}:{data_root / folder}", "PRESET=smoke", "SEED=1"]
    (row,) = rerun.run_grid(rerun.find("01"), parameters, tmp_path, progress=False)
    assert (row["status"], row["error"]) == ("ok", "")
    # The table names the set, not a folder of this machine.
    assert row["parameters"]["DATA"] == name
    records = row["records"]
    assert 0 <= records["away_rank1"] <= 100
    assert 0 <= records["home_map"] <= 100

    path = next((tmp_path / "01_what_is_reid").glob("*smoke*.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    outputs = []  # (cell's key, output)
    for cell in notebook.cells:
        outputs += [(cell.id, output) for output in cell.get("outputs", [])]
    text = "\n".join(str(output.get("text", "")) for _, output in outputs)
    assert "real people" in text

    # One claim needs no drawn people.
    states = [claim["state"] for _, claim in build.claims(notebook)]
    assert states.count("held") == claims
    assert "not held" not in states
    assert len(states) == 6

    # Real people stay off the page.
    pictures = [key for key, output in outputs if "image/png" in output.get("data", {})]
    assert "strips" not in pictures
