"""A model's marks as the rows of a table hold them, and the real people whom it may meet."""

import os
import pathlib
from collections.abc import Mapping

from torch import nn

from .. import retrieval
from ..datasets import read
from ..record import Exam
from .presets import Preset

HALVES = {"pku": "all", "pku_development": "development", "pku_report": "report"}


def real_exams(preset: Preset) -> dict[str, Exam]:
    """PKU-Reid, all people and both halves, where REIDKIT_DATA_ROOT names the folder of data sets;
    else none.

    The report half is not for trying things out: the smoke preset never meets it.

    Args:
        preset: its size and its name.
    Returns:
        {"pku": ..., "pku_development": ..., "pku_report": ...}, or some of them.
    """
    root = os.environ.get("REIDKIT_DATA_ROOT")
    folder = pathlib.Path(root or ".") / "pku-reid"
    if not root or not folder.is_dir():
        return {}
    exams = {}
    for name, half in HALVES.items():
        if preset.name != "smoke" or half == "development":
            exams[name] = read("pku-reid", folder, preset.size, half=half).exam
    return exams


def examine(
    model: nn.Module, exams: Mapping[str, Exam], mirror: bool = False, per_camera: bool = False
) -> dict[str, float]:
    """Marks of a model in several exams, in percent.

    Args:
        model: see `retrieval.embed`.
        exams: by name.
        mirror: whether features of both orientations are summed.
        per_camera: whether batch norm statistics are re-estimated for each camera.
    Returns:
        {"NAME_rank1", "NAME_map", each with "_low" and "_high" of the bootstrap interval over
        identities, "NAME_minp"}.
    """
    marks = {}
    for name, exam in exams.items():
        metrics = retrieval.evaluate_exam(model, exam, mirror=mirror, per_camera=per_camera)
        intervals = retrieval.bootstrap(metrics, exam.query.ids)
        for key, value in (("rank1", metrics.cmc[1]), ("map", metrics.map)):
            low, high = intervals[key]
            marks[f"{name}_{key}"] = value
            marks[f"{name}_{key}_low"] = low
            marks[f"{name}_{key}_high"] = high
        marks[f"{name}_minp"] = metrics.minp
    return {key: round(100 * value, 2) for key, value in marks.items()}
