"""Ways to train: each does what it says, near pairs are of one domain, an unknown way stops."""

import pytest
import torch

from reidkit import losses
from reidkit.layers.heads import Output
from reidkit.methods.three_ways import WAYS, ThreeWays, way_losses
from reidkit.training import Batch


def batch(domains):
    ids = torch.tensor([0, 0, 1, 1, 2, 2])
    colour = torch.tensor([0, 0, 1, 1, 0, 0])
    return Batch(
        torch.rand(6, 3, 64, 32),
        ids,
        ids * 0,
        torch.tensor(domains),
        ids,
        {"colour": colour},
        None,
        0,
    )


def test_every_way_trains_its_own_heads():
    torch.manual_seed(0)
    model = ThreeWays(3, {"colour": 2})
    heads = {
        "identity": model.classifier,
        "verification": model.judge,
        "verification-near": model.judge,
        "attributes": model.attributes,
    }
    for way in WAYS:
        model.zero_grad()
        given = batch([0, 0, 0, 0, 1, 1])
        parts = way_losses(way)(model(given.images), given)
        assert list(parts) == [way]
        assert parts[way].ndim == 0
        parts[way].backward()
        touched = {
            name
            for name, head in heads.items()
            if any(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
        }
        assert touched == {name for name in heads if heads[name] is heads.get(way)}
        assert model.trunk.conv1.weight.grad.abs().sum() > 0
    given = batch([0] * 6)
    assert list(way_losses("identity+triplet")(model(given.images), given)) == [
        "identity",
        "triplet",
    ]


def test_near_pairs_are_of_one_domain():
    """The third person stands elsewhere: moving her changes verification, not verification-near."""
    torch.manual_seed(0)
    neck = torch.randn(6, 4)
    moved = neck.clone()
    moved[4:] += 5.0  # both of her pictures: her own pair keeps its difference
    given = batch([0, 0, 0, 0, 1, 1])
    out = [
        Output(x, None, x, {"judge": lambda a, b: -(a - b).square().sum(1)}) for x in (neck, moved)
    ]
    near = [way_losses("verification-near")(o, given)["verification-near"] for o in out]
    every = [way_losses("verification")(o, given)["verification"] for o in out]
    assert torch.allclose(near[0], near[1])
    assert not torch.allclose(every[0], every[1])
    near_pairs = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (4, 5))
    logits = torch.stack([-(neck[i] - neck[j]).square().sum() for i, j in near_pairs])
    same = torch.tensor([True, False, False, False, False, True, True])
    assert torch.allclose(near[0], losses.balanced_mean(losses.verification(logits, same), same))


def test_an_unknown_way_is_named():
    with pytest.raises(ValueError, match="'guessing' is not known; expected identity"):
        way_losses("identity+guessing")


@pytest.mark.slow
def test_two_threads_train_the_same_bits_twice(monkeypatch):
    """Each picture is in many pairs, whose gradients must not be added as the threads arrive."""
    from reidkit import world
    from reidkit.training import Method, Plan, fit

    monkeypatch.setenv("REIDKIT_CACHE", "off")
    torch.set_num_threads(2)
    data = world.sample([("demo", 0)], people=16, cameras=2, pictures=2, size=(64, 32), cache=False)
    values = {name: int(value.max()) + 1 for name, value in data.attributes.items()}

    def trained():
        torch.manual_seed(0)
        model = ThreeWays(16, values)
        method = Method(way_losses("verification"))
        fit(method, data, Plan(steps=6, lr=3e-3), model=model, progress=False)
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    first = trained()
    assert all(torch.equal(first, trained()) for _ in range(3))
    assert not torch.are_deterministic_algorithms_enabled()
