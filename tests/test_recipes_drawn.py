"""The drawn-only models, the study of the world, and stripes: built, trained for a few steps,
written and read back.
"""

import functools
import math
from dataclasses import replace

import pytest
import torch
from training_case import own_cache  # noqa: F401 a fixture

from reidkit import augment, backbones, world
from reidkit.layers import pooling
from reidkit.layers.norms import IBN, BatchInstanceNorm, InstanceNorm
from reidkit.methods.baseline import make
from reidkit.recipes import drawn, study, tables
from reidkit.recipes.__main__ import main
from reidkit.retrieval import embed
from reidkit.retrieval.model_file import load_model

TINY = replace(
    drawn.LAPTOP, places=2, people=4, cameras=2, steps=2, batch_people=4, batch_pictures=2
)


def test_stripes_are_the_whole_and_its_parts():
    maps = torch.arange(2 * 3 * 5 * 2.0).reshape(2, 3, 5, 2)
    found = pooling.Stripes(2)(maps)  # rows 0-1 and 2-4 of five
    expected = torch.cat(
        [maps.mean((2, 3)), maps[:, :, :2].mean((2, 3)), maps[:, :, 2:].mean((2, 3))], 1
    )
    assert torch.equal(found, expected) and pooling.Stripes(2).factor == 3
    assert torch.equal(pooling.Stripes(1, pooling.max)(maps), maps.amax((2, 3)).repeat(1, 2))
    with pytest.raises(ValueError, match="6 stripes of a map of 5 rows"):
        pooling.Stripes(6)(maps)


def kinds(model, kind):
    return sum(isinstance(module, kind) for module in model.trunk.modules())


def test_make_builds_what_the_words_say():
    plain = make(7)
    assert kinds(plain, torch.nn.BatchNorm2d) == 12 and plain.classifier.weight.shape == (7, 192)
    assert (
        kinds(make(7, norm="bin"), BatchInstanceNorm) == 12
        and kinds(make(7, norm="in"), torch.nn.BatchNorm2d) == 0
    )
    assert kinds(make(7, norm="in", stages=("bn1", "layer4")), InstanceNorm) == 4
    assert kinds(make(7, norm="ibn", stages=("layer1",)), IBN) == 2
    gated = make(7, norm="bin", gate=0.25, stripes=4)
    assert (
        gated.trunk.bn1.gate.mean() == 0.25
        and gated.neck.num_features == gated.classifier.in_features == 192 * 5
    )
    for words in ({"norm": "ln"}, {"stages": ("layer5",)}):
        with pytest.raises(ValueError, match="expected bn, in, ibn, bin, in some of bn1"):
            make(7, **words)


def test_levels_are_pooled_and_joined():
    torch.manual_seed(0)
    model = make(7, stripes=2, levels=["layer2", "layer4"]).eval()
    images = torch.randn(2, 3, 64, 32)
    trunk = model.trunk
    pictures = images * 255
    images = augment.normalize(pictures)  # as the model does it
    second = trunk.layer2(trunk.layer1(trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(images))))))
    fourth = trunk.layer4(trunk.layer3(second))
    expected = torch.cat([model.pool(second), model.pool(fourth)], 1)
    assert torch.equal(model(pictures).feature, expected) and expected.shape == (2, (48 + 192) * 3)
    assert (
        torch.equal(trunk(images), fourth)
        and model.neck.num_features == model.classifier.in_features == 720
    )
    assert backbones.make_trunk("resnet50").widths(backbones.LEVELS) == [256, 512, 1024, 2048]
    assert backbones.make_trunk("resnet18").widths(["layer4", "layer2"]) == [512, 128]
    with pytest.raises(ValueError, match="'layer5'; expected some of layer1"):
        make(7, levels=["layer2", "layer5"])


@pytest.mark.slow
def test_the_recipe_trains_and_the_file_holds_it(tmp_path, monkeypatch, own_cache):  # noqa: F811
    monkeypatch.setattr("reidkit.retrieval.model_file.files.data_dir", lambda: tmp_path)
    out = tmp_path / "weights" / "model.safetensors"
    model, history = drawn.write_weights(out, TINY, seed=3)
    assert len(history) == 2 and {"identity", "triplet"} < set(history[0])
    loaded = load_model(out)
    assert (
        loaded.spec["norm"] == "bin"
        and loaded.spec["size"] == [64, 32]
        and loaded.spec["mirror"] is True
    )
    assert (
        loaded.recipe["world"] == world.VERSION
        and loaded.recipe["seed"] == 3
        and loaded.recipe["recipe"]["stripes"] == 4
    )
    data = world.sample([("demo", 0)], 3, 2, 1, cache=False)
    assert (embed(model, data) * embed(loaded.model, data)).sum(
        1
    ).min() > 0.999  # half precision turns a feature a little


