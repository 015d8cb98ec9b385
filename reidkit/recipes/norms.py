"""Which norm? Networks that differ in their norms alone, trained on the same people with the same
budget, in four exams.

    python -m reidkit.recipes norms --seeds 0 1 2 3 4 --out data/results/04_norms.csv

Three more tables stand on the same training: `places` (where DualNorm's instance norms go),
`losses` (what MetaBIN's episode consists of) and `gates` (how fast gates should move), the last on
drawn validation places alone, where it was chosen.
"""

import functools
import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from .. import measures, retrieval, runtime, store, world
from ..backbones import make_trunk
from ..datasets import Journey, load_journey
from ..layers.norms import IBN, BatchInstanceNorm, InstanceNorm, gates, swap_norms
from ..methods import dualnorm, ibn
from ..methods.baseline import Baseline, baseline_losses
from ..methods.metabin import LearntBIN, MetaBIN
from ..record import Exam, ReIDData
from ..training import History, Method, fit
from .examine import examine, real_exams
from .exams import make_style_exam, make_tone_exam
from .presets import Preset

# How far a gate may come in a run: gate rate times steps; the paper's is 0.1 x 150,000 = 15,000.
# Chosen on drawn validation places: of the four values in table `gates` the best at both lengths of
# run. With much less, gates stay where they started; the larger values differ little.
TRAVEL = 1000

EVERYWHERE = {
    "IN": InstanceNorm,
    "half and half": functools.partial(IBN, batch_first=True),
    "BIN": functools.partial(BatchInstanceNorm, gate=1.0),
}
PLACED = {"IBN-a": ibn.ibn_a, "IBN-b": ibn.ibn_b, "DualNorm": dualnorm.add_instance_norms}


@dataclass(frozen=True)
class Row:
    """One network and its training."""

    norm: str  # "BN", or a name of EVERYWHERE or PLACED
    learn: str = "sources"  # how the gates of "BIN" learn: on "sources", or in "episodes"
    stages: tuple | None = None  # where DualNorm's instance norms go; None by its rule
    feature_norm: bool = True  # whether a norm of the pooled feature ends the network
    options: dict = field(default_factory=dict)  # of MetaBIN
    travel: float = TRAVEL
    length: float = 1.0  # of the training, in units of the usual one
    steps: int | None = None  # of the training, in place of `length`


META = Row("BIN", "episodes")  # MetaBIN as the paper has it


def _with_losses(inner, outer=("triplet",)):
    """MetaBIN with these losses in its two steps, and with an inner step of one size: the geometric
    middle of the cycle, a fifth of its mean."""
    return replace(META, options={"inner": inner, "outer": outer, "low": 0.01, "high": 0.01})


NORMS = {
    "BN": Row("BN"),
    "IN": Row("IN"),
    "IBN-a": Row("IBN-a"),
    "DualNorm": Row("DualNorm"),
    "half and half": Row("half and half"),
    "BIN": Row("BIN"),
    "MetaBIN": META,
}

# How far DualNorm's instance norms reach; the two in the middle were not trained without the
# feature norm.
REACHES = {
    "none": (),
    "stem": ("bn1",),
    "early": ("bn1", "layer1", "layer2"),
    "early and middle": ("bn1", *dualnorm.RESNET),
    "everywhere": ("bn1", *dualnorm.RESNET, "layer4"),
}
WITHOUT_FEATURE_NORM = ("none", "early and middle", "everywhere")


def _placed(reach, feature_norm):
    stages = REACHES[reach]
    norm = "DualNorm" if stages else "BN"
    return Row(norm, stages=stages, feature_norm=feature_norm)


PLACES = {reach: _placed(reach, True) for reach in REACHES}
PLACES |= {f"{reach}, no feature norm": _placed(reach, False) for reach in WITHOUT_FEATURE_NORM}
PLACES |= {
    "the rule for ResNets": Row("DualNorm"),
    "IBN-a": Row("IBN-a"),
    "IBN-b": Row("IBN-b"),
}

# What MetaBIN's episode consists of.
LOSSES = {
    "CE only": _with_losses(("identity",), ("identity",)),
    "triplet": _with_losses(("triplet",)),
    "triplet + scatter": _with_losses(("scatter", "triplet")),
    "triplet + shuffle": _with_losses(("shuffle", "triplet")),
    "all, fixed step": replace(META, options={"low": 0.01, "high": 0.01}),
}


def _travelling(travel, length):
    return replace(META, travel=travel, length=length)


