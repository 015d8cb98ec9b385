"""fit(): one training loop for every method.

Step k depends on the seed, k and the state before it, on nothing else, so that a run that was
killed and started again ends with the same weights as one that was not.
"""

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from .. import sampling
from ..code_digest import modules_digest
from ..console import bar, say
from ..files import cache_dir, digest
from ..fingerprints import describe
from ..record import ReIDData
from ..runtime import device_name, pick_device
from .batches import Assembler, by_name, count_pictures, is_unlabelled, prepare
from .checkpoints import Run, memories_of, remove_leftovers
from .plan import MAIN, TRAIN, Plan, lr_at, make_optimizers


class History(list):
    """One dict per step: step, lr, the loss and its parts, pictures_per_second.

    seconds: time trained; loaded: whether the run came from the cache.
    """

    def __init__(self, rows=(), seconds=0.0, loaded=False):
        super().__init__(rows)
        self.seconds = seconds
        self.loaded = loaded

    def column(self, name: str) -> list:
        """One number of every step."""
        return [row[name] for row in self]

    def frame(self) -> Any:
        """As a pandas table (pandas is not needed otherwise)."""
        import pandas

        return pandas.DataFrame(list(self))


def fit(
    method: Any,
    data: ReIDData | Mapping[str, ReIDData],
    plan: Plan,
    *,
    model: nn.Module | None = None,
    device: str | torch.device = "cpu",
    keep: str | None = None,
    progress: bool = True,
) -> tuple[nn.Module, History]:
    """Train a network by a method.

    Junk (id < 0) is left out of labelled records, whose ids become 0..C-1 in sorted order; a record
    in which nobody has an id is unlabelled and stays whole. A model takes pictures in 0..255 and
    normalizes them itself. Losses see what the model returns, outside autocast.

    A run that is kept (`keep`): the first call trains, the same call later loads. Its key holds the
    initial weights, the data, the plan, the code of the method and of all that it and the loop
    import, torch's version, device and threads. Killed at any moment, the same call goes on from a
    checkpoint at most `plan.checkpoint_every` seconds old and ends with the same weights bit for
    bit (same machine and threads). REIDKIT_CACHE=off trains afresh and keeps nothing. Where the
    disk does not take a file, a line says so, and training goes on.

    Args:
        method: a `Method`, or any object with its attributes.
        data: a ReIDData, or {name: ReIDData}, such as {"source": ..., "target": ...}.
        plan: a `Plan`.
        model: the network; None lets the method make one, with first weights of `plan.seed`.
        device: "auto", "cpu", "cuda" or "cuda:NUMBER".
        keep: a name, under which the run is kept; None keeps nothing.
        progress: whether to show a bar.
    Returns:
        (the trained model, in evaluation mode and on the device; its History).
    Raises:
        ValueError: arguments that do not fit together.
        FloatingPointError: a loss is not finite; it names step and part.
    """
    _check(method, model)
    device = pick_device(device)
    data, positions = prepare(data)

    def stream(start):
        return method.sampler(data, plan.people, plan.pictures, plan.seed, start)

    stream(0)  # complains about the data before anything else is done
    if model is None:
        model = _make(method, data, plan)
    # A third faster than the usual layout, on a CPU too.
    model.to(device, memory_format=torch.channels_last)
    optimizers = getattr(method, "optimizers", make_optimizers)(model, plan)
    path = _result_path(keep, method, (data, positions), plan, model, device)
    run = Run(model, optimizers, memories_of(method), plan, keep or "fit", path)
    loaded = run.load_result()
    if not loaded:
        step = getattr(method, "step", None) or _gradient_step(method.losses, plan, device)
        assemble = Assembler(data, positions, plan, device)
        _train(run, step, stream, assemble, device, progress)
    model.eval()
    return model, History(run.history, run.seconds, loaded)


def _check(method, model):
    losses = getattr(method, "losses", None)
    step = getattr(method, "step", None)
    if losses is None and step is None:
        raise ValueError(
            "a method needs losses(output, batch) or step(model, batches, optimizers, progress)"
        )
    if model is None and getattr(method, "make", None) is None:
        raise ValueError("there is no network: give fit a model=..., or the method a make(classes)")


def _make(method, data, plan):
    """A network for the people of the first labelled record; the caller's random numbers stay as
    they are.
    """
    labelled = [record for record in by_name(data).values() if not is_unlabelled(record)]
    classes = len(labelled[0].ids.unique()) if labelled else 0
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        return method.make(classes)


def _train(run, step, stream, assemble, device, progress):
    """Run all steps and keep the result. A kept run that stops early gives model and method their
    first state back, so that the same call in the same process has the same key."""
    before = None
    if run.path:
        before = {name: value.clone() for name, value in run.state().items()}
    trained = _trained_parameters(run)
    run.resume()
    try:
        shown = bar(
            total=run.plan.steps,
            initial=run.step,
            desc=run.label,
            show=progress,
            unit="step",
        )
        with shown, _same_every_time(device), _deferred_interrupt() as interrupts:
            _loop(run, step, stream(run.step), assemble, interrupts, shown)
        run.finish()
    except BaseException:
        if before is not None:
            run.restore(before)
        raise
    finally:
        for name in run.plan.freeze:
            _freeze(run.model.get_submodule(name), False, trained)


