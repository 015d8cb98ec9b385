"""Presets, the shared trainings, and the tables recorded over seeds."""

import dataclasses
import math
import os
import pathlib
import subprocess
import sys
import time

import pytest
import torch
from training_case import own_cache, same  # noqa: F401 a fixture

from reidkit import table_files
from reidkit.datasets import load_journey
from reidkit.layers.heads import Output
from reidkit.recipes import tables
from reidkit.recipes.__main__ import main
from reidkit.recipes.baseline import train_baseline
from reidkit.recipes.examine import examine, real_exams
from reidkit.recipes.presets import PRESETS
from reidkit.recipes.ways import ALL_WAYS, train_way
from reidkit.record import Exam, ReIDData

TINY = dataclasses.replace(
    PRESETS["smoke"], steps=2, places=1, people=8, cameras=2, unseen_places=1, exam_people=4
)


def test_presets_can_be_drawn_and_batched():
    assert list(PRESETS) == ["smoke", "laptop", "gpu"]
    for name, preset in PRESETS.items():
        assert preset.name == name and preset.batch_people <= min(
            16, preset.places * preset.people
        )  # Market's sample has 16
        assert preset.pictures >= 2 and preset.size[0] == 2 * preset.size[1] and preset.cameras >= 2
    sizes = [preset.places * preset.people * preset.steps for preset in PRESETS.values()]
    assert sizes == sorted(sizes)


@pytest.mark.slow
def test_baseline_and_ways_train_and_load():
    journey = load_journey("world", TINY, seed=3)
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    model, history = train_baseline(journey, TINY, seed=3)
    assert (
        torch.equal(torch.rand(1), expected)
        and len(history) == 2
        and model.classifier.out_features == 8
    )
    again, loaded = train_baseline(journey, TINY, seed=3)
    assert loaded.loaded and same(model, again)
    other, fresh = train_baseline(journey, TINY, seed=4)
    assert not fresh.loaded and not same(model, other)
    for way in ALL_WAYS:
        trained = train_way(way, journey, TINY, keep=None)
        assert set(way.split("+")) < set(trained.history[0]) and math.isfinite(
            trained.history[-1]["loss"]
        )
        assert set(trained.scores) == {"home", "away"}


class Colour(torch.nn.Module):
    def forward(self, images):
        return Output(images.mean((2, 3)))


def test_examine_gives_percentages_with_intervals():
    """Two people of two colours, seen twice: one query finds its person first, the other second."""
    colours = torch.tensor([[250, 0, 0], [0, 250, 0], [240, 0, 0], [200, 60, 0]], dtype=torch.uint8)
    images = colours[:, :, None, None].expand(4, 3, 8, 4).contiguous()
    data = ReIDData(
        images,
        torch.tensor([1, 2, 1, 2]),
        torch.tensor([0, 0, 1, 1]),
        torch.zeros(4, dtype=torch.int64),
    )
    row = examine(Colour(), {"home": Exam(data[:2], data[2:])})
    assert (
        row["home_rank1"] in (50.0, 100.0)
        and row["home_rank1_low"] <= row["home_rank1"] <= row["home_rank1_high"]
    )
    assert set(row) == {
        f"home_{key}"
        for key in ("rank1", "rank1_low", "rank1_high", "map", "map_low", "map_high", "minp")
    }


def seeds(*numbers):
    return [{"SEED": number} for number in numbers]


