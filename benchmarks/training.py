"""Pictures a second of a baseline training step by memory layout and precision.

    python -m benchmarks training [--trunk tiny] [--size 64 32] [--batch 64] [--threads 1 2]

A step is augmentation, forward, losses, backward and Adam.
"""

import itertools
from collections.abc import Callable
from types import SimpleNamespace

import torch

from reidkit import augment, runtime, sampling
from reidkit.console import each_once, real_number, whole_number
from reidkit.methods.baseline import Baseline, baseline_losses

from .timing import MICRO, fastest, make_parser

LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PICTURES = 4  # of each person


def make_step(
    trunk: str, size: tuple[int, int], count: int, device, layout: str, precision: str
) -> Callable[[], None]:
    """One training step of a fresh baseline.

    Args:
        trunk: see `backbones.make_trunk`.
        size: (height, width) of a picture.
        count: pictures of a batch.
        device: to train on.
        layout: a name in LAYOUTS.
        precision: "float32" or "bfloat16".
    Returns:
        A function that takes the next step.
    """
    torch.manual_seed(0)
    memory_format = LAYOUTS[layout]
    model = Baseline(100, trunk).to(device, memory_format=memory_format)
    optimizer = torch.optim.Adam(model.parameters(), 3e-4)
    pictures = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, device=device)
    batch = SimpleNamespace(ids=torch.arange(count, device=device) // PICTURES)
    numbers = itertools.count()
    half = precision == "bfloat16"

    def step():
        generator = sampling.generator(0, next(numbers), device=device)
        images = augment.standard(pictures.float(), generator)
        images = images.contiguous(memory_format=memory_format)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=half):
            output = model(images)
        optimizer.zero_grad(set_to_none=True)
        loss = sum(baseline_losses(output, batch).values())
        loss.backward()
        optimizer.step()

    return step


def seconds_a_step(step: Callable[[], None], seconds: float, device) -> float:
    """The fastest step within `seconds`, of four at least."""
    return fastest({"step": step}, seconds, device, repeats=2)["step"] / MICRO


def main(words: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("training", __doc__)
    parser.add_argument("--trunk", default="tiny")
    parser.add_argument("--size", type=whole_number(1), nargs=2, default=(64, 32))
    parser.add_argument("--batch", type=whole_number(1), default=64)
    parser.add_argument("--threads", type=whole_number(1, 1024), nargs="+", default=(1, 2))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=real_number(0), default=3.0)
    options = parser.parse_args(words)
    device = runtime.pick_device(options.device)
    height, width = options.size
    print(
        f"{options.trunk} at {height} x {width}, {options.batch} pictures a step, {device}, "
        f"torch {torch.__version__}"
    )
    print(
        f"{'threads':>7} {'layout':>14} {'precision':>9} {'ms a picture':>12} "
        f"{'pictures a second':>17}"
    )
    for threads in each_once("--threads", options.threads) if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        for layout, precision in itertools.product(LAYOUTS, ("float32", "bfloat16")):
            step = make_step(options.trunk, options.size, options.batch, device, layout, precision)
            took = seconds_a_step(step, options.seconds, device)
            speeds = f"{1000 * took / options.batch:12.2f} {options.batch / took:17.0f}"
            print(f"{threads:7d} {layout:>14} {precision:>9} {speeds}", flush=True)
