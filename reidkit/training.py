"""fit(): one training loop for every method. Step k depends on the seed, k and the state before it, on nothing else, so
that a run that was killed and started again ends with the same weights as one that was not."""

import contextlib
import json
import math
import os
import signal
import threading
import time
from dataclasses import dataclass

import torch
from tqdm import tqdm

from . import sampling
from .augment import normalize
from .checkpoints import Run, fill, model_tensors, remove_leftovers, say
from .code_digest import modules_digest
from .files import cache_dir, digest
from .fingerprints import describe
from .runtime import device_name, pick_device

CHOICES = {
    "optimizer": ("adam", "sgd"),
    "schedule": ("cosine", "step", "constant"),
    "precision": ("auto", "float32", "bfloat16"),
}
IN_MEMORY = 8e9  # bytes of pictures that are decoded once and kept


@dataclass(frozen=True)
class Batch:
    """B pictures on the device: images (B, 3, H, W) float32, augmented and normalised; ids 0..C-1, cameras, domains and
    index (into the training data) (B,) int64; attributes name -> (B,); masks (B, H, W) uint8 or None; step: which
    one."""

    images: torch.Tensor
    ids: torch.Tensor
    cameras: torch.Tensor
    domains: torch.Tensor
    index: torch.Tensor
    attributes: dict
    masks: torch.Tensor | None
    step: int


class History(list):
    """One dict a step: step, rate, the loss and its parts, pictures_per_second. seconds: time trained; loaded: from the
    cache."""

    def __init__(self, rows=(), seconds=0.0, loaded=False):
        super().__init__(rows)
        self.seconds, self.loaded = seconds, loaded

    def column(self, name):
        return [row[name] for row in self]

    def frame(self):
        """As a pandas table (pandas is not needed otherwise)."""
        import pandas

        return pandas.DataFrame(list(self))


def rate_at(step, steps, rate, warmup, schedule):
    """Learning rate of a step: linear from a tenth to `rate` over `warmup` steps, then "cosine" to 0, "step" (a tenth
    after 1/3 and again after 7/12 of all steps: BoT's 40 and 70 of 120 epochs) or "constant"."""
    if step < warmup:
        return rate * (0.1 * (1 - step / warmup) + step / warmup)
    if schedule == "cosine":
        return rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(steps - warmup, 1)))
    return (
        rate * 0.1 ** ((step >= steps / 3) + (step >= steps * 7 / 12))
        if schedule == "step"
        else rate
    )


def fit(
    model,
    data,
    losses=None,
    *,
    step=None,
    steps,
    people=16,
    pictures=4,
    sampler=sampling.by_identity,
    rate=3.5e-4,
    rates=None,
    optimizer="adam",
    weight_decay=5e-4,
    undecayed=(),
    warmup=None,
    schedule="cosine",
    augment=None,
    freeze=None,
    precision="auto",
    device="cpu",
    seed=0,
    cache=None,
    checkpoint_every=20.0,
    progress=True,
):
    """Train `model` on a ReIDData record -> History; the model ends up trained, in eval mode, on the device.

    losses(output, batch) -> dict name -> scalar: added up and followed downhill. Or step(model, batch, optimizer,
        progress) -> dict of numbers, for a method that updates in its own way (progress: share of the steps done); what
        it changes must be a parameter or buffer of the model, and its randomness torch's, to survive a resume.
    people x pictures: the batch. sampler(data, people, pictures, seed, start) yields indices. Junk (id < 0) is left out
        and ids become 0..C-1 in sorted order.
    rate, warmup (default: a tenth of the steps), schedule: see `rate_at`. rates: submodule name -> factor on the rate.
    optimizer "adam" or "sgd" (Nesterov, momentum 0.9); weight decay on all that is trained (requires_grad) but parameters
        whose last name is in undecayed: {"gate"} keeps the gates of batch-instance norm from being pulled to 0.
    augment(images float 0..255, generator), see `augment`; a mask rides along as fourth channel.
    freeze: submodule name -> first steps in which it stands still (no gradient, no decay, batch norm in eval mode).
    precision "auto": bfloat16 autocast on a GPU; on a CPU float32, since few processors compute in bfloat16 (one that
        does was 1.5 times faster on the tiny trunk). Losses see what the model returns, outside autocast.
    cache: a name. The first run trains, the same call later loads. The key holds the initial weights, data, every
        argument, the code of losses, step and augment, reidkit's source, torch's version, device and threads. Killed at
        any moment, the same call goes on from a checkpoint at most `checkpoint_every` seconds old and ends with the
        same weights bit for bit (same machine and threads). REIDKIT_CACHE=off trains afresh and keeps nothing. Where
        the disk does not take a file, a line says so, and training goes on.

    ValueError for arguments; FloatingPointError naming step and part when a loss is not finite.
    """
    settings = dict(
        steps=steps,
        people=people,
        pictures=pictures,
        rate=rate,
        rates=rates or {},
        optimizer=optimizer,
        weight_decay=weight_decay,
        undecayed=sorted(undecayed),
        schedule=schedule,
        freeze=freeze or {},
        warmup=steps // 10 if warmup is None else warmup,
        precision=precision,
        seed=seed,
    )
    _check(settings, losses, step)
    device, data = (
        pick_device(device),
        (data if (data.ids >= 0).all() else data[data.ids >= 0]).relabelled(),
    )

    def stream(start):
        return sampler(data, people, pictures, seed, start)

    stream(0)  # complains about the data before anything else is done
    model.to(
        device, memory_format=torch.channels_last
    )  # a third faster than the usual layout, on a CPU too
    store = _store(cache, settings, model, data, (losses, step, augment, sampler), device)
    run = Run(model, _optimizer(model, settings), settings, cache or "fit", store, checkpoint_every)
    loaded = run.load_result()
    if not loaded:
        amp = precision == "bfloat16" or precision == "auto" and device.type == "cuda"
        assemble = _assembler(data, augment, device, seed)
        _train(run, step or _downhill(losses, device, amp), stream, assemble, device, progress)
    model.eval()
    return History(run.history, run.seconds, loaded)


