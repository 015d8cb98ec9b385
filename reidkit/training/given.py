"""What the functions of a method give in a step: fit looks at it before it goes on with it.

Each function raises a ValueError that names the thing, what was expected, and the remedy. None of
them changes a number, and none takes longer than some microseconds.
"""

import contextlib
import numbers
from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import torch
from torch import Tensor, nn

from ..console import say
from .checks import described

ROW = ("step", "lr", "pictures_per_second")  # what a row of the history holds beside the values
SETS = (
    "int64 indices (n,) into a record, a list of such tensors, or {name: either of them} of several"
)
# Truth values, and what torch reads as such.
NO_INDEX = (torch.bool, torch.uint8, torch.complex64, torch.complex128)


# ---- the sampler


def check_stream(stream: Any) -> Iterator:
    """What a sampler returns, if it is an iterator."""
    if not hasattr(stream, "__next__"):
        raise ValueError(
            f"the sampler returns {described(stream)}; expected an iterator that begins at "
            "`start`: write it with yield, or return iter(...)"
        )
    return stream


def next_drawn(stream: Iterator, step: int, steps: int) -> Any:
    """What a sampler yields for a step.

    Raises:
        ValueError: it has come to an end.
    """
    try:
        return next(stream)
    except StopIteration:
        raise ValueError(
            f"the sampler ended before step {step} of {steps}; let it yield without end "
            "(while True: ...), or lower steps="
        ) from None


def sets_of(drawn: Any, step: int, unnamed: str) -> dict[str, Tensor | list[Tensor]]:
    """What a sampler yields as {name: indices or list of indices}.

    Args:
        drawn: what it yields.
        step: which one.
        unnamed: the name of a set that has none.
    Raises:
        ValueError: it is something else, or no picture at all.
    """
    sets = dict(drawn) if isinstance(drawn, Mapping) else {unnamed: drawn}
    count = 0
    for name, several in sets.items():
        for part in several if isinstance(several, list) else [several]:
            is_index = isinstance(part, Tensor) and part.ndim == 1
            if not is_index or part.dtype in NO_INDEX or part.is_floating_point():
                raise ValueError(
                    f"step {step}: the sampler yields {_in_set(part, several)} as {name!r}; "
                    f"expected {SETS}: torch.tensor(...) makes a tensor of numbers, "
                    "mask.nonzero().flatten() of truth values"
                )
            count += len(part)
    if not count:
        raise ValueError(
            f"step {step}: the sampler yields no picture at all; expected at least one index"
        )
    return sets


def _in_set(part, several):
    if isinstance(several, list):
        return f"a list with an entry that is {described(part)}"
    return described(part)


def check_range(index: Tensor, count: int, name: str, step: int) -> Tensor:
    """Indices of a record, as int64.

    Args:
        index: (n,) whole numbers.
        count: pictures of the record.
        name: of the record.
        step: which one.
    Raises:
        ValueError: names the one that is not 0..count-1. -1 would be the last picture.
    """
    if len(index):
        for extreme in torch.stack(index.aminmax()).tolist():
            if not 0 <= extreme < count:
                raise ValueError(
                    f"step {step}: the sampler yields the index {extreme}, but the record {name!r} "
                    f"has {count} pictures; expected 0..{count - 1}, counted in the record as the "
                    "sampler gets it, which is without junk"
                )
    return index.long()


@contextlib.contextmanager
def explained(batches: Mapping, step: int) -> Iterator[None]:
    """Say in our words what batch norm says of a batch of one picture, in a `with` block."""
    try:
        yield
    except ValueError as error:
        if "Expected more than 1 value per channel" not in str(error):
            raise
        counts = {name: len(batch) for name, batch in batches.items()}
        raise ValueError(
            f"step {step}: batch norm takes no statistics of one picture; the batch has {counts}. "
            "Let the sampler yield two or more: people= and pictures= of the plan"
        ) from None


def check_augmented(images: Any, before: Tensor) -> Tensor:
    """What an augmentation gives: as many pictures of as many channels, in floating point."""
    same_form = isinstance(images, Tensor) and images.ndim == 4 and images.is_floating_point()
    if not same_form or images.shape[:2] != before.shape[:2]:
        count, channels = before.shape[:2]
        more = ", the last of them the mask" if channels > 3 else ""
        raise ValueError(
            f"augment gives {described(images)} for {described(before)}; expected {count} pictures "
            f"of {channels} channels{more}, as floats: return the whole new batch"
        )
    return images


# ---- model, losses and step


@contextlib.contextmanager
def watched(model: nn.Module, classes: int) -> Iterator[None]:
    """Look at everything that a model gives inside the block.

    Args:
        model: it may be called several times, on any pictures.
        classes: people that its logits must tell apart; 0 asks nothing.
    Raises:
        ValueError: its logits are for fewer people.
    """
    if isinstance(model, torch.jit.ScriptModule):  # which takes no hooks
        yield
        return
    handle = model.register_forward_hook(lambda _, __, output: check_logits(output, classes))
    try:
        yield
    finally:
        handle.remove()


