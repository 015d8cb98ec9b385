"""One network trained in each of three ways, and the table of their scores."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .. import retrieval
from ..datasets import Journey, load_journey
from ..methods.three_ways import WAYS, ThreeWays, way_losses
from ..training import Method, fit
from .presets import Preset

ALL_WAYS = (*WAYS, "identity+triplet", "identity+verification")


@dataclass
class Trained:
    """A trained model, its History and the Metrics of its exams by name."""

    model: torch.nn.Module
    history: list
    scores: dict


def train_way(
    way: str,
    journey: Journey,
    preset: Preset,
    seed: int = 0,
    device: str | torch.device = "cpu",
    keep: str | None = "01b-ways",
) -> Trained:
    """One network trained in one way, and examined at home and away.

    Args:
        way: see `methods.three_ways.way_losses`.
        journey: see `datasets.load_journey`.
        preset: see `recipes.presets`.
        seed: of first weights, batches and augmentation.
        device: to train on.
        keep: beginning of the name under which the run is kept; None keeps nothing.
    """
    values = {name: int(value.max()) + 1 for name, value in journey.train.attributes.items()}

    def make(classes):
        return ThreeWays(classes, values, preset.trunk)

    method = Method(losses=way_losses(way), make=make)
    name = keep and f"{keep}-{way.replace('+', '-and-')}"
    model, history = fit(method, journey.train, preset.plan(seed), device=device, keep=name)
    exams = {"home": journey.home, "away": journey.away}
    scores = {name: retrieval.evaluate_exam(model, exam) for name, exam in exams.items()}
    return Trained(model, history, scores)


def ways_row(
    case: Mapping[str, Any], preset: Preset, data: str, device: str | torch.device
) -> dict:
    """One row of the table: rank-1 and mAP of every way, trained on the same people.

    Args:
        case: {"SEED": ...}.
        preset: see `recipes.presets`.
        data: see `datasets.load_journey`.
        device: to compute on.
    """
    seed = int(case["SEED"])
    journey = load_journey(data, preset, seed=seed, device=device)
    row = {}
    for way in ALL_WAYS:
        trained = train_way(way, journey, preset, seed, device)
        for exam, metrics in trained.scores.items():
            row[f"{way}_{exam}_rank1"] = round(100 * metrics.cmc[1], 2)
            row[f"{way}_{exam}_map"] = round(100 * metrics.map, 2)
    return row