def test_a_finished_row_is_kept_and_one_of_another_stamp_too(tmp_path, capsys):
    out, asked = tmp_path / "table.csv", []

    def make(case):
        seed = int(case["SEED"])
        asked.append(seed)
        if seed == 2:
            raise RuntimeError("power cut")
        return {"home_rank1": 10.0 * seed}

    def record(*numbers, redo=False, **given):
        return tables.record(tables.Table(seeds(*numbers), make, given), out, redo=redo)

    with pytest.raises(RuntimeError):
        record(0, 1, 2, PRESET="smoke")
    assert [row["SEED"] for row in tables.read_table(out)] == ["0", "1"]
    assert asked == [0, 1, 2]
    rows = record(0, 1, 3, PRESET="smoke")
    assert asked == [0, 1, 2, 3] and len(rows) == 3
    table = tables.read_table(out)
    assert [row["home_rank1"] for row in table] == ["0.0", "10.0", "30.0"]
    assert all(row["status"] == "ok" for row in table)
    assert {"date", "commit", "torch", "python", "seconds", "PRESET", "stamp"} <= set(table[0])
    # Rows of other inputs stay unless somebody asks to drop them.
    record(1, PRESET="laptop")
    assert asked == [0, 1, 2, 3] and tables.read_table(out) == table
    assert "made by other code or inputs (--redo" in capsys.readouterr().out
    record(1, PRESET="laptop", redo=True)
    rows = tables.read_table(out)
    assert [(row["SEED"], row["PRESET"]) for row in rows] == [("1", "laptop")]


def test_a_row_is_checked_and_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    out, shift = tmp_path / "table.csv", [0]

    def make(case):
        return {"away_rank1": 50.25 + shift[0], "training_seconds": len(asked)}

    asked = []
    table = tables.Table(seeds(0, 1), make, looks=True)
    tables.record(table, out)
    before = out.read_bytes(), (tmp_path / "data" / "results" / "looks.csv").read_bytes()
    asked.append("a training takes another time")
    assert tables.check(table, out) == []
    shift[0] = 0.01
    assert tables.check(table, out) == ["seed 0: away_rank1 is 50.26, recorded 50.25"]
    assert before == (out.read_bytes(), (tmp_path / "data" / "results" / "looks.csv").read_bytes())
    with pytest.raises(ValueError, match="holds no row of these cases"):
        tables.check(tables.Table(seeds(7), make), out)


def test_rows_get_the_stamp_of_rearranged_code(tmp_path, monkeypatch):
    out = tmp_path / "table.csv"
    table = tables.Table(seeds(0, 1), lambda case: {"home_rank1": 1.0})
    tables.record(table, out)
    monkeypatch.setattr(tables, "modules_digest", lambda names: "rearranged")
    assert tables.restamp(table, out) == 2 and tables.restamp(table, out) == 0
    rows = tables.read_table(out)
    assert {row["stamp"] for row in rows} == {table.stamp()} and len(rows) == 2


