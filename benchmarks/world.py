"""Pictures drawn a second. python benchmarks/world.py [--device cuda] [--threads 2] [--seconds 3]"""

import argparse
import pathlib
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from reidkit import world  # noqa: E402


def rate(size, device, seconds, count):
    """Best of several goes, pictures a second and a core-second, of render without keeping the raw light.

    On a machine that others use too, the second number is the steadier one. Tables are made beforehand.
    """
    place = world.make_place("demo", 0)
    cameras = world.make_cameras(place, 8)[torch.arange(count) % 8].to(device)
    people, poses = (
        world.make_people(count, 1, place=place).to(device),
        world.make_poses(count, 1).to(device),
    )
    best, work, stop, goes = float("inf"), float("inf"), time.perf_counter() + seconds, 0
    while goes < 3 or time.perf_counter() < stop:
        start, cores = time.perf_counter(), time.process_time()
        images = world.render(people, cameras, poses, size, device, raw=False).images
        images[-1, 0, 0, 0].item()  # waits for a GPU
        best, work = min(best, time.perf_counter() - start), min(work, time.process_time() - cores)
        goes += 1
    return count / best, count / work, goes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for size, target in (((64, 32), 3000), ((128, 64), 800)):
        count = 1024 if options.device == "cpu" else 32768
        speed, by_core, goes = rate(size, options.device, options.seconds, count)
        goal = target if options.device == "cpu" else 200_000
        print(
            f"{size[0]}x{size[1]} on {options.device}, {options.threads} threads: {speed:,.0f} pictures/s "
            f"(goal {goal:,}; best of {goes}); {by_core:,.0f} a core-second"
        )


if __name__ == "__main__":
    main()
