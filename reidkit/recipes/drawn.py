"""The models that learn from drawn people alone and are measured on real ones: one recipe, two sizes."""

import functools
from dataclasses import asdict, dataclass, replace

import torch

from .. import augment, runtime, world
from ..layers.heads import NoClassifier
from ..layers.statistics import reestimated_statistics
from ..layers.whitening import fit_whitening
from ..methods.baseline import STAGES, baseline_losses, make
from ..retrieval.embed import outputs
from ..retrieval.model_file import save_model
from ..training import fit
from ..weights import record_hash
from . import PRESETS, examine, real_exams, tables


@dataclass(frozen=True)
class Drawn:
    """One training on drawn people. Its numbers were chosen on drawn validation places and on the development half of
    PKU-Reid, by single trials of 1,000 to 3,500 steps; data/results/11_study.csv then turned them one at a time."""

    size: tuple = (64, 32)  # (height, width) of a picture
    trunk: str = (
        "small"  # wider than "tiny": more people are told apart, for half as much time again
    )
    norm: str = "bin"  # see methods.baseline.make
    stages: tuple = STAGES
    gate: float = 0.5
    stripes: int = 4  # where a colour is counts as much as the colour
    levels: tuple | None = ("layer2", "layer3", "layer4")  # whose maps are pooled
    whiten: int = (
        256  # numbers of a feature behind the neck for retrieval, see `whiten`; 0 keeps BNNeck
    )
    places: int = 24
    people: int = 80  # of each place
    cameras: int = 4
    pictures: int = 2  # of each person and camera
    knobs: world.Knobs = world.NORMAL
    steps: int = 2000
    batch_people: int = 16  # P
    batch_pictures: int = 4  # K
    rate: float = 6e-3
    margin: float = 0.3
    triplet: float = 1.0  # weight of the triplet loss; 0 leaves it out
    jitter: float = 2.0  # colours, in units of augment.colour_jitter's usual reach; 0 is none
    erase: float = 0.5  # probability of random erasing
    shift: bool = True  # up to a 25th of the height
    mirror: bool = True  # in training half of the pictures; at test the sum of both features

    def architecture(self):
        """What methods.baseline.make needs, and a file of weights remembers."""
        return {
            "trunk": self.trunk,
            "norm": self.norm,
            "stages": list(self.stages),
            "gate": self.gate,
            "stripes": self.stripes,
            "levels": self.levels and list(self.levels),
        }


LAPTOP = Drawn()
# sizes for ten minutes of a GPU by estimate: this one has not been run yet
GPU = replace(
    LAPTOP,
    size=(128, 64),
    trunk="resnet34",
    places=60,
    people=100,
    cameras=6,
    steps=12000,
    batch_people=32,
    rate=2e-3,
)


def augmentation(recipe):
    """The recipe's augmentation of a batch, for `fit`."""
    wide = 0.2 * recipe.jitter
    colours = functools.partial(
        augment.colour_jitter, brightness=wide, contrast=wide, saturation=wide, gains=wide / 2
    )
    erase = functools.partial(augment.random_erasing, probability=recipe.erase, area=(0.02, 0.3))
    steps = (
        [augment.flip] * recipe.mirror
        + [augment.shift] * recipe.shift
        + [colours] * (recipe.jitter > 0)
        + [erase] * (recipe.erase > 0)
    )
    return augment.compose(*steps)


def drawn_losses(output, batch, triplet=1.0, margin=0.3):
    """The strong baseline's two losses, the triplet weighted."""
    parts = baseline_losses(output, batch, margin=margin)
    return {
        "identity": parts["identity"],
        **({"triplet": triplet * parts["triplet"]} if triplet else {}),
    }


def drawn_people(recipe, people, seed=0, first_person=0, device="cpu"):
    """So many drawn people of each of the recipe's places -> ReIDData."""
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
    return replace(
        data, masks=None, attributes={}
    )  # nothing here looks at them: no fourth channel to augment


def prepare(recipe, seed=0, device="cpu"):
    """The recipe's drawn people, and its network with first weights -> (ReIDData, model)."""
    data = drawn_people(recipe, recipe.people, seed, device=device)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return data, make(len(torch.unique(data.ids)), **recipe.architecture())


