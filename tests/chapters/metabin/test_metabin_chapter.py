"""Chapter 4: its widget, its pictures and the small helpers, checked by hand."""

import itertools
import time

import numpy as np
import pytest
import torch

from reidkit import world
from reidkit.chapters.metabin import figures as c04
from reidkit.chapters.metabin import planes as c04_planes
from reidkit.layers.norms import gates
from reidkit.methods.metabin import MetaBIN, base_step
from reidkit.recipes.norms import TABLES, network
from reidkit.teach import figures, widgets
from reidkit.teach.recorded import Recorded


def made_table(
    name="04_norms",
    seeds=(0, 1, 2),
    rows=("BN", "IN", "half and half", "BIN", "MetaBIN"),
    **columns,
):
    """Row number i scores 10 i + seed in every exam."""
    stems = [
        f"{exam}_{key}"
        for exam in ("home", "away", "style", "tone", "validation")
        for key in ("rank1", "map")
    ]
    return Recorded(
        name,
        [
            {
                "row": row,
                "SEED": str(seed),
                **{stem: str(10 * i + seed) for stem in stems},
                "gate_mean": "0.5",
                **columns,
            }
            for i, row in enumerate(rows)
            for seed in seeds
        ],
    )


def drawn(picture):
    from matplotlib import pyplot

    array = figures.pixels(picture)
    pyplot.close(picture)
    assert array.std() > 5
    return array


# ---- the widget


def test_the_loss_explorer_draws_every_state_and_says_what_it_shows():
    draw, controls = c04_planes.loss_explorer()
    kept, texts, pictures = {}, [], []
    for state in widgets.states(controls):
        frame = draw(state, kept)
        pictures.append(np.array(figures.pixels(frame.picture)))
        texts.append(frame.text)
        names = c04_planes.LOSSES[state["loss"]]
        assert all(name in frame.text for name in names) and "same place for" in frame.text
    assert min(picture.std() for picture in pictures) > 5
    assert (
        len(set(texts)) >= 1 + sum(len(control.values) - 1 for control in controls.values()) - 1
    )  # every control says something new
    took = []
    for steps in (0, 10, 20):
        begun = time.process_time()
        figures.pixels(draw({"loss": "all three", "apart": 1.5, "steps": steps}, kept).picture)
        took.append(time.process_time() - begun)
    assert min(took) < 0.3  # 0.08 s on a quiet core; a full machine doubles it


def test_one_place_in_one_point_scatters_to_1():
    ids, domains, *_ = c04_planes.plane()
    points = torch.ones(len(ids), 2) * (1 + domains[:, None].float())
    _, step, parts = next(c04_planes.downhill(points, ids, domains, ("scatter",)))
    assert parts["scatter"] == pytest.approx(1) and step.abs().max() < 1e-4


def test_downhill_is_downhill():
    ids, domains, people, places, noise = c04_planes.plane()
    start = 3 + 1.5 * places[domains] + 0.5 * people[ids] + 0.15 * noise
    for name in ("scatter", "shuffle", "triplet"):
        values = [
            parts[name]
            for _, _, parts in itertools.islice(
                c04_planes.downhill(start, ids, domains, (name,)), 5
            )
        ]
        assert values[4] < values[0]
    shuffled = next(
        itertools.islice(c04_planes.downhill(start, ids, domains, ("shuffle",)), 40, None)
    )[0]
    before, after = (
        c04_planes.neighbours(start, ids, domains),
        c04_planes.neighbours(shuffled, ids, domains),
    )
    assert before > 90 and after < before - 20  # what the loss is for


def test_neighbours_by_hand():
    points, ids, domains = (
        torch.tensor([[0.0, 0], [1, 0], [9, 0], [9.5, 0]]),
        torch.arange(4),
        torch.tensor([0, 0, 0, 1]),
    )
    assert (
        c04_planes.neighbours(points, ids, domains) == 75 - 25
    )  # 0 and 1 find each other, 2 and 3 the other place


# ---- tables


