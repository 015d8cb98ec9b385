"""render and restyle: people x cameras x poses -> pictures and masks."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..runtime import pick_device
from . import scene
from .body import LOWER, UPPER, Person
from .cameras import CHAIN, Cameras
from .hashing import hash32
from .imaging import develop
from .joints import walk
from .people import People
from .poses import Poses
from .shapes import Board

PIXELS = 1 << 18  # pictures of one go on a CPU: their planes stay in its cache
PIXELS_DEVICE = 1 << 25


@dataclass(frozen=True)
class Rendering:
    """B drawn pictures.

    Args:
        images: (B, 3, H, W) uint8.
        masks: (B, H, W) uint8: 0 background, 1 head, 2 upper, 3 lower, 4 shoes; what hangs on a
            person counts as upper.
        raw: (B, 3, H, W) float, the light before the imaging chain, or None.
    """

    images: Tensor
    masks: Tensor
    raw: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


def draw(
    people: People, cameras: Cameras, poses: Poses, size: tuple[int, int]
) -> tuple[Tensor, Tensor]:
    """The scene before any imaging chain.

    Args:
        people: B people.
        cameras: B cameras.
        poses: B poses, all on one device.
        size: height and width, pixels.
    Returns:
        raw (B, 3, H, W) float, and masks (B, H, W) uint8.
    """
    device = people.key.device
    joints = walk(people, poses, cameras.elevation)
    board = Board(cameras, poses, joints.drop, size, device)
    grain = scene.texture(hash32(cameras.key, poses.key), size, device)
    scene.backdrop(board, cameras, poses, grain)
    weave = scene.weave(people, board, joints, size)
    Person(people, board, joints, cameras.sun[:, None, None], weave).paint()
    # unevenness of the cloth, as strong as it is above and below
    mottle = people.mottle[:, None, None]
    wash = people.wash[:, None, None]
    below = torch.where(board.labels == LOWER, wash, 0)
    uneven = torch.where(board.labels == UPPER, mottle, below)  # (B, H, W)
    board.dark.add_(weave.mul_(-uneven))
    # creases on everything that belongs to the person
    creases = grain.mul(-poses.folds[:, None, None])
    creases.mul_(board.labels.clamp(max=1))
    board.dark.add_(creases)
    scene.occlude(board, poses, grain)
    return board.light(), board.labels.to(torch.uint8)


def _check(people, cameras, poses, size):
    if not len(people) == len(cameras) == len(poses) or not len(people):
        raise ValueError(
            f"{len(people)} people, {len(cameras)} cameras, {len(poses)} poses; expected one of "
            "each for every picture (index them: people[who], cameras[where])"
        )
    if len(size) != 2 or any(not isinstance(n, int) or n < 32 or n % 32 for n in size):
        raise ValueError(
            f"size is {size!r}; expected (height, width), multiples of 32 pixels, "
            "for example (64, 32)"
        )


def render(
    people: People,
    cameras: Cameras,
    poses: Poses,
    size: tuple[int, int] = (128, 64),
    device: torch.device | str = "cpu",
    seed: int = 0,
    raw: bool = True,
) -> Rendering:
    """Draw picture i as cameras[i] sees people[i] in poses[i].

    A picture depends on its own person, camera, pose, size and the seed (of the noise) alone, not
    on its neighbours or the number of threads.

    Args:
        people: B people.
        cameras: B cameras.
        poses: B poses.
        size: height and width of the pictures, pixels.
        device: where they are drawn and stay; "auto" is the GPU where there is one.
        seed: of the noise.
        raw: False spares the memory of the float pictures.
    Returns:
        B pictures on the CPU or the device that was asked for.
    Raises:
        ValueError: for unequal lengths, an odd size, or a device that is not here.
    """
    _check(people, cameras, poses, size)
    return _render(people, cameras, poses, size, device, seed, raw)


def restyle(
    people: People,
    cameras: Cameras,
    poses: Poses,
    other_cameras: Cameras,
    size: tuple[int, int] = (128, 64),
    device: torch.device | str = "cpu",
    seed: int = 0,
    raw: bool = True,
) -> Rendering:
    """The same people, poses, geometry and background through another imaging chain.

    Args:
        people: B people.
        cameras: B cameras, whose geometry and background are kept.
        poses: B poses.
        other_cameras: B cameras, whose imaging chain is used.
        size: height and width of the pictures, pixels.
        device: where they are drawn and stay; "auto" is the GPU where there is one.
        seed: of the noise.
        raw: False spares the memory of the float pictures.
    Returns:
        B pictures; masks and raw are identical to those of `render`.
    Raises:
        ValueError: for unequal lengths, an odd size, or a device that is not here.
    """
    if len(other_cameras) != len(cameras):
        raise ValueError(
            f"{len(other_cameras)} other cameras for {len(cameras)} pictures; "
            "expected one a picture"
        )
    _check(people, cameras, poses, size)
    chain = {name: getattr(other_cameras, name) for name in CHAIN}
    return _render(people, replace(cameras, **chain), poses, size, device, seed, raw)


def _render(people, cameras, poses, size, device, seed, keep_raw):
    """Draw piece by piece, so that the planes of one piece stay in the processor's cache."""
    device = pick_device(device)
    size = tuple(size)
    count = len(people)
    noise_key = hash32("noise", seed, people.key, cameras.key, poses.key)  # (B,)
    images = torch.empty(count, 3, *size, dtype=torch.uint8, device=device)
    masks = torch.empty(count, *size, dtype=torch.uint8, device=device)
    raws = torch.empty(count, 3, *size, device=device) if keep_raw else None

    def draw_piece(start):
        rows = slice(start, start + step)
        view = cameras[rows].to(device)
        light, labels = draw(people[rows].to(device), view, poses[rows].to(device), size)
        masks[rows] = labels
        images[rows] = develop(light, view, noise_key[rows].to(device))
        if keep_raw:
            raws[rows] = light

    on_cpu = device.type == "cpu"
    pixels = PIXELS if on_cpu else PIXELS_DEVICE
    step = max(1, pixels // (size[0] * size[1]))  # pictures of a piece
    starts = range(0, count, step)
    with torch.inference_mode():
        if on_cpu:
            _on_threads(draw_piece, starts)
        else:
            for start in starts:
                draw_piece(start)
    return Rendering(images, masks, raws)


def _on_threads(draw_piece, starts):
    """Pieces side by side, each on one thread: faster than splitting every small operation, and the
    same numbers for any count."""
    threads = torch.get_num_threads()

    def draw_alone(start):
        torch.set_num_threads(1)  # of this worker
        with torch.inference_mode():
            draw_piece(start)

    try:
        with ThreadPoolExecutor(max_workers=min(threads, len(starts))) as pool:
            list(pool.map(draw_alone, starts))
    finally:
        torch.set_num_threads(threads)
