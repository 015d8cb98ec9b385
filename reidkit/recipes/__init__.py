"""Named recipes: how large a run is, the trainings that chapters share, and what their tables record.

    python -m reidkit.recipes baseline --seeds 0 1 2 3 4 --preset laptop --out data/results/01_baseline.csv
    python -m reidkit.recipes ways --seeds 0 1 2 --preset laptop --out data/results/01b_ways.csv
    python -m reidkit.recipes drawn-laptop --out data/weights/drawn-laptop.safetensors
    python -m reidkit.recipes study --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/11_study.csv
    python -m reidkit.recipes models --seeds 0 1 2 3 4 --out data/results/11_models.csv
    python -m reidkit.recipes features --out data/results/11_features.safetensors
    python -m reidkit.recipes norms --seeds 0 1 2 3 4 --jobs 2 --threads 1 --out data/results/04_norms.csv
    python -m reidkit.recipes places --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/03_places.csv
    python -m reidkit.recipes losses --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/04_losses.csv
    python -m reidkit.recipes gates --seeds 0 --jobs 2 --threads 1 --out data/results/04_gates.csv
    python -m reidkit.recipes norm-features --out data/results/04_features.safetensors

A seed draws its own people and first weights. With REIDKIT_DATA_ROOT the models also meet the people of PKU-Reid.
"""

import os
import pathlib
from dataclasses import dataclass

import torch

from .. import augment, retrieval
from ..datasets import load_journey, read
from ..methods.baseline import Baseline, baseline_losses
from ..methods.three_ways import WAYS, ThreeWays, way_losses
from ..training import fit
from ..weights import load_trunk

ALL_WAYS = (*WAYS, "identity+triplet", "identity+verification")


@dataclass(frozen=True)
class Preset:
    """How large a run is; the code is the same for all."""

    name: str
    size: tuple  # (height, width) of a picture
    trunk: str  # see backbones.make_trunk
    rate: float  # learning rate; chosen on drawn validation places
    places: int  # places to train in
    people: int  # of each place
    cameras: int  # of each place
    pictures: int  # of each person and camera
    unseen_places: int
    exam_people: int  # of each place, other people than those trained on
    steps: int
    batch_people: int  # P
    batch_pictures: int  # K
    minutes: float  # a chapter's computing; "laptop" on two cores


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("smoke", (64, 32), "tiny", 3e-3, 2, 8, 3, 2, 2, 6, 6, 8, 2, 0.3),
        Preset("laptop", (64, 32), "tiny", 3e-3, 6, 50, 4, 2, 4, 15, 400, 16, 4, 1.5),
        Preset("gpu", (256, 128), "resnet50", 3.5e-4, 16, 100, 6, 4, 8, 50, 6000, 16, 4, 15),
    )
}


@dataclass
class Trained:
    """A trained model, its History and the Metrics of its exams by name."""

    model: torch.nn.Module
    history: list
    scores: dict


def count_classes(data):
    """How many people a classifier tells apart: junk (id < 0) is nobody."""
    return len(torch.unique(data.ids[data.ids >= 0]))


def _train(make, journey, losses, preset, seed, device, cache):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make()
    history = fit(
        model,
        journey.train,
        losses,
        steps=preset.steps,
        people=preset.batch_people,
        pictures=preset.batch_pictures,
        rate=preset.rate,
        augment=augment.standard,
        device=device,
        seed=seed,
        cache=cache,
    )
    return model, history


def train_baseline(journey, preset, seed=0, device="cpu", cache="01-baseline", weights=None):
    """The baseline on a journey's training people -> (model, History). weights: a file for load_trunk."""

    def make():
        model = Baseline(count_classes(journey.train), preset.trunk)
        if weights:
            load_trunk(model.trunk, weights)
        return model

    return _train(make, journey, baseline_losses, preset, seed, device, cache)


def train_way(way, journey, preset, seed=0, device="cpu", cache="01b-ways"):
    """One network trained in one way of `methods.three_ways` and examined at home and away -> Trained."""
    values = {name: int(value.max()) + 1 for name, value in journey.train.attributes.items()}

    def make():
        return ThreeWays(count_classes(journey.train), values, preset.trunk)

    model, history = _train(
        make, journey, way_losses(way), preset, seed, device, cache and f"{cache}-{way}"
    )
    scores = {
        name: retrieval.evaluate_exam(model, getattr(journey, name)) for name in ("home", "away")
    }
    return Trained(model, history, scores)


# recorded tables


def real_exams(preset):
    """PKU-Reid, all people and both halves, where REIDKIT_DATA_ROOT names the folder of data sets; else none. The report half
    is not for trying things out: the smoke preset never meets it."""
    root = os.environ.get("REIDKIT_DATA_ROOT")
    folder = pathlib.Path(root or ".") / "pku-reid"
    if not root or not folder.is_dir():
        return {}
    return {
        "pku" if half == "all" else f"pku_{half}": read(
            "pku-reid", folder, preset.size, half=half
        ).exam
        for half in ("all", "development", "report")
        if preset.name != "smoke" or half == "development"
    }


def examine(model, exams, mirror=False, per_camera=False):
    """Exams by name -> flat dict of percentages: rank-1 and mAP with their bootstrap interval over identities, mINP."""
    row = {}
    for name, exam in exams.items():
        found = retrieval.evaluate_exam(model, exam, mirror=mirror, per_camera=per_camera)
        spread = retrieval.bootstrap(found, exam.query.ids)
        for key, value in (("rank1", found.cmc[1]), ("map", found.map)):
            row |= {
                f"{name}_{key}": value,
                f"{name}_{key}_low": spread[key][0],
                f"{name}_{key}_high": spread[key][1],
            }
        row[f"{name}_minp"] = found.minp
    return {key: round(100 * value, 2) for key, value in row.items()}


def baseline_row(preset, data, seed, device, weights=None):
    journey = load_journey(data, preset, seed=seed, device=device)
    model, history = train_baseline(journey, preset, seed, device, weights=weights)
    row = examine(model, {"home": journey.home, "away": journey.away, **real_exams(preset)})
    return row | {
        "fall_rank1": round(row["home_rank1"] - row["away_rank1"], 2),
        "train_pictures": len(journey.train),
        "train_seconds": round(history.seconds, 1),
    }


def ways_row(preset, data, seed, device):
    journey, row = load_journey(data, preset, seed=seed, device=device), {}
    for way in ALL_WAYS:
        for exam, found in train_way(way, journey, preset, seed, device).scores.items():
            row |= {
                f"{way}_{exam}_rank1": round(100 * found.cmc[1], 2),
                f"{way}_{exam}_map": round(100 * found.map, 2),
            }
    return row
