"""A training run and its files: what is needed to go on where it was stopped, bit for bit."""

import contextlib
import json
import os
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .. import files, store
from ..console import say
from ..runtime import versions
from ..weights import misfit
from .plan import Plan, is_number, is_whole

WEEK = 7 * 86400  # seconds
SOON = 1.0  # seconds until a line says that a run is waited for
MINUTE = 60.0  # seconds between two such lines
# Tensors of an optimizer's state that have the shape of their parameter.
LIKE_PARAMETERS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "momentum_buffer")


def remove_leftovers(folder: pathlib.Path) -> None:
    """Delete checkpoints of runs that nobody resumed for a week, and locks that nobody took."""
    for pattern in ("*.partial.safetensors", ".*.lock"):
        files.remove_old(folder, pattern, WEEK)


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


# ---- whose turn it is

_held = threading.local()  # paths of the runs that this thread trains just now


@contextlib.contextmanager
def turn(path: pathlib.Path, label: str) -> Iterator[bool]:
    """Let one process (and thread) at a time train the run of a path.

    Whoever comes second waits, and says so; the wait ends when the first one is done, or has died.
    A run that is asked for from inside itself does not wait for itself, and neither does anybody
    where the folder cannot be written or has no locks: there a run may be trained twice, with the
    same result.

    Args:
        path: of the run's result.
        label: what lines call the run.
    Yields:
        Whether it had to wait.
    """
    mine = _held.__dict__.setdefault("paths", set())
    if path in mine:
        yield False
        return
    with contextlib.ExitStack() as stack:
        waited = _take_turn(stack, path, label)
        mine.add(path)
        stack.callback(mine.discard, path)
        yield waited


def _take_turn(stack, path, label):
    """Enter the lock of a path, with a line now and then while another process has it."""
    begun = time.monotonic()
    patience = SOON
    while True:
        try:
            stack.enter_context(files.locked(path, patience))
            os.utime(files.lock_path(path))  # not yet a leftover
            return patience != SOON
        except TimeoutError:
            minutes = (time.monotonic() - begun) / 60
            say(
                f"{label}: another process trains this run; waiting for its result, {minutes:.0f} "
                "min so far (to stop waiting: Ctrl-C, or the stop button)"
            )
            patience = MINUTE
        except OSError:
            return False


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
        return files.keep(
            f"{self.label}: the checkpoint",
            lambda: store.save(self.partial, tensors, notes),
            "training goes on",
            once_in=self.path.parent,
        )

    def resume(self) -> None:
        """Go back to the last checkpoint, if there is a sound one."""
        if not self.path:
            return
        notes = self._load(self.partial, "training from the beginning")
        if notes is None:
            return
        self.step = notes["step"]
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
        written = files.keep(
            f"{self.label}: the result",
            lambda: store.save(self.path, self.state(), notes),
            "the model is trained all the same",
            once_in=self.path.parent,
        )
        if not written:
            return
        text = json.dumps(notes, indent=1)
        files.keep(
            f"{self.label}: the description beside the result",
            lambda: files.write_atomic(self.path.with_suffix(".json"), text),
            "the result itself is kept",
            once_in=self.path.parent,
        )
        self._drop_checkpoint()

    def load_result(self) -> bool:
        """True where the whole run could be loaded; an unsound file is named and counts as none."""
        if not self.path:
            return False
        notes = self._load(self.path, "training again")
        if notes is None:
            return False
        say(
            f"{self.label}: loaded, trained on {notes['date']} in {self.seconds:.0f} s "
            "(REIDKIT_CACHE=off trains afresh)"
        )
        self._drop_checkpoint()  # of a process that was killed between the two files
        return True

    def _drop_checkpoint(self):
        with contextlib.suppress(OSError):
            self.partial.unlink()

    def _load(self, path, otherwise):
        """Fill the run from one of its files -> the notes; None where there is no file, or after a
        line where it is not sound. Then nothing is changed."""
        if not os.path.lexists(path):
            return None
        try:
            tensors, notes = store.load(path)
            self._check_notes(path, notes)
            self._check_tensors(path, tensors)
            self._recall(path, tensors)
        except ValueError as error:
            say(f"{self.label}: checkpoint {error}; {otherwise}")
            return None
        fill(self.model, tensors)
        restore_optimizers(self.optimizers, tensors)
        self.seconds = notes["seconds"]
        self.history = notes["history"]
        return notes

    def _check_notes(self, path, notes):
        """ValueError where the notes of a result or a checkpoint are not those of this run."""
        steps = self.plan.steps
        notes = notes if isinstance(notes, Mapping) else {}
        if path == self.partial:
            step = notes.get("step")
            is_whose = is_whole(step, 1) and step <= steps
            expected = f"a step from 1 to {steps}"
        else:
            step = steps
            is_whose = isinstance(notes.get("date"), str)
            expected = "a date"
        history = notes.get("history")
        is_whole_history = isinstance(history, list) and all(map(_is_row, history))
        if not is_whose or not is_whole_history or len(history) != step:
            raise ValueError(
                f"{path.name} has the notes of another run ({_short(notes)}); expected {expected} "
                "and as many rows of history"
            )
        if not is_number(notes.get("seconds")):
            raise ValueError(
                f"{path.name} has no time of training (seconds: {notes.get('seconds')!r})"
            )

    def _check_tensors(self, path, tensors):
        """ValueError where the tensors of a file are not those of this model and optimizers."""
        own = self.model.state_dict()
        found = _under("model/", tensors)
        difference = misfit(found, own)
        for name, value in own.items():
            if not difference and found[name].dtype != value.dtype:
                difference = f"{name} is {found[name].dtype}, not {value.dtype}"
        if path == self.partial and not difference:
            difference = self._optimizer_misfit(tensors)
        if difference:
            raise ValueError(f"{path.name} is of another network ({difference})")

    def _optimizer_misfit(self, tensors):
        """Where the state of optimizers differs from what they could have, in words, or ""."""
        parameters = {}
        for key, optimizer in self.optimizers.items():
            for number, parameter in enumerate(_parameters(optimizer)):
                parameters[f"{key}/{number}"] = parameter
        for name, value in _under("optimizer/", tensors).items():
            place, _, part = name.rpartition("/")
            if place not in parameters:
                return f"there is no optimizer's parameter {place}"
            if part in LIKE_PARAMETERS and value.shape != parameters[place].shape:
                return f"{name} has the shape {tuple(value.shape)}"
        return ""

    def _recall(self, path, tensors):
        """Restore what the method remembers, or nothing of it and a ValueError."""
        before = {name: value.clone() for name, value in memory_tensors(self.memories).items()}
        try:
            restore_memories(self.memories, tensors)
        except Exception as error:  # whatever a method's load_state_dict raises
            restore_memories(self.memories, before)
            raise ValueError(
                f"{path.name} holds no memory of this method ({type(error).__name__}: {error})"
            ) from None


def _is_row(row: Any) -> bool:
    return isinstance(row, Mapping) and is_whole(row.get("step"))


def _short(notes):
    """The notes without what is long."""
    return ", ".join(f"{name} {notes[name]!r:.40}" for name in notes if name != "history")
