"""Networks that differ in their norms: what is where in each, the two exams of one question, and
the tables.
"""

import dataclasses

import pytest
import torch
from torch import nn

from reidkit import retrieval
from reidkit.augment import normalize
from reidkit.datasets import load_journey
from reidkit.layers.heads import Output
from reidkit.layers.norms import IBN, BatchInstanceNorm, InstanceNorm, gates
from reidkit.layers.residual import NormedSum
from reidkit.recipes import exams, norms, tables
from reidkit.recipes.__main__ import main
from reidkit.recipes.presets import PRESETS
from reidkit.record import ReIDData

TINY = dataclasses.replace(
    PRESETS["smoke"], steps=4, people=8, cameras=2, unseen_places=2, exam_people=4
)


def count(model, kind):
    return sum(isinstance(module, kind) for module in model.modules())


@pytest.mark.parametrize("table", norms.TABLES)
def test_every_row_of_a_table_can_be_built(table):
    for name, row in norms.TABLES[table].items():
        model = norms.make_network(row, 5)
        assert model(torch.rand(2, 3, 64, 32)).logits.shape == (2, 5), name
        assert (model.neck is not None) == row.feature_norm


def test_where_the_norms_are():
    found = {name: norms.make_network(row, 5).trunk for name, row in norms.TABLES["norms"].items()}
    total = count(found["BN"], nn.BatchNorm2d)
    assert count(found["IN"], InstanceNorm) == total and count(found["IN"], nn.BatchNorm2d) == 0
    assert (
        count(found["BIN"], BatchInstanceNorm)
        == count(found["MetaBIN"], BatchInstanceNorm)
        == total
    )
    assert count(found["half and half"], IBN) == total and all(
        module.order == ("BN", "IN")
        for module in found["half and half"].modules()
        if isinstance(module, IBN)
    )
    assert count(found["IBN-a"], IBN) == 3 and count(found["DualNorm"], NormedSum) == 3
    places = {
        name: norms.make_network(row, 5).trunk for name, row in norms.TABLES["places"].items()
    }
    assert [
        count(places[name], NormedSum)
        for name in ("none", "stem", "early", "early and middle", "everywhere")
    ] == [0, 0, 2, 3, 4]
    assert [
        isinstance(places[name].bn1, InstanceNorm)
        for name in ("none", "stem", "everywhere", "the rule for ResNets")
    ] == [False, True, True, False]
    with pytest.raises(ValueError, match="norm is 'LN'; expected BN, IN"):
        norms.make_network(norms.Row("LN"), 5)


def test_the_gate_rate_keeps_the_travel():
    assert norms.gate_lr(250) * 250 == norms.gate_lr(1000) * 1000 == norms.TRAVEL
    assert norms.how_long(PRESETS["laptop"]) == 250 and norms.how_long(PRESETS["smoke"]) >= 2


@pytest.mark.slow
def test_rows_share_first_weights_and_batches():
    """What differs between two rows is the norm: the first convolution starts alike."""
    journey = load_journey("world", TINY, seed=1)
    made = []
    for name in ("BN", "MetaBIN"):
        with torch.random.fork_rng():
            torch.manual_seed(1)
            made.append(norms.make_network(norms.TABLES["norms"][name], 16))
    assert torch.equal(made[0].trunk.layer4[0].conv2.weight, made[1].trunk.layer4[0].conv2.weight)
    model, history = norms.train_norm(
        dataclasses.replace(norms.NORMS["MetaBIN"], steps=2),
        journey,
        TINY,
        1,
        keep=None,
        progress=False,
    )
    assert {"meta_train", "meta_test", "gate"} <= set(history[0]) and len(gates(model)) == 12
    sources, history = norms.train_norm(
        dataclasses.replace(norms.NORMS["BIN"], steps=2),
        journey,
        TINY,
        1,
        keep=None,
        progress=False,
    )
    assert "meta_test" not in history[0] and history[-1]["gate"] < 1
    assert set(norms.gate_means(gates(sources))) == {"bn1", "layer1", "layer2", "layer3", "layer4"}


