"""Outside weights for a trunk: whatever a training script or a wrapper did to their names, and a
reason for everything that does not fit.
"""

import collections
import re

import hostile
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from reidkit import backbones, store, weights
from reidkit.methods.baseline import Baseline, make
from reidkit.retrieval.model_file import save_model


@pytest.fixture(scope="module")
def source():
    torch.manual_seed(1)
    trunk = backbones.make_trunk("tiny")
    with torch.no_grad():
        for value in trunk.state_dict().values():
            value.add_(1)
    return trunk


@pytest.fixture
def target():
    return backbones.make_trunk("tiny")


@pytest.fixture
def put(tmp_path):
    """Writes a content as torch file or safetensors file -> its path."""

    def write(content, suffix=".pth"):
        path = tmp_path / f"w{suffix}"
        torch.save(content, path)
        return path

    return write


def prefixed(trunk, prefix):
    return {prefix + name: value for name, value in trunk.state_dict().items()}


def assert_filled(target, source):
    own = target.state_dict()
    for name, value in source.state_dict().items():
        assert torch.equal(own[name], value), name


def refused(target, path, said):
    before = {name: value.clone() for name, value in target.state_dict().items()}
    with pytest.raises(ValueError) as error:
        weights.load_trunk(target, path)
    assert re.search(said, str(error.value)), str(error.value)
    assert str(error.value).startswith(path.name)
    for name, value in target.state_dict().items():
        assert torch.equal(before[name], value), name
    return str(error.value)


# ---- prefixes

PREFIXES = (
    *("module.", "_orig_mod.", "backbone.", "model.", "encoder.", "trunk.", "base."),
    *("module._orig_mod.backbone.", "model/", "student.net.0."),
)


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_common_prefix_is_taken_off(source, target, tmp_path, capsys, prefix, suffix):
    state = prefixed(source, prefix)
    path = tmp_path / f"w{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    weights.load_trunk(target, path)
    assert_filled(target, source)
    told = capsys.readouterr().err
    assert told == f"w{suffix}: took the prefix {prefix!r} off {len(state)} names\n"


def test_names_as_they_should_be_need_no_word(source, target, put, capsys):
    weights.load_trunk(target, put(source.state_dict()))
    assert_filled(target, source)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        torch.compile,
        lambda trunk: nn.DataParallel(torch.compile(trunk)),
        torch.optim.swa_utils.AveragedModel,
    ],
)
def test_wrappers_themselves(source, target, put, wrap):
    path = put(wrap(source).state_dict())
    weights.load_trunk(target, path)
    assert_filled(target, source)
    again = backbones.make_trunk("tiny")
    wrapped = wrap(again)
    assert weights.load_trunk(wrapped, path) is wrapped  # the target may be wrapped, too
    assert_filled(weights.unwrap(wrapped), source)


def test_wrappers_inside(source, target, put, capsys):
    state = {}
    for name, value in source.state_dict().items():
        state[f"backbone.{name}".replace("layer1.", "layer1._orig_mod.")] = value
    weights.load_trunk(target, put(state))
    assert_filled(target, source)
    told = capsys.readouterr().err
    assert "took the words of wrappers (module, _orig_mod) out of names" in told
    assert "took the prefix 'backbone.'" in told


@pytest.mark.parametrize("wrap", [lambda model: model, nn.DataParallel, torch.compile])
def test_the_state_of_a_whole_model(target, put, capsys, wrap):
    model = Baseline(7, "tiny")
    weights.load_trunk(target, put(wrap(model).state_dict()))
    assert_filled(target, model.trunk)
    told = capsys.readouterr().err
    assert "trunk.' off" in told
    assert "left out what is no part of the trunk: " in told
    assert "neck, " in told and "classifier (2)" in told


