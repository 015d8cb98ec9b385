"""One step of a run: the method's own, or the one that follows its losses; and its numbers."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from . import given
from .batches import count_people
from .plan import MAIN, TRAIN, Plan


def step_of(method: Any, plan: Plan, device: torch.device, data: Any) -> Callable:
    """The step of a method; on its first call, what the model gives is looked at.

    Args:
        method: with losses or a step.
        plan: precision.
        device: of the model.
        data: as `batches.prepare` gives it.
    Returns:
        step(model, batches, optimizers, progress) -> numbers.
    """
    step = getattr(method, "step", None) or _gradient_step(method.losses, plan, device)
    classes = count_people(data)
    calls = itertools.count()

    def step_with_a_first_look(model, *rest):
        if next(calls):
            return step(model, *rest)
        with given.watched(model, classes):
            return step(model, *rest)

    return step_with_a_first_look


def _gradient_step(losses, plan, device):
    """The step of a method that has only losses: forward, backward, one optimizer."""
    autocast = plan.precision == "bfloat16"
    autocast = autocast or (plan.precision == "auto" and device.type == "cuda")

    def step(model, batches, optimizers, progress):
        if set(batches) != {TRAIN}:
            raise ValueError(
                f"the sampler yields the sets {', '.join(batches)}; losses(output, batch) are for "
                "one unnamed batch: write a step(model, batches, optimizers, progress)"
            )
        batch = batches[TRAIN]
        if isinstance(batch, list):
            raise ValueError(
                f"the sampler yields a list of {len(batch)} batches; losses(output, batch) are for "
                "one: join them with torch.cat, or write a step"
            )
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            output = model(batch.images)
        given.check_output(output)
        with given.losses_of(output, batch):
            parts = losses(output, batch)
        total = given.check_parts(parts, batch.step)
        optimizer = optimizers[MAIN]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        return {"loss": total, **parts}

    return step


def finite(values: Mapping[str, Any], number: int) -> dict[str, float]:
    """Plain floats, with "loss" among them (the sum where a step gives none).

    Args:
        values: what a step gives.
        number: of the step.
    Raises:
        ValueError: they are no numbers.
        FloatingPointError: names a part that is not finite.
    """
    given.check_values(values, number)
    values = {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}
    wrong = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
    values.setdefault("loss", sum(values.values()))
    if not math.isfinite(values["loss"]):
        wrong.append("loss")
    if wrong:
        raise FloatingPointError(
            f"step {number}: loss part {wrong[0]!r} is not finite ({values}); lower lr=, lengthen "
            "warmup=, or look for a division or root of zero in the loss"
        )
    return values
