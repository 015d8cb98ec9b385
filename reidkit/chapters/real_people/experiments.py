"""Chapter 11: its exams, its album and its probes.

    REIDKIT_DATA_ROOT=/folder/of/data/sets python -m reidkit.chapters.real_people.experiments

writes data/results/11_outline.safetensors, the outline of real people (the development half of
PKU-Reid): a deviation for each pixel, no picture.
"""

import pathlib
import re
from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from ... import datasets, files, retrieval, runtime, store, world
from ...console import command
from ...recipes.examine import real_exams
from ...recipes.presets import PRESETS
from ...record import Exam
from ...teach.start import Run

# The lines of `make tables` for this chapter.
TABLES = (
    # One knob at a time, over three seeds.
    "reidkit.recipes study --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/11_study.csv",
    # The outline of real people.
    "reidkit.chapters.real_people.experiments",
    # Features of real people under a short BN and a short BIN training.
    "reidkit.recipes features --threads 2 --out data/results/11_features.safetensors",
    # The final network on real people, over five seeds, and one that is not trained at all.
    "reidkit.recipes models --seeds 0 1 2 3 4 --threads 2 --out data/results/11_models.csv",
    # The committed network on every set of real pictures that may be looked at.
    "reidkit.recipes reals --threads 2 --out data/results/11_reals.csv",
    # The network itself.
    "reidkit.recipes drawn-laptop --threads 2 --out data/weights/drawn-laptop.safetensors",
)

# ---- exams


def real_exam(run: Run, size: tuple[int, int]) -> Exam | None:
    """The real pictures that DATA names; None for "world".

    Of PKU-Reid, the development half: the other is for reporting, and stands in recorded tables
    only.

    Args:
        run: the chapter's Run.
        size: (height, width) of a picture.
    Raises:
        ValueError: 3DPeS, whose sequences have too few pictures for statistics of their own; and
            what `datasets.read` raises.
    """
    if run.source == "world":
        return None
    name, _, path = run.data.partition(":")
    if name == "3dpes":
        raise ValueError(
            f"DATA is {run.data!r}; expected a set with cameras, since this chapter takes "
            "statistics per camera and a sequence of 3DPeS has one to six pictures. Name another "
            "set, or measure this one by python -m reidkit.recipes reals"
        )
    half = "development" if datasets.LAYOUTS[name].halves else "all"
    return datasets.read(name, path, size, half=half).exam


def drawn_exam(
    people: int, pictures: int, size: tuple[int, int], seed: int = 0, device: str = "cpu"
) -> Exam:
    """One drawn validation place in PKU-Reid's form: two cameras, the first searched in the second.

    Args:
        people: how many.
        pictures: of each person from each camera.
        size: (height, width) of a picture.
        seed: of people and pictures.
        device: to draw on.
    """
    exam = world.make_exam([("validation", 0)], people, 2, pictures, size, seed, device=device)
    data = exam.both()
    return Exam(data[data.cameras == 0], data[data.cameras == 1], "drawn, two cameras")


def draw_album(folder: str | pathlib.Path, seed: int = 0) -> str | pathlib.Path:
    """Write a small album of drawn people as PNG files, "p1_c0_0.png".

    Args:
        folder: to write into.
        seed: of the people.
    Returns:
        The folder.
    """
    data = world.sample(
        [("demo", 0)], people=6, cameras=3, pictures=2, size=(128, 64), seed=seed, cache=False
    )
    people = data.ids.tolist()
    cameras = data.cameras.tolist()
    for i, image in enumerate(data.images):
        name = f"p{people[i] + 1}_c{cameras[i]}_{i % 2}.png"
        picture = Image.fromarray(image.permute(1, 2, 0).numpy())  # (3, H, W) -> (H, W, 3)
        picture.save(pathlib.Path(folder) / name)
    return folder


def cameras_in_names(names: Sequence[str]) -> Tensor:
    """(N,) int64: the camera of each picture where its name tells it ("..._c3_..."), else 0."""
    cameras = []
    for name in names:
        match = re.search(r"_c(\d)", name)
        cameras.append(int(match[1]) if match else 0)
    return torch.tensor(cameras)


