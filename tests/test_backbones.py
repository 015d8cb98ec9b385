"""Trunks, outside weights, and the guarded import of torchvision."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from reidkit import _vision, backbones, weights
from reidkit.methods.baseline import Baseline, baseline_losses


@pytest.mark.parametrize(
    "name, size, channels, last, stride",
    [
        ("tiny", (64, 32), 192, 1, 8),
        ("tiny", (64, 32), 192, 2, 16),
        ("small", (64, 32), 256, 1, 8),
        ("resnet18", (64, 32), 512, 1, 16),
        ("resnet18", (64, 32), 512, 2, 32),
        ("resnet50", (64, 32), 2048, 1, 16),
        ("resnet50", (64, 32), 2048, 2, 32),
    ],
)
def test_shapes(name, size, channels, last, stride):
    trunk = backbones.make_trunk(name, last).eval()
    with torch.inference_mode():
        maps = trunk(torch.randn(1, 3, *size))
    assert tuple(maps.shape) == (1, channels, size[0] // stride, size[1] // stride)
    assert trunk.channels == channels


def test_resnet50_is_the_fields():
    trunk = backbones.make_trunk("resnet50")
    assert sum(value.numel() for value in trunk.parameters()) == 23_508_032
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in trunk.modules()) == 53
    whole = _vision.torchvision().models.resnet50(weights=None)
    assert set(trunk.state_dict()) == {
        name for name in whole.state_dict() if not name.startswith("fc.")
    }
    trunk = backbones.make_trunk("resnet50", 2).eval()
    images = torch.randn(1, 3, 64, 32)
    whole.load_state_dict(trunk.state_dict(), strict=False)
    whole.eval()
    without_classifier = torch.nn.Sequential(*list(whole.children())[:-1])
    with torch.inference_mode():
        torch.testing.assert_close(
            trunk(images).mean((2, 3)), without_classifier(images).flatten(1)
        )


def test_unknown_trunk_is_named():
    with pytest.raises(ValueError, match="resnet51"):
        backbones.make_trunk("resnet51")


def test_baseline():
    from types import SimpleNamespace

    torch.manual_seed(0)
    model = Baseline(4)
    ids = torch.tensor([0, 0, 3, 3])
    output = model(torch.randn(4, 3, 64, 32))
    assert output.feature.shape == (4, 192) == output.neck.shape
    assert output.logits.shape == (4, 4)
    parts = baseline_losses(output, SimpleNamespace(ids=ids))
    assert set(parts) == {"identity", "triplet"}
    assert parts["identity"].item() == pytest.approx(1.386, abs=0.05)  # log 4 at first
    sum(parts.values()).backward()
    assert all(value.grad is not None for value in model.parameters() if value.requires_grad)
    plain = Baseline(4, neck=False, cosine=True)(torch.randn(2, 3, 64, 32))
    assert plain.neck is None
    assert plain.logits.abs().max() <= 1


@pytest.fixture
def trunks():
    torch.manual_seed(1)
    return backbones.make_trunk("tiny"), backbones.make_trunk("tiny")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_load_and_are_checked(trunks, tmp_path, suffix):
    source, target = trunks
    state = source.state_dict() | {"fc.weight": torch.zeros(10, 192), "fc.bias": torch.zeros(10)}
    path = tmp_path / f"small{suffix}"
    torch.save(state, path) if suffix == ".pth" else save_file(state, path)
    right = hashlib.sha256(path.read_bytes()).hexdigest()
    weights.load_trunk(target, path, sha256=right[:8], size=path.stat().st_size)
    assert all(
        torch.equal(value, target.state_dict()[name]) for name, value in source.state_dict().items()
    )
    with pytest.raises(ValueError, match="SHA-256"):
        weights.load_trunk(target, path, sha256="0" * 64)
    with pytest.raises(ValueError, match="bytes, expected 7"):
        weights.load_trunk(target, path, size=7)


def test_weights_that_do_not_fit_are_listed(trunks, tmp_path):
    source, target = trunks
    state = source.state_dict()
    state["layer9.weight"] = state.pop("conv1.weight")
    state["bn1.weight"] = torch.zeros(3)
    torch.save(state, tmp_path / "other.pth")
    before = target.state_dict()["bn1.bias"].clone()
    with pytest.raises(ValueError) as error:
        weights.load_trunk(target, tmp_path / "other.pth")
    for part in ("missing: conv1.weight", "unexpected: layer9.weight", "bn1.weight (3,) for (24,)"):
        assert part in str(error.value)
    assert torch.equal(target.state_dict()["bn1.bias"], before)


def test_bad_files_are_refused(trunks, tmp_path):
    target = trunks[0]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        weights.load_trunk(target, tmp_path / "nowhere.pth")
    for name in ("junk.pth", "junk.safetensors"):
        (tmp_path / name).write_bytes(b"not weights at all")
        with pytest.raises(ValueError, match="cannot be read"):
            weights.load_trunk(target, tmp_path / name)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "pickled.pth")  # a whole module: code, refused
    with pytest.raises(ValueError, match="cannot be read"):
        weights.load_trunk(target, tmp_path / "pickled.pth")
    torch.save({"state_dict": {}}, tmp_path / "nested.pth")
    with pytest.raises(ValueError, match="plain dict"):
        weights.load_trunk(target, tmp_path / "nested.pth")


def test_matched_torchvision_is_left_alone(tmp_path):
    (tmp_path / "_C.so").touch()
    loaded = []
    defined = []
    assert _vision.stand_in_operators(tmp_path, loaded.append, defined.append) is False
    assert loaded == [str(tmp_path / "_C.so")]
    assert defined == []


def test_mismatched_torchvision_gets_its_two_operators(tmp_path):
    (tmp_path / "_C.so").touch()

    def refuse(path):
        raise OSError("undefined symbol")

    defined = []
    assert _vision.stand_in_operators(tmp_path, refuse, defined.append) is True
    assert [schema.split("(")[0] for schema in defined] == ["nms", "qnms"]
    # No library at all.
    assert _vision.stand_in_operators(tmp_path / "empty", refuse, [].append) is True


def test_torchvision_imports_here():
    assert hasattr(_vision.torchvision().models, "resnet50")
    assert hasattr(torch.ops.torchvision, "nms")
