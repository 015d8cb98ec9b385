"""Pictures a second of a baseline training step (augmentation, forward, losses, backward, Adam),
by memory layout and precision.

    python benchmarks/training.py [--trunk tiny] [--size 64 32] [--batch 64] [--threads 1 2] [--device auto]

The best of the timed steps counts: on a machine with other work the slow ones measure the others.
"""

import argparse
import pathlib
import sys
import time
from types import SimpleNamespace

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from reidkit import augment, runtime, sampling  # noqa: E402
from reidkit.methods.baseline import Baseline, baseline_losses  # noqa: E402


def seconds_a_step(trunk, size, count, device, layout, precision, seconds):
    """The fastest step within `seconds`, after three to warm up."""
    torch.manual_seed(0)
    model = Baseline(100, trunk).to(device, memory_format=layout)
    optimizer = torch.optim.Adam(model.parameters(), 3e-4)
    pictures = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, device=device)
    batch, best, number = (
        SimpleNamespace(ids=torch.arange(count, device=device) // 4),
        float("inf"),
        0,
    )
    end = time.perf_counter() + seconds
    while number < 4 or time.perf_counter() < end:
        begun = time.perf_counter()
        images = augment.standard(pictures.float(), sampling.generator(0, number, device=device))
        images = augment.normalize(images).contiguous(memory_format=layout)
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16"
        ):
            output = model(images)
        optimizer.zero_grad(set_to_none=True)
        loss = sum(baseline_losses(output, batch).values())
        loss.backward()
        optimizer.step()
        loss.item()  # wait for the device
        number += 1
        if number > 3:
            best = min(best, time.perf_counter() - begun)
    return best


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trunk", default="tiny")
    parser.add_argument("--size", type=int, nargs=2, default=(64, 32))
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, nargs="+", default=(1, 2))
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args()
    device = runtime.pick_device(asked.device)
    print(
        f"{asked.trunk} at {asked.size[0]} x {asked.size[1]}, {asked.batch} pictures a step,",
        f"{device}, torch {torch.__version__}",
    )
    print(
        f"{'threads':>7} {'layout':>14} {'precision':>9} {'ms a picture':>12} {'pictures a second':>17}"
    )
    for threads in asked.threads if device.type == "cpu" else [0]:
        threads = runtime.set_threads(threads)
        for name, layout in (
            ("contiguous", torch.contiguous_format),
            ("channels_last", torch.channels_last),
        ):
            for precision in ("float32", "bfloat16"):
                took = seconds_a_step(
                    asked.trunk, asked.size, asked.batch, device, layout, precision, asked.seconds
                )
                speeds = f"{1000 * took / asked.batch:12.2f} {asked.batch / took:17.0f}"
                print(f"{threads:7d} {name:>14} {precision:>9} {speeds}", flush=True)


if __name__ == "__main__":
    main()