def _trained_parameters(run):
    groups = [group for optimizer in run.optimizers.values() for group in optimizer.param_groups]
    return {id(parameter) for group in groups for parameter in group["params"]}


def _loop(run, step, stream, assemble, interrupts, shown):
    plan = run.plan
    trained = _trained_parameters(run)
    _remember_factors(run)
    saved = time.monotonic()
    run.model.train()
    for number in range(run.step, plan.steps):
        begun = time.perf_counter()
        torch.manual_seed(sampling.step_seed(plan.seed, "step", number))  # dropout and the like
        lr = lr_at(number, plan)
        _set_lr(run, lr)
        for name, until in plan.freeze.items():
            _freeze(run.model.get_submodule(name), number < until, trained)
        batches = assemble(next(stream), number)
        values = step(run.model, batches, run.optimizers, number / plan.steps)
        values = _finite(values, number)
        took = time.perf_counter() - begun
        run.step = number + 1
        run.seconds += took
        speed = count_pictures(batches) / took
        row = {"step": number, "lr": lr, **values, "pictures_per_second": round(speed, 1)}
        run.history.append(row)
        shown.set_postfix_str(f"loss {values['loss']:.3f}, {speed:.0f} pictures/s", refresh=False)
        shown.update()
        is_due = interrupts or time.monotonic() - saved >= plan.checkpoint_every
        written = False
        if run.path and is_due:
            written = run.save()
            saved = time.monotonic()
        if interrupts:
            say(
                f"{run.label}: stopped after step {run.step} of {plan.steps}; {_kept(run, written)}"
            )
            raise KeyboardInterrupt


def _kept(run, written):
    """What a stopped run leaves behind, in words."""
    if written:
        return "the same call goes on from here"
    if run.path:
        return "an older checkpoint is kept, if there is one"
    return "nothing is kept (keep='a name' would keep it)"


def _remember_factors(run):
    """Each group's share of the plan's learning rate: that of make_optimizers, or what its own
    optimizer began with.
    """
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group.setdefault("factor", group["lr"] / run.plan.lr)


def _set_lr(run, lr):
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = lr * group["factor"]


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
        with torch.autocast(device.type, torch.bfloat16, enabled=autocast):
            output = model(batch.images)
        parts = losses(output, batch)
        total = sum(parts.values())
        optimizer = optimizers[MAIN]
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        return {"loss": total, **parts}

    return step


def _finite(values, number):
    """Plain floats, with "loss" among them (the sum where a step gives none); FloatingPointError
    names a part gone wrong."""
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


def _freeze(module, frozen, trained):
    module.train(not frozen)  # batch norm keeps its statistics
    for parameter in module.parameters():
        if id(parameter) in trained:
            parameter.requires_grad_(not frozen)
            parameter.grad = None  # no gradient: the optimizer does not even decay it


def _result_path(keep, method, prepared, plan, model, device):
    """The path of this run's result, or None where nothing is to be kept."""
    if keep is None or os.environ.get("REIDKIT_CACHE", "").lower() == "off":
        return None
    folder = cache_dir() / "fits"
    remove_leftovers(folder)
    return folder / f"{keep}-{_key(method, prepared, plan, model, device)}.safetensors"


def _key(method, prepared, plan, model, device):
    """A name for everything that steers a run; prepared: what `prepare` returns."""
    data, positions = prepared
    place = device_name(device) if device.type == "cuda" else torch.get_num_threads()
    records = {name: record.fingerprint() for name, record in by_name(data).items()}
    return digest(
        modules_digest([__name__]),
        torch.__version__,
        (device.type, place),
        records,
        isinstance(data, Mapping),
        describe(positions),
        describe(plan.settings()),
        describe(plan.augment),
        describe(model),
        describe(method),
    )


@contextlib.contextmanager
def _same_every_time(device):
    """The caller's random numbers stay as they were. cuDNN chooses deterministic kernels; on a CPU
    torch does so throughout: the gradient of x[index] with an index that repeats is else added up
    by racing threads, in another order each time."""
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    filling = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Costs time, and nothing here reads such memory.
        torch.utils.deterministic.fill_uninitialized_memory = False
    devices = [device] if device.type == "cuda" else []
    cudnn = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    try:
        with torch.random.fork_rng(devices), cudnn:
            yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = filling


@contextlib.contextmanager
def _deferred_interrupt():
    """Yields a list that is filled by the first Ctrl-C or Jupyter interrupt: a step is finished
    before the run stops, since half an update is no state to resume from. A second one stops at
    once."""
    interrupts = []

    def note(number, frame):
        if interrupts:
            raise KeyboardInterrupt
        interrupts.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals reach the main thread only
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
