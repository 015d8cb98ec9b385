"""What a training run is made of: a method (what is learnt, and how) and a plan (how long, how
fast, on what batches).
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import nn

from .. import sampling

TRAIN = "train"  # the name of a batch whose sampler gives it none
MAIN = "main"  # the name of the one optimizer of most methods

CHOICES = {
    "optimizer": ("adam", "sgd"),
    "schedule": ("cosine", "step", "constant"),
    "precision": ("auto", "float32", "bfloat16"),
}
NOT_SETTINGS = {"augment", "checkpoint_every"}  # described apart, or of no influence on the result


@dataclass(frozen=True)
class Plan:
    """How a run goes. Each field has its reason beside it."""

    steps: int
    people: int = 16  # P identities in a batch: enough strangers for a hard negative
    pictures: int = 4  # K pictures of each: enough of one person for a hard positive
    lr: float = 3.5e-4  # learning rate at its height (BoT); small trunks bear ten times as much
    lr_factors: Mapping[str, float] = field(default_factory=dict)  # submodule -> factor on lr
    optimizer: str = "adam"  # or "sgd": Nesterov, momentum 0.9
    weight_decay: float = 5e-4  # of all that is trained
    # Parameters that are not decayed, by the last part of their name: {"gate"} keeps the gates of
    # batch-instance norm from being pulled to 0.
    undecayed: tuple[str, ...] = ()
    warmup: int | None = None  # steps until lr is reached; None is a tenth of all steps
    schedule: str = "cosine"  # see lr_at
    # Submodule -> first steps in which it stands still: no gradient, no decay, batch norm in eval
    # mode.
    freeze: Mapping[str, int] = field(default_factory=dict)
    # augment(images, generator) or augment(images, generator, labels), images float 0..255, see
    # reidkit.augment; a mask rides along as fourth channel.
    augment: Callable | None = None
    # "auto": bfloat16 autocast on a GPU; on a CPU float32, since few processors compute in bfloat16
    # (one that does was 1.5 times faster on the tiny trunk).
    precision: str = "auto"
    seed: int = 0  # of batches, augmentation and dropout, and of first weights that fit makes
    checkpoint_every: float = 20.0  # seconds between two checkpoints of a run that is kept

    def __post_init__(self):
        for name, choices in CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                expected = ", ".join(map(repr, choices))
                raise ValueError(f"{name} is {value!r}; expected one of {expected}")
        for name in ("steps", "people", "pictures"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}; expected a whole number of at least 1")
        json.dumps(self.settings())  # they go into the result's header: better fail now

    @property
    def warmup_steps(self) -> int:
        return self.steps // 10 if self.warmup is None else self.warmup

    def settings(self) -> dict:
        """All numbers and words of the plan, as JSON can hold them."""
        chosen = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name in NOT_SETTINGS:
                continue
            if isinstance(value, (tuple, set, frozenset)):
                value = sorted(value)
            chosen[one.name] = dict(value) if isinstance(value, Mapping) else value
        return chosen | {"warmup": self.warmup_steps}


def lr_at(step: int, plan: Plan) -> float:
    """The learning rate of one step.

    Linear from a tenth of `plan.lr` to all of it over the warm-up, then by `plan.schedule`:
    "cosine" to 0, "step" (a tenth after 1/3 and again after 7/12 of all steps: BoT's 40 and 70 of
    120 epochs) or "constant".

    Args:
        step: counted from 0.
        plan: of the run.
    """
    warmup = plan.warmup_steps
    if step < warmup:
        return plan.lr * (0.1 * (1 - step / warmup) + step / warmup)
    if plan.schedule == "cosine":
        share = (step - warmup) / max(plan.steps - warmup, 1)
        return plan.lr * 0.5 * (1 + math.cos(math.pi * share))
    if plan.schedule == "step":
        falls = (step >= plan.steps / 3) + (step >= plan.steps * 7 / 12)
        return plan.lr * 0.1**falls
    return plan.lr


def make_optimizers(model: nn.Module, plan: Plan) -> dict[str, torch.optim.Optimizer]:
    """One optimizer of all that is trained, as most methods need: {"main": optimizer}.

    Args:
        model: parameters without requires_grad are left out.
        plan: lr, lr_factors, weight_decay, undecayed, optimizer.
    Raises:
        AttributeError: lr_factors or freeze name a submodule that the model does not have.
    """
    for name in (*plan.lr_factors, *plan.freeze):
        model.get_submodule(name)  # a misspelt name stops here, and torch names it
    members = {}  # (factor on the learning rate, weight decay) -> parameters
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = (_lr_factor(name, plan), _weight_decay(name, plan))
            members.setdefault(kind, []).append(parameter)
    groups = [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in members.items()
    ]
    if plan.optimizer == "adam":
        return {MAIN: torch.optim.Adam(groups, plan.lr)}
    return {MAIN: torch.optim.SGD(groups, plan.lr, momentum=0.9, nesterov=True)}


def _lr_factor(name, plan):
    matches = [factor for part, factor in plan.lr_factors.items() if name.startswith(f"{part}.")]
    return matches[-1] if matches else 1.0


def _weight_decay(name, plan):
    last = name.rpartition(".")[2]
    return 0.0 if last in plan.undecayed else plan.weight_decay


@dataclass(frozen=True)
class Method:
    """What a method adds to the loop. Any object with these attributes is one; this class is for
    functions.

    losses: losses(output, batch) -> dict name -> scalar, added up and followed against their
    gradient. step: or step(model, batches, optimizers, progress) -> dict of numbers, for a method
    that updates in its own way.
        batches: name -> Batch (or a list of them, where the sampler yields a list); optimizers:
            name -> optimizer;
        progress: share of the steps done, 0 .. 1. What it changes must be a parameter or buffer of
        the model, or in the method's own `state_dict()`, and its randomness torch's, to survive a
        resume.
    sampler: sampler(data, people, pictures, seed, start) yields what a step looks at, beginning
        with step `start`: indices into the record, or {name: indices or a list of indices}.
    make: make(classes) -> the network, where `fit` is not given one. optimizers: optimizers(model,
    plan) -> {name: optimizer}. The learning rate of every group follows the plan's
        schedule, in proportion to the rate that it was made with.

    A method (or its sampler) that keeps tensors of its own between steps, a memory say, has
    `state_dict()` and `load_state_dict(state)`: they are kept in checkpoints beside the model.
    """

    losses: Callable | None = None
    step: Callable | None = None
    sampler: Callable = sampling.by_identity
    make: Callable | None = None
    optimizers: Callable = make_optimizers
