"""MetaBIN: its two losses against slow loops and golden numbers, its gradients against finite
differences, what each part moves.
"""

import copy
import math
from dataclasses import replace

import pytest
import torch
from metabin_case import INNER, batch_of, toy
from torch import nn

from reidkit import augment, sampling
from reidkit.backbones import make_mobilenet, make_trunk
from reidkit.layers.heads import Output
from reidkit.layers.norms import BatchInstanceNorm, clamp_gates, gates, swap_norms
from reidkit.layers.statistics import held_statistics
from reidkit.methods.baseline import make
from reidkit.methods.metabin import (
    LearntBIN,
    MetaBIN,
    cycle,
    episode_losses,
    scatter_loss,
    shuffle_loss,
    trial,
)
from reidkit.record import ReIDData
from reidkit.training import Plan, fit

POINTS = torch.tensor([[0.0, 0], [3, 4], [1, 0], [0, 2]])
DOMAINS, IDS = torch.tensor([0, 0, 1, 1]), torch.arange(4)


# ---- losses


def test_golden_numbers():
    assert shuffle_loss(POINTS, IDS, DOMAINS).mean().item() == pytest.approx(1.1114647, abs=1e-6)
    assert scatter_loss(POINTS + 0.1, DOMAINS).item() == pytest.approx(0.8759379, abs=1e-6)


def test_collapsed_features():
    same = torch.ones(8, 5, requires_grad=True)
    ids, domains = torch.arange(8) // 2, torch.arange(8) // 4
    output = Output(same, torch.zeros(8, 4))
    found = episode_losses(("scatter", "shuffle", "triplet", "identity"), output, ids, domains)
    assert found["scatter"].item() == pytest.approx(1) and found["shuffle"].item() == pytest.approx(
        math.log(2)
    )
    assert found["triplet"].item() == pytest.approx(0.3) and found[
        "identity"
    ].item() == pytest.approx(math.log(4))
    sum(found.values()).backward()
    assert same.grad.isfinite().all()
    with pytest.raises(
        ValueError, match="no meta loss 'centre'; expected some of scatter, shuffle"
    ):
        episode_losses(("centre",), output, ids, domains)


def test_losses_against_loops():
    draw = torch.Generator().manual_seed(3)
    features = torch.randn(12, 4, generator=draw)
    ids, domains = torch.arange(12) // 2, torch.arange(12) // 4
    each = []
    for i in range(12):
        far = max(
            (features[i] - features[j]).norm().item() for j in range(12) if domains[j] != domains[i]
        )
        near = min(
            (features[i] - features[j]).norm().item()
            for j in range(12)
            if domains[j] == domains[i] and ids[j] != ids[i]
        )
        each.append(math.log1p(math.exp(far - near)))
    torch.testing.assert_close(shuffle_loss(features, ids, domains), torch.tensor(each))
    unequal = torch.tensor(
        [0] * 2 + [1] * 4 + [2] * 6
    )  # domains count the same, whatever their size
    means = []
    for domain in range(3):
        own = [f / f.norm() for f, d in zip(features, unequal) if d == domain]
        centre = sum(own) / len(own)
        means.append(sum((f @ centre / centre.norm()).item() for f in own) / len(own))
    assert scatter_loss(features, unequal).item() == pytest.approx(sum(means) / 3, abs=1e-6)
    turned = torch.linalg.qr(torch.randn(4, 4, generator=draw))[0]
    assert scatter_loss(features @ turned, unequal).item() == pytest.approx(
        sum(means) / 3, abs=1e-5
    )


def test_anchors_without_a_partner_count_nothing():
    features = POINTS.clone().requires_grad_()
    one_domain = shuffle_loss(features, IDS, torch.zeros(4, dtype=torch.int64))
    alone = shuffle_loss(
        features, torch.tensor([0, 0, 1, 2]), DOMAINS
    )  # the first two: no stranger at home
    assert one_domain.tolist() == [0] * 4 and alone[:2].tolist() == [0, 0] and (alone[2:] > 0).all()
    (one_domain.sum() + alone.sum()).backward()
    assert features.grad.isfinite().all()


