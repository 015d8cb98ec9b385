"""A model on disk: the same features when it is read again, and a reason for everything that cannot
be read.
"""

import json
import re
from dataclasses import replace

import pytest
import safetensors.torch
import torch
from PIL import Image

from reidkit import files
from reidkit.methods import baseline
from reidkit.record import ReIDData
from reidkit.retrieval import embed
from reidkit.retrieval.folder import embed_folder
from reidkit.retrieval.model_file import (
    build_model,
    find_maker,
    load_drawn_laptop,
    load_model,
    save_model,
)
from reidkit.store import record_hash

SPEC = {
    "size": [32, 16],
    "mirror": True,
    "trunk": "tiny",
    "norm": "bin",
    "stages": ["layer1", "layer2"],
    "gate": 0.25,
    "stripes": 2,
}
RECIPE = {"seed": 3, "world": "1", "knobs": {"light": [0.5, 1.0]}}


def pictures(count=12):
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(count)
    return ReIDData(
        torch.randint(0, 256, (count, 3, 32, 16), generator=draw, dtype=torch.uint8),
        labels,
        labels % 2,
        labels * 0,
    )


def trained(spec=SPEC, classes=7):
    """As after a training: every number differs from what a fresh model has."""
    torch.manual_seed(5)
    model = baseline.make(
        classes, **{key: value for key, value in spec.items() if key not in ("size", "mirror")}
    )
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.rand(value.shape) / 16 if value.is_floating_point() else 9)
    return model.eval()


@pytest.fixture
def saved(tmp_path):
    model = trained()
    save_model(tmp_path / "model.safetensors", model, SPEC, RECIPE)
    return model, tmp_path / "model.safetensors"


def rewrite(path, change_tensors=None, **metadata):
    """The same file with another header or other tensors, sound but for that; None takes a line out
    of the header. Older files have no digest, and so has this one.
    """
    metadata = {"digest": None, **metadata}
    with safetensors.safe_open(path, "pt") as file:
        header, tensors = (
            file.metadata(),
            {name: file.get_tensor(name).clone() for name in file.keys()},
        )
    if change_tensors:
        change_tensors(tensors)
    header = {key: value for key, value in {**header, **metadata}.items() if value is not None}
    safetensors.torch.save_file(tensors, path, metadata=header)


def test_the_round_trip_is_that_of_half_precision(saved):
    model, path = saved
    state = torch.random.get_rng_state()
    loaded = load_model(path, size=path.stat().st_size, sha256=files.sha256_file(path))
    own, found = model.state_dict(), loaded.model.state_dict()
    assert own.keys() - found.keys() == {"classifier.weight"} and not found.keys() - own.keys()
    for name, value in found.items():
        expected = own[name].half().float() if own[name].is_floating_point() else own[name]
        assert value.dtype == expected.dtype and torch.equal(value, expected), name
    assert (
        loaded.spec == SPEC and loaded.recipe == RECIPE and loaded.sha256 == files.sha256_file(path)
    )
    assert not any(module.training for module in loaded.model.modules())
    assert torch.equal(torch.random.get_rng_state(), state)  # reading a model is no dice


def test_features_stay(saved):
    model, path = saved
    before = embed(model, pictures(), mirror=True)
    loaded = load_model(path).model
    after = embed(loaded, pictures(), mirror=True)
    assert (before * after).sum(1).min() > 0.9999 and not torch.equal(before, after)
    assert (before @ before[0])[1:].min() < 0.999  # or any two vectors would be close
    assert loaded(torch.zeros(2, 3, 32, 16)).logits is None


def test_whole_precision_keeps_every_bit(tmp_path):
    model = trained()
    save_model(tmp_path / "m.safetensors", model, SPEC, RECIPE, half=False)
    found = load_model(tmp_path / "m.safetensors").model.state_dict()
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in found.items())
    assert torch.equal(
        embed(load_model(tmp_path / "m.safetensors").model, pictures()), embed(model, pictures())
    )


def test_what_half_precision_would_lose_stays_whole(tmp_path):
    model = trained()
    with torch.no_grad():
        model.trunk.bn1.running_mean[0] = 1e6  # the largest number of half precision is 65504
    save_model(tmp_path / "m.safetensors", model, SPEC, RECIPE)
    kinds = {
        name: value.dtype
        for name, value in safetensors.torch.load_file(tmp_path / "m.safetensors").items()
    }
    assert {name for name, kind in kinds.items() if kind == torch.float32} == {
        "trunk.bn1.running_mean"
    }
    assert (
        kinds["trunk.bn1.num_batches_tracked"] == torch.int64
        and kinds["trunk.bn1.weight"] == torch.float16
    )
    found = load_model(tmp_path / "m.safetensors").model.trunk.bn1
    assert torch.equal(found.running_mean, model.trunk.bn1.running_mean)


