"""Chapter 01 on real pictures, rerun by papermill with the one parameter DATA."""

import nbformat
import pytest

from reidkit.teach import build, rerun


@pytest.mark.parametrize(
    ("name", "folder", "claims"),
    [("pku-reid", "pku-reid", 1), ("market1501", "market1501-sample", 1)],
)
def test_chapter_01_takes_a_real_data_set_by_path(name, folder, claims, data_root, tmp_path):
    rows = rerun.run_grid(
        rerun.find("01"),
        [f"DATA={name}:{data_root / folder}", "PRESET=smoke", "SEED=1"],
        tmp_path,
        progress=False,
    )
    assert [(row["status"], row["error"]) for row in rows] == [("ok", "")]
    assert (
        rows[0]["parameters"]["DATA"] == name
    )  # the table names the set, not a folder of this machine
    records = rows[0]["records"]
    assert 0 <= records["away_rank1"] <= 100 and 0 <= records["home_map"] <= 100
    made = nbformat.read(next((tmp_path / "01_what_is_reid").glob("*smoke*.ipynb")), as_version=4)
    text = "\n".join(
        str(output.get("text", "")) for cell in made.cells for output in cell.get("outputs", [])
    )
    assert "real people" in text
    states = [claim["state"] for _, claim in build.claims(made)]
    assert (
        states.count("held") == claims and "not held" not in states and len(states) == 6
    )  # one claim needs no drawn people
    pictures = [
        cell.id
        for cell in made.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert "strips" not in pictures  # real people stay off the page
