"""fit: it learns, does to each step what was asked, and says what is wrong."""

import dataclasses
import math
from functools import partial

import pytest
import torch
from training_case import both, net, own_cache, people, same, train  # noqa: F401 a fixture

from reidkit import augment, losses
from reidkit.training import Method, Plan, fit, lr_at


def test_it_learns_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    model, history = train()
    assert torch.equal(torch.rand(1), expected)
    assert len(history) == 60 and not model.training and not history.loaded and history.seconds > 0
    first, last = history[0], history[-1]
    assert set(first) == {"step", "lr", "loss", "identity", "triplet", "pictures_per_second"}
    assert first["loss"] == pytest.approx(first["identity"] + first["triplet"], rel=1e-6)
    assert (
        sum(history.column("identity")[-5:]) < 0.8 * sum(history.column("identity")[:5])
        and last["step"] == 59
    )


def test_same_seed_same_weights():
    assert same(train()[0], train()[0])
    assert not same(train()[0], train(seed=1)[0])


def test_the_batch():
    seen = []

    def look(output, batch):
        seen.append(batch)
        return {"zero": output.logits.sum() * 0}

    data = dataclasses.replace(
        people(), ids=people().ids.where(people().ids > 5, -1)
    )  # the first person becomes junk
    plan = Plan(steps=2, people=4, pictures=3)
    fit(Method(look), data, plan, model=net(), progress=False)
    batch = seen[1]
    assert (
        batch.step == 1
        and batch.index.min() >= 0
        and batch.ids.max() < 7
        and len(batch.ids.unique()) == 4
    )
    # index counts within the record as it was handed over, ids among the people who are left
    people_left = data.ids[data.ids >= 0].unique()
    assert torch.equal(people_left[batch.ids], data.ids[batch.index])
    assert torch.equal(batch.cameras, data.cameras[batch.index])
    assert torch.equal(batch.masks, data.masks[batch.index])
    assert torch.equal(batch.attributes["tone"], data.attributes["tone"][batch.index])
    assert torch.equal(batch.images, data.images[batch.index].float())


def test_masks_move_with_their_pictures():
    seen = []

    def look(output, batch):
        seen.append(batch)
        return {"zero": output.logits.sum() * 0}

    mirror = partial(augment.flip, probability=1.0)
    plan = Plan(steps=1, people=4, pictures=3, augment=mirror)
    fit(Method(look), people(), plan, model=net(), progress=False)
    data = people()
    batch = seen[0]
    assert torch.equal(batch.masks, data.masks[batch.index].flip(2))
    assert batch.masks.dtype == torch.uint8
    assert torch.equal(batch.images, data.images[batch.index].flip(3).float())


def test_schedules():
    cosine = Plan(steps=120, lr=1.0, warmup=10)
    rates = [lr_at(step, cosine) for step in range(120)]
    assert rates[0] == pytest.approx(0.1) and rates[5] == pytest.approx(0.55) and rates[10] == 1.0
    assert rates[65] == pytest.approx(0.5) and rates[119] < 0.001
    falling = Plan(steps=120, lr=1.0, warmup=0, schedule="step")
    steps = [lr_at(step, falling) for step in (0, 39, 40, 69, 70)]
    assert steps == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert lr_at(50, Plan(steps=60, lr=1.0, warmup=10, schedule="constant")) == 1.0
    _, history = train(steps=20, warmup=4)
    plan = Plan(steps=20, lr=0.01, warmup=4)
    assert history.column("lr") == [lr_at(step, plan) for step in range(20)]


def test_frozen_means_bit_identical_buffers_too_and_then_it_moves():
    before = net()
    assert all(
        torch.equal(value, dict(train(steps=4, freeze={"trunk": 4})[0].trunk.state_dict())[name])
        for name, value in before.trunk.state_dict().items()
    )
    moved = train(steps=5, freeze={"trunk": 4}, warmup=0)[0]
    assert not torch.equal(moved.trunk[0].weight, before.trunk[0].weight)
    assert not torch.equal(moved.trunk[1].running_mean, before.trunk[1].running_mean)
    assert all(value.requires_grad for value in moved.parameters())


def test_what_needs_no_gradient_is_left_out_and_rates_scale():
    model = net()
    model.head.weight.requires_grad_(False)
    train(model, steps=3, freeze={})
    assert torch.equal(model.head.weight, net().head.weight) and not model.head.weight.requires_grad
    still = train(steps=3, freeze={}, lr_factors={"trunk": 0.0}, optimizer="sgd")[0]
    assert torch.equal(still.trunk[0].weight, net().trunk[0].weight) and not torch.equal(
        still.head.weight, net().head.weight
    )


def test_weight_decay_spares_what_it_is_told_to():
    """With no gradient but decay, everything shrinks except parameters of these names."""

    def nothing(output, batch):
        return {"zero": 0 * output.logits.sum()}

    before = net()
    for optimizer in ("adam", "sgd"):
        after = train(
            losses=nothing,
            steps=3,
            freeze={},
            optimizer=optimizer,
            weight_decay=0.1,
            undecayed=("weight",),
        )[0]
        assert torch.equal(after.head.weight, before.head.weight) and torch.equal(
            after.trunk[0].weight, before.trunk[0].weight
        )
        assert after.head.bias.abs().sum() < before.head.bias.abs().sum()


def test_a_method_with_its_own_step():
    def step(model, batches, optimizers, progress):
        batch, optimizer = batches["train"], optimizers["main"]
        optimizer.zero_grad()
        loss = losses.cross_entropy(model(batch.images).logits, batch.ids).mean()
        (2 * loss).backward()
        optimizer.step()
        return {"own": loss, "progress": progress}

    _, history = train(losses=None, step=step, steps=4)
    assert (
        history.column("progress") == [0, 0.25, 0.5, 0.75]
        and history[0]["loss"] == history[0]["own"] + history[0]["progress"]
    )


def test_bfloat16_runs_and_losses_stay_float32():
    kinds = set()

    def look(output, batch):
        kinds.add(losses.cross_entropy(output.logits, batch.ids).dtype)
        return both(output, batch)

    _, history = train(losses=look, steps=4, precision="bfloat16")
    assert kinds == {torch.float32} and all(
        math.isfinite(value) for value in history.column("loss")
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"steps": 0}, "steps is 0"),
        ({"optimizer": "lion"}, "lion"),
        ({"schedule": "flat"}, "flat"),
        ({"precision": "half"}, "half"),
        ({"people": 9}, "P=9 .* have 8"),
        ({"device": "abacus"}, "abacus"),
        ({"losses": None}, "needs losses"),
    ],
)
def test_wrong_arguments_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        train(**changes)
    with pytest.raises(AttributeError, match="torso"):
        train(lr_factors={"torso": 0.1})


def test_a_loss_that_is_not_finite_names_step_and_part(tmp_path):
    def breaks(output, batch):
        return {
            "fine": output.logits.mean(),
            "broken": output.logits.sum() * (math.nan if batch.step == 3 else 0),
        }

    model = net()
    with pytest.raises(FloatingPointError, match="step 3: loss part 'broken'.*lower lr"):
        train(model, losses=breaks, keep="breaks")
    assert same(model, net()) and all(value.requires_grad for value in model.parameters())
