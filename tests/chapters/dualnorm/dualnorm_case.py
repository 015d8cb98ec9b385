"""A made-up table of placements and a small tone exam, for the tests of chapter 03."""

from reidkit.recipes import exams
from reidkit.recipes.norms import TABLES
from reidkit.teach.recorded import Recorded


def make_table(seeds=3, names=None):
    """A table in which a later row scores two points less, a seed one more, and unseen places 30
    less than home.
    """
    runs = []
    for seed in range(seeds):
        for index, name in enumerate(TABLES["places"]):
            if names is None or name in names:
                runs.append(_make_run(name, index, seed))
    return Recorded("03_places", runs)


def _make_run(name, index, seed):
    base = 80 - 2 * index + seed + 0.5 * (seed == 2) * index
    run = {"row": name, "SEED": seed}
    for shift, exam in ((0, "home"), (30, "away"), (60, "tone")):
        for key in ("rank1", "map"):
            run[f"{exam}_{key}"] = base - shift
            run[f"{exam}_{key}_low"] = base - shift - 6
            run[f"{exam}_{key}_high"] = base - shift + 6
    return {key: str(value) for key, value in run.items()}


def make_tone_exam():
    return exams.make_tone_exam((64, 32), bodies=3)
