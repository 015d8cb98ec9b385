"""The models that learn from drawn people alone and are measured on real ones: one recipe, two
sizes.
"""

import functools
import pathlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from .. import augment, runtime, store, world
from ..layers.heads import NoClassifier, Output
from ..layers.statistics import reestimated_statistics
from ..layers.whitening import fit_whitening
from ..methods.baseline import STAGES, baseline_losses, make
from ..record import Exam, ReIDData
from ..retrieval.embed import outputs
from ..retrieval.model_file import save_model
from ..training import Batch, History, Method, Plan, fit
from .examine import examine, real_exams
from .presets import PRESETS, Preset


@dataclass(frozen=True)
class Drawn:
    """One training on drawn people.

    Its numbers were chosen on drawn validation places and on the development half of PKU-Reid, by
    single trials of 1,000 to 3,500 steps; data/results/11_study.csv then turned them one at a time.
    """

    size: tuple[int, int] = (64, 32)  # (height, width) of a picture
    # Wider than "tiny": more people are told apart, for half as much time again.
    trunk: str = "small"
    norm: str = "bin"  # see methods.baseline.make
    stages: tuple = STAGES
    gate: float = 0.5
    stripes: int = 4  # where a colour is counts as much as the colour
    levels: tuple | None = ("layer2", "layer3", "layer4")  # whose maps are pooled
    # Numbers of a feature behind the neck for retrieval, see `whiten`; 0 keeps BNNeck.
    whiten: int = 256
    places: int = 24
    people: int = 80  # of each place
    cameras: int = 4
    pictures: int = 2  # of each person and camera
    knobs: world.Knobs = world.NORMAL
    steps: int = 2000
    batch_people: int = 16  # P
    batch_pictures: int = 4  # K
    lr: float = 6e-3
    margin: float = 0.3
    triplet: float = 1.0  # weight of the triplet loss; 0 leaves it out
    jitter: float = 2.0  # colours, in units of augment.colour_jitter's usual reach; 0 is none
    erase: float = 0.5  # probability of random erasing
    shift: bool = True  # up to a 25th of the height
    mirror: bool = True  # in training half of the pictures; at test the sum of both features

    def architecture(self) -> dict:
        """What methods.baseline.make needs, and a file of weights remembers."""
        return {
            "trunk": self.trunk,
            "norm": self.norm,
            "stages": list(self.stages),
            "gate": self.gate,
            "stripes": self.stripes,
            "levels": self.levels and list(self.levels),
        }

    def spec(self) -> dict:
        """What `retrieval.model_file.save_model` needs."""
        extras = {"whiten": self.whiten, "size": list(self.size), "mirror": self.mirror}
        return {"method": "baseline"} | self.architecture() | extras

    def plan(self, seed: int) -> Plan:
        """How the training goes."""
        return Plan(
            steps=self.steps,
            people=self.batch_people,
            pictures=self.batch_pictures,
            lr=self.lr,
            undecayed=("gate",),
            augment=make_augmentation(self),
            seed=seed,
        )

    @property
    def count(self) -> int:
        """How many pictures are drawn."""
        return self.places * self.people * self.cameras * self.pictures


LAPTOP = Drawn()
# Sizes for ten minutes of a GPU by estimate: this one has not been run yet.
GPU = replace(
    LAPTOP,
    size=(128, 64),
    trunk="resnet34",
    places=60,
    people=100,
    cameras=6,
    steps=12000,
    batch_people=32,
    lr=2e-3,
)
FINAL = {"drawn-laptop": LAPTOP, "drawn-gpu": GPU}


def make_augmentation(recipe: Drawn) -> Callable:
    """The recipe's augmentation of a batch, for a Plan."""
    steps = []
    if recipe.mirror:
        steps.append(augment.flip)
    if recipe.shift:
        steps.append(augment.shift)
    if recipe.jitter > 0:
        wide = 0.2 * recipe.jitter
        reach = {"brightness": wide, "contrast": wide, "saturation": wide, "gains": wide / 2}
        steps.append(functools.partial(augment.colour_jitter, **reach))
    if recipe.erase > 0:
        erasing = {"probability": recipe.erase, "area": (0.02, 0.3)}
        steps.append(functools.partial(augment.random_erasing, **erasing))
    return augment.compose(*steps)


def drawn_losses(output: Output, batch: Batch, triplet: float = 1.0, margin: float = 0.3) -> dict:
    """The strong baseline's two losses.

    Args:
        output: of the model.
        batch: with ids.
        triplet: weight of the triplet loss; 0 leaves it out.
        margin: of the triplet loss.
    """
    parts = baseline_losses(output, batch, margin=margin)
    if not triplet:
        return {"identity": parts["identity"]}
    return {"identity": parts["identity"], "triplet": triplet * parts["triplet"]}


def draw_people(
    recipe: Drawn,
    people: int,
    seed: int = 0,
    first_person: int = 0,
    device: str | torch.device = "cpu",
) -> ReIDData:
    """So many drawn people of each of the recipe's places.

    Args:
        recipe: places, cameras, pictures, size, knobs.
        people: of each place.
        seed: of the world.
        first_person: where their numbers begin.
        device: to draw on.
    """
    data = world.sample(
        [("train", place) for place in range(recipe.places)],
        people,
        recipe.cameras,
        recipe.pictures,
        recipe.size,
        seed,
        recipe.knobs,
        first_person,
        device,
    )
    # Nothing here looks at masks and attributes: no fourth channel to augment.
    return replace(data, masks=None, attributes={})


def make_model(recipe: Drawn, classes: int) -> nn.Module:
    """The recipe's network with fresh weights.

    Args:
        recipe: its architecture.
        classes: people that the classifier tells apart.
    """
    return make(classes, **recipe.architecture())


