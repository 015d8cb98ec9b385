"""The clock of all benchmarks: the device is awaited, ways take turns, the best of each counts.

On a machine with other work the slow runs measure the others.
"""

import argparse
import time
from collections.abc import Callable, Mapping

import torch

MICRO = 1e6  # microseconds in a second


def wait(device: torch.device | str) -> None:
    """Until a GPU has done all that it was asked for; a CPU has."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: Callable, device: torch.device | str) -> tuple[float, float]:
    """Run once.

    Args:
        run: a function without arguments.
        device: that it works on.
    Returns:
        (seconds, core seconds: those of all threads of this process together).
    """
    wait(device)
    cores_before = time.process_time()
    start = time.perf_counter()
    run()
    wait(device)
    seconds = time.perf_counter() - start
    return seconds, time.process_time() - cores_before


def fastest(
    runs: Mapping[str, Callable], seconds: float, device: torch.device | str, repeats: int = 5
) -> dict[str, float]:
    """The fastest run of each way.

    Args:
        runs: way -> a function without arguments.
        seconds: for each way; two turns are taken in any case.
        device: that the runs work on.
        repeats: runs in a row, since the first of a turn meets what the last way left in the cache.
    Returns:
        way -> microseconds.
    """
    best = dict.fromkeys(runs, float("inf"))
    turns = 0
    end = time.perf_counter() + seconds * len(runs)
    while turns < 2 or time.perf_counter() < end:
        for way, run in runs.items():
            for _ in range(repeats):
                took, _ = timed(run, device)
                best[way] = min(best[way], MICRO * took)
        turns += 1
    return best


def make_parser(name: str, text: str) -> argparse.ArgumentParser:
    """The parser of `python -m benchmarks NAME`, with a module's docstring as its help."""
    return argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
