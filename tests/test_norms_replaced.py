"""What torch's tools that go by "is a batch norm" make of our norms: never another function without
a word.
"""

import copy

import pytest
import torch
from torch import nn
from torch.ao.quantization import fuse_modules
from torch.func import replace_all_batch_norm_modules_
from torch.optim.swa_utils import AveragedModel, update_bn

from reidkit.layers.heads import BNNeck
from reidkit.layers.norms import IBN, BatchInstanceNorm, FeatureNorm, InstanceNorm, swap_norms
from reidkit.layers.statistics import held_statistics, reestimated_statistics
from reidkit.layers.whitening import WhiteningNeck
from reidkit.methods import baseline

IRREPLACEABLE = {
    "BIN": lambda: BatchInstanceNorm(3, gate=0.4),
    "BIN, one affine map": lambda: BatchInstanceNorm(3, one_affine=True),
    "BIN of the batch": lambda: BatchInstanceNorm(3, track_running_stats=False),
    "whitening": lambda: WhiteningNeck(3, 2),
    "inside": lambda: nn.Sequential(nn.Conv2d(3, 3, 1), nn.ModuleList([BatchInstanceNorm(3)])),
    "a model": lambda: baseline.make(3, norm="bin", stages=("layer2",)),
}


def drawn(*shape, seed=0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + 1


def filled(layer):
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in (*layer.parameters(), *layer.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=draw) + 0.2)
    return layer


def input_of(norm):
    flat = isinstance(norm, (BNNeck, WhiteningNeck))
    return drawn(6, 3) if flat else drawn(6, 3, 5, 4)


@pytest.mark.parametrize("kind", IRREPLACEABLE)
def test_a_norm_with_a_forward_of_its_own_becomes_no_sync_norm(kind):
    with pytest.raises(AttributeError) as caught:
        nn.SyncBatchNorm.convert_sync_batchnorm(IRREPLACEABLE[kind]())
    name = "WhiteningNeck" if kind == "whitening" else "BatchInstanceNorm"
    said = str(caught.value)
    assert said.startswith(f"{name} cannot be replaced by a SyncBatchNorm")
    assert "would be lost" in said and "convert_sync_batchnorm(part)" in said


def test_the_parts_without_it_can_be_converted():
    model = baseline.make(3, norm="bin", stages=("layer2",)).eval()
    pictures = torch.randint(0, 256, (2, 3, 64, 32), dtype=torch.uint8)
    expected = model(pictures)
    names = list(model.state_dict())
    for part in ("layer1", "layer3", "layer4"):
        whole = nn.SyncBatchNorm.convert_sync_batchnorm(model.trunk.get_submodule(part))
        setattr(model.trunk, part, whole)
    assert sum(isinstance(module, nn.SyncBatchNorm) for module in model.modules()) == 8
    assert list(model.state_dict()) == names
    torch.testing.assert_close(model(pictures).neck, expected.neck, rtol=0, atol=0)


@pytest.mark.parametrize(
    "make",
    [
        lambda: BNNeck(3),
        lambda: FeatureNorm(3),
        lambda: FeatureNorm(3, learn_scale=True),
        lambda: IBN(3),
        lambda: InstanceNorm(3),
    ],
)
def test_the_others_keep_their_function(make):
    norm = filled(make()).eval()
    x = input_of(norm)
    expected = norm(x)
    frozen = [value.requires_grad for value in norm.parameters()]
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(norm))
    torch.testing.assert_close(converted(x), expected, rtol=0, atol=0)
    assert [value.requires_grad for value in converted.parameters()] == frozen
    assert converted.state_dict().keys() == norm.state_dict().keys()


def test_what_a_converted_neck_loses_is_the_cast():
    neck = filled(BNNeck(3)).eval()
    features = drawn(6, 3).bfloat16()
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(neck))
    assert neck(features).dtype == torch.float32
    assert converted(features).dtype == torch.bfloat16
    torch.testing.assert_close(converted(features).float(), neck(features), rtol=0.01, atol=0.01)


@pytest.mark.parametrize("kind", ["BIN", "whitening"])
def test_modules_are_not_fused_by_their_type(kind):
    norm = filled(IRREPLACEABLE[kind]())
    before = nn.Conv2d(3, 3, 1) if kind == "BIN" else nn.Linear(3, 3)
    model = nn.Sequential(before, norm).eval()
    with pytest.raises(AssertionError, match="did not find fuser method"):
        fuse_modules(model, ["0", "1"])


@pytest.mark.parametrize("kind", ["BIN", "whitening", "feature norm", "neck"])
def test_running_statistics_are_found(kind):
    """By torch's own tools and by ours, all of which go by torch's base class."""
    others = {"feature norm": lambda: FeatureNorm(3), "neck": lambda: BNNeck(3)}
    norm = filled((IRREPLACEABLE | others)[kind]())
    batches = [input_of(norm), input_of(norm) * 2]
    dims = (0, 2, 3) if batches[0].ndim == 4 else 0
    update_bn(batches, norm)
    expected = torch.stack([batch.mean(dims) for batch in batches]).mean(0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-5)
    assert norm.momentum == 0.1
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with held_statistics(norm.train()):
        norm(batches[0])
    with reestimated_statistics(norm, batches[0] + 5):
        expected = (batches[0] + 5).mean(dims)
        torch.testing.assert_close(norm.running_mean, expected, rtol=1e-4, atol=1e-4)
    assert all(value.equal(before[name]) for name, value in norm.state_dict().items())
    averaged = AveragedModel(norm)
    averaged.update_parameters(norm)
    torch.testing.assert_close(averaged.module.eval()(batches[0]), norm.eval()(batches[0]))


@pytest.mark.parametrize("kind", ["BIN", "whitening"])
def test_running_statistics_can_be_taken_away(kind):
    norm = filled(IRREPLACEABLE[kind]()).train()
    x = input_of(norm)
    expected = copy.deepcopy(norm)(x)
    replace_all_batch_norm_modules_(norm)
    for training in (True, False):  # by the batch, always
        torch.testing.assert_close(norm.train(training)(x), expected)


@pytest.mark.parametrize("kind", ["BIN", "whitening"])
def test_it_stays_an_ordinary_module(kind):
    norm = filled(IRREPLACEABLE[kind]())
    assert not hasattr(norm, "affine")
    assert getattr(norm, "affine", None) is None
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        norm.nonsense  # noqa: B018
    assert "momentum=0.1" in repr(norm)
    again = copy.deepcopy(norm)
    again.load_state_dict(norm.state_dict())
    torch.testing.assert_close(again.eval()(input_of(norm)), norm.eval()(input_of(norm)))
    norm.reset_parameters()
    assert norm.running_mean.eq(0).all() and norm.running_var.eq(1).all()
    inner = nn.Sequential(norm, nn.ReLU()) if kind == "BIN" else None
    if inner is not None:  # its batch norm's numbers can still be taken over by hand
        assert isinstance(swap_norms(inner, nn.BatchNorm2d)[0], nn.BatchNorm2d)
