"""Named recipes: how large a run is, the trainings that chapters share, and the tables recorded over seeds.

    python -m reidkit.recipes baseline --seeds 0 1 2 3 4 --preset laptop --out data/results/01_baseline.csv
    python -m reidkit.recipes ways --seeds 0 1 2 --preset laptop --out data/results/01b_ways.csv

A seed draws its own people and first weights. With REIDKIT_DATA_ROOT the baseline also meets the people of PKU-Reid.
"""

import argparse
import csv
import datetime
import io
import os
import pathlib
import time
from dataclasses import dataclass

import torch

from . import augment, files, retrieval, runtime
from .datasets import journey as make_journey
from .datasets import read
from .fingerprints import package_digest
from .methods.baseline import Baseline, baseline_losses
from .methods.three_ways import WAYS, ThreeWays, way_losses
from .training import fit
from .weights import load_trunk

ALL_WAYS = (*WAYS, "identity+triplet", "identity+verification")


@dataclass(frozen=True)
class Preset:
    """How large a run is; the code is the same for all."""
    name: str
    size: tuple                 # (height, width) of a picture
    trunk: str                  # see backbones.trunk
    rate: float                 # learning rate; chosen on drawn validation places
    places: int                 # places to train in
    people: int                 # of each place
    cameras: int                # of each place
    pictures: int               # of each person and camera
    unseen_places: int
    exam_people: int            # of each place, other people than those trained on
    steps: int
    batch_people: int           # P
    batch_pictures: int         # K
    minutes: float              # a chapter's computing; "laptop" on two cores


PRESETS = {preset.name: preset for preset in (
    Preset("smoke", (64, 32), "tiny", 3e-3, 2, 8, 3, 2, 2, 6, 6, 8, 2, 0.3),
    Preset("laptop", (64, 32), "tiny", 3e-3, 6, 50, 4, 2, 4, 15, 400, 16, 4, 1.5),
    Preset("gpu", (256, 128), "resnet50", 3.5e-4, 16, 100, 6, 4, 8, 50, 6000, 16, 4, 15),
)}


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
    history = fit(model, journey.train, losses, steps=preset.steps, people=preset.batch_people,
                  pictures=preset.batch_pictures, rate=preset.rate, augment=augment.standard, device=device, seed=seed,
                  cache=cache)
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
    model, history = _train(make, journey, way_losses(way), preset, seed, device, cache and f"{cache}-{way}")
    scores = {name: retrieval.evaluate_exam(model, getattr(journey, name)) for name in ("home", "away")}
    return Trained(model, history, scores)


# recorded tables

def real_exams(preset):
    """PKU-Reid, all people and both halves, where REIDKIT_DATA_ROOT names the folder of data sets; else none. The report half
    is not for trying things out: the smoke preset never meets it."""
    root = os.environ.get("REIDKIT_DATA_ROOT")
    folder = pathlib.Path(root or ".") / "pku-reid"
    if not root or not folder.is_dir():
        return {}
    return {"pku" if half == "all" else f"pku_{half}": read("pku-reid", folder, preset.size, half=half).exam
            for half in ("all", "development", "report") if preset.name != "smoke" or half == "development"}


def examine(model, exams):
    """Exams by name -> flat dict of percentages: rank-1 and mAP with their bootstrap interval over identities, mINP."""
    row = {}
    for name, exam in exams.items():
        found = retrieval.evaluate_exam(model, exam)
        spread = retrieval.bootstrap(found, exam.query.ids)
        for key, value in (("rank1", found.cmc[1]), ("map", found.map)):
            row |= {f"{name}_{key}": value, f"{name}_{key}_low": spread[key][0], f"{name}_{key}_high": spread[key][1]}
        row[f"{name}_minp"] = found.minp
    return {key: round(100 * value, 2) for key, value in row.items()}


def baseline_row(preset, data, seed, device, weights=None):
    journey = make_journey(data, preset, seed=seed, device=device)
    model, history = train_baseline(journey, preset, seed, device, weights=weights)
    row = examine(model, {"home": journey.home, "away": journey.away, **real_exams(preset)})
    return row | {"fall_rank1": round(row["home_rank1"] - row["away_rank1"], 2), "train_pictures": len(journey.train),
                  "train_seconds": round(history.seconds, 1)}


def ways_row(preset, data, seed, device):
    journey, row = make_journey(data, preset, seed=seed, device=device), {}
    for way in ALL_WAYS:
        for exam, found in train_way(way, journey, preset, seed, device).scores.items():
            row |= {f"{way}_{exam}_rank1": round(100 * found.cmc[1], 2), f"{way}_{exam}_map": round(100 * found.map, 2)}
    return row


