"""The named recipes: tables recorded over seeds, features and weights.

    python -m reidkit.recipes baseline --seeds 0 1 2 3 4 --out data/results/01_baseline.csv
    python -m reidkit.recipes ways --seeds 0 1 2 --out data/results/01b_ways.csv
    python -m reidkit.recipes places --seeds 0 1 2 --jobs 2 --out data/results/03_places.csv
    python -m reidkit.recipes norms --seeds 0 1 2 3 4 --jobs 2 --out data/results/04_norms.csv
    python -m reidkit.recipes losses --seeds 0 1 2 --jobs 2 --out data/results/04_losses.csv
    python -m reidkit.recipes gates --seeds 0 --jobs 2 --out data/results/04_gates.csv
    python -m reidkit.recipes norm-features --out data/results/04_features.safetensors
    python -m reidkit.recipes study --seeds 0 1 2 --jobs 2 --out data/results/11_study.csv
    python -m reidkit.recipes features --out data/results/11_features.safetensors
    python -m reidkit.recipes models --seeds 0 1 2 3 4 --out data/results/11_models.csv
    python -m reidkit.recipes reals --out data/results/11_reals.csv
    python -m reidkit.recipes drawn-laptop --out data/weights/drawn-laptop.safetensors

A seed draws its own people and first weights. With REIDKIT_DATA_ROOT the models also meet the
people of PKU-Reid. `reals` takes the committed network to all sets of real pictures there; with
--report, which logs each look, also to the halves that are kept for reporting. --check makes one
row again and compares it, and writes nothing. Several calls with other seeds may fill one table at
the same time.
"""

import argparse
import functools
import pathlib

from .. import files, runtime
from ..console import command, each_once, whole_number
from ..retrieval.model_file import DRAWN_LAPTOP
from . import baseline, drawn, norms, reals, study, tables, ways
from .examine import real_exams
from .presets import PRESETS

NAMES = (
    "baseline",
    "ways",
    *norms.TABLES,
    "norm-features",
    "study",
    "models",
    "reals",
    "features",
    *drawn.FINAL,
)
TENSORS = ("norm-features", "features", *drawn.FINAL)  # the others write tables
ON_REAL_PEOPLE = ("study", "models", "features", "norms")


@command
def main(words: list[str] | None = None) -> int | None:
    """Do what the words of a command line ask (None: this process's); returns a status.

    What a user can mend ends in one sentence and status 2, before anything is computed.
    """
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.weights and asked.recipe != "baseline":
        parser.error("--weights belongs to the baseline")
    if asked.report and asked.recipe != "reals":
        parser.error("--report belongs to reals; the other tables say what they look at")
    asked.seeds = each_once("--seeds", asked.seeds)
    asked.knobs = asked.knobs and each_once("--knobs", asked.knobs)
    _check_out(parser, asked)
    runtime.set_threads(asked.threads)
    device = str(runtime.pick_device(asked.device))
    if asked.recipe in drawn.FINAL:
        return _write_weights(asked, device)
    if asked.recipe in ON_REAL_PEOPLE and not real_exams(PRESETS["smoke"]):
        parser.error(
            "this measures on PKU-Reid; set REIDKIT_DATA_ROOT to the folder of real data sets"
        )
    if asked.recipe == "reals" and not reals.cases(asked.report):
        sources = dict.fromkeys(exam.source for exam in reals.EXAMS.values())
        parser.error(
            "this measures on real pictures; set REIDKIT_DATA_ROOT to the folder that holds "
            f"{', '.join(sources)}, or some of them"
        )
    if asked.recipe == "features":
        return study.write_features(asked.out, seed=asked.seeds[0], device=device)
    if asked.recipe == "norm-features":
        return norms.write_features(asked.out, PRESETS[asked.preset], asked.seeds[0], device)
    return _table_command(parser, asked, device)


def _check_out(parser, asked):
    """An error where --out cannot be written, or is named after something else: in good time."""
    out = pathlib.Path(asked.out)
    suffix = ".safetensors" if asked.recipe in TENSORS else ".csv"
    if out.suffix != suffix:
        parser.error(f"--out is {asked.out!r}; {asked.recipe} expects a file like x{suffix}")
    if out.is_dir():
        parser.error(f"--out is {asked.out!r}, which is a folder; name a file in it")
    with files.locked(out):
        pass  # it makes the folder and a file in it, or says why it cannot


def _table_command(parser, asked, device):
    exams = _exams_of(asked)
    table = _table(asked, device, exams)
    if asked.check:
        differences = tables.check(table, asked.out)
        print("\n".join(differences) or f"{asked.out}: the row made again is equal to the digit")
        return int(bool(differences))
    if asked.restamp:
        print(f"{asked.out}: {tables.restamp(table, asked.out)} rows have a new stamp")
        return 0
    if asked.recipe == "reals" and asked.redo:
        _check_redo(parser, asked, table)
    has_real_people = any(row.get("pku_rank1") for row in tables.read_table(asked.out))
    if has_real_people and not exams:
        parser.error(
            f"{asked.out} holds numbers on PKU-Reid, which this run would lose; set "
            "REIDKIT_DATA_ROOT to the folder of real data sets, or name another --out"
        )
    tables.record(table, asked.out, asked.jobs, asked.redo)
    return 0


