"""The norms of a model swapped for others, and their statistics re-estimated.

As a whole, and camera by camera.
"""

import contextlib

import pytest
import torch
from torch import nn

from reidkit.augment import normalize
from reidkit.backbones import make_trunk
from reidkit.layers.heads import BNNeck, Output
from reidkit.layers.norms import IBN, BatchInstanceNorm, FeatureNorm, InstanceNorm, swap_norms
from reidkit.layers.statistics import interleaved, reestimated_statistics
from reidkit.record import Exam, ReIDData
from reidkit.retrieval import embed, embed_by_camera, evaluate, evaluate_exam


def maps(*shape, seed=0, mean=1.0):
    return 2 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) + mean


# ---- swapping


def test_a_resnet50_has_53_norms_and_26560_gates():
    model = swap_norms(make_trunk("resnet50"), BatchInstanceNorm)
    gates = [module.gate for module in model.modules() if isinstance(module, BatchInstanceNorm)]
    assert (len(gates), sum(gate.numel() for gate in gates)) == (53, 26560)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 53


def test_ibn_a_by_rule():
    """The first norm of every block of layer1 to layer3: 13 in a ResNet-50, no parameter more."""
    model = make_trunk("resnet50")
    before = sum(value.numel() for value in model.parameters())

    def first_of_a_block(name, norm):
        return name.startswith(("layer1", "layer2", "layer3")) and name.endswith("bn1")

    swap_norms(model, IBN, first_of_a_block)
    assert sum(isinstance(module, IBN) for module in model.modules()) == 13
    assert sum(value.numel() for value in model.parameters()) == before


def trained(seed=0):
    torch.manual_seed(seed)
    model = make_trunk("tiny")
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                for value in (module.weight, module.bias, module.running_mean, module.running_var):
                    value.uniform_(0.5, 1.5)
                module.num_batches_tracked.fill_(5)
                module.eps, module.momentum = 1e-3, 0.2
    return model


def test_a_swapped_layer_keeps_its_numbers():
    model = trained().eval()
    images = maps(4, 3, 32, 16)
    expected = model(images)
    old = {name: value.clone() for name, value in model.state_dict().items()}
    assert swap_norms(model, BatchInstanceNorm) is model
    assert not model.bn1.training
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)
    assert all(value.equal(model.state_dict()[name]) for name, value in old.items())
    assert (model.bn1.eps, model.bn1.momentum) == (1e-3, 0.2)
    assert (model.bn1.instance_weight == 1).all()
    halves = swap_norms(
        trained(), lambda channels: IBN(channels, 0.25), lambda name, norm: name == "layer1.0.bn1"
    )
    mixed = halves.layer1[0].bn1
    for name in ("weight", "bias"):
        joined = torch.cat([getattr(mixed.IN, name), getattr(mixed.BN, name)])
        assert joined.equal(old[f"layer1.0.bn1.{name}"])
    assert mixed.BN.running_var.equal(old["layer1.0.bn1.running_var"][6:])
    assert mixed.IN.eps == 1e-3
    plain = swap_norms(trained(), FeatureNorm, lambda name, norm: name == "bn1").bn1
    assert (plain.weight == 1).all()
    assert plain.running_mean.equal(old["bn1.running_mean"])
    assert swap_norms(trained().double(), InstanceNorm).bn1.weight.dtype == torch.float64


def test_swapping_needs_a_norm_and_keeps_a_shared_one():
    with pytest.raises(ValueError, match=r"none of the 12 BatchNorm2d.*bn1, layer1"):
        swap_norms(make_trunk("tiny"), InstanceNorm, lambda name, norm: name.startswith("layer9"))
    with pytest.raises(ValueError, match="none of the 0"):
        swap_norms(nn.Linear(2, 2), InstanceNorm)
    shared = nn.BatchNorm2d(3)
    model = swap_norms(nn.Sequential(shared, nn.ReLU(), shared), InstanceNorm)
    assert model[0] is model[2]
    assert isinstance(model[0], InstanceNorm)


