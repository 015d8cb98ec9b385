"""What a chapter runs on, chosen by the one parameter DATA.

A journey has people to train on, an exam at home and an exam away.
"""

from dataclasses import dataclass
from typing import Any

import torch

from .. import world
from ..record import Exam, ReIDData
from ..runtime import pick_device
from .readers import read

FORMS = "'world', 'market1501:PATH' or 'pku-reid:PATH'"


@dataclass(frozen=True)
class Journey:
    """The data of a chapter.

    Args:
        train: the pictures to learn from.
        home: an exam with other people in the places of `train`.
        away: an exam with other people in places never seen.
        real: whether pictures of real people take part.
        note: one sentence on what this is.
    """

    train: ReIDData
    home: Exam
    away: Exam
    real: bool
    note: str


def parse(spec: str) -> tuple[str, str | None]:
    """Take DATA apart; only the first colon counts, so that C:\\ is a path.

    Returns:
        The name and the path, which is None for "world".
    Raises:
        ValueError: names the forms that DATA may have.
    """
    name, colon, path = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    path = path.strip()
    if name == "world" and not colon:
        return name, None
    if name in ("market1501", "pku-reid") and path:
        return name, path
    raise ValueError(f"DATA is {spec!r}; expected {FORMS}, PATH being the folder of your copy")


def load_journey(
    spec: str, preset: Any, seed: int = 0, device: str | torch.device = "cpu"
) -> Journey:
    """The data of a chapter, all pictures of preset.size and in memory.

    "world": train and home are drawn in training places, away in unseen ones. "market1501:PATH":
    train and home are real, away is drawn in unseen places. "pku-reid:PATH": train and home are
    drawn, away is the 74 real people, camera 1 searched in camera 2.

    Args:
        spec: DATA, as `parse` takes it.
        preset: names size, places, unseen_places, people, exam_people, cameras and pictures.
        seed: of the drawn people.
        device: where they are drawn; "auto" is the GPU where there is one.
    Raises:
        What `parse`, `read` and `runtime.pick_device` raise.
    """
    name, path = parse(spec)
    device = pick_device(device)
    # A wrong path fails before anything is drawn.
    splits = read(name, path, preset.size) if path else None
    if name == "market1501":
        train = splits.train.in_memory()
        home = _in_memory(splits.exam)
        away = _draw_exam("unseen", preset.unseen_places, preset, seed, device)
        note = "train and home: Market-1501, real people; away: drawn people."
    else:
        train = world.sample(
            [("train", place) for place in range(preset.places)],
            preset.people,
            preset.cameras,
            preset.pictures,
            preset.size,
            seed,
            device=device,
        )
        home = _draw_exam("train", preset.places, preset, seed, device)
        if splits:
            away = _in_memory(splits.exam)
            note = "train and home: drawn people; away: PKU-Reid, real people."
        else:
            away = _draw_exam("unseen", preset.unseen_places, preset, seed, device)
            note = "train and home: drawn people; away: drawn people in unseen places."
    if splits and splits.note:
        note = f"{note} {splits.note}"
    return Journey(train, home, away, real=splits is not None, note=note)


def _draw_exam(family, places, preset, seed, device):
    return world.make_exam(
        [(family, place) for place in range(places)],
        preset.exam_people,
        preset.cameras,
        max(2, preset.pictures),  # one of them is the query
        preset.size,
        seed,
        device=device,
    )


def _in_memory(exam):
    return Exam(exam.query.in_memory(), exam.gallery.in_memory(), exam.name)