def test_differences_are_paired_by_seed():
    table = made_table()
    assert c04.paired(table, "IN", "BN", "away_rank1") == [10, 10, 10]
    less = Recorded("x", [row for row in table.rows if (row["row"], row["SEED"]) != ("BN", "1")])
    assert c04.paired(less, "IN", "BN", "away_rank1") == [10, 10]
    assert (
        c04.interval_text([1.0, 2.0, 3.0]) == "+2.0 [-0.5, +4.5]"
        and c04.interval_text([2.0]) == "+2.0"
    )
    assert c04.lowest([2.0]) == 2 and c04.lowest([1.0, 2.0, 3.0]) == pytest.approx(
        2 - 4.303 / 3**0.5
    )


def test_the_ladder_takes_the_seeds_that_both_tables_have():
    names = [name for name in c04.PAPER_LADDER if name not in ("BN", "BIN", "MetaBIN")]
    parts = made_table(seeds=(0, 2), rows=names)
    found = c04.ladder(parts, made_table(), "away_rank1")
    assert (
        list(found) == list(c04.PAPER_LADDER)
        and found["BN"] == [0, 2]
        and found["BIN"] == [30, 32]
        and found["MetaBIN"] == [40, 42]
    )
    less = Recorded(
        "x", [row for row in parts.rows if (row["row"], row["SEED"]) != ("triplet", "2")]
    )  # still being recorded
    assert all(len(values) == 1 for values in c04.ladder(less, made_table(), "away_rank1").values())
    assert set(c04.STEPS) | {"BN"} == set(found) and set(c04.STEPS.values()) <= set(found)
    drawn(c04.ladder_picture(found))


def test_agreement_with_a_paper_needs_the_whole_interval():
    assert (
        c04.agreement([2.0, 3.0, 4.0], 5.0) == c04.agreement([-2.0, -3.0, -4.0], -5.0) == (True, "")
    )
    assert (
        c04.agreement([2.0, 3.0, 4.0], -5.0)
        == c04.agreement([-2.0, -3.0, -4.0], 5.0)
        == (False, "")
    )
    assert c04.agreement([-1.0, 0.5, 4.0], 5.0) == (None, "ours undecided")
    for theirs in (5.0, -5.0):
        assert c04.agreement([-0.1, 0.1, 0.2], theirs) == (
            None,
            "no sign of ours decided, but smaller than theirs",
        )
    assert c04.agreement([2.0, 3.0, 4.0], 0.3)[0] is None


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_pictures_of_tables(seeds):
    table = made_table(seeds=seeds)
    drawn(
        c04.row_picture(
            table,
            list(c04.PAPER_AWAY),
            {"style": "style exam", "tone": "tone exam"},
            lines={"tone guessed": 25.0},
        )
    )
    gate_rows = made_table(
        "04_gates",
        seeds,
        [f"travel {travel}, length {length:g}" for length in (0.5, 1.0) for travel in (250, 2500)],
    )
    assert sorted(c04.travels(gate_rows)) == [(250, 0.5), (250, 1), (2500, 0.5), (2500, 1)]
    drawn(c04.travel_picture(gate_rows))


# ---- features and gates


def found_features():
    chance = torch.Generator().manual_seed(0)
    ids = torch.arange(8).repeat_interleave(8)  # 8 people, 2 places of 4 cameras, 2 pictures
    domains, cameras = ids // 4, torch.arange(4).repeat_interleave(2).repeat(8)
    found = {"ids": ids, "domains": domains, "cameras": cameras + 100 * domains}
    for name in c04.NAMES:
        own = torch.nn.functional.one_hot(ids, 8).float() + 0.05 * torch.randn(
            64, 8, generator=chance
        )
        found[f"features {name}"] = own
    for name in ("BIN", "MetaBIN"):
        found |= {
            f"gates {name} trunk.{layer}": torch.rand(6, generator=chance)
            for layer in ("bn1", "layer1.0.bn1", "layer1.0.bn2", "layer4.0.bn1")
        }
    return found


def test_recorded_gates_by_stage():
    found = found_features()
    own = c04.recorded_gates(found, "BIN")
    assert {stage: len(gate) for stage, gate in own.items()} == {
        "bn1": 6,
        "layer1": 12,
        "layer4": 6,
    }
    assert own["bn1"].equal(found["gates BIN trunk.bn1"]) and not own["bn1"].equal(
        c04.recorded_gates(found, "MetaBIN")["bn1"]
    )
    drawn(c04.gates_picture(found))