def _check_redo(parser, asked, table):
    """An error where --redo would drop rows of exams that this call does not make again."""
    keys = set(table.keys())
    lost = []
    for row in tables.read_table(asked.out):
        if table.key_of(row) not in keys and row.get("stamp") != table.stamp():
            lost.append(row.get("exam", ""))
    if lost:
        parser.error(
            f"{asked.out} holds {', '.join(lost)}, which --redo would drop and this call would not "
            "make again; add --report, set REIDKIT_DATA_ROOT to a folder with all sets, or leave "
            "--redo out"
        )


def _exams_of(asked):
    """Names of the exams on real people that a table's rows hold."""
    if asked.recipe == "study":
        return ["development"]
    if asked.recipe == "models":
        return ["all"]
    if asked.recipe in ("baseline", "norms"):
        return sorted(real_exams(PRESETS[asked.preset]))
    return []


def _table(asked, device, exams):
    """What the asked table is made of."""
    weights = files.sha256_file(asked.weights) if asked.weights else ""
    inputs = [asked.data, weights, exams]
    looks = asked.preset != "smoke"
    given = {"THREADS": runtime.set_threads(), "device": runtime.device_name(device)}
    if asked.recipe == "study":
        make = functools.partial(study.study_row, device=device)
        return tables.Table(study.cases(asked.seeds, asked.knobs), make, given, inputs, looks)
    if asked.recipe == "reals":
        weights = files.sha256_file(files.weights_dir() / f"{DRAWN_LAPTOP}.safetensors")
        make = functools.partial(reals.reals_row, device=device)
        return tables.Table(reals.cases(asked.report), make, given, [weights], looks=True)
    if asked.recipe == "models":
        make = functools.partial(drawn.models_row, device=device)
        models = ("untrained", "drawn-laptop")
        cases = [{"model": name, "SEED": seed} for name in models for seed in asked.seeds]
        return tables.Table(cases, make, given, inputs, looks)
    preset = PRESETS[asked.preset]
    given = {
        "PRESET": preset.name,
        "DATA": asked.data.partition(":")[0],
        "STEPS": preset.steps,
        **given,
        "WEIGHTS": pathlib.Path(asked.weights or "").name,
    }
    options = {"preset": preset, "data": asked.data, "device": device}
    if asked.recipe in norms.TABLES:
        given["STEPS"] = norms.how_long(preset)
        make = functools.partial(norms.norm_row, table=asked.recipe, **options)
        return tables.Table(norms.cases(asked.recipe, asked.seeds), make, given, inputs, looks)
    cases = [{"SEED": seed} for seed in asked.seeds]
    if asked.recipe == "ways":
        make = functools.partial(ways.ways_row, **options)
    else:
        make = functools.partial(baseline.baseline_row, weights=asked.weights, **options)
    return tables.Table(cases, make, given, inputs, looks)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.recipes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("recipe", choices=NAMES)
    seed = whole_number(0, 2**31 - 1)
    add("--seeds", type=seed, nargs="+", default=[0], help="a row each; weights take the first")
    add("--preset", choices=PRESETS, default="laptop", help="of those that take --data")
    add("--data", default="world", help="world, or a real set with its folder: market1501:PATH")
    add("--device", default="auto")
    add("--threads", type=whole_number(0, 1024), default=0, help="of torch; 0 keeps its choice")
    add("--jobs", type=whole_number(1, 1024), default=1, help="rows made side by side")
    add("--knobs", nargs="+", choices=study.STUDY, metavar="KNOB", help="of the study; default all")
    add("--weights", help="trunk weights that the baseline starts from (.pth or .safetensors)")
    add(
        "--report",
        action="store_true",
        help="of reals: halves for reporting, too; looks are logged",
    )
    add("--out", required=True, help="the file: a table, written whole after each row, or weights")
    one_of = parser.add_mutually_exclusive_group()
    how = functools.partial(one_of.add_argument, action="store_true")
    how("--check", help="make one row of the table again and compare it")
    how("--redo", help="drop rows that other code or inputs have made")
    how("--restamp", help="give rows today's stamp; only after a --check")
    return parser


def _write_weights(asked, device):
    recipe = drawn.FINAL[asked.recipe]
    _, history = drawn.write_weights(asked.out, recipe, asked.seeds[0], device)
    minutes = history.seconds / 60
    people = recipe.places * recipe.people
    print(f"{asked.out}: trained for {minutes:.1f} minutes on {people} drawn people")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