class Pixels(nn.Module):
    """Colour of five bands; with `normed`, after each picture's own mean and deviation are divided
    out of each channel.
    """

    def __init__(self, normed):
        super().__init__()
        self.norm = nn.InstanceNorm2d(3, eps=1e-9) if normed else nn.Identity()

    def forward(self, images):
        bands = nn.functional.adaptive_avg_pool2d(self.norm(normalize(images)), (5, 3))
        return Output(bands.flatten(1))


class Distances(Pixels):
    """The same as a point whose distances count: cosine alone would divide the tone out."""

    def forward(self, images):
        feature = super().forward(images).feature
        return Output(torch.cat([feature, torch.full((len(images), 1), 3.0)], 1))


def test_the_tone_exam_asks_for_tone():
    exam = exams.make_tone_exam((64, 32), seed=0)
    both = exam.both()
    assert len(exam.query) == len(exam.gallery) == 96 and len(both.ids.unique()) == 48
    body, tone = both.attributes["body"], both.attributes["tone"]
    assert torch.equal(both.ids, body * 4 + tone)
    light = torch.stack(
        [both.images[tone == k].float().mean((1, 2, 3)) for k in range(4)]
    )  # (4, 48)
    share = light.mean(1) / light[0].mean()
    torch.testing.assert_close(share, torch.tensor(exams.TONES), atol=0.03, rtol=0)
    assert both.images[:, :, :2, :2].float().mean() < 3  # the wall is black
    kept, gone = (retrieval.evaluate_exam(Distances(normed), exam) for normed in (False, True))
    assert (
        kept.cmc[1] > 0.5 and kept.map > gone.map + 0.2 and gone.cmc[1] < 0.4
    )  # chance 1 in 7 within a body
    assert not torch.equal(both.images, exams.make_tone_exam((64, 32), seed=1).both().images)


def test_the_style_exam_has_stronger_cameras():
    exam = exams.make_style_exam((64, 32), places=1, people=6)
    from reidkit import world

    usual = world.make_exam([("demo", 0)], 6, 4, 2, (64, 32), 0)

    def between_cameras(data: ReIDData):
        means = data.pictures().float().mean((2, 3))
        return (
            torch.stack([means[data.cameras == camera].mean(0) for camera in range(4)])
            .std(0)
            .mean()
        )

    assert between_cameras(exam.both()) > 1.2 * between_cameras(usual.both())


@pytest.mark.slow
def test_tables_are_recorded(tmp_path, monkeypatch):
    monkeypatch.setitem(PRESETS, "smoke", TINY)
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    monkeypatch.setitem(
        norms.TABLES,
        "gates",
        {"travel 10, length 1": dataclasses.replace(norms.TABLES["norms"]["MetaBIN"], travel=10.0)},
    )
    out = tmp_path / "gates.csv"
    main(["gates", "--seeds", "2", "--preset", "smoke", "--out", str(out)])
    row = tables.read_table(out)[0]
    assert (row["row"], row["SEED"], row["status"]) == ("travel 10, length 1", "2", "ok") and float(
        row["gate_rate"]
    ) == 5.0
    assert "validation_map" in row and not any(
        name.startswith(("away", "pku")) for name in row
    )  # what may choose, and nothing else
    with pytest.raises(SystemExit):
        main(
            ["norms", "--seeds", "0", "--preset", "smoke", "--out", str(tmp_path / "norms.csv")]
        )  # it measures on real people
    places = norms.norm_row({"row": "stem", "SEED": "0"}, "places", TINY)
    assert {"home_rank1", "away_map", "tone_rank1", "training_seconds"} <= set(
        places
    ) and "gate_mean" not in places


@pytest.mark.slow
def test_recorded_features(tmp_path, monkeypatch):
    import safetensors.torch

    monkeypatch.setattr(norms.store, "record_hash", lambda out: None)
    preset = dataclasses.replace(TINY, places=3, unseen_places=3)
    norms.write_features(tmp_path / "f.safetensors", preset, people=2)
    found = safetensors.torch.load_file(tmp_path / "f.safetensors")
    assert found["domains"].unique().tolist() == list(range(6)) and len(found["ids"].unique()) == 12
    assert len(found["cameras"].unique()) == 12 and found["features MetaBIN"].shape == (
        len(found["ids"]),
        192,
    )
    assert found["gates BIN trunk.bn1"].shape == (24,) and "gates BN trunk.bn1" not in found