# ---- probes


def style(pictures: Tensor) -> Tensor:
    """uint8 (N, 3, H, W) -> (N, 6), 0 to 1: mean and deviation of red, green, blue over each
    picture.
    """
    flat = pictures.float().flatten(2) / 255  # (N, 3, H * W)
    return torch.cat([flat.mean(2), flat.std(2)], dim=1)


def outline(pictures: Tensor, cameras: Tensor) -> Tensor:
    """Where pictures of one camera differ from each other.

    Dark where a background stays as it is; people differ, so that their common outline shows, and
    nobody in particular.

    Args:
        pictures: uint8 (N, 3, H, W).
        cameras: (N,).
    Returns:
        (H, W) deviation in grey levels, mean over the cameras.
    """
    grey = pictures.float().mean(1)  # (N, H, W)
    deviations = [grey[cameras == camera].std(0) for camera in cameras.unique()]
    return torch.stack(deviations).mean(0)


def scaled_per_camera(values: Tensor, cameras: Tensor) -> Tensor:
    """(N, D) with each camera's mean taken away and divided by its deviation.

    Args:
        values: (N, D), in any unit.
        cameras: (N,).
    """
    scaled = torch.empty_like(values)
    for camera in cameras.unique():
        in_camera = cameras == camera
        of_camera = values[in_camera]
        scaled[in_camera] = (of_camera - of_camera.mean(0)) / of_camera.std(0)
    return scaled


def same_camera(features: Tensor, ids: Tensor, cameras: Tensor) -> tuple[float, float]:
    """How often the nearest stranger stands in the same camera.

    Args:
        features: (N, D).
        ids: (N,).
        cameras: (N,).
    Returns:
        (how often, how often by chance), in %.
    """
    stranger = ids[:, None] != ids[None]  # (N, N)
    same = cameras[:, None] == cameras[None]
    distance = torch.cdist(features, features).masked_fill(~stranger, torch.inf)
    nearest = distance.argmin(1)  # (N,)
    hits = cameras[nearest] == cameras
    chance = (same & stranger).sum(1) / stranger.sum(1)
    return 100 * hits.float().mean().item(), 100 * chance.mean().item()


def camera_told(features: Tensor, ids: Tensor, cameras: Tensor) -> float:
    """How often the nearest camera mean is that of the picture's own camera, in %.

    Means are taken over half of the people, the question is asked of the other half.

    Args:
        features: (N, D).
        ids: (N,).
        cameras: (N,).
    """
    learn = torch.isin(ids, ids.unique()[::2])
    ask = ~learn
    numbers = cameras.unique()
    means = [features[learn & (cameras == camera)].mean(0) for camera in numbers]
    distance = torch.cdist(features[ask], torch.stack(means))  # (n, cameras)
    told = numbers[distance.argmin(1)]
    hits = told == cameras[ask]
    return 100 * hits.float().mean().item()


def first_in_second(features: Tensor, ids: Tensor, cameras: Tensor) -> retrieval.Metrics:
    """Camera 0's pictures searched among those of camera 1.

    Args:
        features: (N, D).
        ids: (N,).
        cameras: (N,).
    """
    q = cameras == 0
    g = cameras == 1
    return retrieval.evaluate(features[q], ids[q], cameras[q], features[g], ids[g], cameras[g])


@command
def main(words: Sequence[str] | None = None) -> None:
    """Record the outline of PKU-Reid's development half.

    Args:
        words: of the command line; there are none.
    Raises:
        ValueError: REIDKIT_DATA_ROOT names no folder that holds the set.
    """
    exam = real_exams(PRESETS["smoke"]).get("pku_development")
    if exam is None:
        raise ValueError(
            "this measures on PKU-Reid; set REIDKIT_DATA_ROOT to the folder of real data sets"
        )
    data = exam.both()
    values = outline(data.pictures(), data.cameras).half()
    path = files.results_dir() / "11_outline.safetensors"
    store.write_recorded(path, {"outline": values}, runtime.provenance())


if __name__ == "__main__":
    raise SystemExit(main())
