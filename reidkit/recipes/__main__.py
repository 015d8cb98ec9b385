"""The command line of the recipes; see reidkit.recipes."""

import argparse
import functools
import pathlib

from .. import files, recipes, runtime
from . import PRESETS, baseline_row, drawn, norms, real_exams, study, tables, ways_row

FINAL = {"drawn-laptop": drawn.LAPTOP, "drawn-gpu": drawn.GPU}
RECIPES = (
    "baseline",
    "ways",
    *norms.TABLES,
    "norm-features",
    "study",
    "models",
    "features",
    *FINAL,
)


def main(words=None):
    parser, asked = _asked(words)
    threads, device = runtime.set_threads(asked.threads), str(runtime.pick_device(asked.device))
    if asked.recipe in FINAL:
        return _weights(parser, asked, device)
    given = {"THREADS": threads, "device": runtime.device_name(device)}
    if asked.recipe in ("study", "models", "features", "norms") and not real_exams(
        PRESETS["smoke"]
    ):
        parser.error(
            "this measures on PKU-Reid; set REIDKIT_DATA_ROOT to the folder of real data sets"
        )
    exams = ["development" if asked.recipe == "study" else "all"]
    if asked.recipe == "features":
        return study.write_features(asked.out, seed=asked.seeds[0], device=device)
    if asked.recipe == "norm-features":
        return norms.write_features(asked.out, PRESETS[asked.preset], asked.seeds[0], device)
    if asked.recipe == "study":
        make, cases = (
            functools.partial(study.study_row, device=device),
            study.cases(asked.seeds, asked.knobs),
        )
    elif asked.recipe == "models":
        make = functools.partial(drawn.models_row, device=device)
        cases = [
            {"model": name, "SEED": seed}
            for name in ("untrained", "drawn-laptop")
            for seed in asked.seeds
        ]
    else:
        preset = PRESETS[asked.preset]
        given = {
            "PRESET": preset.name,
            "DATA": asked.data.partition(":")[0],
            "STEPS": preset.steps,
            **given,
            "WEIGHTS": pathlib.Path(asked.weights or "").name,
        }
        if asked.recipe in norms.TABLES:
            make, cases = (
                functools.partial(_norm, asked.recipe, preset, asked.data, device),
                norms.cases(asked.recipe, asked.seeds),
            )
            given["STEPS"] = norms.how_long(preset)
        else:
            make = functools.partial(_row, asked.recipe, preset, asked.data, device, asked.weights)
            cases = [{"SEED": seed} for seed in asked.seeds]
        exams = sorted(real_exams(preset)) if asked.recipe in ("baseline", "norms") else []
    if not exams and any(row.get("pku_rank1") for row in tables.read_table(asked.out)):
        parser.error(
            f"{asked.out} holds numbers on PKU-Reid, which this run would lose; set REIDKIT_DATA_ROOT to the folder "
            "of real data sets, or name another --out"
        )
    inputs = [asked.data, files.sha256_file(asked.weights) if asked.weights else "", exams]
    tables.record(asked.out, cases, make, given, inputs, asked.preset != "smoke", asked.jobs)


def _asked(words):
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.recipes",
        description=recipes.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        help="one row of the table each; weights take the first",
    )
    parser.add_argument(
        "--preset",
        choices=PRESETS,
        default="laptop",
        help="of all but the study, the models and their features",
    )
    parser.add_argument("--data", default="world", help="world, market1501:PATH or pku-reid:PATH")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 keeps its choice")
    parser.add_argument("--jobs", type=int, default=1, help="rows made side by side")
    parser.add_argument(
        "--knobs", nargs="+", choices=study.STUDY, metavar="KNOB", help="of the study; default all"
    )
    parser.add_argument(
        "--weights", help="trunk weights that the baseline starts from (.pth or .safetensors)"
    )
    parser.add_argument(
        "--out",
        required=True,
        help="the table, written whole after each row; for a drawn model its weights",
    )
    asked = parser.parse_args(words)
    if asked.weights and asked.recipe != "baseline":
        parser.error("--weights belongs to the baseline")
    return parser, asked


def _row(recipe, preset, data, device, weights, case):
    extra = {"weights": weights} if weights else {}
    return {"baseline": baseline_row, "ways": ways_row}[recipe](
        preset, data, int(case["SEED"]), device, **extra
    )


def _norm(table, preset, data, device, case):
    return norms.row_of(table, preset, case, data, device)


def _weights(parser, asked, device):
    if pathlib.Path(asked.out).suffix != ".safetensors":
        parser.error(f"--out is {asked.out}; expected a file that ends in .safetensors")
    recipe = FINAL[asked.recipe]
    _, history = drawn.drawn_weights(asked.out, recipe, asked.seeds[0], device)
    print(
        f"{asked.out}: trained for {history.seconds / 60:.1f} minutes on {recipe.places * recipe.people} drawn people"
    )


if __name__ == "__main__":
    main()
