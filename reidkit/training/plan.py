"""What a training run is made of: a method (what is learnt, and how) and a plan (how long, how
fast, on what batches).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields

import torch
from torch import nn

from .. import sampling
from .checks import check_submodules

TRAIN = "train"  # the name of a batch whose sampler gives it none
MAIN = "main"  # the name of the one optimizer of most methods

CHOICES = {
    "optimizer": ("adam", "sgd"),
    "schedule": ("cosine", "step", "constant"),
    "precision": ("auto", "float32", "bfloat16"),
}
SEEDS = (-(2**63), 2**64 - 1)  # what torch takes
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
    # Steps until lr is reached; None is a tenth of all steps. A run with fewer never reaches it.
    warmup: int | None = None
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
            expected = f"one of {', '.join(map(repr, choices))}"
            _expect(isinstance(value, str) and value in choices, name, value, expected)
        for name in ("steps", "people", "pictures"):
            value = getattr(self, name)
            _expect(is_whole(value, 1), name, value, "a whole number of at least 1")
        for name in ("lr", "weight_decay"):
            value = getattr(self, name)
            _expect(is_number(value), name, value, "a number from 0, which is finite")
        wait = self.checkpoint_every
        is_never = isinstance(wait, float) and wait == math.inf
        expected = "seconds from 0, or math.inf for no checkpoint"
        _expect(is_number(wait) or is_never, "checkpoint_every", wait, expected)
        expected = "a whole number of steps from 0, or None for a tenth of all steps"
        _expect(self.warmup is None or is_whole(self.warmup), "warmup", self.warmup, expected)
        fits = is_whole(self.seed, SEEDS[0]) and self.seed <= SEEDS[1]
        _expect(fits, "seed", self.seed, "a whole number from -2^63 to 2^64 - 1")
        expected = "a function augment(images, generator), see reidkit.augment, or None"
        _expect(self.augment is None or callable(self.augment), "augment", self.augment, expected)
        self._check_names()

    def _check_names(self):
        """Whether what is set for parts of the network is set by their names."""
        words = self.undecayed
        is_names = isinstance(words, (tuple, list, set, frozenset)) and _are_words(words)
        expected = "names in brackets, such as ('gate',)"
        _expect(is_names, "undecayed", words, expected)
        for name, fits, expected in (
            ("lr_factors", is_number, "numbers from 0, such as {'trunk': 0.1}"),
            ("freeze", is_whole, "whole numbers of steps from 0, such as {'trunk': 100}"),
        ):
            parts = getattr(self, name)
            is_named = isinstance(parts, Mapping) and _are_words(parts)
            _expect(is_named, name, parts, f"a dict from a submodule's name to {expected}")
            for part, value in parts.items():
                _expect(fits(value), f"{name}[{part!r}]", value, expected)

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


def is_whole(value: object, lowest: int = 0) -> bool:
    """Whether a value is a Python int from `lowest`. True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= lowest


def is_number(value: object) -> bool:
    """Whether a value is a finite Python number from 0. True and False are none."""
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind and 0 <= value < math.inf


def _are_words(names):
    return all(isinstance(name, str) and name for name in names)


def _expect(fits, name, value, expected):
    if not fits:
        raise ValueError(f"{name} is {value!r}; expected {expected}")


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
        ValueError: nothing in the model can be trained.
    """
    check_submodules(model, plan.lr_factors, "lr_factors")
    check_submodules(model, plan.freeze, "freeze")
    members = {}  # (factor on the learning rate, weight decay) -> parameters
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            kind = (_lr_factor(name, plan), _weight_decay(name, plan))
            members.setdefault(kind, []).append(parameter)
    groups = [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in members.items()
    ]
    if not groups:
        count = len(list(model.parameters()))
        why = f"none of its {count} parameters has requires_grad" if count else "it has none"
        raise ValueError(
            f"{type(model).__name__} has no parameter to train: {why}; give fit a network whose "
            "parameters have requires_grad (model.requires_grad_(True))"
        )
    if plan.optimizer == "adam":
        return {MAIN: torch.optim.Adam(groups, plan.lr, eps=_adam_eps(model))}
    return {MAIN: torch.optim.SGD(groups, plan.lr, momentum=0.9, nesterov=True)}


def _adam_eps(model):
    """What Adam adds to the root of the mean square: 1e-8, which is 0 in half precision."""
    halves = any(parameter.dtype == torch.float16 for parameter in model.parameters())
    return 1e-4 if halves else 1e-8


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
        Without one, P x K over all identities of a single record.
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