def record(out, seeds, make_row, given, inputs=(), watch=False):
    """Fill the table `out` with one row a seed: make_row(seed) between `given` and the provenance. Returns all rows.

    The file is written whole after each seed. A finished seed is kept, unless the code, `given` or `inputs` (what a row
    depends on and the table does not print, like paths) has changed since: rows of another stamp are dropped, since a
    table that mixes them compares nothing. watch: log what each new row shows of the sets kept for reporting.
    """
    stamp = files.digest(package_digest(frozenset({"teach"})), given, list(inputs), torch.__version__, torch.get_num_threads())
    rows = {row["SEED"]: row for row in read_table(out) if row.get("stamp") == stamp}
    for seed in map(str, seeds):
        if seed in rows:
            print(f"seed {seed}: kept")
            continue
        began = time.perf_counter()
        found = make_row(int(seed))
        made = {"status": "ok", "seconds": round(time.perf_counter() - began, 1), "commit": runtime.git_commit(),
                "date": _today(), **runtime.versions(("torch", "numpy")), "stamp": stamp}
        rows[seed] = {"SEED": seed, **given, **found, **made}
        write_table(out, [rows[key] for key in sorted(rows, key=int)])
        if watch:
            log_looks(f"{pathlib.Path(out).name}, seed {seed}", seen_in(found))
        print(f"seed {seed}: " + ", ".join(f"{key} {value}" for key, value in found.items() if key.endswith("_rank1")))
    return list(rows.values())


def log_looks(what, looks):
    """One line in data/results/looks.csv for each set kept for reporting that was looked at: looks maps its name to what
    was seen of it (a dict of numbers)."""
    path = files.results_dir() / "looks.csv"
    lines = [{"date": _today(), "commit": runtime.git_commit(), "set": look, "for": what,
              "numbers": "; ".join(f"{name} {value:.1f}" for name, value in numbers.items())}
             for look, numbers in looks.items()]
    write_table(path, read_table(path) + [line for line in lines if line not in read_table(path)])


def seen_in(row):
    """A recorded row -> {set kept for reporting: {column: value}} of what it shows of such sets, for `log_looks`."""
    sets = (("drawn unseen places", "away"), ("PKU-Reid, report half", "pku_report"), ("PKU-Reid, all", "pku"))
    found = {name: {key: float(value) for key, value in row.items() if value != "" and
                    key.removesuffix("_rank1").removesuffix("_map").endswith(part) and key.endswith(("_rank1", "_map"))}
             for name, part in sets}
    return {name: numbers for name, numbers in found.items() if numbers}


def read_table(path):
    if not pathlib.Path(path).is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write_table(path, rows):
    text = io.StringIO()
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_atomic(path, text.getvalue())


def _today():
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m reidkit.recipes", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=("baseline", "ways"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--preset", choices=PRESETS, default="laptop")
    parser.add_argument("--data", default="world", help="world, market1501:PATH or pku-reid:PATH")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 keeps its choice")
    parser.add_argument("--weights", help="trunk weights that the baseline starts from (.pth or .safetensors)")
    parser.add_argument("--out", required=True, help="the table, written whole after each seed")
    asked = parser.parse_args(words)
    if asked.weights and asked.recipe != "baseline":
        parser.error("--weights belongs to the baseline")
    threads, device = runtime.set_threads(asked.threads), str(runtime.pick_device(asked.device))
    preset, make = PRESETS[asked.preset], {"baseline": baseline_row, "ways": ways_row}[asked.recipe]
    extra = {"weights": asked.weights} if asked.weights else {}
    given = {"PRESET": preset.name, "DATA": asked.data.partition(":")[0], "STEPS": preset.steps, "THREADS": threads,
             "WEIGHTS": pathlib.Path(asked.weights or "").name, "device": runtime.device_name(device)}
    exams = real_exams(preset) if asked.recipe == "baseline" else {}
    if not exams and any(row.get("pku_rank1") for row in read_table(asked.out)):
        parser.error(f"{asked.out} holds numbers on PKU-Reid, which this run would lose; set REIDKIT_DATA_ROOT to the folder "
                     "of real data sets, or name another --out")
    inputs = [asked.data, files.sha256_file(asked.weights) if asked.weights else "", sorted(exams)]
    record(asked.out, asked.seeds, lambda seed: make(preset, asked.data, seed, device, **extra), given, inputs,
           watch=preset.name != "smoke")


if __name__ == "__main__":
    main()
