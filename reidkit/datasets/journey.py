"""What a chapter runs on: people to train on, an exam at home and an exam away, chosen by the one parameter DATA."""

from dataclasses import dataclass

from .. import world
from ..record import Exam, ReIDData
from .readers import read

FORMS = "'world', 'market1501:PATH' or 'pku-reid:PATH'"


@dataclass(frozen=True)
class Journey:
    """train: to learn from; home: other people in the places of train; away: other people in places never seen. real:
    whether pictures of real people take part; note: one sentence on what this is."""

    train: ReIDData
    home: Exam
    away: Exam
    real: bool
    note: str


def parse(spec):
    """DATA -> (name, path or None). Only the first colon counts, so that C:\\ is a path. ValueError names the forms."""
    name, colon, path = spec.partition(":") if isinstance(spec, str) else ("", "", "")
    if (name, colon) == ("world", "") or (name in ("market1501", "pku-reid") and path.strip()):
        return name, path.strip() or None
    raise ValueError(f"DATA is {spec!r}; expected {FORMS}, PATH being the folder of your copy")


def load_journey(spec, preset, seed=0, device="cpu"):
    """The data of a chapter -> Journey, all pictures of preset.size and in memory.

    "world": train and home are drawn in training places, away in unseen ones. "market1501:PATH": train and home are
    real, away is drawn unseen places. "pku-reid:PATH": train and home are drawn, away is the 74 real people, camera 1
    searched in camera 2. A preset names size, places, unseen_places, people, exam_people, cameras and pictures.
    Raises what `parse` and `read` raise.
    """
    name, path = parse(spec)
    splits = (
        read(name, path, preset.size) if path else None
    )  # a wrong path fails before anything is drawn

    def drawn_exam(family, count):
        return world.make_exam(
            [(family, place) for place in range(count)],
            preset.exam_people,
            preset.cameras,
            max(2, preset.pictures),
            preset.size,
            seed,
            device=device,
        )

    if name == "market1501":
        train, home = splits.train.in_memory(), _in_memory(splits.exam)
        away = drawn_exam("unseen", preset.unseen_places)
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
        home, note = drawn_exam("train", preset.places), "train and home: drawn people; "
        away = _in_memory(splits.exam) if splits else drawn_exam("unseen", preset.unseen_places)
        note += "away: PKU-Reid, real people." if splits else "away: drawn people in unseen places."
    return Journey(
        train, home, away, splits is not None, f"{note} {splits.note if splits else ''}".strip()
    )


def _in_memory(exam):
    return Exam(exam.query.in_memory(), exam.gallery.in_memory(), exam.name)