# How fast gates should move.
GATES = {}
for _length in (0.5, 1.0):
    for _travel in (250, 1000, 2500, 10000):
        GATES[f"travel {_travel}, length {_length:g}"] = _travelling(_travel, _length)

TABLES = {"norms": NORMS, "places": PLACES, "losses": LOSSES, "gates": GATES}


def make_network(row: Row, classes: int, trunk: str = "tiny") -> Baseline:
    """The Baseline of a Row: the trunk with its norms in place, pooled, with the feature norm
    (BNNeck) or without.

    Args:
        row: norm, stages, feature_norm.
        classes: people that the classifier tells apart.
        trunk: see `backbones.make_trunk`.
    Raises:
        ValueError: there is no norm of this name.
    """
    body = make_trunk(trunk)
    if row.norm in EVERYWHERE:
        swap_norms(body, EVERYWHERE[row.norm])
    elif row.norm in PLACED:
        stages = [row.stages] if row.stages else []
        PLACED[row.norm](body, *stages)
    elif row.norm != "BN":
        known = ", ".join([*EVERYWHERE, *PLACED])
        raise ValueError(f"norm is {row.norm!r}; expected BN, {known}")
    return Baseline(classes, body, neck=row.feature_norm)


def how_long(preset: Preset) -> int:
    """Steps of these trainings: five eighths of the preset's, since ten networks are trained where
    chapter 1 trains one.
    """
    return max(2, preset.steps * 5 // 8)


def gate_lr(steps: int, travel: float = TRAVEL) -> float:
    """The rule for the gates' learning rate: what a gate can travel in a run is kept.

    A short run thus takes large steps.

    Args:
        steps: of the run.
        travel: learning rate times steps, see TRAVEL.
    """
    return travel / steps


def make_method(
    row: Row, data: ReIDData, preset: Preset, steps: int
) -> Method | LearntBIN | MetaBIN:
    """How the network of a Row learns.

    Args:
        row: norm, learn, options, travel.
        data: the training record; its domains (or, of a single source, its cameras) are what
            MetaBIN plays with.
        preset: batch_people, batch_pictures, trunk.
        steps: of the run.
    Returns:
        A method for `fit`.
    """
    make = functools.partial(_network_of, row, preset.trunk)
    if row.norm != "BIN":
        return Method(losses=baseline_losses, make=make)
    lr = gate_lr(steps, row.travel)
    if row.learn != "episodes":
        return LearntBIN(lr, make=make)
    domains = len(data.domains.unique())
    options = {
        "domains": "domains" if domains > 1 else "cameras",
        "pictures": preset.batch_pictures,
        "domain_people": max(2, -(-preset.batch_people // max(domains, 2))),
    }
    return MetaBIN(lr, make=make, **(options | row.options))


def _network_of(row, trunk, classes):
    return make_network(row, classes, trunk)


def train_norm(
    row: Row,
    journey: Journey,
    preset: Preset,
    seed: int = 0,
    device: str | torch.device = "cpu",
    keep: str | None = "04-norms",
    progress: bool = True,
) -> tuple[nn.Module, History]:
    """Train the network of a Row on a journey's people.

    Every row has the same people, order of batches, first weights of the convolutions and number of
    steps.

    Args:
        row: see TABLES.
        journey: see `datasets.load_journey`.
        preset: see `recipes.presets`.
        seed: of first weights, batches and augmentation.
        device: to train on.
        keep: name under which the run is kept; None keeps nothing.
        progress: whether to show a bar.
    Returns:
        (model, History).
    """
    steps = row.steps or max(2, round(how_long(preset) * row.length))
    method = make_method(row, journey.train, preset, steps)
    plan = preset.plan(seed, steps=steps)
    return fit(method, journey.train, plan, device=device, keep=keep, progress=progress)


def make_validation_exam(preset: Preset, device: str | torch.device = "cpu") -> Exam:
    """Drawn validation places, the only ones that may choose.

    Args:
        preset: cameras and size.
        device: to draw on.
    """
    places = [("validation", place) for place in range(4)]
    return world.make_exam(places, 25, preset.cameras, 2, preset.size, device=device)


def norm_row(
    case: Mapping[str, Any],
    table: str,
    preset: Preset,
    data: str = "world",
    device: str | torch.device = "cpu",
) -> dict:
    """One line of a table: its training, its exams in percent, and for "norms" the probes and the
    gates.

    Args:
        case: {"row": a name in the table, "SEED": ...}.
        table: a name in TABLES.
        preset: see `recipes.presets`.
        data: see `datasets.load_journey`.
        device: to compute on.
    """
    row = TABLES[table][case["row"]]
    seed = int(case["SEED"])
    journey = load_journey(data, preset, seed=seed, device=device)
    model, history = train_norm(row, journey, preset, seed, device, keep=None, progress=False)
    marks = examine(model, _exams(table, journey, preset, seed, device))
    marks["steps"] = len(history)
    marks["training_seconds"] = round(history.seconds, 1)
    if table == "norms":
        marks |= _probe_marks(model, journey.away.both(), device)
    learnt = gates(model)
    if learnt:
        # The columns keep their names from before "lr" was the word.
        marks["gate_rate"] = gate_lr(len(history), row.travel)
        marks["gate_mean"] = round(history[-1]["gate"], 4)
        for stage, value in gate_means(learnt).items():
            marks[f"gate_{stage}"] = round(value, 4)
    return marks


def _exams(table, journey, preset, seed, device):
    if table == "gates":
        return {"validation": make_validation_exam(preset, device)}
    tone = make_tone_exam(preset.size, seed, device=device)
    exams = {"home": journey.home, "away": journey.away, "tone": tone}
    if table == "norms":
        exams["style"] = make_style_exam(preset.size, seed, device=device)
        exams |= real_exams(preset)
    return exams


def _probe_marks(model, data, device):
    features = retrieval.embed(model, data, device=device)
    shares = measures.probes(features, data)
    return {f"probe_{name}": round(100 * share, 2) for name, share in shares.items()}


def gate_means(learnt: Mapping[str, Tensor]) -> dict[str, float]:
    """Mean gate of each stage.

    Args:
        learnt: {name: (C,)}, see `layers.norms.gates`.
    Returns:
        {"bn1": ..., "layer1": ..., ...}.
    """
    stages = {}
    for name, gate in learnt.items():
        stage = name.removeprefix("trunk.").split(".")[0]
        stages.setdefault(stage, []).append(gate.detach())
    return {stage: torch.cat(parts).mean().item() for stage, parts in stages.items()}


def cases(table: str, seeds: Sequence[int]) -> list[dict]:
    """The rows of a table for every seed.

    Args:
        table: a name in TABLES.
        seeds: of the trainings.
    """
    return [{"row": name, "SEED": seed} for seed in seeds for name in TABLES[table]]


def write_features(
    out: str | pathlib.Path,
    preset: Preset,
    seed: int = 0,
    device: str | torch.device = "cpu",
    people: int = 12,
) -> None:
    """Features and gates of one seed's BN, IN, BIN and MetaBIN networks, one small file of float16.

    ids, cameras, domains (N,): new people of three training places (domains 0 to 2) and of three
    unseen ones (3 to 5); "features NAME" (N, D), unit length; "gates NAME LAYER" (C,) of both
    networks that have gates.

    Args:
        out: of the file, .safetensors.
        preset: see `recipes.presets`.
        seed: of the trainings.
        device: to compute on.
        people: of each place.
    """
    journey = load_journey("world", preset, seed=seed, device=device)
    data = _three_places_each(journey, people)
    tensors = {"ids": data.ids, "cameras": data.cameras, "domains": data.domains}
    for name in ("BN", "IN", "BIN", "MetaBIN"):
        row = TABLES["norms"][name]
        model, history = train_norm(row, journey, preset, seed, device, keep=None, progress=False)
        features = retrieval.embed(model, data, device=device)
        tensors[f"features {name}"] = features.cpu().half()
        for layer, gate in gates(model).items():
            tensors[f"gates {name} {layer.removesuffix('.gate')}"] = gate.detach().cpu().half()
    about = {"preset": preset.name, "seed": seed, "steps": len(history), "world": world.VERSION}
    store.write_recorded(out, tensors, about | runtime.provenance(device))


def _three_places_each(journey, people):
    """New people of three training places and of three unseen ones, in one record."""
    sides = []
    for shift, exam in ((0, journey.home), (3, journey.away)):
        both = exam.both()
        chosen = [_of_first(both, place, people) for place in range(3)]
        part = both[torch.cat(chosen)]
        moved = {
            "ids": part.ids + 10_000 * shift,
            "domains": part.domains + shift,
            "cameras": part.cameras + 1000 * shift,
        }
        sides.append(replace(part, **moved))
    return ReIDData.cat(sides, "three training and three unseen places")


def _of_first(data, place, people):
    """Picture numbers of the first `people` people of a place."""
    at_place = data.domains == place
    first = data.ids[at_place].unique()[:people]
    return (at_place & torch.isin(data.ids, first)).nonzero().flatten()
