"""Chapter 4's pictures of tables, gates and maps."""

import numpy as np
import pytest
import torch
from metabin_cases import drawn, make_features, make_table

from reidkit.chapters.metabin import experiments, figures, results


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_pictures_of_tables(seeds):
    runs = results.runs_by_row(make_table(seeds=seeds))
    labels = {"style": "style exam", "tone": "tone exam"}
    lines = {"tone guessed": 25.0}
    drawn(figures.row_picture(runs, list(results.PAPER_AWAY), labels, lines=lines))
    names = [
        f"travel {travel}, length {length:g}" for length in (0.5, 1.0) for travel in (250, 2500)
    ]
    speeds = make_table("04_gates", seeds, names)
    runs = results.runs_by_travel(speeds)
    assert sorted(runs) == [(250, 0.5), (250, 1), (2500, 0.5), (2500, 1)]
    drawn(figures.travel_picture(speeds))


def test_recorded_gates_by_stage():
    tensors = make_features()
    stages = experiments.gates_by_stage(tensors, "BIN")
    assert {stage: len(gate) for stage, gate in stages.items()} == {
        "bn1": 6,
        "layer1": 12,
        "layer4": 6,
    }
    assert stages["bn1"].equal(tensors["gates BIN trunk.bn1"])
    assert not stages["bn1"].equal(experiments.gates_by_stage(tensors, "MetaBIN")["bn1"])
    drawn(figures.gates_picture(tensors))


def test_maps_of_places_and_of_people():
    tensors = make_features()
    maps = {}
    for name in experiments.NAMES:
        maps[name] = torch.randn(64, 2, generator=torch.Generator().manual_seed(1))
    titles = dict.fromkeys(maps, "place 50 %")
    of_places = drawn(figures.map_picture(maps, tensors["domains"], "place", titles))
    of_people = drawn(figures.map_picture(maps, tensors["ids"], "person", titles, most=3))
    assert not np.array_equal(of_places, of_people)


def test_titles_of_maps_say_what_is_read():
    reading = {
        "place": experiments.Reading(45.4, 50.0),
        "person": experiments.Reading(80.6, 12.5),
    }
    assert figures.map_titles({"BN": reading}) == {"BN": "place 45 %, person 81 %"}
