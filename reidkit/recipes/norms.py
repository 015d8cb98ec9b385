"""Which norm? Networks that differ in their norms alone, trained on the same people with the same budget, in four exams.

    python -m reidkit.recipes norms --seeds 0 1 2 3 4 --out data/results/04_norms.csv

Three more tables stand on the same training: `places` (where DualNorm's instance norms go), `losses` (what MetaBIN's episode
consists of) and `gates` (how fast gates should move), the last on drawn validation places alone, where it was chosen.
"""

import functools
import json
from dataclasses import dataclass, field, replace

import safetensors.torch
import torch

from .. import augment, files, measures, retrieval, runtime, world
from ..backbones import make_trunk
from ..datasets import load_journey
from ..layers.norms import IBN, BatchInstanceNorm, InstanceNorm, gates, swap_norms
from ..methods import dualnorm, ibn
from ..methods.baseline import Baseline, baseline_losses
from ..methods.metabin import LearntBIN, MetaBIN
from ..training import fit
from ..weights import record_hash
from . import count_classes, examine, real_exams, tables
from .exams import style_exam, tone_exam

# How far a gate may come in a run: gate rate times steps; the paper's is 0.1 x 150,000 = 15,000. Chosen on drawn validation places:
# of the four values in table `gates` the best at both lengths of run. With much less, gates stay where they started; the larger
# values differ little.
TRAVEL = 1000

EVERYWHERE = {
    "IN": InstanceNorm,
    "half and half": functools.partial(IBN, batch_first=True),
    "BIN": functools.partial(BatchInstanceNorm, gate=1.0),
}
PLACED = {"IBN-a": ibn.ibn_a, "IBN-b": ibn.ibn_b, "DualNorm": dualnorm.add_instance_norms}


@dataclass(frozen=True)
class Row:
    """One network and its training. norm: "BN", or a name of EVERYWHERE or PLACED; stages: where DualNorm's go, None by its rule;
    learn: how gates of "BIN" learn, "sources" or "episodes"; options: of MetaBIN; travel: see TRAVEL."""

    norm: str
    learn: str = "sources"
    stages: tuple | None = None
    feature_norm: bool = True
    options: dict = field(default_factory=dict)
    travel: float = TRAVEL
    length: float = 1.0  # of the training, in units of the usual one


def _meta(inner=None, outer=None, **options):
    parts = {name: value for name, value in (("inner", inner), ("outer", outer)) if value}
    return Row("BIN", "episodes", options={**parts, **options})


FIXED = {
    "low": 0.01,
    "high": 0.01,
}  # the geometric middle of the cycle, a fifth of its mean, in every step
TABLES = {
    "norms": {
        "BN": Row("BN"),
        "IN": Row("IN"),
        "IBN-a": Row("IBN-a"),
        "DualNorm": Row("DualNorm"),
        "half and half": Row("half and half"),
        "BIN": Row("BIN"),
        "MetaBIN": _meta(),
    },
    "places": {
        **{
            f"{name}{'' if norm else ', no feature norm'}": Row(
                "DualNorm" if stages else "BN", stages=stages, feature_norm=norm
            )
            for norm in (True, False)
            for name, stages in (
                ("none", ()),
                ("stem", ("bn1",)),
                ("early", ("bn1", "layer1", "layer2")),
                ("early and middle", ("bn1", *dualnorm.RESNET)),
                ("everywhere", ("bn1", *dualnorm.RESNET, "layer4")),
            )
            if norm or name not in ("stem", "early")
        },
        "the rule for ResNets": Row("DualNorm"),
        "IBN-a": Row("IBN-a"),
        "IBN-b": Row("IBN-b"),
    },
    "losses": {
        "CE only": _meta(("identity",), ("identity",), **FIXED),
        "triplet": _meta(("triplet",), ("triplet",), **FIXED),
        "triplet + scatter": _meta(("scatter", "triplet"), ("triplet",), **FIXED),
        "triplet + shuffle": _meta(("shuffle", "triplet"), ("triplet",), **FIXED),
        "all, fixed step": _meta(**FIXED),
    },
    "gates": {
        f"travel {travel}, length {length:g}": replace(_meta(), travel=travel, length=length)
        for length in (0.5, 1.0)
        for travel in (250, 1000, 2500, 10000)
    },
}


def network(row, classes, trunk="tiny"):
    """The Baseline of a Row: the trunk with its norms in place, pooled, with the feature norm (BNNeck) or without."""
    body = make_trunk(trunk)
    if row.norm in EVERYWHERE:
        swap_norms(body, EVERYWHERE[row.norm])
    elif row.norm in PLACED:
        PLACED[row.norm](body, *([row.stages] if row.stages else []))
    elif row.norm != "BN":
        raise ValueError(f"norm is {row.norm!r}; expected BN, {', '.join([*EVERYWHERE, *PLACED])}")
    return Baseline(classes, body, neck=row.feature_norm)


