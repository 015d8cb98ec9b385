"""What `python -m benchmarks gpu` measures: one function a row, and the list ROWS.

A function takes the `Run` and returns (value, note); it raises `NotHere` where something is missing
that it needs. A later method adds its function and its row, nothing else.
"""

import functools
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy
import torch

from reidkit.recipes import drawn, tables
from reidkit.recipes.presets import PRESETS
from reidkit.retrieval.model_file import load_model, save_model
from reidkit.world import reference

from . import evaluate, metabin, timing, training, world

MEGABYTE = 1e6


class NotHere(Exception):
    """A row needs something that this machine, or this folder, does not have; it says what."""


@dataclass(frozen=True)
class Size:
    """How much is measured; the code is the same for all sizes."""

    name: str
    drawn_size: tuple[int, int]  # (height, width) of the pictures that are drawn
    drawn_at_once: tuple[int, ...]  # numbers of pictures to try
    queries: int  # of the exam that is evaluated
    gallery: int
    width: int  # numbers of a feature
    trunk: str  # of the training steps that are timed
    size: tuple[int, int]  # (height, width) of their pictures
    people: int  # P of their batches
    pictures: int  # K of their batches
    seconds: float  # to time each way
    recipe: drawn.Drawn  # of the training; its steps are set by the clock
    training_minutes: float
    warm_up_steps: int  # that measure the speed
    preset: str  # sizes of the exams
    is_recorded: bool  # whether the numbers count: looks at what is kept for reporting are logged
    share: float  # of a row's estimated seconds that it takes at this size


FULL = Size(
    name="full",
    drawn_size=(128, 64),
    drawn_at_once=(2048, 4096, 16384),
    queries=3368,
    gallery=19732,
    width=2048,
    trunk="resnet50",
    size=(256, 128),
    people=16,
    pictures=4,
    seconds=5.0,
    recipe=drawn.GPU,
    training_minutes=5.0,
    warm_up_steps=40,
    preset="laptop",  # the exams of the table of models, so that drawn-laptop stands beside it
    is_recorded=True,
    share=1.0,
)
TINY = Size(
    name="tiny",
    drawn_size=(64, 32),
    drawn_at_once=(16, 32),
    queries=60,
    gallery=300,
    width=16,
    trunk="tiny",
    size=(64, 32),
    people=4,
    pictures=2,
    seconds=0.1,
    recipe=replace(
        drawn.LAPTOP, places=2, people=6, cameras=2, whiten=16, batch_people=4, batch_pictures=2
    ),
    training_minutes=0.03,
    warm_up_steps=4,
    preset="smoke",
    is_recorded=False,
    share=0.02,
)
SIZES = {size.name: size for size in (FULL, TINY)}