def check_logits(output: Any, classes: int) -> None:
    """Whether the logits of an output, if it has some, are for so many people."""
    logits = output.get("logits") if isinstance(output, Mapping) else None
    logits = getattr(output, "logits", logits)
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        return
    width = logits.shape[1]
    if width < classes:
        raise ValueError(
            f"the model gives logits for {width} people, but the data have {classes}; make the "
            f"network for {classes} people: Method(make=...) gets that number, or give it logits "
            "None where no loss looks at them"
        )


def check_output(output: Any) -> None:
    """Whether a model gives anything for losses to look at."""
    if output is None:
        raise ValueError(
            "the model returns None; expected an Output(feature, logits): does its forward end "
            "without return?"
        )


@contextlib.contextmanager
def losses_of(output: Any, batch: Any) -> Iterator[None]:
    """Name the likely cause of an error inside a method's losses.

    Args:
        output: of the model.
        batch: with ids.
    Raises:
        ValueError: the losses ask a tensor for parts of an Output, or have an id that is beyond
            the last column of it.
    """
    try:
        yield
    except AttributeError as error:
        if not isinstance(output, (Tensor, tuple, list, dict)) or error.obj is not output:
            raise
        raise ValueError(
            f"the losses ask for .{error.name} of what the model returns, which is "
            f"{described(output)}; return reidkit.layers.heads.Output(feature, logits), or write "
            "losses for what it returns"
        ) from error
    except IndexError as error:
        highest = int(batch.ids.max())
        if not isinstance(output, Tensor) or highest < output.shape[-1]:
            raise
        raise ValueError(
            f"the model gives {output.shape[-1]} numbers for a picture, but the batch has a person "
            f"of number {highest}; make the network for all people of the data"
        ) from error


def check_parts(parts: Any, step: int) -> Tensor:
    """The sum of what a method's losses give.

    Args:
        parts: name -> scalar.
        step: which one.
    Returns:
        A scalar with a gradient.
    Raises:
        ValueError: names the part that is no scalar, or says that nothing has a gradient.
    """
    expected = "expected a dict of scalars, such as {'identity': loss.mean()}"
    if not isinstance(parts, Mapping):
        raise ValueError(f"step {step}: losses gives {described(parts)}; {expected}")
    if not parts:
        raise ValueError(f"step {step}: losses gives an empty dict; {expected}")
    if len(parts) > 1 and "loss" in parts:
        raise ValueError(
            f"step {step}: losses has a part called 'loss' among others; fit adds the parts up "
            "itself: leave their sum out, or give it another name"
        )
    _check_numbers(parts, step, "losses")
    total = sum(parts.values())
    if not isinstance(total, Tensor) or not total.requires_grad:
        raise ValueError(
            f"step {step}: none of the losses {', '.join(parts)} has a gradient; expected scalars "
            "that follow from the model's output, without .detach(), .item(), torch.no_grad() or "
            "inference_mode(), and a model that is not wholly frozen (freeze=)"
        )
    if step == 0:
        _name_idle(parts)
    return total


def _name_idle(parts):
    for name, value in parts.items():
        idle = not isinstance(value, Tensor) or not value.requires_grad
        if idle and float(value) != 0:
            say(
                f"losses: part {name!r} has no gradient (a number, or detached): it is added to "
                "the loss that is shown, and trains nothing"
            )


def check_values(values: Any, step: int) -> None:
    """Whether what a step gives can be a row of the history.

    Args:
        values: name -> number.
        step: which one.
    Raises:
        ValueError: names the value that is no number.
    """
    if not isinstance(values, Mapping):
        raise ValueError(
            f"step {step}: the method's step gives {described(values)}; expected a dict of "
            "numbers for the history, such as {'identity': loss}: does it end without return?"
        )
    _check_numbers(values, step, "the method's step")


def _check_numbers(values, step, whose):
    for name, value in values.items():
        if not isinstance(name, str) or name in ROW:
            raise ValueError(
                f"step {step}: {whose} has a part called {name!r}; expected a word other than "
                f"{', '.join(ROW)}, which the history has itself"
            )
        count = _count(value)
        if count != 1:
            remedy = ", take their mean: .mean()" if count else ""
            raise ValueError(
                f"step {step}: {whose} gives {described(value)} as {name!r}; expected one "
                f"number{remedy}"
            )


def _count(value):
    """How many numbers a value holds; 0 for what is no number."""
    if isinstance(value, Tensor):
        return value.numel()
    if isinstance(value, (numpy.ndarray, numpy.number)):
        return value.size
    return int(isinstance(value, numbers.Real))