def test_probe_numbers_read_what_is_there():
    found = found_features()
    read = c04_planes.probe_numbers(
        found["features BN"], found["domains"], found["ids"], found["cameras"]
    )
    assert read["person"] == (100, 12.5) and read["place"][1] == 50


def test_maps_of_places_and_of_people():
    found = found_features()
    maps = {
        name: torch.randn(64, 2, generator=torch.Generator().manual_seed(1)) for name in c04.NAMES
    }
    titles = dict.fromkeys(maps, "place 50 %")
    one = drawn(c04_planes.map_picture(maps, found["domains"], "place", titles))
    assert not np.array_equal(
        one, drawn(c04_planes.map_picture(maps, found["ids"], "person", titles, most=3))
    )


# ---- the iteration, watched


def test_still_or_moved_tells_the_three_kinds_apart():
    batch, model = c04.iteration_data(), network(TABLES["norms"]["BIN"], classes=8).train()
    assert (
        len(batch.ids) == 32
        and batch.domains.unique().tolist() == [0, 1, 2, 3]
        and batch.ids.unique().tolist() == list(range(8))
    )
    before = c04.copies(model)
    assert set(c04.still_or_moved(before, model).values()) == {"still"}
    base_step(
        model,
        batch,
        torch.optim.Adam(model.parameters(), 1e-3),
        lambda output, batch: {"x": output.logits.square().mean()},
    )
    assert c04.still_or_moved(before, model) == {
        "weights": "moved",
        "gates": "still",
        "running statistics": "moved",
    }
    before = c04.copies(model)
    next(iter(gates(model).values())).data[0] = 0.5
    assert c04.still_or_moved(before, model) == {
        "weights": "still",
        "gates": "moved",
        "running statistics": "still",
    }


@pytest.fixture(scope="module")
def crowd():
    return world.sample(
        [("demo", 0), ("demo", 1)], people=6, cameras=3, pictures=2, size=(64, 32), cache=False
    )


def test_a_rehearsal_without_a_trial_changes_nothing(crowd):
    torch.manual_seed(0)
    model, method = network(TABLES["norms"]["BIN"], classes=12), MetaBIN(5.0, pictures=4)
    for gate in gates(model).values():
        gate.data.fill_(0.5)
    before = c04.copies(model)
    none, some = (c04.rehearsals(model, crowd, method, factor, count=1)[0] for factor in (0.0, 1.0))
    assert (
        none[0] == 0 and none[1] == pytest.approx(1, abs=1e-5) and some[0] > 0 and some[1] < none[1]
    )
    assert set(c04.still_or_moved(before, model).values()) == {"still"}


def test_a_gated_network_is_the_same_function_and_pushes_are_gradients(crowd):
    torch.manual_seed(0)
    plain = network(TABLES["norms"]["BN"], classes=12).eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5), module.bias.data.uniform_(-0.5, 0.5)
    made, images = c04.gated(plain), c04.iteration_data().images
    torch.testing.assert_close(made(images).feature, plain(images).feature, rtol=1e-3, atol=1e-4)
    assert not gates(plain) and all((gate == 1).all() for gate in gates(made).values())
    before = c04.copies(made)
    one, any_ = (c04.pushes(made, crowd, 6, one_camera, count=2) for one_camera in (True, False))
    assert (
        one.shape == any_.shape == (2,)
        and not one.equal(any_)
        and set(c04.still_or_moved(before, made).values()) == {"still"}
    )


def test_a_gate_that_hurts_is_pushed_down(monkeypatch, crowd):
    """The sign: above 0 is towards IN, that is, a smaller gate makes the loss smaller."""
    torch.manual_seed(0)
    model = c04.gated(network(TABLES["norms"]["BN"], classes=12))

    def loss(feature, ids):
        return sum(gate.sum() for gate in gates(model).values()) + 0 * feature.sum(1)

    monkeypatch.setattr(c04.losses, "batch_hard_triplet", loss)
    assert (c04.pushes(model, crowd, 6, False, count=1) > 0).all()
