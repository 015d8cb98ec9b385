"""render and restyle: people x cameras x poses -> pictures and masks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch

from . import scene
from .body import Person
from .cameras import CHAIN
from .figure import walk
from .hashing import hash32
from .imaging import develop
from .shapes import Board

PIXELS = 1 << 18  # pictures of one go on a CPU: their planes stay in its cache
PIXELS_DEVICE = 1 << 25


@dataclass(frozen=True)
class Rendering:
    """B drawn pictures: images (B, 3, H, W) uint8; masks (B, H, W) uint8 (0 background, 1 head, 2 upper, 3 lower, 4
    shoes; what hangs on a person counts as upper); raw (B, 3, H, W) float, the light before the imaging chain, or
    None."""

    images: torch.Tensor
    masks: torch.Tensor
    raw: torch.Tensor | None = None

    def __len__(self):
        return len(self.images)


def draw(people, cameras, poses, size):
    """The scene before any imaging chain -> raw (B, 3, H, W) float, masks (B, H, W) uint8."""
    device = people.key.device
    joints = walk(people, poses, cameras.elevation)
    board = Board(cameras, poses, joints["drop"], size, device)
    grain = scene.texture(hash32(cameras.key, poses.key), size, device)
    scene.backdrop(board, cameras, poses, grain)
    weave = scene.weave(people, board, joints, size)
    Person(board, people, joints, cameras.sun[:, None, None], weave).paint()
    plane = lambda value: value[:, None, None]
    cloth = torch.where(
        board.labels == 2,
        plane(people.mottle),
        torch.where(board.labels == 3, plane(people.wash), 0),
    )
    board.dark.add_(weave.mul_(-cloth))
    board.dark.add_(grain.mul(plane(-poses.folds)).mul_(board.labels.clamp(max=1)))  # creases
    scene.occlude(board, poses, grain)
    return board.light(), board.labels.to(torch.uint8)


def _check(people, cameras, poses, size):
    if not len(people) == len(cameras) == len(poses) or not len(people):
        raise ValueError(
            f"{len(people)} people, {len(cameras)} cameras, {len(poses)} poses; expected one of each for "
            "every picture (index them: people[who], cameras[where])"
        )
    if len(size) != 2 or any(not isinstance(n, int) or n < 32 or n % 32 for n in size):
        raise ValueError(
            f"size is {size!r}; expected (height, width), multiples of 32 pixels, for example (64, 32)"
        )


def render(people, cameras, poses, size=(128, 64), device="cpu", seed=0, raw=True):
    """Draw picture i as cameras[i] sees people[i] in poses[i] -> Rendering on the CPU or the device that was asked for.

    A picture depends on its own person, camera, pose, size and the seed (of the noise) alone, not on its neighbours or
    the number of threads. raw=False spares the memory of the float pictures. ValueError for unequal lengths or an odd
    size.
    """
    return _render(people, cameras, poses, cameras, size, device, seed, raw)


def restyle(people, cameras, poses, other_cameras, size=(128, 64), device="cpu", seed=0, raw=True):
    """The same people, poses, geometry and background through the imaging chain of other_cameras: masks and raw are
    identical."""
    if len(other_cameras) != len(cameras):
        raise ValueError(
            f"{len(other_cameras)} other cameras for {len(cameras)} pictures; expected one a picture"
        )
    return _render(people, cameras, poses, other_cameras, size, device, seed, raw)


def _render(people, cameras, poses, styles, size, device, seed, keep_raw):
    _check(people, cameras, poses, size)
    device, size, count = torch.device(device), tuple(size), len(people)
    seen = replace(cameras, **{name: getattr(styles, name) for name in CHAIN})
    noise = hash32("noise", seed, people.key, cameras.key, poses.key)
    images = torch.empty(count, 3, *size, dtype=torch.uint8, device=device)
    masks = torch.empty(count, *size, dtype=torch.uint8, device=device)
    raws = torch.empty(count, 3, *size, device=device) if keep_raw else None

    def piece(start):
        part = slice(start, start + step)
        view = seen[part].to(device)
        light, masks[part] = draw(people[part].to(device), view, poses[part].to(device), size)
        images[part] = develop(light, view, noise[part].to(device))
        if keep_raw:
            raws[part] = light

    on_cpu = device.type == "cpu"
    step = max(1, (PIXELS if on_cpu else PIXELS_DEVICE) // (size[0] * size[1]))
    starts = range(0, count, step)
    with torch.inference_mode():
        if on_cpu:
            _on_threads(piece, starts)
        else:
            for start in starts:
                piece(start)
    return Rendering(images, masks, raws)


def _on_threads(piece, starts):
    """Pieces side by side, each on one thread: faster than splitting every small operation, and the same numbers for
    any count."""
    threads = torch.get_num_threads()

    def alone(start):
        torch.set_num_threads(1)  # of this worker
        with torch.inference_mode():
            piece(start)

    try:
        with ThreadPoolExecutor(max_workers=min(threads, len(starts))) as pool:
            list(pool.map(alone, starts))
    finally:
        torch.set_num_threads(threads)
