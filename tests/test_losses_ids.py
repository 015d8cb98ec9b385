"""Ids that a loss cannot take: junk, no class, another type or shape. Each loss says so."""

import pytest
import torch

from reidkit import losses
from reidkit.layers.heads import Output
from reidkit.methods import metabin
from reidkit.methods.baseline import baseline_losses
from reidkit.methods.three_ways import way_losses
from reidkit.training import Batch

VALUES = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
DOMAINS = torch.tensor([0, 0, 1, 1])
CENTRES = torch.zeros(5, 5)
IDENTITY = {
    "cross_entropy": lambda ids: losses.cross_entropy(VALUES, ids),
    "cross_entropy, smoothed": lambda ids: losses.cross_entropy(VALUES, ids, 0.1, "fastreid"),
    "cross_entropy, adaptive": lambda ids: losses.cross_entropy(VALUES, ids, 0.1, "adaptive"),
    "arcface_logits": lambda ids: losses.arcface_logits(VALUES, ids),
    "cosface_logits": lambda ids: losses.cosface_logits(VALUES, ids),
    "circle_logits": lambda ids: losses.circle_logits(VALUES, ids),
    "centre_loss": lambda ids: losses.centre_loss(VALUES, ids, CENTRES),
}
METRIC = {
    "batch_hard_triplet": lambda ids: losses.batch_hard_triplet(VALUES, ids),
    "batch_hard_triplet, cosine": lambda ids: losses.batch_hard_triplet(VALUES, ids, 0.3, "cosine"),
    "weighted_triplet": lambda ids: losses.weighted_triplet(VALUES, ids),
    "circle": lambda ids: losses.circle(VALUES, ids),
    "contrastive": lambda ids: losses.contrastive(VALUES, ids),
    "pairs": losses.pairs,
    "shuffle_loss": lambda ids: metabin.shuffle_loss(VALUES, ids, DOMAINS),
}
ALL = IDENTITY | METRIC


def name_of(kind):
    return kind.partition(",")[0]


@pytest.mark.parametrize("ids", [[0, 1, 2, -1], [-1, -1, -1, -1], [-7, 0, 1, 2], [0, -100, 1, 2]])
@pytest.mark.parametrize("kind", ALL)
def test_junk_is_nobody(kind, ids):
    """Not the last centre, not one person of all junk, and no picture without a margin."""
    with pytest.raises(ValueError) as caught:
        ALL[kind](torch.tensor(ids))
    said = str(caught.value)
    assert said.startswith(f"{name_of(kind)}: the lowest of the ids is {min(ids)}; expected 0 or")
    assert "junk" in said and "is_junk(data.ids)" in said


@pytest.mark.parametrize("ids", [[0, 1, 2, 5], [5, 5, 5, 5], [0, 1500, 2, 3]])
@pytest.mark.parametrize("kind", IDENTITY)
def test_ids_that_are_no_class(kind, ids):
    with pytest.raises(ValueError) as caught:
        IDENTITY[kind](torch.tensor(ids))
    said = str(caught.value)
    expected = f"{name_of(kind)}: the highest of the ids is {max(ids)}; expected 0 to 4, as there"
    assert said.startswith(expected)
    assert "data.relabelled()" in said and "as many classes as there are people" in said


@pytest.mark.parametrize("kind", METRIC)
def test_metric_losses_take_any_number_of_people(kind):
    made = METRIC[kind](torch.tensor([7, 7, 10**12, 10**12]))
    expected = METRIC[kind](torch.tensor([0, 0, 1, 1]))
    if isinstance(made, tuple):
        assert all(value.equal(wanted) for value, wanted in zip(made, expected))
    else:
        assert made.equal(expected)


@pytest.mark.parametrize(
    "ids",
    [
        torch.tensor([0.0, 1.0, 2.0, 3.0]),
        torch.tensor([0, 1, 2, 3], dtype=torch.int32),
        torch.tensor([True, False, True, False]),
        torch.tensor([[0, 1, 2, 3]]),
        torch.tensor([[0], [1], [2], [3]]),
        torch.tensor(1),
    ],
)
@pytest.mark.parametrize("kind", ALL)
def test_ids_of_another_type_or_shape(kind, ids):
    with pytest.raises(ValueError, match=rf"^{name_of(kind)}: got .* with ids .*int64 ids \(B,\)"):
        ALL[kind](ids)


