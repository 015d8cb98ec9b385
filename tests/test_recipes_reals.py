"""The committed network on every real set: which exams may choose, and which looks are logged."""

import pytest
import real_trees

from reidkit import files
from reidkit.recipes import reals, tables
from reidkit.recipes.__main__ import main
from reidkit.recipes.tables import read_table, seen_in

MAY_CHOOSE = ["pku_development", "caviar4reid", "3dpes_development", "vehicles"]


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """Drawn people in all layouts, and a log of looks of this test's own."""
    root = real_trees.draw_all(tmp_path / "sets")
    monkeypatch.setenv("REIDKIT_DATA_ROOT", str(root))
    results = tmp_path / "results"
    monkeypatch.setattr(files, "results_dir", lambda: results)
    return root


def looks():
    return read_table(files.results_dir() / "looks.csv")


def test_exams_say_whether_they_may_choose(trees, monkeypatch):
    exams = reals.find_exams()
    assert list(exams) == list(reals.EXAMS)
    assert [name for name, exam in exams.items() if not exam.reports] == MAY_CHOOSE
    for exam in exams.values():
        # What has two halves is kept for reporting but for its development half.
        has_halves = exam.source in ("pku-reid", "3dpes")
        assert exam.reports == (has_halves and exam.half != "development")
        assert exam.folder == trees / exam.source
    assert [case["exam"] for case in reals.cases()] == MAY_CHOOSE
    assert [case["exam"] for case in reals.cases(report=True)] == list(reals.EXAMS)
    exam = exams["3dpes_report"].load((64, 32))
    assert exam.query.ids.unique().tolist() == [10, 12]
    monkeypatch.delenv("REIDKIT_DATA_ROOT")
    assert reals.find_exams() == {}
    assert list(reals.find_exams(trees)) == list(reals.EXAMS)
    assert list(reals.find_exams(trees / "vehicles")) == []


def test_every_exam_that_reports_is_logged():
    for name, exam in reals.EXAMS.items():
        row = {"exam": name, "rank1": "50.0", "rank1_low": "40", "map": "30.0", "minp": "9"}
        seen = seen_in(row | {"camera_rank1": ""})
        assert len(seen) == exam.reports, name
        for numbers in seen.values():
            assert numbers == {f"{name}_rank1": 50.0, f"{name}_map": 30.0}
    # With statistics per camera, too.
    seen = seen_in({"exam": "pku_report", "camera_map": "7"})
    assert seen == {"PKU-Reid, report half": {"pku_report_camera_map": 7.0}}


def test_rows_of_the_development_sets(trees, tmp_path):
    out = tmp_path / "11_reals.csv"
    words = ["reals", "--device", "cpu", "--threads", "1", "--out", str(out)]
    assert not main(words)
    rows = {row["exam"]: row for row in read_table(out)}
    assert list(rows) == MAY_CHOOSE
    assert looks() == []
    for name, row in rows.items():
        assert 0 <= float(row["rank1_low"]) <= float(row["rank1"]) <= float(row["rank1_high"])
        assert 0 < float(row["map"]) <= 100
        assert (row["camera_rank1"] != "") == (name != "3dpes_development")
        assert row["whose"] == "ours"
        assert row["network"] == "drawn-laptop"
        assert row["half"] == reals.EXAMS[name].half
    assert [rows["caviar4reid"][key] for key in ("queries", "gallery", "ids")] == ["9", "9", "3"]
    # Made again, it is the same to the digit.
    assert main([*words, "--check"]) == 0


def test_report_halves_need_to_be_asked_for_and_are_logged(trees, tmp_path, monkeypatch, capsys):
    out = tmp_path / "11_reals.csv"

    def row(case, device):
        return {"rank1": 12.34, "map": 5.0}

    monkeypatch.setattr(reals, "reals_row", row)
    words = ["reals", "--device", "cpu", "--threads", "1", "--out", str(out)]
    main(words)
    assert looks() == []
    main([*words, "--report"])
    assert [row["exam"] for row in read_table(out)] == list(reals.EXAMS)
    found = {look["set"]: (look["for"], look["numbers"]) for look in looks()}
    assert found == {
        "PKU-Reid, report half": (
            "11_reals.csv, exam pku_report",
            "pku_report_rank1 12.3; pku_report_map 5.0",
        ),
        "PKU-Reid, all": ("11_reals.csv, exam pku", "pku_rank1 12.3; pku_map 5.0"),
        "3DPeS, report half": (
            "11_reals.csv, exam 3dpes_report",
            "3dpes_report_rank1 12.3; 3dpes_report_map 5.0",
        ),
        "3DPeS, all": ("11_reals.csv, exam 3dpes", "3dpes_rank1 12.3; 3dpes_map 5.0"),
    }
    # A second call without the flag keeps their rows, and looks at nothing.
    main(words)
    assert len(read_table(out)) == 8
    assert len(looks()) == 4
    # Of other code: dropping them needs the flag, too.
    monkeypatch.setattr(tables.Table, "stamp", lambda table: "of another day")
    with pytest.raises(SystemExit):
        main([*words, "--redo"])
    assert (
        "pku_report, pku, 3dpes_report, 3dpes, which --redo would drop" in capsys.readouterr().err
    )
    assert len(read_table(out)) == 8


def test_commands_that_cannot_work(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("REIDKIT_DATA_ROOT", str(tmp_path))
    for words, reason in (
        (["reals", "--out", str(tmp_path / "x.csv")], "pku-reid, caviar4reid, 3dpes, vehicles"),
        (["reals", "--out", str(tmp_path / "x.pth")], "x.csv"),
        (["study", "--report", "--out", str(tmp_path / "x.csv")], "--report belongs to reals"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "x.csv").exists()