def how_long(preset):
    """Steps of these trainings: five eighths of the preset's, since ten networks are trained where chapter 1 trains one."""
    return max(2, preset.steps * 5 // 8)


def gate_rate(steps, travel=TRAVEL):
    """The rule for the gates' learning rate: what a gate can travel in a run is kept, so a short run takes large steps."""
    return travel / steps


def train_norm(
    row, journey, preset, seed=0, device="cpu", cache="04-norms", steps=None, progress=True
):
    """Train the network of a Row on a journey's people -> (model, History). The same people, order of batches, first weights of
    the convolutions and number of steps for every row."""
    steps = steps or max(2, round(how_long(preset) * row.length))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = network(row, count_classes(journey.train), preset.trunk)
    how = {"losses": baseline_losses}
    if row.norm == "BIN":
        domains = len(journey.train.domains.unique())
        own = {
            "domains": "domains" if domains > 1 else "cameras",
            "pictures": preset.batch_pictures,
            "domain_people": max(2, -(-preset.batch_people // max(domains, 2))),
        }
        rate = gate_rate(steps, row.travel)
        method = (
            MetaBIN(rate, **(own | row.options)) if row.learn == "episodes" else LearntBIN(rate)
        )
        how = {
            "step": method.step,
            **({"sampler": method.sampler} if row.learn == "episodes" else {}),
        }
    history = fit(
        model,
        journey.train,
        **how,
        steps=steps,
        people=preset.batch_people,
        pictures=preset.batch_pictures,
        rate=preset.rate,
        augment=augment.standard,
        device=device,
        seed=seed,
        cache=cache,
        progress=progress,
    )
    return model, history


def validation_exam(preset, device="cpu"):
    """Drawn validation places, the only ones that may choose."""
    return world.make_exam(
        [("validation", place) for place in range(4)],
        25,
        preset.cameras,
        2,
        preset.size,
        device=device,
    )


def row_of(table, preset, case, data="world", device="cpu"):
    """One line of a table: its training, its exams in percent, and for "norms" the probes and the gates."""
    row, seed = TABLES[table][case["row"]], int(case["SEED"])
    journey = load_journey(data, preset, seed=seed, device=device)
    model, history = train_norm(row, journey, preset, seed, device, cache=None, progress=False)
    if table == "gates":
        exams = {"validation": validation_exam(preset, device)}
    else:
        exams = {
            "home": journey.home,
            "away": journey.away,
            "tone": tone_exam(preset.size, seed, device=device),
        }
        if table == "norms":
            exams |= {"style": style_exam(preset.size, seed, device=device), **real_exams(preset)}
    found = examine(model, exams) | {
        "steps": len(history),
        "training_seconds": round(history.seconds, 1),
    }
    if table == "norms":
        away = journey.away.both()
        found |= {
            f"probe_{name}": round(100 * value, 2)
            for name, value in measures.probes(
                retrieval.embed(model, away, device=device), away
            ).items()
        }
    if own := gates(model):
        found |= {
            "gate_rate": gate_rate(len(history), row.travel),
            "gate_mean": round(history[-1]["gate"], 4),
        }
        found |= {f"gate_{name}": round(value, 4) for name, value in gate_means(own).items()}
    return found


def gate_means(own):
    """Mean gate of each stage: {"bn1": ..., "layer1": ...}; own: see layers.norms.gates."""
    stages = {}
    for name, gate in own.items():
        stages.setdefault(name.removeprefix("trunk.").split(".")[0], []).append(gate.detach())
    return {stage: torch.cat(parts).mean().item() for stage, parts in stages.items()}


def cases(table, seeds, only=None):
    return [
        {"row": name, "SEED": seed}
        for seed in seeds
        for name in TABLES[table]
        if only is None or name in only
    ]


def write_features(out, preset, seed=0, device="cpu", people=12):
    """Features and gates of one seed's BN, IN, BIN and MetaBIN networks, one small file of float16.

    ids, cameras, domains (N,): new people of three training places (domains 0 to 2) and of three unseen ones (3 to 5), `people` of
    each; "features NAME" (N, D), unit length; "gates NAME LAYER" (C,) of both networks that have gates.
    """
    journey = load_journey("world", preset, seed=seed, device=device)
    sides = []
    for shift, exam in ((0, journey.home), (3, journey.away)):
        both = exam.both()
        part = both[torch.cat([_of_first(both, place, people) for place in range(3)])]
        sides.append(
            replace(
                part,
                ids=part.ids + 10_000 * shift,
                domains=part.domains + shift,
                cameras=part.cameras + 1000 * shift,
            )
        )
    data = type(sides[0]).cat(sides, "three training and three unseen places")
    tensors = {"ids": data.ids, "cameras": data.cameras, "domains": data.domains}
    for name in ("BN", "IN", "BIN", "MetaBIN"):
        model, history = train_norm(
            TABLES["norms"][name], journey, preset, seed, device, cache=None, progress=False
        )
        tensors[f"features {name}"] = retrieval.embed(model, data, device=device).cpu().half()
        tensors |= {
            f"gates {name} {layer.removesuffix('.gate')}": gate.detach().cpu().half()
            for layer, gate in gates(model).items()
        }
    about = {
        "preset": preset.name,
        "seed": seed,
        "steps": len(history),
        "world": world.VERSION,
        "commit": runtime.git_commit(),
        "device": runtime.device_name(device),
        "date": tables.today(),
        **runtime.versions(("torch",)),
    }
    files.write_atomic(
        out,
        safetensors.torch.save(
            {name: value.contiguous() for name, value in tensors.items()},
            {"about": json.dumps(about, sort_keys=True)},
        ),
    )
    record_hash(out)


def _of_first(data, place, people):
    """Picture numbers of the first `people` people of a place."""
    here = data.domains == place
    return (here & torch.isin(data.ids, data.ids[here].unique()[:people])).nonzero().flatten()