@pytest.mark.parametrize("kind", ALL)
def test_ids_that_are_no_tensor_or_of_another_length(kind):
    with pytest.raises(ValueError, match=rf"^{name_of(kind)}: ids are a list; expected an int64"):
        ALL[kind]([0, 1, 2, 3])
    if kind == "pairs":
        return
    for count in (0, 3, 5):
        with pytest.raises(ValueError, match=rf"\(4, 5\) with ids torch.int64 \({count},\)"):
            ALL[kind](torch.zeros(count, dtype=torch.int64))


def test_values_of_another_shape():
    ids = torch.zeros(4, dtype=torch.int64)
    for values in (torch.zeros(4), torch.tensor(0.0), torch.zeros(4, 5, 1)):
        for loss in (losses.cross_entropy, losses.arcface_logits, losses.batch_hard_triplet):
            with pytest.raises(ValueError, match="expected .B, D. or .B, C."):
                loss(values, ids)
    for rows in (torch.zeros(5, 4), torch.zeros(5), torch.zeros(5, 1)):
        with pytest.raises(ValueError, match=r"centre_loss: got features \(4, 5\) with rows"):
            losses.centre_loss(VALUES, ids, rows)


def test_right_ids_cost_no_digit():
    ids = torch.tensor([0, 4, 2, 4])
    for kind, loss in ALL.items():
        made = loss(ids)
        made = made[0] if isinstance(made, tuple) else made
        assert made.isfinite().all() if made.is_floating_point() else True, kind


def test_an_empty_batch_has_no_loss():
    none = torch.zeros(0, dtype=torch.int64)
    for loss in (losses.cross_entropy, losses.batch_hard_triplet, losses.contrastive):
        with pytest.raises(ValueError, match="the batch is empty; expected one picture or more"):
            loss(VALUES[:0], none)


@pytest.mark.parametrize("labels", [[0, 1, 2, 3], [-2, 0, 1, 0], [0, 0, 0, 100]])
def test_labels_of_attributes(labels):
    heads = {"hat": VALUES[:, :2], "coat": VALUES[:, :3]}
    right = {"hat": torch.tensor([0, 1, -1, 0]), "coat": torch.tensor([0, 2, -1, 1])}
    assert losses.attribute_loss(heads, right).isfinite().all()
    wrong = right | {"coat": torch.tensor(labels)}
    ends = f"from {min(labels)} to {max(labels)}; expected 0 to 2"
    with pytest.raises(ValueError, match=f"the labels of coat go {ends}.* or -1 where"):
        losses.attribute_loss(heads, wrong)
    for label in (right["coat"].float(), right["coat"][:3]):
        with pytest.raises(ValueError, match=r"coat has logits \(4, 3\) with labels"):
            losses.attribute_loss(heads, right | {"coat": label})


def test_losses_of_methods_say_it_too():
    output = Output(VALUES, VALUES, VALUES)
    ids = torch.tensor([0, 1, -1, 2])
    places = torch.arange(4)
    batch = Batch(None, ids, places, DOMAINS, places, {}, None, 0)
    for method in (
        baseline_losses,
        way_losses("identity"),
        way_losses("triplet"),
        way_losses("contrastive"),
        lambda output, batch: metabin.episode_losses(
            ("shuffle",), output, batch.ids, batch.domains
        ),
    ):
        with pytest.raises(ValueError, match="the lowest of the ids is -1"):
            method(output, batch)


@pytest.mark.parametrize("loss", [losses.cross_entropy, losses.arcface_logits])
def test_logits_that_are_none(loss):
    with pytest.raises(ValueError, match="logits are None; expected a tensor .B, C."):
        loss(None, torch.tensor([0, 1]))


@pytest.mark.parametrize("loss", [losses.verification, losses.balanced_mean])
@pytest.mark.parametrize("turn", [torch.Tensor.long, torch.Tensor.byte, torch.Tensor.float, list])
def test_what_tells_pairs_apart_is_bool(loss, turn):
    values = torch.tensor([1.0, 5.0, 3.0, 40.0])
    same = torch.tensor([True, False, False, True])
    loss(values, same)
    with pytest.raises(ValueError, match="expected .n,. with bool .n,."):
        loss(values, turn(same))
    with pytest.raises(ValueError, match="expected .n,. with bool .n,."):
        loss(values, same[:3])