def test_a_model_file_and_a_kept_run(target, tmp_path, capsys):
    model = make(7)
    spec = {"method": "baseline", "size": [32, 16], "mirror": False}
    save_model(tmp_path / "m.safetensors", model, spec, {}, half=False)
    weights.load_trunk(target, tmp_path / "m.safetensors")
    assert_filled(target, model.trunk)
    kept = {f"model/{name}": value for name, value in make(7).state_dict().items()}
    store.save(tmp_path / "k.safetensors", kept, {})
    weights.load_trunk(target, tmp_path / "k.safetensors")
    assert torch.equal(target.conv1.weight, kept["model/trunk.conv1.weight"])
    content = bytearray((tmp_path / "k.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "k.safetensors").write_bytes(content)
    refused(target, tmp_path / "k.safetensors", "is damaged: its content does not match the digest")


def test_classifiers_and_necks_are_left_out_with_a_word(source, target, put, capsys):
    state = dict(source.state_dict())
    for name in ("fc.weight", "classifier.0.bias", "head.weight", "bottleneck.weight"):
        state[name] = torch.zeros(3)
    weights.load_trunk(target, put(state))
    assert_filled(target, source)
    assert capsys.readouterr().err == (
        "w.pth: left out what is no part of the trunk: fc, classifier.0, head, bottleneck (4)\n"
    )


# ---- checkpoints of training scripts


@pytest.mark.parametrize(
    "keys, prefix",
    [
        (["state_dict"], ""),
        (["model"], "module."),
        (["net"], "trunk."),
        (["model_state_dict"], "backbone."),
        (["checkpoint", "model"], ""),
        (["anything"], "module._orig_mod."),
    ],
)
def test_a_nested_state_is_taken_out(source, target, put, capsys, keys, prefix):
    content = collections.OrderedDict(prefixed(source, prefix))
    for key in reversed(keys):
        content = {"epoch": 3, key: content, "args": {"lr": 0.1}, "best": torch.tensor(0.5)}
    parameters = [nn.Parameter(torch.zeros(3))]
    optimizer = torch.optim.Adam(parameters)
    parameters[0].sum().backward()
    optimizer.step()
    weights.load_trunk(target, put({**content, "optimizer": optimizer.state_dict()}))
    assert_filled(target, source)
    told = capsys.readouterr().err
    assert f"took the weights out of {' / '.join(map(repr, keys))}\n" in told
    assert (f"took the prefix {prefix!r}" in told) == bool(prefix)


def test_a_list_with_a_state_in_it(source, target, put):
    weights.load_trunk(target, put([source.state_dict(), 3]))
    assert_filled(target, source)


@pytest.mark.parametrize(
    "content, said",
    [
        ({}, "no plain dict of tensors but a dict with nothing inside"),
        ({"epoch": 3}, r"a dict with 'epoch' \(int\)"),
        ({"state_dict": {}}, r"no plain dict of tensors but a dict with 'state_dict' \(dict\)"),
        ([1, 2], "no plain dict of tensors but a list"),
        (torch.zeros(3), "no plain dict of tensors but a Tensor"),
        (None, "no plain dict of tensors but a NoneType"),
        ("text", "no plain dict of tensors but a str"),
    ],
)
def test_what_holds_no_state_is_described(target, put, content, said):
    refused(target, put(content), f"{said}.*torch.save.trunk.state_dict")


def other_numbers(trunk):
    return {name: value + 1 for name, value in trunk.state_dict().items()}


def test_of_several_sets_the_usual_one_is_taken_with_a_word(source, target, put, capsys):
    average = other_numbers(source)
    weights.load_trunk(target, put({"ema": average, "model": source.state_dict()}))
    assert_filled(target, source)
    told = capsys.readouterr().err
    assert "took model / *; others would fit, too: ema / *" in told
    both = dict(source.state_dict())
    both |= {f"teacher.{name}": value for name, value in average.items()}
    weights.load_trunk(target, put(both))
    assert_filled(target, source)
    assert "others would fit, too: teacher.*" in capsys.readouterr().err


def test_sets_that_are_equal_are_one(source, target, put):
    state = source.state_dict()
    weights.load_trunk(target, put({"student": state, "teacher": state}))
    assert_filled(target, source)


def test_of_sets_none_of_which_is_usual_none_is_guessed(source, target, put):
    average = other_numbers(source)
    refused(
        target,
        put({"student": source.state_dict(), "teacher": average}),
        r"several sets of weights.*student / \*, teacher / \*.*Save the one that is meant",
    )
    both = prefixed(source, "encoder_q.")
    both |= {f"encoder_k.{name}": value for name, value in average.items()}
    refused(target, put(both), r"several sets.*encoder_q.\*, encoder_k.\*")


def test_a_larger_trunk_beside_is_not_taken_for_this_one(put):
    small = backbones.make_trunk("resnet18")
    large = backbones.make_trunk("resnet34")  # has all names and shapes of the small one
    path = put({"teacher": large.state_dict(), "student": small.state_dict()})
    target = backbones.make_trunk("resnet18")
    weights.load_trunk(target, path)
    assert_filled(target, small)


# ---- what does not fit


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "mobilenet_v2", "small"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_architecture_that_was_found_is_named(target, put, name, prefix):
    path = put(prefixed(backbones.make_trunk(name), prefix))
    refused(
        target, path, f"does not fit this trunk.*The file holds a '{name}'.*make_trunk.'{name}'"
    )


def test_a_deeper_network_does_not_fit_by_halves(put):
    path = put(backbones.make_trunk("resnet34").state_dict())
    refused(
        backbones.make_trunk("resnet18"),
        path,
        "unexpected: layer1.2.conv1.weight.*The file holds a 'resnet34'",
    )


def test_other_norms_do_not_fit(target, put):
    gated = make(3, norm="bin").trunk
    refused(target, put(gated.state_dict()), "unexpected: bn1.gate")


def test_a_model_in_place_of_its_trunk(source, put):
    refused(Baseline(3, "tiny"), put(source.state_dict()), "give model.trunk in place of the model")


def test_an_architecture_that_is_unknown_here(target, put):
    state = {"blocks.0.attn.qkv.weight": torch.zeros(3, 3), "cls_token": torch.zeros(1)}
    refused(target, put(state), "missing: conv1.weight.*unexpected: .*the same architecture")


def test_a_prefix_is_named_where_the_rest_does_not_fit(source, target, put):
    state = prefixed(source, "module.")
    del state["module.conv1.weight"]
    refused(target, put(state), "missing: conv1.weight .1..*behind the prefix 'module.'")


# ---- numbers


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_types_are_converted(source, target, put, kind):
    state = {}
    for name, value in source.state_dict().items():
        state[name] = value.to(kind) if value.is_floating_point() else value
    weights.load_trunk(target, put(state))
    own = target.state_dict()
    for name, value in state.items():
        assert own[name].dtype == source.state_dict()[name].dtype
        assert torch.equal(own[name], value.to(own[name].dtype)), name


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_numbers_that_are_not_finite(source, target, tmp_path, number, suffix):
    state = {name: value.clone() for name, value in source.state_dict().items()}
    state["layer2.0.bn1.bias"][:2] = number
    state["layer3.0.bn1.bias"][0] = number
    path = tmp_path / f"w{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    said = (
        "2 of the 48 numbers of layer2.0.bn1.bias are NaN or infinite .2 of .* tensors"
        ".*earlier checkpoint"
    )
    refused(target, path, said)


def test_numbers_too_large_for_the_trunk(source, target, put):
    state = {name: value.double() for name, value in source.state_dict().items()}
    state["bn1.bias"][0] = 1e300
    refused(target, put(state), "1 of the 24 numbers of bn1.bias .*too large for the trunk's type")


@pytest.mark.parametrize(
    "turn",
    [
        lambda value: value.to(torch.int64),
        lambda value: value > 0,
        lambda value: value.to(torch.complex64),
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
        lambda value: torch.quantize_per_tensor(value, 0.1, 0, torch.qint8),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_tensors_of_another_kind(source, target, put, turn):
    state = dict(source.state_dict())
    state["conv1.weight"] = turn(state["conv1.weight"])
    try:
        path = put(state)
    except Exception as error:
        pytest.skip(f"this torch saves no such tensor: {error}")
    refused(target, path, "holds conv1.weight as torch.*expected .*torch.float32.*dense float32")


def test_a_tensor_that_claims_to_be_huge(source, target, put):
    state = dict(source.state_dict())
    state["conv1.weight"] = torch.zeros(1).expand(10**6, 10**7)  # one number on disk
    refused(target, put(state), "conv1.weight .1000000, 10000000. for .24, 3, 3, 3.")


def test_old_files_without_counters(source, target, put):
    state = source.state_dict()
    for name in [name for name in state if name.endswith("num_batches_tracked")]:
        del state[name]
    weights.load_trunk(target, put(state))
    assert torch.equal(target.conv1.weight, source.conv1.weight)


# ---- what the file is


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin", ""])
def test_the_content_tells_the_kind_and_not_the_suffix(source, tmp_path, suffix, legacy):
    path = tmp_path / f"w{suffix}"
    for write in (
        lambda: path.write_bytes(
            hostile.torch_bytes(source.state_dict(), _use_new_zipfile_serialization=not legacy)
        ),
        lambda: save_file(source.state_dict(), path),
    ):
        write()
        target = backbones.make_trunk("tiny")
        weights.load_trunk(target, path)
        assert_filled(target, source)


def test_a_hash_that_says_nothing_is_refused(source, target, put):
    path = put(source.state_dict())
    for wrong in ("", "nothex", "0" * 65, " ", 12, b"00"):
        with pytest.raises(ValueError, match=f"sha256 is {wrong!r}; expected the 64 hexadecimal"):
            weights.load_trunk(target, path, sha256=wrong)


def test_a_pointer_is_called_one_before_sizes_are_compared(target, tmp_path):
    path = tmp_path / "w.pth"
    path.write_text(hostile.POINTER)
    for check in ({"size": 10}, {"sha256": "00"}, {"size": 10, "sha256": "00"}, {}):
        with pytest.raises(ValueError, match="w.pth cannot be read: .*git lfs pull"):
            weights.load_trunk(target, path, **check)
