"""Chapter 4's experiments: what features say, the iteration watched, two questions to the gates."""

import pytest
import torch
from metabin_cases import make_features

from reidkit import world
from reidkit.chapters.metabin import experiments
from reidkit.layers.norms import gates
from reidkit.methods.metabin import MetaBIN, base_step
from reidkit.recipes.norms import NORMS, make_network


def network_of(name):
    torch.manual_seed(0)
    return make_network(NORMS[name], classes=12)


@pytest.fixture(scope="module")
def crowd():
    places = [("demo", 0), ("demo", 1)]
    return world.sample(places, people=6, cameras=3, pictures=2, size=(64, 32), cache=False)


def test_probe_numbers_read_what_is_there():
    tensors = make_features()
    labels = (tensors[name] for name in ("domains", "ids", "cameras"))
    reading = experiments.probe_numbers(tensors["features BN"], *labels)
    assert reading["person"] == (100, 12.5)
    assert reading["place"][1] == 50


# ---- the iteration, watched


def test_still_or_moved_tells_the_three_kinds_apart():
    batch = experiments.make_iteration_batch()
    model = make_network(NORMS["BIN"], classes=8).train()
    assert len(batch.ids) == 32
    assert batch.domains.unique().tolist() == [0, 1, 2, 3]
    assert batch.ids.unique().tolist() == list(range(8))
    before = experiments.copy_state(model)
    assert set(experiments.still_or_moved(before, model).values()) == {"still"}

    def loss(output, batch):
        return {"x": output.logits.square().mean()}

    base_step(model, batch, torch.optim.Adam(model.parameters(), 1e-3), loss)
    assert experiments.still_or_moved(before, model) == {
        "weights": "moved",
        "gates": "still",
        "running statistics": "moved",
    }
    before = experiments.copy_state(model)
    next(iter(gates(model).values())).data[0] = 0.5
    assert experiments.still_or_moved(before, model) == {
        "weights": "still",
        "gates": "moved",
        "running statistics": "still",
    }


# ---- two questions to the gates


def test_a_rehearsal_without_a_trial_changes_nothing(crowd):
    model = network_of("BIN")
    method = MetaBIN(5.0, pictures=4)
    for gate in gates(model).values():
        gate.data.fill_(0.5)
    before = experiments.copy_state(model)
    without = experiments.rehearsals(model, crowd, method, 0.0, count=1)[0]
    with_trial = experiments.rehearsals(model, crowd, method, 1.0, count=1)[0]
    assert without[0] == 0
    assert without[1] == pytest.approx(1, abs=1e-5)
    assert with_trial[0] > 0
    assert with_trial[1] < without[1]
    assert set(experiments.still_or_moved(before, model).values()) == {"still"}


def test_a_gated_network_is_the_same_function_and_pushes_are_gradients(crowd):
    plain = network_of("BN").eval()
    for module in plain.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.5, 0.5)
    gated = experiments.make_gated(plain)
    images = experiments.make_iteration_batch().images
    features = gated(images).feature
    torch.testing.assert_close(features, plain(images).feature, rtol=1e-3, atol=1e-4)
    assert not gates(plain)
    assert all((gate == 1).all() for gate in gates(gated).values())
    before = experiments.copy_state(gated)
    one_camera = experiments.pushes(gated, crowd, 6, True, count=2)
    any_camera = experiments.pushes(gated, crowd, 6, False, count=2)
    assert one_camera.shape == any_camera.shape == (2,)
    assert not one_camera.equal(any_camera)
    assert set(experiments.still_or_moved(before, gated).values()) == {"still"}


def test_a_gate_that_hurts_is_pushed_down(monkeypatch, crowd):
    """The sign: above 0 is towards IN, that is, a smaller gate makes the loss smaller."""
    model = experiments.make_gated(network_of("BN"))

    def loss(feature, ids):
        return sum(gate.sum() for gate in gates(model).values()) + 0 * feature.sum(1)

    monkeypatch.setattr(experiments.losses, "batch_hard_triplet", loss)
    assert (experiments.pushes(model, crowd, 6, False, count=1) > 0).all()


def test_a_single_source_takes_its_cameras_for_places(crowd):
    assert experiments.make_method(crowd, 250, 4).domains == "domains"
    one_place = crowd[(crowd.domains == 0).nonzero().flatten()]
    assert experiments.make_method(one_place, 250, 4).domains == "cameras"