def test_memory_layout_does_not_matter(tmp_path):
    model = trained()
    save_model(
        tmp_path / "m.safetensors", model.to(memory_format=torch.channels_last), SPEC, RECIPE
    )
    found = load_model(tmp_path / "m.safetensors").model.trunk.conv1.weight
    assert torch.equal(found, model.trunk.conv1.weight.half().float())


def without(key):
    return {name: value for name, value in SPEC.items() if name != key}


@pytest.mark.parametrize(
    "spec, said",
    [
        ({**SPEC, "norms": "bin"}, "unexpected keyword argument 'norms'"),
        ({**SPEC, "classes": 7}, "multiple values for argument 'classes'"),
        ({**SPEC, "size": [64]}, "not enough values"),
        ({**SPEC, "size": None}, "NoneType"),
        (without("size"), "KeyError..size"),
        (without("mirror"), "KeyError..mirror"),
        ({**SPEC, "trunk": "huge"}, "trunk 'huge'.*expected one of"),
        ({**SPEC, "stages": 5}, "int"),
        ({**SPEC, "size": ["32", "16"]}, "size is .*expected two whole numbers from 1 to 4096"),
        ({**SPEC, "size": [-32, 16]}, "size is .-32, 16."),
        ({**SPEC, "size": [10**9, 16]}, "size is .1000000000, 16."),
        ({**SPEC, "size": [True, 16]}, "size is .True, 16."),
        ({**SPEC, "mirror": "no"}, "mirror is 'no', expected true or false"),
        ({**SPEC, "whiten": "256"}, "whiten is '256'"),
        ({**SPEC, "whiten": -1}, "whiten is -1"),
        ({**SPEC, "whiten": 10**12}, "whiten is 1000000000000, expected at most 65536"),
        ({**SPEC, "stripes": 10**12}, "stripes is 1000000000000, expected at most 65536"),
        ({**SPEC, "gate": float("inf")}, "gate is inf, expected at most 65536"),
        ({**SPEC, "gate": "x"}, "gate|str"),
        ({**SPEC, "levels": ["layer4"] * 41}, "levels has 41 entries"),
        ({**SPEC, "levels": 7}, "int"),
        ({**SPEC, "method": "metabin2"}, "no method is called 'metabin2'"),
        ({**SPEC, "method": "../methods/baseline"}, "no method is called '../methods/baseline'"),
        ({**SPEC, "method": ["baseline"]}, "no method is called .'baseline'."),
        ({**SPEC, "method": {}}, "no method is called {}"),
    ],
)
def test_a_spec_that_says_something_else(saved, spec, said):
    model, path = saved
    what = rf"no model can be built from spec {re.escape(repr(spec))} \(.*{said}.*\)"
    said = rf"{what}; expected size \[height, width\]"
    for call in (lambda: build_model(spec), lambda: save_model(path, model, spec, {})):
        with pytest.raises(ValueError, match=said):
            call()
    rewrite(path, spec=json.dumps(spec))
    with pytest.raises(ValueError, match=said):
        load_model(path)


@pytest.mark.parametrize("spec", [["tiny"], None, "tiny", 7])
def test_a_spec_that_is_no_dictionary(spec):
    with pytest.raises(ValueError, match="no model can be built from .*expected a dictionary"):
        build_model(spec)


def test_a_model_that_is_not_what_the_spec_says(saved):
    model, path = saved
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match=r"not what spec .*of another shape: neck.weight \(576,\) for \(768,\)"
    ):
        save_model(path, model, {**SPEC, "stripes": 3}, {})
    with pytest.raises(ValueError, match="missing: .*layer3.0.bn1.gate.*Give the spec"):
        save_model(path, model, {**SPEC, "stages": ["layer3"]}, {})
    with pytest.raises(TypeError, match="device is not JSON"):
        save_model(path, model, SPEC, {"device": torch.device("cpu")})
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


def test_another_file_is_refused(saved):
    _, path = saved
    with pytest.raises(ValueError, match="bytes, expected 7"):
        load_model(path, size=7)
    with pytest.raises(ValueError, match="SHA-256 .* expected 0000"):
        load_model(path, sha256="0" * 64)
    with pytest.raises(FileNotFoundError, match="no weights at .*nowhere"):
        load_model(path.with_name("nowhere.safetensors"))


@pytest.mark.parametrize(
    "damage", [lambda whole: whole[:-40], lambda whole: b"", lambda whole: b"no model" * 9]
)
def test_damage_is_named(saved, damage):
    _, path = saved
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="model.safetensors cannot be read.*Copy it again"):
        load_model(path)


