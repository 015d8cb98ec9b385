"""Training runs on disk.

A checkpoint is one safetensors file whose header carries a small JSON (step, history, ...) and a digest of everything:
it is replaced in one step, so that weights and JSON can never come from two moments, and damage is noticed. No pickle.
"""

import json
import pathlib
import sys
import time
from dataclasses import dataclass, field

import safetensors
import safetensors.torch
import torch
from tqdm import tqdm

from .files import atomic_path, digest, write_atomic
from .runtime import versions


def save(path, tensors, notes):
    """Write a dict name -> tensor and json-able notes as one file, atomically. OSError where the disk does not take it."""
    whole = torch.contiguous_format
    tensors = {
        name: value.detach().cpu().clone(memory_format=whole) for name, value in tensors.items()
    }
    notes = json.dumps(notes)
    try:
        with atomic_path(path) as temporary:
            metadata = {"notes": notes, "digest": _content(tensors, notes)}
            safetensors.torch.save_file(tensors, temporary, metadata=metadata)
    except safetensors.SafetensorError as error:  # what a full disk raises
        raise OSError(str(error)) from None


def load(path):
    """(tensors, notes) of a file made by `save`; ValueError if it is damaged or of another kind."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            # clones: Windows neither replaces nor deletes a file that a tensor still looks into
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}
        if header["digest"] != _content(tensors, header["notes"]):
            raise ValueError("its content does not match its digest")
        return tensors, json.loads(header["notes"])
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise ValueError(f"checkpoint {pathlib.Path(path).name} is damaged ({error})") from None


def _content(tensors, notes):
    return digest(notes, *(part for name in sorted(tensors) for part in (name, tensors[name])))


def optimizer_tensors(optimizer):
    """The optimizer's state as a flat dict; parameters are counted through its groups."""
    return {
        f"optimizer/{number}/{name}": value
        for number, parameter in enumerate(_parameters(optimizer))
        for name, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimizer(optimizer, tensors):
    """Undo `optimizer_tensors`, with the memory layout of each parameter, so that the next step rounds alike."""
    for number, parameter in enumerate(_parameters(optimizer)):
        prefix = f"optimizer/{number}/"
        state = {
            name.removeprefix(prefix): value
            for name, value in tensors.items()
            if name.startswith(prefix)
        }
        if state:
            optimizer.state[parameter] = {
                name: value
                if name == "step"
                else torch.empty_like(parameter, requires_grad=False).copy_(value)
                for name, value in state.items()
            }


def _parameters(optimizer):
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def remove_leftovers(folder):
    """Delete half-written files of an hour ago and checkpoints of runs that nobody resumed for a week."""
    for pattern, age in ((".*.part", 3600), ("*.partial.safetensors", 7 * 86400)):
        for path in folder.glob(pattern):
            if path.exists() and time.time() - path.stat().st_mtime > age:
                path.unlink(missing_ok=True)


def say(message):
    """Beside the progress bar, on stderr: what depends on the clock and on the cache is no output to compare."""
    tqdm.write(message, file=sys.stderr)


@dataclass
class Run:
    """A training run and its files: `store` is the result's path (None: nothing is kept); a partial one beside it."""

    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    settings: dict
    label: str
    store: pathlib.Path | None
    every: float  # seconds between checkpoints
    step: int = 0  # the next one
    seconds: float = 0.0
    history: list = field(default_factory=list)

    @property
    def partial(self):
        return self.store.with_suffix(".partial.safetensors")

    def save(self):
        """Whether a checkpoint could be written: a full disk costs the checkpoint, not the training."""
        checkpoint = model_tensors(self.model) | optimizer_tensors(self.optimizer)
        notes = {"step": self.step, "seconds": self.seconds, "history": self.history}
        return self._kept(
            "this checkpoint", "training goes on", lambda: save(self.partial, checkpoint, notes)
        )

    def _kept(self, what, meanwhile, write):
        try:
            write()
        except OSError as error:
            say(
                f"{self.label}: {what} could not be kept ({error}); {meanwhile}. Make room on the disk, or point "
                "REIDKIT_CACHE_DIR to another one"
            )
            return False
        return True

    def resume(self):
        """Go back to the last checkpoint, if there is a sound one."""
        if not self.store or not self.partial.exists():
            return
        try:
            tensors, notes = load(self.partial)
        except ValueError as error:
            say(f"{self.label}: {error}; training from the beginning")
            return
        fill(self.model, tensors)
        restore_optimizer(self.optimizer, tensors)
        self.step, self.seconds, self.history = notes["step"], notes["seconds"], notes["history"]
        say(f"{self.label}: going on after step {self.step} of {self.settings['steps']}")

    def finish(self):
        """Keep the result; the JSON beside it is for people, the weights' own header is what is read."""

        def write():
            save(self.store, model_tensors(self.model), notes)
            write_atomic(self.store.with_suffix(".json"), json.dumps(notes, indent=1))
            self.partial.unlink(missing_ok=True)

        if self.store:
            notes = {
                "settings": self.settings,
                "seconds": self.seconds,
                "date": time.strftime("%Y-%m-%d"),
                "versions": versions(("torch", "torchvision")),
                "history": self.history,
            }
            self._kept("the result", "the model is trained all the same", write)

    def load_result(self):
        """True where the whole run could be loaded; a damaged file is named and counts as none."""
        if not self.store or not self.store.exists():
            return False
        try:
            tensors, notes = load(self.store)
        except ValueError as error:
            say(f"{self.label}: {error}; training again")
            return False
        fill(self.model, tensors)
        self.seconds, self.history = notes["seconds"], notes["history"]
        say(
            f"{self.label}: loaded, trained on {notes['date']} in {self.seconds:.0f} s "
            "(REIDKIT_CACHE=off trains afresh)"
        )
        return True


def model_tensors(model):
    return {f"model/{name}": value for name, value in model.state_dict().items()}


def fill(model, tensors):
    own = {name: value for name, value in tensors.items() if name.startswith("model/")}
    model.load_state_dict({name.removeprefix("model/"): value for name, value in own.items()})