def train_drawn(
    recipe: Drawn,
    seed: int = 0,
    device: str | torch.device = "cpu",
    keep: str | None = "11-drawn",
    progress: bool = True,
) -> tuple[nn.Module, History]:
    """Draw the recipe's people and train on them.

    Args:
        recipe: the training.
        seed: of people, first weights and batches.
        device: to draw and train on.
        keep: name under which the run is kept; None keeps nothing.
        progress: whether to show a bar.
    Returns:
        (model, History).
    """
    data = draw_people(recipe, recipe.people, seed, device=device)
    method = Method(
        losses=functools.partial(drawn_losses, triplet=recipe.triplet, margin=recipe.margin),
        make=functools.partial(make_model, recipe),
    )
    plan = recipe.plan(seed)
    model, history = fit(method, data, plan, device=device, keep=keep, progress=progress)
    if recipe.whiten:
        whiten(model, recipe, seed, device)
    return model, history


def whiten(
    model: nn.Module,
    recipe: Drawn,
    seed: int = 0,
    device: str | torch.device = "cpu",
    people: int = 20,
) -> None:
    """Put a neck for retrieval in the place of the one that trained, fitted on other drawn people
    of the same places.

    The classifier, which knew the old neck, goes.

    Args:
        model: a trained Baseline; changed in place.
        recipe: that it was trained by.
        seed: of the world.
        device: to compute on.
        people: of each place.
    """
    data = draw_people(recipe, people, seed, recipe.places * recipe.people, device)
    features = outputs(model, data, _feature, mirror=recipe.mirror, device=device)  # (N, D)
    # The mean of both orientations: each goes through the neck.
    features = features / (1 + recipe.mirror)
    model.neck = fit_whitening(features, data.ids.to(device), recipe.whiten)
    model.classifier = NoClassifier()


def _feature(output):
    return output.feature


def scores(model: nn.Module, exams: Mapping[str, Exam], mirror: bool = True) -> dict[str, float]:
    """Marks in several exams as a flat dict, see `examine`.

    Args:
        model: a trained Baseline.
        exams: by name; those of real people ("pku...") are examined twice.
        mirror: whether features of both orientations are summed.
    Returns:
        "NAME_..." as `examine` has it, and "NAME_camera_..." of the exams of real people with batch
        norm statistics re-estimated per camera.
    """
    real = {f"{name}_camera": exam for name, exam in exams.items() if name.startswith("pku")}
    return examine(model, exams, mirror) | examine(model, real, mirror, per_camera=True)


def make_exams(
    recipe: Drawn, preset: Preset, device: str | torch.device = "cpu"
) -> dict[str, Exam]:
    """The exams of the table of models, for pictures of the recipe's size.

    Args:
        recipe: its size.
        preset: how many unseen places, people, cameras and pictures; see `real_exams` for its name.
        device: to draw on.
    Returns:
        {"away": drawn unseen places, ...}, and PKU-Reid where it is at hand.
    """
    preset = replace(preset, size=recipe.size)
    away = world.make_exam(
        [("unseen", place) for place in range(preset.unseen_places)],
        preset.exam_people,
        preset.cameras,
        preset.pictures,
        recipe.size,
        device=device,
    )
    return {"away": away, **real_exams(preset)}


def models_row(
    case: Mapping[str, Any], device: str | torch.device = "cpu", recipe: Drawn = LAPTOP
) -> dict:
    """One row of the table of models: scores in drawn unseen places and on PKU-Reid, report half
    included.

    Args:
        case: {"model": ..., "SEED": ...}. The model "untrained" is the same network with its first
            weights, which has taken batch norm statistics on drawn pictures and learnt nothing.
        device: to compute on.
        recipe: the training.
    """
    seed = int(case["SEED"])
    exams = make_exams(recipe, PRESETS["laptop"], device)
    if case["model"] == "untrained":
        return _untrained_row(recipe, seed, exams, device)
    model, history = train_drawn(recipe, seed, device, progress=False)
    return scores(model, exams, recipe.mirror) | {
        "pictures": recipe.count,
        "STEPS": recipe.steps,
        "training_seconds": round(history.seconds),
    }


def _untrained_row(recipe, seed, exams, device):
    data = draw_people(recipe, recipe.people, seed, device=device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = make_model(recipe, len(torch.unique(data.ids))).to(device)
    some = torch.arange(0, len(data), max(1, len(data) // 1024))  # of every place
    with reestimated_statistics(model, data.pictures(some), 256):
        marks = scores(model, exams, recipe.mirror)
    return marks | {"pictures": len(some), "STEPS": 0, "training_seconds": 0}


def provenance(recipe: Drawn, seed: int, device: str | torch.device) -> dict:
    """How something was trained and where, for the header of a file.

    Args:
        recipe: the training.
        seed: of people, first weights and batches.
        device: that it was trained on.
    """
    about = {"recipe": asdict(recipe), "seed": seed, "world": world.VERSION}
    return about | runtime.provenance(device)


def write_weights(
    out: pathlib.Path, recipe: Drawn = LAPTOP, seed: int = 0, device: str | torch.device = "cpu"
) -> tuple[nn.Module, History]:
    """Train, and write the model with its recipe in half precision.

    Args:
        out: of the file, .safetensors.
        recipe: the training.
        seed: see `train_drawn`.
        device: to compute on.
    Returns:
        (model, History).
    Raises:
        ValueError: hashes.json beside the file is damaged; nothing has been trained then.
    """
    out = pathlib.Path(out)
    store.hashes(out)
    model, history = train_drawn(recipe, seed, device)
    about = provenance(recipe, seed, device) | {"training_seconds": round(history.seconds)}
    save_model(out, model.cpu(), recipe.spec(), about)
    store.record_hash(out)
    return model, history