def train_drawn(recipe, seed=0, device="cpu", cache="11-drawn", progress=True):
    """Draw the recipe's people and train on them -> (model, History)."""
    data, model = prepare(recipe, seed, device)
    losses = functools.partial(drawn_losses, triplet=recipe.triplet, margin=recipe.margin)
    history = fit(
        model,
        data,
        losses,
        steps=recipe.steps,
        people=recipe.batch_people,
        pictures=recipe.batch_pictures,
        rate=recipe.rate,
        undecayed=("gate",),
        augment=augmentation(recipe),
        device=device,
        seed=seed,
        cache=cache,
        progress=progress,
    )
    if recipe.whiten:
        whiten(model, recipe, seed, device)
    return model, history


def whiten(model, recipe, seed=0, device="cpu", people=20):
    """Put a neck for retrieval in the place of the one that trained, fitted on other drawn people of the same places. The
    classifier, which knew the old one, goes."""
    data = drawn_people(recipe, people, seed, recipe.places * recipe.people, device)
    features = outputs(
        model, data, lambda output: output.feature, mirror=recipe.mirror, device=device
    )  # (N, D)
    features = features / (
        1 + recipe.mirror
    )  # the mean of both orientations: each goes through the neck
    model.neck = fit_whitening(features, data.ids.to(device), recipe.whiten)
    model.classifier = NoClassifier()


def scores(model, exams, mirror=True):
    """Exams by name -> flat dict, see `examine`; "NAME_camera_..." is the same exam of real people with BN statistics
    re-estimated per camera."""
    cameras = {f"{name}_camera": exam for name, exam in exams.items() if name.startswith("pku")}
    return examine(model, exams, mirror) | examine(model, cameras, mirror, per_camera=True)


def models_row(case, device="cpu", recipe=LAPTOP):
    """The model of one seed -> its scores in drawn unseen places and on PKU-Reid, report half included. model "untrained"
    is the same network with its first weights, which has taken batch norm statistics on drawn pictures and learnt nothing.
    """
    preset = replace(PRESETS["laptop"], size=recipe.size)
    away = world.make_exam(
        [("unseen", place) for place in range(preset.unseen_places)],
        preset.exam_people,
        preset.cameras,
        preset.pictures,
        recipe.size,
        device=device,
    )
    exams = {"away": away, **real_exams(preset)}
    if case["model"] == "untrained":
        data, model = prepare(recipe, int(case["SEED"]), device)
        some = torch.arange(0, len(data), max(1, len(data) // 1024))  # of every place
        with reestimated_statistics(model.to(device), augment.normalize(data.pictures(some)), 256):
            return scores(model, exams, recipe.mirror) | {
                "pictures": len(some),
                "STEPS": 0,
                "training_seconds": 0,
            }
    model, history = train_drawn(recipe, int(case["SEED"]), device, progress=False)
    return scores(model, exams, recipe.mirror) | {
        "pictures": recipe.places * recipe.people * recipe.cameras * recipe.pictures,
        "STEPS": recipe.steps,
        "training_seconds": round(history.seconds),
    }


def provenance(recipe, seed, device):
    """How something was trained and where, as a dict for the header of a file."""
    return {
        "recipe": asdict(recipe),
        "seed": seed,
        "world": world.VERSION,
        "device": runtime.device_name(device),
        "threads": torch.get_num_threads(),
        "commit": runtime.git_commit(),
        "date": tables.today(),
        **runtime.versions(("torch",)),
    }


def drawn_weights(out, recipe=LAPTOP, seed=0, device="cpu"):
    """Train, and write the model with its recipe to `out` (.safetensors, half precision) -> (model, History)."""
    model, history = train_drawn(recipe, seed, device)
    about = provenance(recipe, seed, device) | {"training_seconds": round(history.seconds)}
    spec = recipe.architecture() | {
        "whiten": recipe.whiten,
        "size": list(recipe.size),
        "mirror": recipe.mirror,
    }
    save_model(out, model.cpu(), spec, about)
    record_hash(out)
    return model, history
