"""What fit looks at before the first step: the method, the data, the network, its optimizers.

Each function raises an error that names the thing, what was expected, and the remedy. What comes
out of a step is looked at in `given`.
"""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..augment import takes_labels
from ..record import ReIDData

# What fit calls of a method, and what it hands over.
CALLS = {
    "losses": ("output", "batch"),
    "step": ("model", "batches", "optimizers", "progress"),
    "sampler": ("data", "people", "pictures", "seed", "start"),
    "make": ("classes",),
    "optimizers": ("model", "plan"),
}


def described(value: Any) -> str:
    """A value as a message names it: a tensor by shape and type, small things as they are."""
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    return f"an object of type {type(value).__name__}"


def check_method(method: Any, model: nn.Module | None) -> None:
    """Whether a method has what fit calls.

    Args:
        method: see `Method`.
        model: the network that fit was given, or None.
    Raises:
        ValueError: names what is missing or cannot be called.
    """
    if isinstance(method, type):
        raise ValueError(
            f"method is the class {method.__name__}; give fit one of its objects: "
            f"{method.__name__}(...)"
        )
    losses = getattr(method, "losses", None)
    step = getattr(method, "step", None)
    if losses is None and step is None:
        raise ValueError(
            "a method needs losses(output, batch) or step(model, batches, optimizers, progress); "
            f"the given one is {described(method)}: Method(losses=...) makes one of a function"
        )
    optimizers = getattr(method, "optimizers", None)
    if isinstance(optimizers, type):
        raise ValueError(
            f"the method's optimizers is {described(optimizers)}; expected a function "
            "optimizers(model, plan) that gives {name: optimizer}; Plan(optimizer=...) chooses one"
        )
    unused = {"losses": step is not None, "make": model is not None}
    for name, words in CALLS.items():
        part = getattr(method, name, None)
        if part is not None and not unused.get(name):
            check_callable(f"the method's {name}", part, name, words)
    if model is None and getattr(method, "make", None) is None:
        raise ValueError("there is no network: give fit a model=..., or the method a make(classes)")


def check_augment(augment: Any) -> None:
    """Whether an augmentation can be called as fit calls it."""
    named = ("labels",) if takes_labels(augment) else ()
    check_callable("augment", augment, "augment", ("images", "generator"), named)


def check_callable(
    what: str, part: Any, name: str, words: tuple[str, ...], named: tuple[str, ...] = ()
) -> None:
    """Whether something can be called with such arguments.

    Args:
        what: what the message calls it.
        part: the function.
        name: of the call in the message.
        words: what is handed over, in order.
        named: what is handed over by name.
    Raises:
        ValueError: it is no function, or one of other parameters.
    """
    call = f"{name}({', '.join((*words, *(f'{word}=...' for word in named)))})"
    if not callable(part):
        raise ValueError(f"{what} is {described(part)}; expected a function {call}")
    try:
        signature = inspect.signature(part, follow_wrapped=False)
    except (TypeError, ValueError):  # some built-in functions do not tell
        return
    try:
        signature.bind(*words, **dict.fromkeys(named))
    except TypeError as error:
        raise ValueError(
            f"{what} has the parameters {signature}; expected a function that can be called as "
            f"{call} ({error})"
        ) from None


def check_data(data: Any) -> None:
    """Whether data are a record with pictures, or several of them by name.

    Raises:
        ValueError: names the record that is none, is empty, or has a name with a dot.
    """
    if isinstance(data, ReIDData):
        records = {data.name: data}
    elif isinstance(data, Mapping) and data:
        records = data
        _check_names(data)
    else:
        size = " without entries" if isinstance(data, Mapping) else ""
        raise ValueError(
            f"data is {described(data)}{size}; expected a ReIDData, or {{name: ReIDData}}"
        )
    for name, record in records.items():
        if not isinstance(record, ReIDData):
            raise ValueError(f"data[{name!r}] is {described(record)}; expected a ReIDData")
        if not len(record):
            raise ValueError(
                f"the record {name!r} has no pictures; expected at least one: look at what chose "
                "or read them"
            )


def _check_names(data):
    for name in data:
        if not isinstance(name, str) or "." in name:
            raise ValueError(
                f"a record is called {name!r}; expected a word without a dot, since a sampler's "
                "set 'name.part' belongs to the record 'name'"
            )


def check_model(model: Any, whence: str) -> None:
    """Whether a model can be trained.

    Args:
        model: the network.
        whence: where it is from, as the message begins.
    Raises:
        ValueError: it is no network, its sizes are not known yet, or it was made to stay as it is.
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"{whence} is {described(model)}; expected a torch.nn.Module")
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        if torch.nn.parameter.is_lazy(value):
            raise ValueError(
                f"{whence} does not know the size of {name!r} yet; call it on one batch of "
                "pictures before fit"
            )
        if value.is_inference():
            raise ValueError(
                f"{whence} was made under torch.inference_mode() ({name!r}), and such tensors "
                "cannot be trained; make it outside"
            )


def check_submodules(model: nn.Module, names: Mapping[str, Any], field: str) -> None:
    """Whether a model has the submodules that a field of the plan names.

    Raises:
        AttributeError: names the one that it does not have, and those that it has.
    """
    known = dict(model.named_modules())
    for name in names:
        if name not in known:
            children = ", ".join(child for child, _ in model.named_children())
            raise AttributeError(
                f"{field} names {name!r}, which {type(model).__name__} does not have; expected a "
                f"submodule: {children}, or one inside them, such as 'trunk.layer1'"
            )


def check_optimizers(optimizers: Any, main: str | None) -> None:
    """Whether optimizers are a dict of them.

    Args:
        optimizers: what the method's `optimizers` gives.
        main: the name that must be among them, or None.
    Raises:
        ValueError: they are something else.
    """
    expected = "expected {name: optimizer}, such as {'main': torch.optim.Adam(...)}"
    if not isinstance(optimizers, Mapping):
        raise ValueError(f"the method's optimizers gives {described(optimizers)}; {expected}")
    for name, optimizer in optimizers.items():
        if not hasattr(optimizer, "param_groups"):
            raise ValueError(
                f"the method's optimizers gives {described(optimizer)} as {name!r}; {expected}"
            )
    if main is not None and main not in optimizers:
        raise ValueError(
            f"the method's optimizers gives {', '.join(map(repr, optimizers)) or 'none'}; a method "
            f"with losses needs one called {main!r}"
        )


def check_state(state: Mapping[str, Any]) -> None:
    """Whether a run's state can be kept: tensors by name.

    Raises:
        ValueError: names the entry that is no tensor.
    """
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ValueError(
                f"the state holds {name!r}, which is {described(value)}; only tensors can be kept: "
                "make it a tensor, or train with keep=None"
            )
