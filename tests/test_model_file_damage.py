"""A model file is the same bytes for the same model, and what a damaged or foreign one holds is
named.
"""

import json
import random
import time

import pytest
import safetensors.torch
import torch
from test_model_file import RECIPE, SPEC, rewrite, trained

from reidkit import files
from reidkit.retrieval.model_file import load_drawn_laptop, load_model, save_model


@pytest.fixture
def saved(tmp_path):
    model = trained()
    save_model(tmp_path / "model.safetensors", model, SPEC, RECIPE)
    return model, tmp_path / "model.safetensors"


def test_the_same_model_is_the_same_bytes(tmp_path):
    model = trained()
    shuffled = dict(reversed(RECIPE.items()))
    found = set()
    for recipe in (RECIPE, RECIPE, shuffled, RECIPE):
        save_model(tmp_path / "m.safetensors", model, SPEC, recipe)
        found.add((tmp_path / "m.safetensors").read_bytes())
    assert len(found) == 1
    save_model(tmp_path / "m.safetensors", model, SPEC, {**RECIPE, "seed": 4})
    assert (tmp_path / "m.safetensors").read_bytes() not in found


def compile_inside(model):
    model.trunk.layer1 = torch.compile(model.trunk.layer1)
    return model


@pytest.mark.parametrize(
    "wrap",
    [
        torch.nn.DataParallel,
        torch.compile,
        lambda model: torch.nn.DataParallel(torch.compile(model)),
        lambda model: torch.compile(torch.nn.DataParallel(model)),
        torch.optim.swa_utils.AveragedModel,
        compile_inside,
    ],
)
def test_a_wrapped_model_is_saved_as_the_model_itself(saved, wrap):
    model, path = saved
    plain = path.read_bytes()
    save_model(path, wrap(model), SPEC, RECIPE)
    assert path.read_bytes() == plain
    load_model(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_saved_and_not_loaded(saved, number):
    model, path = saved
    before = path.read_bytes()
    with torch.no_grad():
        model.trunk.bn1.bias[3] = number
    said = "1 of the 24 numbers of trunk.bn1.bias are NaN or infinite .1 of .* tensors"
    with pytest.raises(ValueError, match=f"Baseline cannot be saved: {said}.*lower lr"):
        save_model(path, model, SPEC, RECIPE)
    assert path.read_bytes() == before

    def spoil(tensors):
        tensors["trunk.bn1.bias"][3] = number

    rewrite(path, spoil)
    with pytest.raises(ValueError, match=f"model.safetensors cannot be used: {said}.*Copy it"):
        load_model(path)


def test_all_weights_nan(saved):
    _, path = saved
    rewrite(path, lambda tensors: [value.fill_(float("nan")) for value in floats(tensors)])
    with pytest.raises(ValueError, match="cannot be used: .* are NaN or infinite"):
        load_model(path)


def floats(tensors):
    return [value for value in tensors.values() if value.is_floating_point()]


@pytest.mark.parametrize(
    "header, said",
    [
        ({"spec": None}, "the spec None"),
        ({"spec": "[1, 2"}, r"the spec '\[1, 2' in its header, expected a JSON object"),
        ({"spec": '["tiny"]'}, r"the spec \['tiny'\]"),
        ({"spec": "null"}, "the spec None"),
        ({"spec": "[" * 100_000}, "the spec "),
        ({"recipe": None}, "the recipe None"),
        ({"recipe": "[]"}, r"the recipe \[\]"),
        ({"recipe": '"laptop"'}, "the recipe 'laptop'"),
        ({"recipe": "{"}, "the recipe '{'"),
        ({"note": "x"}, "'note' in its header, expected format, spec, recipe, digest"),
        ({"digest": "0" * 16}, "damaged: its content does not match the digest"),
    ],
)
def test_a_header_of_another_form(saved, header, said):
    _, path = saved
    rewrite(path, **header)
    with pytest.raises(ValueError, match=f"model.safetensors (has|is) {said}.*again"):
        load_model(path)


def test_a_change_of_tensors_or_recipe_is_noticed(saved):
    _, path = saved
    with safetensors.safe_open(path, "pt") as file:
        digest = file.metadata()["digest"]
    whole = path.read_bytes()
    rewrite(path, lambda tensors: tensors["trunk.bn1.bias"].add_(1), digest=digest)
    with pytest.raises(ValueError, match="does not match the digest"):
        load_model(path)
    path.write_bytes(whole)
    rewrite(path, recipe=json.dumps({**RECIPE, "seed": 4}), digest=digest)
    with pytest.raises(ValueError, match="does not match the digest"):
        load_model(path)


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64])
def test_tensors_of_another_kind(saved, kind):
    _, path = saved

    def turn(tensors):
        tensors["trunk.bn1.bias"] = tensors["trunk.bn1.bias"].to(kind)

    rewrite(path, turn)
    with pytest.raises(ValueError, match="trunk.bn1.bias as torch.*expected .* torch.float32"):
        load_model(path)


def test_a_torch_file_is_no_model_file(saved):
    model, path = saved
    torch.save(model.state_dict(), path)
    with pytest.raises(ValueError, match="cannot be read: it is a file of torch.save.*load_trunk"):
        load_model(path)


def test_a_recipe_is_a_dict(saved):
    model, path = saved
    with pytest.raises(TypeError, match="recipe is a list, expected a dict"):
        save_model(path, model, SPEC, ["seed 3"])


def test_the_committed_model_is_read_as_before():
    path = files.weights_dir() / "drawn-laptop.safetensors"
    loaded = load_drawn_laptop()
    assert loaded.sha256 == files.sha256_file(path)
    kept = safetensors.torch.load_file(path)
    own = loaded.model.state_dict()
    assert kept.keys() == own.keys()
    assert all(torch.equal(value.to(own[name].dtype), own[name]) for name, value in kept.items())


def test_the_committed_model_is_checked_by_hashes_json_wherever_it_is_read(tmp_path):
    path = tmp_path / "drawn-laptop.safetensors"
    content = bytearray((files.weights_dir() / path.name).read_bytes())
    (tmp_path / "hashes.json").write_bytes((files.weights_dir() / "hashes.json").read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match="drawn-laptop.safetensors has SHA-256 .*Get it again"):
        load_model(path)


@pytest.mark.parametrize(
    "change",
    [
        {"stripes": 60_000, "whiten": 60_000},
        {"levels": ["layer4"] * 40, "stripes": 60_000},
        {"trunk": "resnet101", "stripes": 60_000},
    ],
)
def test_a_spec_that_asks_for_much_memory_takes_none(saved, change):
    _, path = saved
    rewrite(path, spec=json.dumps(SPEC | change))
    start = time.monotonic()
    with pytest.raises(ValueError, match="model.safetensors does not fit its spec"):
        load_model(path)
    assert time.monotonic() - start < 10  # half a minute and 14 GB, if it were built


def test_every_damage_of_a_model_file_is_noticed(saved):
    _, path = saved
    dice = random.Random(2)
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(100):
        content = bytearray(whole)
        for _ in range(dice.choice([1, 1, 3])):
            reach = dice.choice([header, header, len(content)])
            content[dice.randrange(reach)] ^= 1 << dice.randrange(8)
        path.write_bytes(content)
        with pytest.raises(ValueError, match="model.safetensors"):
            load_model(path)