def test_the_cycle():
    assert cycle(0) == cycle(1) == pytest.approx(0.001) and cycle(1 / 40) == pytest.approx(0.1)
    assert cycle(1 / 80) == pytest.approx((0.001 + 0.1) / 2) == pytest.approx(cycle(3 / 80))
    assert cycle(0.3, low=0.01, high=0.01) == pytest.approx(0.01)


# ---- gates: numbers of them, and where they may go


@pytest.mark.parametrize(
    "body, vectors, count",
    [
        (lambda: make_trunk("resnet50"), 53, 26560),
        (lambda: make_mobilenet(1.4), 52, 23968),
        (lambda: make_mobilenet(1.4, authors=True), 53, 23822),
    ],
)
def test_gates_are_counted(body, vectors, count):
    found = gates(swap_norms(body(), BatchInstanceNorm))
    assert (len(found), sum(gate.numel() for gate in found.values())) == (vectors, count)
    assert all((gate == 1).all() for gate in found.values())


def test_gates_have_names():
    model = make(3, norm="bin", gate=0.5)
    assert list(gates(model))[:2] == ["trunk.bn1.gate", "trunk.layer1.0.bn1.gate"] and all(
        name in dict(model.named_parameters()) for name in gates(model)
    )
    assert list(gates(BatchInstanceNorm(2))) == ["gate"] and gates(nn.Linear(2, 2)) == {}


def test_one_affine_for_both_branches():
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 3, 5, 2, generator=draw)
    layer = BatchInstanceNorm(3, gate=0.3, one_affine=True)
    with torch.no_grad():
        layer.weight.uniform_(0.5, 1.5, generator=draw)
        layer.bias.uniform_(-1, 1, generator=draw)
    batch = nn.functional.batch_norm(x, None, None, training=True)
    expected = (
        layer.weight[:, None, None] * (0.3 * batch + 0.7 * nn.functional.instance_norm(x))
        + layer.bias[:, None, None]
    )
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert len(list(layer.parameters())) == 3  # gate, weight, bias
    layer(x).square().sum().backward()
    assert layer.weight.grad.isfinite().all()


# ---- what a step moves


def snapshot(model):
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def changed(before, model):
    return {
        name for name, value in model.state_dict().items() if not torch.equal(before[name], value)
    }


def test_an_episode_moves_gates_and_nothing_else():
    model, batch = toy().float(), batch_of(dtype=torch.float32)
    before = snapshot(model)
    assert MetaBIN(50.0).episode(model, batch, 0.3)["gate"] < 1
    assert changed(before, model) == {"bn1.gate", "bn2.gate"}
    assert all(((gate >= 0) & (gate <= 1)).all() for gate in gates(model).values())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_base_step_moves_everything_but_the_gates():
    model, method = (
        toy().float(),
        MetaBIN(0.0, domain_people=2, pictures=2),
    )  # gate rate 0: the episode moves nothing
    base = batch_of(step=3, dtype=torch.float32)
    meta = batch_of(step=3, seed=2, dtype=torch.float32)
    before = snapshot(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, weight_decay=0.1)
    batches = {"base": [base], "meta": meta}
    values = method.step(model, batches, {"main": optimizer}, 0.5)
    moved = changed(before, model)
    assert (
        not {"bn1.gate", "bn2.gate"} & moved
        and {"conv1.weight", "classifier.weight", "bn2.instance_bias", "bn1.running_mean"} <= moved
    )
    assert set(values) == {"loss", "identity", "triplet", "meta_train", "meta_test", "gate"}
    assert model.bn1.num_batches_tracked == 1  # the base batch alone


def test_no_gradient_no_move():
    model, batch = toy().float(), batch_of(dtype=torch.float32)
    still = replace(
        batch, images=torch.ones_like(batch.images)
    )  # all features equal: the triplet's gradient vanishes
    before = snapshot(model)
    MetaBIN(100.0, inner=("triplet",), outer=("triplet",)).episode(model, still, 0.3)
    assert changed(before, model) == set()
    start = torch.rand(4)
    assert torch.equal(trial(start, torch.zeros(4), 3.0), start)


