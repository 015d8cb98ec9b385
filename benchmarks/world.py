"""Pictures drawn a second.

python -m benchmarks world [--device cuda] [--threads 2] [--seconds 3]
"""

import time

import torch

from reidkit import runtime, world
from reidkit.console import real_number, whole_number

from .timing import make_parser, timed

GOALS = {(64, 32): 3000, (128, 64): 800}  # size -> pictures a second of two cores
GOAL_OF_A_GPU = 200_000  # at either size


def rate(
    size: tuple[int, int], device: torch.device | str, seconds: float, count: int
) -> tuple[float, float, int]:
    """How fast `render` draws without keeping the raw light; the tables are made beforehand.

    Args:
        size: (height, width) of a picture.
        device: to draw on.
        seconds: to try; three goes are made in any case.
        count: pictures of one go.
    Returns:
        (pictures a second, pictures a core-second, goes), the best of all goes. On a machine that
        others use too, the second number is the steadier one.
    """
    place = world.make_place("demo", 0)
    cameras = world.make_cameras(place, 8)[torch.arange(count) % 8].to(device)
    people = world.make_people(count, 1, place=place).to(device)
    poses = world.make_poses(count, 1).to(device)

    def draw():
        world.render(people, cameras, poses, size, device, raw=False)

    best_seconds = float("inf")
    best_core_seconds = float("inf")
    goes = 0
    end = time.perf_counter() + seconds
    while goes < 3 or time.perf_counter() < end:
        took, cores = timed(draw, device)
        best_seconds = min(best_seconds, took)
        best_core_seconds = min(best_core_seconds, cores)
        goes += 1
    return count / best_seconds, count / best_core_seconds, goes


def main(words: list[str] | None = None) -> None:
    """The command."""
    parser = make_parser("world", __doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=whole_number(1, 1024), default=2)
    parser.add_argument("--seconds", type=real_number(0), default=3)
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    device = runtime.pick_device(options.device)
    on_cpu = device.type == "cpu"
    count = 1024 if on_cpu else 32768
    for size, goal_of_cores in GOALS.items():
        speed, by_core, goes = rate(size, device, options.seconds, count)
        goal = goal_of_cores if on_cpu else GOAL_OF_A_GPU
        print(
            f"{size[0]}x{size[1]} on {device}, {options.threads} threads: "
            f"{speed:,.0f} pictures/s (goal {goal:,}; best of {goes}); "
            f"{by_core:,.0f} a core-second"
        )
