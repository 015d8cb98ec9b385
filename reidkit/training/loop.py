"""fit(): one training loop for every method.

Step k depends on the seed, k and the state before it, on nothing else, so that a run that was
killed and started again ends with the same weights as one that was not.
"""

import contextlib
import functools
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
from ..files import cache_dir, check_name, digest
from ..fingerprints import describe
from ..record import ReIDData
from ..runtime import device_name, pick_device
from . import checks, given
from .batches import Assembler, by_name, count_people, count_pictures, pictures_type, prepare
from .checkpoints import Run, memories_of, remove_leftovers, turn
from .plan import MAIN, Plan, lr_at, make_optimizers
from .steps import finite, step_of


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
    in which nobody has an id is unlabelled and stays whole. A model takes pictures in 0..255, of
    the type of its parameters, and normalizes them itself. Losses see what the model returns,
    outside autocast. Logits, where a model has some, are for as many people as the data have.

    A run that is kept (`keep`): the first call trains, the same call later loads. Its key holds the
    initial weights, the data, the plan, the code of the method and of all that it and the loop
    import, torch's version, device and threads. Killed at any moment, the same call goes on from a
    checkpoint at most `plan.checkpoint_every` seconds old and ends with the same weights bit for
    bit (same machine and threads). Made by two processes at a time, one trains and the other waits
    for its result. REIDKIT_CACHE=off trains afresh and keeps nothing. Where the disk does not take
    a file, a line says so, and training goes on; a file that is damaged or of another network is
    named and made again.

    Args:
        method: a `Method`, or any object with its attributes.
        data: a ReIDData, or {name: ReIDData}, such as {"source": ..., "target": ...}.
        plan: a `Plan`.
        model: the network; None lets the method make one, with first weights of `plan.seed`.
        device: "auto", "cpu", "cuda" or "cuda:NUMBER".
        keep: a name, under which the run is kept, of letters, digits, "-", "_" and "."; None keeps
            nothing.
        progress: whether to show a bar.
    Returns:
        (the trained model, in evaluation mode and on the device; its History).
    Raises:
        ValueError: arguments that do not fit together, or a method, sampler or model that gives
            something else than it should; it names what, and the remedy.
        AttributeError: the plan names a submodule that the model does not have.
        FloatingPointError: a loss is not finite; it names step and part.
    """
    _check(method, data, plan, model, keep)
    device = pick_device(device)
    prepared = prepare(data)
    stream = _stream_of(method, prepared[0], plan)
    stream(0)  # complains about the data before anything else is done
    if model is None:
        model = _make(method, prepared[0], plan)
    checks.check_submodules(model, plan.freeze, "freeze")
    # A third faster than the usual layout, on a CPU too.
    model.to(device, memory_format=torch.channels_last)
    optimizers = _make_optimizers(method, model, plan)
    path = _result_path(keep, method, prepared, plan, model, device)
    run = Run(model, optimizers, memories_of(method), plan, keep or "fit", path)
    train = functools.partial(_train, run, method, prepared, stream, device, progress)
    loaded = _load_or_train(run, train)
    model.eval()
    return model, History(run.history, run.seconds, loaded)


def _check(method, data, plan, model, keep):
    if keep is not None:
        check_name(keep, "keep")
    if not isinstance(plan, Plan):
        raise ValueError(f"plan is {checks.described(plan)}; expected a Plan(steps=...)")
    checks.check_method(method, model)
    if plan.augment is not None:
        checks.check_augment(plan.augment)
    checks.check_data(data)
    if model is not None:
        checks.check_model(model, "model")


def _stream_of(method, data, plan):
    """start -> the iterator of what the sampler yields, from step `start` on."""
    sampler = getattr(method, "sampler", None) or sampling.by_identity

    def stream(start):
        drawn = sampler(data, plan.people, plan.pictures, plan.seed, start)
        return given.check_stream(drawn)

    return stream


def _make(method, data, plan):
    """A network for the people of the first labelled record; the caller's random numbers stay as
    they are.
    """
    classes = count_people(data)
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        model = method.make(classes)
    checks.check_model(model, f"what the method's make({classes}) gives")
    return model


def _make_optimizers(method, model, plan):
    make = getattr(method, "optimizers", None) or make_optimizers
    optimizers = make(model, plan)
    has_step = getattr(method, "step", None) is not None
    checks.check_optimizers(optimizers, None if has_step else MAIN)
    return optimizers


def _load_or_train(run, train):
    """Load the run's result, or train it when nobody else does -> whether it was loaded."""
    if run.path is None:
        train()
        return False
    checks.check_state(run.state())
    if run.load_result():
        return True
    was_unsound = os.path.lexists(run.path)  # which has been said
    with turn(run.path, run.label) as waited:
        # While this process waited, or just before, another one may have finished the run.
        if (waited or not was_unsound) and run.load_result():
            return True
        train()
    return False


def _train(run, method, prepared, stream, device, progress):
    """Run all steps and keep the result; prepared: what `prepare` returns.

    A kept run that stops early gives model and method their first state back, so that the same call
    in the same process has the same key.
    """
    data, positions = prepared
    step = step_of(method, run.plan, device, data)
    assemble = Assembler(data, positions, run.plan, device, pictures_type(run.model))
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
        batches = assemble(given.next_drawn(stream, number, plan.steps), number)
        with given.explained(batches, number):
            values = step(run.model, batches, run.optimizers, number / plan.steps)
        values = finite(values, number)
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
    if run.path is not None:
        return "an older checkpoint is kept, if there is one"
    return "nothing is kept (keep='a name' would keep it)"


def _remember_factors(run):
    """Each group's share of the plan's learning rate: that of make_optimizers, or what its own
    optimizer began with.
    """
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            # At a rate of 0 every share is 0.
            group.setdefault("factor", group["lr"] / (run.plan.lr or 1.0))


def _set_lr(run, lr):
    for optimizer in run.optimizers.values():
        for group in optimizer.param_groups:
            group["lr"] = lr * group["factor"]


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