# ---- re-estimated statistics


class Net(nn.Module):
    """Every kind of batch norm, and dropout; `frozen` is in evaluation mode in a training model."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.BatchNorm2d(3, momentum=None)
        self.mixed = BatchInstanceNorm(4, gate=0.5)
        self.conv = nn.Conv2d(3, 4, 3)
        self.drop = nn.Dropout(0.5)
        self.neck = BNNeck(4)
        self.last = FeatureNorm(4)
        self.loose = nn.BatchNorm2d(4, track_running_stats=False)

    def forward(self, images):
        maps = self.loose(self.drop(self.mixed(self.conv(self.frozen(images)))))
        return self.last(self.neck(maps.relu().mean((2, 3))))


def prepared():
    torch.manual_seed(0)
    model = Net().train()
    for seed in range(2):
        model(maps(6, 3, 8, 4, seed=20 + seed))
    model.frozen.eval()
    return model


def state(model):
    """Numbers, modes and momenta of a model."""
    values = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    momenta = [getattr(module, "momentum", 0) for module in model.modules()]
    return values, modes, momenta


def same(first, second):
    """Whether two `state`s are equal, bit for bit."""
    if first[1:] != second[1:]:
        return False
    return all(value.equal(second[0][name]) for name, value in first[0].items())


@pytest.mark.parametrize("fails", [False, True])
def test_statistics_are_put_back(fails):
    model = prepared()
    images = maps(7, 3, 8, 4, mean=4.0)
    before = state(model)
    with pytest.raises(KeyError) if fails else contextlib.nullcontext():
        with reestimated_statistics(model, images, batch=3) as inside:
            assert inside is model
            assert not any(module.training for module in model.modules())
            assert not same(state(model), before)
            assert model(images).requires_grad
            model.train()(images)  # whatever is done to the statistics is undone
            if fails:
                raise KeyError
    assert same(state(model), before)
    with pytest.raises(RuntimeError), reestimated_statistics(model, images[:, :2]):
        pass
    assert same(state(model), before)


def test_reestimated_statistics_are_those_of_the_set():
    """With one batch, evaluation is training without dropout, up to the unbiased variance."""
    model = prepared()
    images = maps(64, 3, 8, 4, mean=4.0)
    with reestimated_statistics(model, images):
        torch.testing.assert_close(model.frozen.running_mean, images.mean((0, 2, 3)))
        torch.testing.assert_close(model.frozen.running_var, images.var((0, 2, 3)))
        inside = model(images)
    torch.testing.assert_close(inside.mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(inside.var(0), torch.ones(4), rtol=0, atol=0.02)
    assert model(images).sub(inside).abs().max() > 0.1
    uneven = images * torch.arange(64)[:, None, None, None]
    with reestimated_statistics(model, [uneven[:60], uneven[60:]]):  # each picture counts the same
        torch.testing.assert_close(model.frozen.running_mean, uneven.mean((0, 2, 3)))
        parts = 60 / 64 * uneven[:60].var((0, 2, 3)) + 4 / 64 * uneven[60:].var((0, 2, 3))
        torch.testing.assert_close(model.frozen.running_var, parts)


def test_estimation_forgets_what_was_there_and_keeps_no_graph():
    model = prepared()
    images = maps(6, 3, 8, 4)
    model.frozen.running_mean.fill_(float("nan"))
    graphs = []
    watch = model.conv.register_forward_hook(
        lambda layer, given, made: graphs.append(made.requires_grad)
    )
    with reestimated_statistics(model, images, batch=3):
        watch.remove()
        assert model(images).isfinite().all()
        assert graphs == [False, False]
    assert model.frozen.running_mean.isnan().all()


def test_pieces_and_what_has_no_statistics():
    assert [piece.tolist() for piece in interleaved(torch.arange(7), 3)] == [
        [0, 3, 6],
        [1, 4],
        [2, 5],
    ]
    for count in range(2, 12):
        pieces = interleaved(torch.arange(count), 2)
        assert torch.cat(pieces).sort().values.equal(torch.arange(count))
        assert min(map(len, pieces)) >= 2
    model = prepared()
    images = maps(4, 3, 8, 4)
    before = state(model)
    for wrong, batch in ((images[:1], None), (images, 1), ([images, images[:1]], None), ([], None)):
        with (
            pytest.raises(ValueError, match="at least two|two of each"),
            reestimated_statistics(model, wrong, batch),
        ):
            pass
        assert same(state(model), before)


# ---- camera by camera


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)
        self.neck = BNNeck(5)

    def forward(self, images):
        maps = self.norm(self.conv(normalize(images)))
        feature = self.drop(maps.relu().mean((2, 3)))
        return Output(feature, None, self.neck(feature))


def people(count=13, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 4), generator=draw, dtype=torch.uint8)
    cameras = torch.arange(count) * 7 % 3  # not sorted
    return ReIDData(
        images // (1 + cameras[:, None, None, None]).byte(),
        torch.arange(count) % 4,
        cameras,
        torch.zeros(count).long(),
    )


def by_hand(model, data, mirror):
    """Each camera in one batch, the norms written out.

    Variances are biased on the way through, and unbiased where they are kept.
    """
    features = [None] * len(data)
    for camera in set(data.cameras.tolist()):
        places = [place for place in range(len(data)) if data.cameras[place] == camera]
        images = normalize(data.images[places])
        both = torch.cat([images, images.flip(3)]) if mirror else images
        maps = model.conv(both)
        centre = maps.mean((0, 2, 3), keepdim=True)
        values = maps.numel() / 5
        spread = (maps - centre).square().mean((0, 2, 3), keepdim=True)
        unbiased = spread * values / (values - 1)
        on_the_way = ((maps - centre) / (spread + 1e-5).sqrt()).relu().mean((2, 3))
        feature = ((maps - centre) / (unbiased + 1e-5).sqrt()).relu().mean((2, 3))
        neck = (feature - on_the_way.mean(0)) / (on_the_way.var(0) + 1e-5).sqrt()
        total = neck.view(2, len(images), 5).sum(0) if mirror else neck
        for place, row in zip(places, total):
            features[place] = row / row.norm()
    return torch.stack(features)


@pytest.mark.parametrize("mirror", [False, True])
def test_embedding_by_camera(mirror):
    torch.manual_seed(0)
    model = Small().train()
    data = people()
    before = state(model)
    found = embed_by_camera(model, data, mirror=mirror)
    assert found.shape == (13, 5)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    torch.testing.assert_close(found, by_hand(model, data, mirror).detach(), rtol=1e-4, atol=1e-5)
    assert same(state(model), before)
    pieces = embed_by_camera(model, data, mirror=mirror, batch=2)  # near, but not the same
    assert 1e-4 < (pieces - found).abs().max()
    assert (pieces * found).sum(1).mean() > 0.5
    plain = embed(model, data, mirror=mirror)
    assert (plain - found).abs().max() > 0.1


def test_embedding_by_camera_needs_two_pictures_each():
    model = Small()
    data = people()
    with pytest.raises(ValueError, match="camera 2 has one picture"):
        embed_by_camera(model, data[[0, 3, 1, 4, 2 if data.cameras[2] == 2 else 8]])
    with pytest.raises(ValueError, match="0 pictures"):
        embed_by_camera(model, data[:0])


def test_exam_camera_by_camera():
    """Statistics of a camera come from both sides together."""
    torch.manual_seed(0)
    model = Small()
    data = people(24)
    exam = Exam(data[:9], data[9:])
    found = evaluate_exam(model, exam, per_camera=True)
    features = by_hand(model, data, False).detach()
    sides = [
        (features[part], data.ids[part], data.cameras[part]) for part in (slice(9), slice(9, None))
    ]
    assert found.first_ranks.equal(evaluate(*sides[0], *sides[1]).first_ranks)
    assert found.map == pytest.approx(evaluate(*sides[0], *sides[1]).map)
    assert found.map != pytest.approx(evaluate_exam(model, exam).map)
