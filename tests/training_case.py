"""A small training run, shared by the tests and by the processes that they kill: python
tests/training_case.py FILE.
"""

import os
import sys
import time

import pytest
import torch
from torch import nn

from reidkit import augment, losses, sampling
from reidkit.layers.heads import Output
from reidkit.record import ReIDData
from reidkit.training import Method, Plan, fit

STEPS = 60


def people(count=8, pictures=6, masks=True):
    """Noisy one-coloured people, 16 x 8 pixels."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.arange(count).repeat_interleave(pictures) * 3 + 5  # gaps: fit must relabel
    colours = torch.randint(40, 215, (count, 3, 1, 1), generator=draw).repeat_interleave(
        pictures, 0
    )
    images = (colours + torch.randint(-30, 31, (len(ids), 3, 16, 8), generator=draw)).to(
        torch.uint8
    )
    return ReIDData(
        images,
        ids,
        torch.arange(len(ids)) % 2,
        torch.zeros_like(ids),
        images[:, 0] % 5 if masks else None,
        {"tone": ids % 2},
        "colours",
    )


class Net(nn.Module):
    """Batch norm (buffers) and dropout (randomness): what a resume can get wrong."""

    def __init__(self, classes=8):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(8, classes)

    def forward(self, images):
        feature = self.trunk(images).mean((2, 3))
        return Output(feature, self.head(feature))


def net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Net()


def both(output, batch):
    return {
        "identity": losses.cross_entropy(output.logits, batch.ids).mean(),
        "triplet": losses.batch_hard_triplet(output.feature, batch.ids).mean(),
    }


def train(model=None, losses=both, step=None, sampler=sampling.by_identity, **changes):
    """(trained model, history); `changes`: fields of the plan, and keep and device of fit."""
    rest = {name: changes.pop(name) for name in ("keep", "device") if name in changes}
    settings = {
        "steps": STEPS,
        "people": 4,
        "pictures": 3,
        "lr": 0.01,
        "augment": augment.standard,
        "checkpoint_every": 0.0,
        "freeze": {"head": 5},
    }
    method = Method(losses=losses, step=step, sampler=sampler)
    model = net() if model is None else model
    plan = Plan(**settings | changes)
    return fit(method, people(), plan, model=model, progress=False, **rest)


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Nothing is read from or written to the course's own cache; one thread, so that numbers are
    those of other processes.
    """
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("REIDKIT_CACHE", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def slow(output, batch):
    """So that there is a moment to be killed in; TEST_GATE names a file without which step 5 does
    not end."""
    time.sleep(0.01)
    gate = os.environ.get("TEST_GATE")
    while gate and batch.step >= 5 and not os.path.exists(gate):
        time.sleep(0.01)
    return both(output, batch)


if __name__ == "__main__":
    torch.set_num_threads(1)
    trained, _ = train(losses=slow, keep="killed")
    torch.save(trained.state_dict(), sys.argv[1])