@dataclass(frozen=True)
class Run:
    """What a row may know: how much to measure, on which device, and where files stay."""

    size: Size
    device: torch.device
    folder: Path

    @property
    def weights(self) -> Path:
        """The file of the model that is trained here."""
        return (
            self.folder / f"drawn-{'gpu' if self.size.is_recorded else self.size.name}.safetensors"
        )

    def on_gpu(self) -> bool:
        """Whether this is a GPU; goals are judged there alone."""
        return self.device.type == "cuda"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    seconds: that it needs on a GPU, by estimate; it is left out where less time is left. least,
    most: the goal, if there is one.
    """

    name: str
    unit: str
    seconds: float
    measure: Callable[[Run], tuple[float, str]]
    least: float | None = None
    most: float | None = None

    def goal(self) -> str:
        """The goal in words; empty where there is none."""
        if self.least is not None:
            return f"at least {self.least:g}"
        if self.most is not None:
            return f"at most {self.most:g}"
        return ""

    def is_met(self, value: float) -> bool:
        """Whether a value reaches the goal."""
        if self.least is not None:
            return value >= self.least
        return value <= self.most


# ---- the drawn world


def measure_drawing(run: Run) -> tuple[float, str]:
    """Pictures drawn a second, at the best of a few numbers at once."""
    speeds = {}
    for count in run.size.drawn_at_once:
        try:
            speed, _, _ = world.rate(run.size.drawn_size, run.device, run.size.seconds, count)
        except torch.OutOfMemoryError:
            break  # more at once need more memory still
        speeds[count] = round(speed)
    if not speeds:
        raise MemoryError(f"{run.size.drawn_at_once[0]} pictures at once do not fit into memory")
    by_count = ", ".join(f"{count} at once {speed}" for count, speed in speeds.items())
    return max(speeds.values()), f"{_dimensions(run.size.drawn_size)}; {by_count}"


def compare_drawing(run: Run) -> tuple[float, str]:
    """How many parts of the frozen world differ, as its own comparison judges another device."""
    differences = reference.compare(run.device)
    kept = f"{reference.device_class(run.device)} draws the world as kept"
    return len(differences), "; ".join(differences) or kept


# ---- retrieval


def measure_evaluation(run: Run) -> tuple[float, str]:
    """Seconds of one evaluation with the features on the device, compared with the CPU's result."""
    size = run.size
    inputs = evaluate.make_inputs(size.queries, size.gallery, size.width)
    expected = evaluate.ours(*inputs)
    inputs = [value.to(run.device) for value in inputs]
    call = functools.partial(evaluate.ours, *inputs)
    megabytes_above_inputs = _peak_megabytes(call, run)
    difference = numpy.abs(numpy.subtract(call(), expected)).max()
    # Rounding may turn a tie of one query; it turns no more.
    if difference > 1 / size.queries:
        raise ValueError(f"rank-1, mAP or mINP is {difference:.1e} from the CPU's result")
    best = timing.fastest({"ours": call}, size.seconds, run.device, repeats=2)
    note = f"{size.queries} x {size.gallery}, {size.width} numbers; "
    note += f"at most {difference:.0e} from the CPU's result"
    if run.on_gpu():
        note += f"; {megabytes_above_inputs:.0f} MB above the inputs"
    return round(best["ours"] / timing.MICRO, 4), note


def _peak_megabytes(call, run):
    """The most GPU memory that a call takes beyond what is there before; 0 on a CPU."""
    if not run.on_gpu():
        return 0.0
    torch.cuda.reset_peak_memory_stats(run.device)
    before = torch.cuda.memory_allocated(run.device)
    call()
    return (torch.cuda.max_memory_allocated(run.device) - before) / MEGABYTE


# ---- training steps


def measure_training_step(run: Run) -> tuple[float, str]:
    """Pictures a second of a baseline training step, augmentation included."""
    size = run.size
    count = size.people * size.pictures
    step = training.make_step(size.trunk, size.size, count, run.device, "channels_last", "bfloat16")
    seconds = training.seconds_a_step(step, size.seconds, run.device)
    return round(count / seconds), f"{_batch(size)}, bfloat16, channels_last"


def compare_bin_step(run: Run) -> tuple[float, str]:
    """How often a BN step fits into a BIN step."""
    return _ratio(run, "bin", "bn")


def compare_metabin_step(run: Run) -> tuple[float, str]:
    """How often the base step of the same batch fits into a MetaBIN step."""
    return _ratio(run, "meta", "bin")


def _ratio(run, way, base_way):
    size = run.size
    ways = metabin.make_ways(size.trunk, size.size, size.people, size.pictures, run.device)
    both = {name: ways[name] for name in (base_way, way)}
    best = timing.fastest(both, size.seconds, run.device, repeats=2)
    milliseconds = ", ".join(f"{name} {best[name] / 1000:.2f} ms" for name in both)
    precision = "bfloat16" if run.on_gpu() else "float32"
    note = f"{_batch(size)}, {precision}, channels_last; {milliseconds}"
    return round(best[way] / best[base_way], 3), note


def _dimensions(size):
    height, width = size
    return f"{height}x{width}"


def _batch(size):
    return f"{size.trunk} at {_dimensions(size.size)}, {size.people} x {size.pictures} pictures"


