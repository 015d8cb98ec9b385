"""What a chapter runs on, chosen by the one parameter DATA.

A journey has people to train on, an exam at home and an exam away.
"""

from dataclasses import dataclass
from typing import Any

import torch

from .. import world
from ..record import Exam, ReIDData
from ..runtime import pick_device
from .layouts import LAYOUTS
from .readers import read

FORMS = ", ".join(["'world'", *(f"'{name}:PATH'" for name in LAYOUTS)])

# Sets of people without a training set: they are met away. What a note calls them.
AWAY = {"pku-reid": "PKU-Reid", "caviar4reid": "CAVIAR4REID", "3dpes": "3DPeS"}


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
    if name in LAYOUTS and path:
        return name, path
    raise ValueError(
        f"DATA is {spec!r}; expected one of {FORMS}, PATH being the folder of your copy"
    )


def load_journey(
    spec: str, preset: Any, seed: int = 0, device: str | torch.device = "cpu"
) -> Journey:
    """The data of a chapter, all pictures of preset.size and in memory.

    "world": train and home are drawn in training places, away in unseen ones. "market1501:PATH":
    train and home are real, away is drawn in unseen places. "pku-reid:PATH" and
    "caviar4reid:PATH": train and home are drawn, away is the real people, camera 1 searched in
    camera 2. "3dpes:PATH": so too, away is its development half.

    Args:
        spec: DATA, as `parse` takes it.
        preset: names size, places, unseen_places, people, exam_people, cameras and pictures.
        seed: of the drawn people.
        device: where they are drawn; "auto" is the GPU where there is one.
    Raises:
        ValueError: of vehicles; a journey is of people, and its pictures may be shown.
        And what `parse`, `read` and `runtime.pick_device` raise.
    """
    name, path = parse(spec)
    if name == "vehicles":
        raise ValueError(
            f"DATA is {spec!r}; expected people, since number plates can be read in pictures that "
            "a chapter shows. Chapter 11 measures vehicles, and so does python -m reidkit.recipes "
            "reals"
        )
    device = pick_device(device)
    # A wrong path fails before anything is drawn.
    half = "development" if name == "3dpes" else "all"
    splits = read(name, path, preset.size, half=half) if path else None
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
            note = f"train and home: drawn people; away: {AWAY[name]}, real people."
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
