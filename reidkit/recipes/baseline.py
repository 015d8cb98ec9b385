"""The strong baseline on a journey's people, and the table of its fall in unseen places."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..datasets import Journey, load_journey
from ..methods.baseline import Baseline, baseline_losses
from ..training import History, Method, fit
from ..weights import load_trunk
from .examine import examine, real_exams
from .presets import Preset


def train_baseline(
    journey: Journey,
    preset: Preset,
    seed: int = 0,
    device: str | torch.device = "cpu",
    keep: str | None = "01-baseline",
    weights: str | None = None,
) -> tuple[nn.Module, History]:
    """The baseline on a journey's training people.

    Args:
        journey: see `datasets.load_journey`.
        preset: see `recipes.presets`.
        seed: of first weights, batches and augmentation.
        device: to train on.
        keep: name under which the run is kept; None keeps nothing.
        weights: a file for `load_trunk`, which the trunk starts from.
    Returns:
        (model, History).
    """

    def make(classes):
        model = Baseline(classes, preset.trunk)
        if weights:
            load_trunk(model.trunk, weights)
        return model

    method = Method(losses=baseline_losses, make=make)
    return fit(method, journey.train, preset.plan(seed), device=device, keep=keep)


def baseline_row(
    case: Mapping[str, Any],
    preset: Preset,
    data: str,
    device: str | torch.device,
    weights: str | None = None,
) -> dict:
    """One row of the table: a seed's baseline at home, in unseen places and, where they are at
    hand, on real people.

    Args:
        case: {"SEED": ...}.
        preset: see `recipes.presets`.
        data: see `datasets.load_journey`.
        device: to compute on.
        weights: see `train_baseline`.
    """
    seed = int(case["SEED"])
    journey = load_journey(data, preset, seed=seed, device=device)
    model, history = train_baseline(journey, preset, seed, device, weights=weights)
    row = examine(model, {"home": journey.home, "away": journey.away, **real_exams(preset)})
    fall = row["home_rank1"] - row["away_rank1"]
    return row | {
        "fall_rank1": round(fall, 2),
        "train_pictures": len(journey.train),
        "train_seconds": round(history.seconds, 1),
    }