def test_each_setting_reaches_the_training():
    model = make(8)
    batch = type("Batch", (), {"ids": torch.tensor([0, 0, 1, 1])})
    output = model(torch.randn(4, 3, 64, 32))
    both, alone = (drawn.drawn_losses(output, batch, weight) for weight in (2.0, 0.0))
    assert set(alone) == {"identity"} and torch.equal(
        both["triplet"], 2 * drawn.drawn_losses(output, batch)["triplet"]
    )
    images = torch.rand(6, 3, 64, 32) * 255

    def augmented(**change):
        return drawn.make_augmentation(replace(TINY, **change))(
            images, torch.Generator().manual_seed(0)
        )

    usual = augmented()
    for change in ({"jitter": 0.0}, {"erase": 0.0}, {"mirror": False}, {"jitter": 1.0}):
        assert not torch.equal(augmented(**change), usual)
    nothing = augmented(jitter=0.0, erase=0.0, mirror=False)
    assert set(nothing.unique().tolist()) <= set(
        images.unique().tolist()
    )  # moved, but no new colour


def test_the_study_turns_one_thing_at_a_time():
    cases = study.cases([0, 1])
    keys = [tuple(case.values()) for case in cases]
    assert (
        len(set(keys))
        == len(keys)
        == 2
        * (1 + sum(bool(changes) for values in study.STUDY.values() for changes in values.values()))
    )
    assert sorted(study.STUDY) == sorted(sum(study.FAMILIES.values(), ()))
    for knob, values in study.STUDY.items():
        assert [bool(changes) for changes in values.values()].count(False) == 1, (
            f"{knob} needs one usual value"
        )
        for changes in values.values():
            replace(study.SHORT, **changes)  # every name is one of the recipe
    assert study.cases([5], ["views"]) == [
        {"knob": "usual", "value": "", "SEED": 5},
        {"knob": "views", "value": "0", "SEED": 5},
    ]
    assert study.STUDY["views"]["0"]["knobs"] == replace(world.NORMAL, views=0)


@pytest.mark.slow
def test_a_row_of_the_study(monkeypatch, own_cache):  # noqa: F811
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    row = study.study_row({"knob": "stripes", "value": "0", "SEED": "1"}, base=TINY)
    assert (
        0
        <= row["validation_rank1_low"]
        <= row["validation_rank1"]
        <= row["validation_rank1_high"]
        <= 100
    )
    assert math.isfinite(row["training_seconds"]) and "pku_development_rank1" not in row


@pytest.mark.slow
def test_a_row_of_the_study_on_real_people(data_root, monkeypatch, own_cache):  # noqa: F811
    monkeypatch.setenv("REIDKIT_DATA_ROOT", str(data_root))
    row = study.study_row({"knob": "usual", "value": "", "SEED": "1"}, base=TINY)
    assert {"pku_development_rank1", "pku_development_camera_rank1"} < set(row) and not any(
        "report" in key for key in row
    )
    assert row["pku_development_map"] != row["pku_development_camera_map"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["untrained", "drawn-laptop"])
def test_a_row_of_the_models(name, monkeypatch, own_cache):  # noqa: F811
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    monkeypatch.setitem(drawn.PRESETS, "laptop", replace(drawn.PRESETS["smoke"], exam_people=10))
    rows = [
        drawn.models_row({"model": name, "SEED": seed}, recipe=TINY) for seed in ("1", "1", "2")
    ]
    first, again, other = (
        {key: value for key, value in row.items() if key.startswith("away")} for row in rows
    )
    assert (
        first == again != other
        and rows[0]["STEPS"] == (2 if name == "drawn-laptop" else 0)
        and 0 < first["away_map"] <= 100
    )


def test_rows_are_made_side_by_side(tmp_path):
    out = tmp_path / "rows.csv"
    cases = [{"knob": knob, "SEED": seed} for seed in (0, 1) for knob in ("a", "b")]
    table = tables.Table(cases, functools.partial(_row, 10), {"THREADS": 1})
    tables.record(table, out, jobs=2)
    rows = tables.read_table(out)
    assert [(row["knob"], row["SEED"], row["x"]) for row in rows] == [
        ("a", "0", "10"),
        ("b", "0", "10"),
        ("a", "1", "11"),
        ("b", "1", "11"),
    ]


def _row(base, case):
    return {"x": base + int(case["SEED"])}


def test_commands_say_what_is_wrong(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("REIDKIT_DATA_ROOT", raising=False)
    for words, reason in (
        (["drawn-laptop", "--out", str(tmp_path / "x.pth")], ".safetensors"),
        (["study", "--out", str(tmp_path / "x.csv")], "REIDKIT_DATA_ROOT"),
        (["study", "--knobs", "hats", "--out", str(tmp_path / "x.csv")], "hats"),
    ):
        with pytest.raises(SystemExit):
            main(words)
        assert reason in capsys.readouterr().err
