"""Every set of real pictures that has a reader: which exams there are, which of them may choose,
and the table of the committed network on them.
"""

import os
import pathlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from ..datasets import read
from ..record import Exam
from ..retrieval.model_file import DRAWN_LAPTOP, load_drawn_laptop
from .examine import examine


@dataclass(frozen=True)
class RealExam:
    """An exam on real pictures, not yet read.

    Args:
        source: its data set, as `datasets.read` and its folder call it.
        half: "development", "report" or "all" of its identities.
        reports: whether it holds identities that are kept for reporting, so that it chooses nothing
            and each look at it is logged.
        has_cameras: whether a camera has pictures enough for statistics of its own.
        folder: of the data set; None where nobody looked for it.
    """

    source: str
    half: str = "all"
    reports: bool = False
    has_cameras: bool = True
    folder: pathlib.Path | None = None

    def load(self, size: tuple[int, int]) -> Exam:
        """Query and gallery, decoded when they are needed.

        Args:
            size: (height, width) of a picture.
        Raises:
            FileNotFoundError, ValueError: what `datasets.read` raises.
        """
        return read(self.source, self.folder, size, half=self.half).exam


# A sequence of 3DPeS, which stands for its camera, has one to six pictures.
EXAMS = {
    "pku_development": RealExam("pku-reid", "development"),
    "pku_report": RealExam("pku-reid", "report", reports=True),
    "pku": RealExam("pku-reid", reports=True),
    "caviar4reid": RealExam("caviar4reid"),
    "3dpes_development": RealExam("3dpes", "development", has_cameras=False),
    "3dpes_report": RealExam("3dpes", "report", reports=True, has_cameras=False),
    "3dpes": RealExam("3dpes", reports=True, has_cameras=False),
    "vehicles": RealExam("vehicles"),
}


def find_exams(root: str | pathlib.Path | None = None) -> dict[str, RealExam]:
    """The exams whose pictures are at hand, by name; nothing is read yet.

    Args:
        root: the folder of data sets; None is the one that REIDKIT_DATA_ROOT names, if any.
    Returns:
        Some of EXAMS, in that order, each with its folder.
    """
    root = root or os.environ.get("REIDKIT_DATA_ROOT")
    found = {}
    for name, exam in EXAMS.items():
        folder = pathlib.Path(root or ".") / exam.source
        if root and folder.is_dir():
            found[name] = replace(exam, folder=folder)
    return found


def cases(report: bool = False) -> list[dict]:
    """The rows of the table: the exams at hand that may choose.

    Args:
        report: whether those that are kept for reporting are rows, too.
    """
    exams = find_exams()
    return [{"exam": name} for name, exam in exams.items() if report or not exam.reports]


def reals_row(case: Mapping[str, Any], device: str | torch.device = "cpu") -> dict:
    """One row of the table: the committed network in one exam, as trained and, where cameras have
    pictures enough, with batch norm statistics re-estimated per camera.

    Args:
        case: {"exam": a name of EXAMS}.
        device: to compute on.
    """
    name = case["exam"]
    found = find_exams()[name]
    loaded = load_drawn_laptop()
    exam = found.load(tuple(loaded.spec["size"]))
    model = loaded.model.to(device)
    mirror = loaded.spec["mirror"]
    marks = examine(model, {"plain": exam}, mirror)
    if found.has_cameras:
        marks |= examine(model, {"camera": exam}, mirror, per_camera=True)
    return {
        "half": found.half,
        "network": DRAWN_LAPTOP,
        "SEED": loaded.recipe["seed"],
        "whose": "ours",
        "queries": len(exam.query),
        "gallery": len(exam.gallery),
        "ids": exam.query.numbers()["ids"],
        **{key.removeprefix("plain_"): mark for key, mark in marks.items()},
    }