def _check(settings, losses, step):
    if (losses is None) == (step is None):
        raise ValueError(
            "fit needs losses(output, batch) or step(model, batch, optimizer, progress), and not both"
        )
    for name, choices in CHOICES.items():
        if settings[name] not in choices:
            raise ValueError(
                f"{name} is {settings[name]!r}; expected one of {', '.join(map(repr, choices))}"
            )
    for name in ("steps", "people", "pictures"):
        if not isinstance(settings[name], int) or settings[name] < 1:
            raise ValueError(f"{name} is {settings[name]!r}; expected a whole number of at least 1")
    json.dumps(settings)  # they go into the result's header: better fail now


def _train(run, step, stream, assemble, device, progress):
    """Run all steps and keep the result. A kept run that stops early gives the model its first weights back, so that
    the same call in the same process has the same key."""
    before = (
        {name: value.clone() for name, value in model_tensors(run.model).items()}
        if run.store
        else None
    )
    trained = {
        id(parameter) for group in run.optimizer.param_groups for parameter in group["params"]
    }
    run.resume()
    try:
        bar = tqdm(
            total=run.settings["steps"],
            initial=run.step,
            desc=run.label,
            disable=not progress,
            unit="step",
        )
        with bar, _same_every_time(device), _deferred_interrupt() as interrupts:
            _loop(run, step, stream(run.step), assemble, trained, interrupts, bar)
        run.finish()
    except BaseException:
        if run.store:
            fill(run.model, before)
        raise
    finally:
        for name in run.settings["freeze"]:
            _freeze(run.model.get_submodule(name), False, trained)


def _loop(run, step, batches, assemble, trained, interrupts, bar):
    settings, saved = run.settings, time.monotonic()
    run.model.train()
    for number in range(run.step, settings["steps"]):
        begun = time.perf_counter()
        torch.manual_seed(
            sampling.step_seed(settings["seed"], "step", number)
        )  # dropout and the like
        rate = rate_at(
            number, *(settings[name] for name in ("steps", "rate", "warmup", "schedule"))
        )
        for group in run.optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        for name, until in settings["freeze"].items():
            _freeze(run.model.get_submodule(name), number < until, trained)
        batch = assemble(next(batches), number)
        values = _finite(step(run.model, batch, run.optimizer, number / settings["steps"]), number)
        took = time.perf_counter() - begun
        run.step, run.seconds = number + 1, run.seconds + took
        speed = len(batch.ids) / took
        run.history.append(
            {"step": number, "rate": rate, **values, "pictures_per_second": round(speed, 1)}
        )
        bar.set_postfix_str(f"loss {values['loss']:.3f}, {speed:.0f} pictures/s", refresh=False)
        bar.update()
        wanted = run.store and (interrupts or time.monotonic() - saved >= run.every)
        written = wanted and run.save()
        saved = time.monotonic() if wanted else saved
        if interrupts:
            kept = (
                "the same call goes on from here"
                if written
                else "an older checkpoint is kept, if there is one"
                if run.store
                else "nothing is kept (cache='a name' would keep it)"
            )
            say(f"{run.label}: stopped after step {run.step} of {settings['steps']}; {kept}")
            raise KeyboardInterrupt