# ---- the model that learns from drawn people


def train_on_drawn_people(run: Run) -> tuple[float, str]:
    """Pictures a second of a training for so many minutes; its weights stay in the folder.

    A short training measures the speed, which sets the number of steps.
    """
    size = run.size
    warm_up = replace(size.recipe, steps=size.warm_up_steps, whiten=0)
    _, history = drawn.train_drawn(warm_up, device=run.device, keep=None)
    speeds = history.column("pictures_per_second")[size.warm_up_steps // 2 :]
    pictures_of_a_step = size.recipe.batch_people * size.recipe.batch_pictures
    steps_a_second = statistics.median(speeds) / pictures_of_a_step
    steps = max(1, int(60 * size.training_minutes * steps_a_second))
    recipe = replace(size.recipe, steps=steps)
    model, history = drawn.train_drawn(recipe, device=run.device, keep=None)
    about = drawn.provenance(recipe, 0, run.device)
    about["training_seconds"] = round(history.seconds)
    save_model(run.weights, model.cpu(), recipe.spec(), about)
    megabytes = run.weights.stat().st_size / MEGABYTE
    speed = len(history) * pictures_of_a_step / history.seconds
    return round(speed), (
        f"{recipe.trunk} at {_dimensions(recipe.size)}, {steps} steps of {pictures_of_a_step} "
        f"pictures in {history.seconds:.0f} s, {recipe.places * recipe.people} people, "
        f"{recipe.count} pictures; {run.weights.name}, {megabytes:.1f} MB"
    )


def score_in_unseen_places(run: Run) -> tuple[float, str]:
    """Rank-1 in drawn places that no training has seen."""
    return _score(run, "away")


def score_on_real_people(run: Run) -> tuple[float, str]:
    """Rank-1 on PKU-Reid: the report half; for a trial the development half."""
    return _score(run, "pku_report" if run.size.is_recorded else "pku_development")


def _score(run, name):
    if not run.weights.is_file():
        raise NotHere(
            f"there is no {run.weights.name} in the folder; where the training's row is kept, "
            "delete the row to train again"
        )
    recipe = run.size.recipe
    exams = drawn.make_exams(recipe, PRESETS[run.size.preset], run.device)
    if name not in exams:
        raise NotHere("REIDKIT_DATA_ROOT names no folder with pku-reid")
    model = load_model(run.weights).model.to(run.device)
    marks = drawn.scores(model, {name: exams[name]}, recipe.mirror)
    if run.size.is_recorded:
        tables.log_looks(f"gpu.csv, {run.weights.stem}", tables.seen_in(marks))
    words = []
    for column, value in marks.items():
        words.append(f"{column.removeprefix(name).lstrip('_').replace('_', ' ')} {value}")
    return marks[f"{name}_rank1"], ", ".join(words)


# ---- the list, in order of worth

ROWS = (
    Row(
        "drawn world: pictures a second",
        "pictures/s",
        seconds=40,
        measure=measure_drawing,
        least=200_000,
    ),
    Row(
        "drawn world: differences from the reference",
        "parts",
        seconds=20,
        measure=compare_drawing,
        most=0,
    ),
    Row("evaluate at Market size", "seconds", seconds=30, measure=measure_evaluation),
    Row("BIN step against BN step", "ratio", seconds=25, measure=compare_bin_step, most=1.2),
    Row("training step", "pictures/s", seconds=20, measure=measure_training_step),
    Row(
        "MetaBIN step against base step",
        "ratio",
        seconds=25,
        measure=compare_metabin_step,
        most=2.3,
    ),
    Row("drawn-gpu: training", "pictures/s", seconds=60 * 5 + 60, measure=train_on_drawn_people),
    Row("drawn-gpu: rank-1 in unseen places", "%", seconds=10, measure=score_in_unseen_places),
    Row("drawn-gpu: rank-1 on real people", "%", seconds=15, measure=score_on_real_people),
)
