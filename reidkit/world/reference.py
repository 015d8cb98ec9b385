"""The frozen world: a fixed set of pictures and places that the drawing code must give again.

    python -m reidkit.world.reference           compare with data/world/reference.safetensors
    python -m reidkit.world.reference --write   keep a new version's

Before --write, VERSION in world/sets.py must have changed. Every recorded table depends on the
world: a change of it is a new version, and all tables are recorded again.
"""

import argparse
import hashlib
import json
import pathlib

import torch
from torch import Tensor

from .. import files, tensor_files
from .cameras import make_cameras
from .people import make_people
from .places import EASY, FAMILIES, HARD, NORMAL, make_place
from .poses import make_poses
from .render import render
from .sets import VERSION

PLACES = 200  # of each family, by their numbers
DIFFICULTIES = (EASY, NORMAL, HARD)


def path() -> pathlib.Path:
    """Where the reference is kept."""
    return files.data_dir() / "world" / "reference.safetensors"


def draw(device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """36 pictures and masks, of both sizes, all families and three difficulties.

    Args:
        device: where they are drawn.
    Returns:
        name -> tensor on the CPU.
    """
    tensors = {}
    for size, count in (((64, 32), 2), ((128, 64), 1)):
        parts = []
        for number, family in enumerate(FAMILIES):
            for index, knobs in enumerate(DIFFICULTIES):
                place = make_place(family, index)
                people = make_people(count, 3, knobs, place)
                cameras = make_cameras(place, count, 0, knobs)
                poses = make_poses(count, 7, knobs, cameras, 10 * number)
                parts.append(render(people, cameras, poses, size, device, raw=False))
        name = f"{size[0]}x{size[1]}"
        tensors[f"images {name}"] = torch.cat([part.images for part in parts]).cpu()
        tensors[f"masks {name}"] = torch.cat([part.masks for part in parts]).cpu()
    return tensors


def places() -> str:
    """What the first places of every family are, to four decimals (their numbers are exact hashes).

    Returns:
        a hex digest.
    """
    sums = hashlib.sha256()
    for family in FAMILIES:
        for index in range(PLACES):
            place = make_place(family, index)
            season = torch.tensor([place.season])
            values = [place.palette.flatten(), place.kinds, season, *place.style.values()]
            numbers = [f"{value:.4f}" for value in torch.cat(values).tolist()]
            sums.update(json.dumps([place.name, place.key, numbers]).encode())
    return sums.hexdigest()


def device_class(device: torch.device | str = "cpu") -> str:
    """Machines that draw the same bits: "cpu AVX512", "cuda 9.0".

    Others round a few pixels to the next grey level.
    """
    if torch.device(device).type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        return "cuda " + ".".join(map(str, capability))
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"


def compare(device: torch.device | str = "cpu") -> list[str]:
    """What differs from the kept reference.

    Places and version must be equal. On the class of device that wrote the reference pictures must
    be equal bit for bit; on another, a hundredth of the values may differ by one grey level and a
    thousandth by more, where an edge falls on the other side of a pixel's middle.

    Args:
        device: where the world is drawn.
    Returns:
        sentences; none if the world is as it was.
    """
    reference, note = tensor_files.read(path())
    differences = []
    if note["version"] != VERSION:
        differences.append(f"version is {VERSION}, the reference is of {note['version']}")
    if note["places"] != places():
        differences.append("the families of places have changed")
    same_class = note["device"] == device_class(device)
    for name, now in draw(device).items():
        apart = (now.int() - reference[name].int()).abs()
        share = (apart > 0).float().mean()
        far_share = (apart > 1).float().mean()
        allowed = not same_class and share <= 0.01 and far_share <= 0.001
        if share > 0 and not allowed:
            differences.append(f"{name}: {share:.2%} of the values differ, by up to {apart.max()}")
    return differences


def write(device: torch.device | str = "cpu") -> None:
    """Keep this world as the reference.

    Args:
        device: where it is drawn.
    Raises:
        ValueError: where the kept one of the same version differs.
    """
    if path().is_file():
        _, kept_note = tensor_files.read(path())
        if kept_note["version"] == VERSION and compare(device):
            raise ValueError(
                f"the world has changed, and its version is still {VERSION}: set a new VERSION in "
                "reidkit/world/sets.py, write the reference, and record all tables again "
                "(make tables)"
            )
    note = {"version": VERSION, "places": places(), "device": device_class(device)}
    tensor_files.write(path(), draw(device), note)


def main(words: list[str] | None = None) -> int:
    """The command: 0 where the world is as it was kept, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.world.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(words)
    if options.write:
        write(options.device)
    differences = compare(options.device)
    print("\n".join(differences) or f"the world is version {VERSION}, as kept")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main())
