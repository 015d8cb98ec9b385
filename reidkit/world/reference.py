"""The frozen world: a fixed set of pictures and places that every version of the drawing code must give again.

    python -m reidkit.world.reference           compare with data/world/reference.safetensors
    python -m reidkit.world.reference --write   keep a new version's; VERSION in world/sets.py must have changed

Every recorded table depends on the world: a change of it is a new version, and all tables are recorded again.
"""

import argparse
import hashlib
import json

import safetensors
import safetensors.torch
import torch

from .. import files
from .cameras import make_cameras
from .people import make_people
from .places import EASY, FAMILIES, HARD, NORMAL, make_place
from .poses import make_poses
from .render import render
from .sets import VERSION

PLACES = 200  # of each family, by their numbers


def path():
    return files.data_dir() / "world" / "reference.safetensors"


def draw(device="cpu"):
    """dict name -> tensor: 36 pictures and masks, of both sizes, all families and three difficulties."""
    drawn = {}
    for size, count in (((64, 32), 2), ((128, 64), 1)):
        parts = []
        for number, family in enumerate(FAMILIES):
            for index, knobs in enumerate((EASY, NORMAL, HARD)):
                place = make_place(family, index)
                cameras = make_cameras(place, count, 0, knobs)
                poses = make_poses(count, 7, knobs, cameras, 10 * number)
                parts.append(
                    render(
                        make_people(count, 3, knobs, place), cameras, poses, size, device, raw=False
                    )
                )
        name = f"{size[0]}x{size[1]}"
        drawn[f"images {name}"] = torch.cat([part.images for part in parts]).cpu()
        drawn[f"masks {name}"] = torch.cat([part.masks for part in parts]).cpu()
    return drawn


def places():
    """Hex digest of what the first places of every family are, to four decimals (their numbers are exact hashes)."""
    sums = hashlib.sha256()
    for family in FAMILIES:
        for index in range(PLACES):
            place = make_place(family, index)
            values = [
                place.palette.flatten(),
                place.kinds,
                torch.tensor([place.season]),
                *place.style.values(),
            ]
            numbers = [f"{value:.4f}" for value in torch.cat(values).tolist()]
            sums.update(json.dumps([place.name, place.key, numbers]).encode())
    return sums.hexdigest()


def device_class(device="cpu"):
    """Machines that draw the same bits: "cpu AVX512", "cuda 9.0". Others round a few pixels to the next grey level."""
    if torch.device(device).type == "cuda":
        return "cuda " + ".".join(map(str, torch.cuda.get_device_capability(device)))
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"


def compare(device="cpu"):
    """What differs from the kept reference -> list of sentences; empty if the world is as it was.

    Places and version must be equal. On the class of device that wrote the reference pictures must be equal bit for bit;
    on another, a hundredth of the values may differ by one grey level and a thousandth by more, where an edge falls on
    the other side of a pixel's middle."""
    with safetensors.safe_open(path(), "pt") as stream:
        note, kept = stream.metadata(), {name: stream.get_tensor(name) for name in stream.keys()}
    found = (
        []
        if note["version"] == VERSION
        else [f"version is {VERSION}, the reference is of {note['version']}"]
    )
    if note["places"] != places():
        found.append("the families of places have changed")
    exact = note["device"] == device_class(device)
    for name, now in draw(device).items():
        apart = (now.int() - kept[name].int()).abs()
        if (apart > 0).any() and (
            exact or (apart > 0).float().mean() > 0.01 or (apart > 1).float().mean() > 0.001
        ):
            found.append(
                f"{name}: {(apart > 0).float().mean():.2%} of the values differ, by up to {apart.max()}"
            )
    return found


def write(device="cpu"):
    """Keep this world as the reference. ValueError where the kept one of the same version differs."""
    if path().is_file():
        with safetensors.safe_open(path(), "pt") as stream:
            version = stream.metadata()["version"]
        if version == VERSION and compare(device):
            raise ValueError(
                f"the world has changed, and its version is still {VERSION}: set a new VERSION in "
                "reidkit/world/sets.py, write the reference, and record all tables again (make tables)"
            )
    note = {"version": VERSION, "places": places(), "device": device_class(device)}
    path().parent.mkdir(parents=True, exist_ok=True)
    with files.atomic_path(path()) as temporary:
        safetensors.torch.save_file(draw(device), temporary, note)


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.world.reference",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args(words)
    if asked.write:
        write(asked.device)
    found = compare(asked.device)
    print("\n".join(found) or f"the world is version {VERSION}, as kept")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