def test_held_statistics_normalise_by_the_batch_and_stay():
    norm, x = BatchInstanceNorm(3), torch.randn(4, 3, 5, 2) + 2
    model = nn.Sequential(norm, nn.BatchNorm2d(3))
    expected = copy.deepcopy(model)(x)
    before = snapshot(model)
    with held_statistics(model):
        torch.testing.assert_close(model(x), expected)
        assert changed(before, model) == set()
    assert norm.track_running_stats and model[1].track_running_stats
    with pytest.raises(RuntimeError), held_statistics(model):
        raise RuntimeError
    model(x)
    assert "0.running_mean" in changed(before, model)


# ---- through fit


def people(domains=3, each=4, cameras=2, pictures=2):
    draw = torch.Generator().manual_seed(5)
    count = domains * each * cameras * pictures
    ids = torch.arange(count) // (cameras * pictures)
    domain = ids // each
    camera = domain * cameras + torch.arange(count) // pictures % cameras
    shade = torch.rand(domains * each, 3, 1, 1, generator=draw)[ids] * 150
    images = (shade + 60 * torch.rand(count, 3, 32, 32, generator=draw)).to(torch.uint8)
    return ReIDData(images, ids, camera, domain)


SMALL = {"domain_people": 2, "pictures": 2, "inner": INNER, "outer": ("triplet", "identity")}


@pytest.mark.parametrize(
    "method",
    [
        MetaBIN(5.0, first=2, **SMALL),
        MetaBIN(5.0, second_order=True, **SMALL),
        MetaBIN(5.0, domains="cameras", **SMALL),
        LearntBIN(5.0),
    ],
    ids=["first order", "second order", "cameras", "sources"],
)
def test_fit_trains_with_it(method):
    torch.manual_seed(0)
    model = make(12, norm="bin", gate=1.0)
    plan = Plan(steps=4, people=4, pictures=2, augment=augment.flip)
    _, history = fit(method, people(), plan, model=model, progress=False)
    assert history[-1]["gate"] < 1 and all(
        ((gate >= 0) & (gate <= 1)).all() for gate in gates(model).values()
    )


def test_batches_are_base_then_every_domain_alike():
    data, method = people(), MetaBIN(1.0, domain_people=2, pictures=2, first=3)
    stream = method.sampler(data, 4, 2, 7, 0)
    base = sampling.pk_batches(data.ids, 4, 2, 7)
    for number in range(3):
        drawn = next(stream)
        expected = [next(base) for _ in range(3 if number == 0 else 1)]
        assert list(drawn) == ["base", "meta"] and len(drawn["base"]) == len(expected)
        for found, wanted in zip(drawn["base"], expected):
            assert torch.equal(found, wanted)
        assert data.domains[drawn["meta"]].tolist() == [0] * 4 + [1] * 4 + [2] * 4
    # Begun at step 3, it goes on as if it had run from the beginning.
    later = next(method.sampler(data, 4, 2, 7, 3))
    going_on = next(stream)
    assert torch.equal(later["base"][0], going_on["base"][0])
    assert torch.equal(later["meta"], going_on["meta"])
    cameras = MetaBIN(1.0, domains="cameras", domain_people=2, pictures=2)
    index = next(cameras.sampler(data, 4, 2, 7, 0))["meta"]
    assert sorted(data.cameras[index].unique().tolist()) == list(range(6)) and len(index) == 24
    with pytest.raises(
        ValueError, match=r"two domains or more, the data's domains are 1.*domains=\"cameras\""
    ):
        method.sampler(data[data.domains == 0], 4, 2, 7, 0)


def test_clamping_gates():
    layer = BatchInstanceNorm(3)
    with torch.no_grad():
        layer.gate.copy_(torch.tensor([-0.2, 0.4, 1.7]))
    clamp_gates(layer)
    assert layer.gate.tolist() == pytest.approx([0, 0.4, 1])