def test_looks_are_logged_once(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    row = {
        "away_rank1": "60",
        "away_rank1_low": "50",
        "identity_away_map": 40.5,
        "pku_report_rank1": "9",
        "home_rank1": "80",
        "pku_development_rank1": "7",
        "pku_rank1": "",
    }
    for _ in range(2):
        tables.log_looks("table.csv, seed 1", tables.seen_in(row))
    tables.log_looks("other.csv, seed 0", {"drawn unseen places": {"away_map": 7}})
    looks = tables.read_table(tmp_path / "data" / "results" / "looks.csv")
    assert [(look["set"], look["for"], look["numbers"]) for look in looks] == [
        ("drawn unseen places", "table.csv, seed 1", "away_rank1 60.0; identity_away_map 40.5"),
        ("PKU-Reid, report half", "table.csv, seed 1", "pku_report_rank1 9.0"),
        ("drawn unseen places", "other.csv, seed 0", "away_map 7.0"),
    ]


def test_a_row_of_other_inputs_is_made_again_and_each_look_logged(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    made, out = [], tmp_path / "table.csv"

    def make(case):
        made.append(int(case["SEED"]))
        return {"away_rank1": 50 + made[-1]}

    for inputs in (["/a"], ["/a"], ["/b"]):
        table = tables.Table(seeds(0, 1), make, {"PRESET": "laptop"}, inputs, looks=True)
        tables.record(table, out, redo=True)
    assert made == [0, 1, 0, 1]
    looks = tables.read_table(tmp_path / "data" / "results" / "looks.csv")
    assert [look["for"] for look in looks] == [
        "table.csv, seed 0",
        "table.csv, seed 1",
    ]  # the same look twice is one line


def test_a_table_with_real_people_is_not_overwritten_without_them(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    out = tmp_path / "01.csv"
    table_files.write_table(out, [{"SEED": 0, "pku_rank1": 30.1}])
    with pytest.raises(SystemExit):
        main(["baseline", "--preset", "smoke", "--out", str(out)])
    assert "REIDKIT_DATA_ROOT" in capsys.readouterr().err and tables.read_table(out) == [
        {"SEED": "0", "pku_rank1": "30.1"}
    ]


@pytest.mark.slow
def test_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PRESETS, "smoke", TINY)
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    out = tmp_path / "01.csv"
    main(
        [
            "baseline",
            "--preset",
            "smoke",
            "--seeds",
            "0",
            "1",
            "--threads",
            "1",
            "--device",
            "cpu",
            "--out",
            str(out),
        ]
    )
    rows = tables.read_table(out)
    assert (
        [row["SEED"] for row in rows] == ["0", "1"]
        and rows[0]["home_rank1"] != ""
        and "pku_rank1" not in rows[0]
    )
    assert float(rows[0]["fall_rank1"]) == pytest.approx(
        float(rows[0]["home_rank1"]) - float(rows[0]["away_rank1"]), abs=0.01
    )
    capsys.readouterr()
    main(
        [
            "baseline",
            "--preset",
            "smoke",
            "--seeds",
            "0",
            "1",
            "--threads",
            "1",
            "--device",
            "cpu",
            "--out",
            str(out),
        ]
    )
    assert capsys.readouterr().out.split("\n")[:2] == ["seed 0: kept", "seed 1: kept"]
    with pytest.raises(SystemExit):
        main(["ways", "--weights", "x.pth", "--out", str(out)])


def test_real_people_too(data_root, monkeypatch):
    monkeypatch.setenv("REIDKIT_DATA_ROOT", str(data_root))
    assert set(real_exams(TINY)) == {
        "pku_development"
    }  # the report half is not for trying things out
    exams = real_exams(dataclasses.replace(TINY, name="laptop"))
    assert set(exams) == {"pku", "pku_development", "pku_report"}
    halves = [set(exams[name].query.ids.tolist()) for name in ("pku_development", "pku_report")]
    assert not halves[0] & halves[1] and len(halves[0]) == len(halves[1]) == 74 // 2


# ---- several at once, kills, repetitions, damage

SIDE_BY_SIDE = """
import sys, time
from reidkit.recipes import tables
def make(case):
    time.sleep(0.02)
    return {"away_rank1": 10.0 + int(case["SEED"]), "training_seconds": 1}
cases = [{"SEED": seed} for seed in range(int(sys.argv[2]), int(sys.argv[3]))]
tables.record(tables.Table(cases, make, {"PRESET": "x"}, looks=True), sys.argv[1])
"""


def start_recording(folder, first, last):
    words = [sys.executable, "-c", SIDE_BY_SIDE, str(folder / "t.csv"), str(first), str(last)]
    surroundings = {**os.environ, "REIDKIT_HOME": str(folder)}
    surroundings["PYTHONPATH"] = str(pathlib.Path(tables.__file__).parents[2])
    return subprocess.Popen(words, env=surroundings, stdout=subprocess.DEVNULL)


def recorded_seeds(folder):
    rows = table_files.read_table(folder / "t.csv")
    looks = table_files.read_table(folder / "data" / "results" / "looks.csv")
    seeds = sorted(int(row["SEED"]) for row in rows)
    return seeds, sorted(int(look["for"].rpartition(" ")[2]) for look in looks)


@pytest.mark.slow
def test_two_calls_with_other_seeds_fill_one_table_and_one_log(tmp_path):
    calls = [start_recording(tmp_path, 0, 15), start_recording(tmp_path, 15, 30)]
    assert [call.wait(120) for call in calls] == [0, 0]
    assert recorded_seeds(tmp_path) == (list(range(30)), list(range(30)))


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_call_leaves_a_table_and_no_row_without_its_look(tmp_path):
    call = start_recording(tmp_path, 0, 1000)
    until = time.monotonic() + 60
    while not (tmp_path / "t.csv").exists() and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    call.kill()
    call.wait()
    seeds, looks = recorded_seeds(tmp_path)
    assert seeds == list(range(len(seeds))) and seeds
    assert looks[: len(seeds)] == seeds and len(looks) - len(seeds) in (0, 1)
    again = start_recording(tmp_path, 0, len(seeds) + 2)
    assert again.wait(60) == 0
    assert recorded_seeds(tmp_path) == (list(range(len(seeds) + 2)),) * 2


def test_one_case_twice_is_one_row(tmp_path):
    made = []

    def make(case):
        made.append(case)
        return {"x": 1}

    cases = [{"SEED": 0}, {"SEED": "0"}, {"SEED": 1}, {"SEED": 0}]
    assert len(tables.record(tables.Table(cases, make), tmp_path / "t.csv")) == 2
    assert len(made) == 2


def test_a_table_of_other_cases_is_not_mixed_in(tmp_path):
    out = tmp_path / "t.csv"
    tables.record(tables.Table([{"row": "a", "SEED": 0}], lambda case: {"x": 1}), out)
    before = out.read_bytes()
    other = tables.Table([{"knob": "a", "SEED": 0}], lambda case: {"x": 1})
    for call in (tables.record, tables.check):
        with pytest.raises(ValueError, match="another table: its rows have no knob.*another --out"):
            call(other, out)
    table_files.write_table(out, [{"SEED": 0, "x": 1}, {"SEED": 0, "x": 2}])
    with pytest.raises(ValueError, match=r"row 2 \(0, 2\) is of the same case as a row before"):
        tables.record(tables.Table(seeds(0), lambda case: {"x": 1}), out)
    out.unlink()
    with pytest.raises(ValueError, match="no file, so there is nothing to stamp"):
        tables.restamp(other, out)
    assert before and not out.exists()


@pytest.mark.parametrize(
    "damage", [b"", b"SEED;x\n", b"SEED,x\n0", b"\xff\xfe", b"\xef\xbb\xbfS\n"]
)
def test_a_damaged_table_is_not_filled(tmp_path, damage):
    out = tmp_path / "t.csv"
    out.write_bytes(damage)
    table = tables.Table(seeds(0), lambda case: {"x": 1})
    for call in (tables.record, tables.check, tables.restamp):
        with pytest.raises(ValueError, match=r"t\.csv: .*delete it and record it again"):
            call(table, out)
    assert out.read_bytes() == damage


def test_a_log_of_looks_that_was_changed_is_not_written_on(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    looks = {"drawn unseen places": {"away_map": 7}}
    tables.log_looks("a", looks)
    path = tmp_path / "data" / "results" / "looks.csv"
    path.write_bytes(path.read_bytes().replace(b"7.0", b"8.0"))
    with pytest.raises(ValueError, match=r"looks.csv: row 1 .* is not as it was recorded"):
        tables.log_looks("b", looks)
    tables.log_looks("nothing was seen", {})


def test_equal_seeds_and_knobs_count_once(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(tables, "record", lambda table, *_: asked.append(table.cases))
    monkeypatch.setattr("reidkit.recipes.__main__.real_exams", lambda preset: {"x": None})
    out = str(tmp_path / "t.csv")
    assert main(["baseline", "--seeds", "0", "00", "1", "0", "--out", out]) == 0
    assert asked.pop() == [{"SEED": 0}, {"SEED": 1}]
    assert "--seeds: 0 counts once: 2 instead of 4" in capsys.readouterr().err
    words = ["study", "--seeds", "3", "--knobs", "views", "views", "steps", "--out", out]
    assert main(words) == 0
    assert [case["knob"] for case in asked.pop()] == ["usual", "steps", "views"]
    assert "--knobs: views counts once: 2 instead of 3" in capsys.readouterr().err