@pytest.mark.parametrize(
    "header, said",
    [
        ({"format": "pt"}, "has format 'pt', expected 'reidkit model 1'.*load_trunk"),
        ({"format": None}, "has format None"),
        ({"format": "reidkit model 2"}, "has format 'reidkit model 2'.*Update the course"),
    ],
)
def test_a_header_that_is_not_ours(saved, header, said):
    rewrite(saved[1], **header)
    with pytest.raises(ValueError, match=f"model.safetensors {said}"):
        load_model(saved[1])


def test_tensors_that_are_not_those_of_the_spec(saved):
    _, path = saved
    rewrite(path, lambda tensors: tensors.update(other=tensors.pop("trunk.conv1.weight")))
    with pytest.raises(
        ValueError,
        match="does not fit its spec .* missing: trunk.conv1.weight .1.; unexpected: other",
    ):
        load_model(path)


def test_rewriting_alone_breaks_nothing(saved):
    rewrite(saved[1])  # or the tests above would pass whatever they change
    assert load_model(saved[1]).recipe == RECIPE


# the committed model


def test_the_committed_model(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    path = tmp_path / "data" / "weights" / "drawn-laptop.safetensors"
    with pytest.raises(
        FileNotFoundError, match="recipes drawn-laptop --out data/weights/drawn-laptop.safetensors"
    ):
        load_drawn_laptop()
    save_model(path, trained(), SPEC, RECIPE)
    with pytest.raises(
        FileNotFoundError, match="expected a model at .* and its SHA-256 in hashes.json"
    ):
        load_drawn_laptop()
    assert record_hash(path) == {"size": path.stat().st_size, "sha256": files.sha256_file(path)}
    loaded = load_drawn_laptop()
    assert loaded.recipe == RECIPE and loaded == replace(load_model(path), model=loaded.model)
    other = path.with_name("other.safetensors")
    other.write_bytes(b"x")
    record_hash(other)  # beside, not instead
    assert sorted(json.loads((path.parent / "hashes.json").read_text())) == [path.name, other.name]
    load_drawn_laptop()
    save_model(path, trained(), SPEC, {**RECIPE, "seed": 4})
    with pytest.raises(ValueError, match="SHA-256"):
        load_drawn_laptop()


# ---- every method's model, saved and loaded by the method's name

METHODS = {
    "baseline": {"norm": "in", "stages": ["bn1"]},
    "dualnorm": {"stages": ["layer1", "layer3"]},
    "ibn": {"form": "a"},
    "metabin": {"trunk": "tiny"},
}


@pytest.mark.parametrize("method", METHODS)
def test_every_methods_model_is_saved_loaded_and_run_on_a_folder(method, tmp_path):
    spec = {"size": [32, 16], "mirror": False, "method": method, **METHODS[method]}
    torch.manual_seed(1)
    model = find_maker(method)(7, **METHODS[method])
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(torch.rand(value.shape) / 16 if value.is_floating_point() else 9)
    path = tmp_path / "model.safetensors"
    save_model(path, model.eval(), spec, RECIPE, half=False)
    loaded = load_model(path)
    assert loaded.spec["method"] == method
    before = embed(model, pictures())
    assert torch.equal(embed(loaded.model, pictures()), before)
    album = tmp_path / "album"
    album.mkdir()
    for number, image in enumerate(pictures(3).images):
        array = image.permute(1, 2, 0).numpy()  # (3, H, W) -> (H, W, 3)
        Image.fromarray(array).save(album / f"{number}.png")
    found = embed_folder(loaded, album)
    assert [str(name) for name in found.names] == ["0.png", "1.png", "2.png"]
    assert torch.allclose(torch.as_tensor(found.features), before[:3], atol=1e-6)


@pytest.mark.parametrize("method", ["ecn", "../baseline", "baseline.make", "__init__"])
def test_a_method_of_no_such_name_is_refused(method):
    with pytest.raises(ValueError, match="there are baseline, dualnorm, ibn, metabin"):
        build_model({"size": [32, 16], "mirror": False, "method": method})


def test_no_state_holds_the_pictures_mean():
    """They are options of the model: half precision would shift them, and older files lack them."""
    assert not [name for name in trained().state_dict() if "mean" in name and "running" not in name]
    shifted = baseline.Baseline(3, normalization=((0.5, 0.5, 0.5), (0.25, 0.25, 0.25)))
    assert (
        shifted.mean == (0.5, 0.5, 0.5)
        and shifted.state_dict().keys() == baseline.Baseline(3).state_dict().keys()
    )
