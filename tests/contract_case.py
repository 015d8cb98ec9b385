"""Two toy methods for the contract of `fit`, shared by the tests and by the processes that they
kill: python tests/contract_case.py NAME FILE."""

import sys
import time
from dataclasses import dataclass

import torch
from torch import nn
from training_case import net, people

from reidkit import losses, sampling
from reidkit.training import MAIN, Plan, fit

STEPS = 40


def source_and_target():
    return {"source": people(), "target": people(6, 5, masks=False).unlabelled()}


# ---- a GAN: two networks, two optimizers, two batches of one record


class Gan(nn.Module):
    """Paints 16 x 8 pictures from noise, and tells painted from real ones."""

    def __init__(self):
        super().__init__()
        self.painter = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 3 * 16 * 8))
        self.judge = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.LazyLinear(1)
        )
        self.judge(torch.zeros(2, 3, 16, 8))  # so that all sizes are known

    def forward(self, noise):
        return self.painter(noise).view(-1, 3, 16, 8)


@dataclass(frozen=True)
class ToyGan:
    """Both networks learn in turn, each with an optimizer of its own, the judge at four times the
    plan's rate.
    """

    def make(self, classes):
        return Gan()

    def optimizers(self, model, plan):
        return {
            "painter": torch.optim.Adam(model.painter.parameters(), plan.lr, betas=(0.5, 0.9)),
            "judge": torch.optim.SGD(model.judge.parameters(), 4 * plan.lr, momentum=0.9),
        }

    def sampler(self, data, people, pictures, seed, start):
        first = sampling.pk_batches(data.ids, people, pictures, seed, start)
        second = sampling.pk_batches(data.ids, people, pictures, seed + 1, start)
        for judged, copied in zip(first, second):
            yield {"judged": judged, "copied": copied}

    def step(self, model, batches, optimizers, progress):
        real = batches["judged"].images / 127.5 - 1
        painted = model(torch.randn(len(real), 4))
        judge_loss = _should_be(model.judge(real), 1) + _should_be(model.judge(painted.detach()), 0)
        _follow(judge_loss, optimizers["judge"])
        target = batches["copied"].images / 127.5 - 1
        painter_loss = _should_be(model.judge(painted), 1) + (painted - target).square().mean()
        _follow(painter_loss, optimizers["painter"])
        return {"judge": judge_loss, "painter": painter_loss}


def _should_be(logits, value):
    return nn.functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, value))


def _follow(loss, optimizer):
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


# ---- labelled source, unlabelled target, and a memory of the target that is no part of the network


class ToyAdaptation:
    """Identity loss on the source; each target picture stays near what the memory holds of it. The
    target's sampler starts with the pictures whose memory has moved least."""

    def __init__(self):
        self.memory = torch.zeros(30, 8)  # a slot for each target picture
        self.age = torch.zeros(30, dtype=torch.int64)  # how often it was updated

    def state_dict(self):
        return {"memory": self.memory, "age": self.age}

    def load_state_dict(self, state):
        self.memory = state["memory"].clone()
        self.age = state["age"].clone()

    def make(self, classes):
        return net()

    def sampler(self, data, people, pictures, seed, start):
        assert (data["target"].ids == -1).all() and len(data["target"]) == len(self.age)
        source = sampling.pk_batches(data["source"].ids, people, pictures, seed, start)
        for step, index in enumerate(source, start):
            dice = torch.rand(len(self.age), generator=sampling.generator(seed, "target", step))
            youngest = (self.age + dice).argsort()[:10]
            yield {"source": index, "target": youngest}

    def step(self, model, batches, optimizers, progress):
        source, target = batches["source"], batches["target"]
        identity = losses.cross_entropy(model(source.images).logits, source.ids).mean()
        feature = model(target.images).feature
        near = (feature - self.memory[target.index]).square().mean()
        _follow(identity + near, optimizers[MAIN])
        self.memory = self.memory.index_copy(0, target.index, feature.detach())
        self.age = self.age.index_add(0, target.index, torch.ones_like(target.index))
        return {"identity": identity, "near": near}


def run(name, **changes):
    """(method, model, history) of one of the toys, kept under its name unless `keep` says
    otherwise.
    """
    fit_changes = {key: changes.pop(key) for key in ("keep",) if key in changes}
    toys = {
        "gan": (ToyGan(), people(masks=False)),
        "adaptation": (ToyAdaptation(), source_and_target()),
    }
    method, data = toys[name]
    plan = Plan(
        **{"steps": STEPS, "people": 4, "pictures": 3, "lr": 1e-3, "checkpoint_every": 0.0}
        | changes
    )
    model, history = fit(method, data, plan, progress=False, **fit_changes)
    return method, model, history


def slowed(cls):
    """So that there is a moment to be killed in."""
    step = cls.step

    def slow(self, *given):
        time.sleep(0.02)
        return step(self, *given)

    cls.step = slow


if __name__ == "__main__":
    torch.set_num_threads(1)
    slowed({"gan": ToyGan, "adaptation": ToyAdaptation}[sys.argv[1]])
    trained_method, trained, _ = run(sys.argv[1], keep="killed")
    tensors = dict(trained.state_dict())
    if sys.argv[1] == "adaptation":
        tensors |= trained_method.state_dict()
    torch.save(tensors, sys.argv[2])
