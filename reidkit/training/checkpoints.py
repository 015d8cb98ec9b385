"""A training run and its files: what is needed to go on where it was stopped, bit for bit."""

import json
import pathlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from .. import store
from ..console import say
from ..files import remove_old, write_atomic
from ..runtime import versions
from .plan import Plan

WEEK = 7 * 86400  # seconds


def remove_leftovers(folder: pathlib.Path) -> None:
    """Delete checkpoints of runs that nobody resumed for a week."""
    remove_old(folder, "*.partial.safetensors", WEEK)


# ---- state as flat dicts of tensors


def model_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The model's state under names that begin with "model/"."""
    return {f"model/{name}": value for name, value in model.state_dict().items()}


def fill(model: torch.nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Undo `model_tensors`.

    Args:
        model: to be filled.
        tensors: those of other things are left out.
    """
    model.load_state_dict(_under("model/", tensors))


def optimizer_tensors(optimizers: dict[str, torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """State of all optimizers as a flat dict; an optimizer's parameters are counted through its
    groups.
    """
    tensors = {}
    for key, optimizer in optimizers.items():
        for number, parameter in enumerate(_parameters(optimizer)):
            for name, value in optimizer.state.get(parameter, {}).items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer/{key}/{number}/{name}"] = value
    return tensors


def restore_optimizers(
    optimizers: dict[str, torch.optim.Optimizer], tensors: dict[str, torch.Tensor]
) -> None:
    """Undo `optimizer_tensors`, with each parameter's memory layout: the next step rounds alike.

    Args:
        optimizers: to be filled, by name.
        tensors: those of other things are left out.
    """
    for key, optimizer in optimizers.items():
        for number, parameter in enumerate(_parameters(optimizer)):
            state = _under(f"optimizer/{key}/{number}/", tensors)
            if state:
                optimizer.state[parameter] = {
                    name: _like(parameter, name, value) for name, value in state.items()
                }


def _like(parameter, name, value):
    if name == "step" or value.shape != parameter.shape:
        return value.clone()
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _under(prefix, tensors):
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def memories_of(method: object) -> dict[str, object]:
    """The parts of a method that keep tensors between steps: {"method": ..., "sampler": ...} as far
    as there are.
    """
    parts = {"method": method, "sampler": getattr(method, "sampler", None)}
    return {name: part for name, part in parts.items() if hasattr(part, "load_state_dict")}


def memory_tensors(memories: dict[str, object]) -> dict[str, torch.Tensor]:
    """What these parts keep, as a flat dict."""
    tensors = {}
    for key, part in memories.items():
        for name, value in part.state_dict().items():
            tensors[f"memory/{key}/{name}"] = value
    return tensors


def restore_memories(memories: dict[str, object], tensors: dict[str, torch.Tensor]) -> None:
    """Undo `memory_tensors`.

    Args:
        memories: to be filled, see `memories_of`.
        tensors: those of other things are left out.
    """
    for key, part in memories.items():
        part.load_state_dict(_under(f"memory/{key}/", tensors))


# ---- a run


@dataclass
class Run:
    """A training run and its files: `path` is the result's (None: nothing is kept), a partial one
    stands beside it.
    """

    model: torch.nn.Module
    optimizers: dict[str, torch.optim.Optimizer]
    memories: dict[str, object]
    plan: Plan
    label: str
    path: pathlib.Path | None
    step: int = 0  # the next one
    seconds: float = 0.0
    history: list = field(default_factory=list)

    @property
    def partial(self) -> pathlib.Path:
        return self.path.with_suffix(".partial.safetensors")

    def state(self) -> dict[str, torch.Tensor]:
        """What a result holds: the model, and what the method remembers."""
        return model_tensors(self.model) | memory_tensors(self.memories)

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Undo `state`."""
        fill(self.model, tensors)
        restore_memories(self.memories, tensors)

    def save(self) -> bool:
        """Write a checkpoint; a full disk costs the checkpoint, not the training -> whether it is
        there.
        """
        tensors = self.state() | optimizer_tensors(self.optimizers)
        notes = {"step": self.step, "seconds": self.seconds, "history": self.history}

        def write():
            store.save(self.partial, tensors, notes)

        return self._written("this checkpoint", "training goes on", write)

    def _written(self, what: str, meanwhile: str, write: Callable) -> bool:
        try:
            write()
        except OSError as error:
            say(
                f"{self.label}: {what} could not be kept ({error}); {meanwhile}. Make room on the "
                "disk, or point REIDKIT_CACHE_DIR to another one"
            )
            return False
        return True

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is a sound one."""
        if not self.path or not self.partial.exists():
            return
        try:
            tensors, notes = store.load(self.partial)
        except ValueError as error:
            say(f"{self.label}: checkpoint {error}; training from the beginning")
            return
        self.restore(tensors)
        restore_optimizers(self.optimizers, tensors)
        self.step = notes["step"]
        self.seconds = notes["seconds"]
        self.history = notes["history"]
        say(f"{self.label}: going on after step {self.step} of {self.plan.steps}")

    def finish(self) -> None:
        """Keep the result; the JSON beside it is for people, only the file itself is read."""
        if not self.path:
            return
        notes = {
            "settings": self.plan.settings(),
            "seconds": self.seconds,
            "date": time.strftime("%Y-%m-%d"),
            "versions": versions(("torch", "torchvision")),
            "history": self.history,
        }

        def write():
            store.save(self.path, self.state(), notes)
            write_atomic(self.path.with_suffix(".json"), json.dumps(notes, indent=1))
            self.partial.unlink(missing_ok=True)

        self._written("the result", "the model is trained all the same", write)

    def load_result(self) -> bool:
        """True where the whole run could be loaded; a damaged file is named and counts as none."""
        if not self.path or not self.path.exists():
            return False
        try:
            tensors, notes = store.load(self.path)
        except ValueError as error:
            say(f"{self.label}: checkpoint {error}; training again")
            return False
        self.restore(tensors)
        self.seconds = notes["seconds"]
        self.history = notes["history"]
        say(
            f"{self.label}: loaded, trained on {notes['date']} in {self.seconds:.0f} s "
            "(REIDKIT_CACHE=off trains afresh)"
        )
        return True