def _downhill(losses, device, amp):
    def step(model, batch, optimizer, progress):
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            output = model(batch.images)
        parts = losses(output, batch)
        total = sum(parts.values())
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        optimizer.step()
        return {"loss": total, **parts}

    return step


def _finite(values, number):
    """Plain floats, with "loss" among them (the sum where a step gives none); FloatingPointError names a part gone
    wrong."""
    values = {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}
    wrong = [name for name, value in values.items() if name != "loss" and not math.isfinite(value)]
    if wrong or not math.isfinite(values.setdefault("loss", sum(values.values()))):
        name = wrong[0] if wrong else "loss"
        raise FloatingPointError(
            f"step {number}: loss part {name!r} is not finite ({values}); lower rate=, "
            "lengthen warmup=, or look for a division or root of zero in the loss"
        )
    return values


def _freeze(module, frozen, trained):
    module.train(not frozen)  # batch norm keeps its statistics
    for parameter in module.parameters():
        if id(parameter) in trained:
            parameter.requires_grad_(not frozen)
            parameter.grad = None  # no gradient: the optimizer does not even decay it


def _optimizer(model, settings):
    groups = {}  # (factor on the rate, weight decay) -> parameters
    for name in (*settings["rates"], *settings["freeze"]):
        model.get_submodule(name)  # a misspelt name stops here, and torch names it
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            matches = [
                factor
                for prefix, factor in settings["rates"].items()
                if name.startswith(prefix + ".")
            ]
            decay = (
                0.0
                if name.rpartition(".")[2] in settings["undecayed"]
                else settings["weight_decay"]
            )
            groups.setdefault((matches[-1] if matches else 1.0, decay), []).append(parameter)
    groups = [
        {"params": parameters, "factor": factor, "weight_decay": decay}
        for (factor, decay), parameters in groups.items()
    ]
    if settings["optimizer"] == "adam":
        return torch.optim.Adam(groups, settings["rate"])
    return torch.optim.SGD(groups, settings["rate"], momentum=0.9, nesterov=True)


def _assembler(data, augment, device, seed):
    """A function (indices, step) -> Batch; pictures on disk are decoded once where they fit into memory."""
    kept = (
        data.pictures().to(device)
        if len(data) * 3 * data.size[0] * data.size[1] <= IN_MEMORY
        else None
    )
    ids, cameras, domains = data.ids.to(device), data.cameras.to(device), data.domains.to(device)
    attributes = {name: value.to(device) for name, value in data.attributes.items()}
    all_masks = None if data.masks is None else data.masks.to(device)

    def assemble(index, number):
        here = index.to(device)
        images = (
            data.pictures(index).to(device) if kept is None else kept[here]
        ).float()  # (B, 3, H, W)
        masks = None if all_masks is None else all_masks[here]
        if augment is not None:
            if masks is not None:
                images = torch.cat([images, masks[:, None].float()], 1)  # (B, 4, H, W)
            images = augment(images, sampling.generator(seed, "augment", number, device=device))
            masks = None if masks is None else images[:, 3].to(torch.uint8)
        images = normalize(images[:, :3]).contiguous(memory_format=torch.channels_last)
        return Batch(
            images,
            ids[here],
            cameras[here],
            domains[here],
            here,
            {name: value[here] for name, value in attributes.items()},
            masks,
            number,
        )

    return assemble


def _store(cache, settings, model, data, functions, device):
    """The path of this run's result, or None where nothing is to be kept."""
    if cache is None or os.environ.get("REIDKIT_CACHE", "").lower() == "off":
        return None
    folder = cache_dir() / "fits"
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    place = device.type, device_name(device) if device.type == "cuda" else torch.get_num_threads()
    key = digest(
        modules_digest([__name__]),
        torch.__version__,
        place,
        data.fingerprint(),
        *map(describe, (settings, model, functions)),
    )
    return folder / f"{cache}-{key}.safetensors"


@contextlib.contextmanager
def _same_every_time(device):
    """The caller's random numbers stay as they were. cuDNN chooses deterministic kernels; on a CPU torch does so throughout:
    the gradient of x[index] with an index that repeats is else added up by racing threads, in another order each time."""
    before = (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    filling = torch.utils.deterministic.fill_uninitialized_memory
    if device.type == "cpu":
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = (
            False  # costs time, and nothing here reads such memory
        )
    try:
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        ):
            yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.utils.deterministic.fill_uninitialized_memory = filling


@contextlib.contextmanager
def _deferred_interrupt():
    """Yields a list that is filled by the first Ctrl-C or Jupyter interrupt: a step is finished before the run stops,
    since half an update is no state to resume from. A second one stops at once."""
    asked = []

    def note(number, frame):
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals reach the main thread only
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
