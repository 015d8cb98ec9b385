"""Everything that writes, as one step that can be repeated, killed, run twice at once, and checked.

    python -m tests.faults.writers NAME FOLDER WHO FIRST ROUNDS

does the step of a writer so many times, 0 for ever, beginning with a round, and prints the number
of each round that is done.
A step that the disk does not take prints "refused" with its sentence, another error a traceback.
"""

import csv
import importlib
import json
import os
import pathlib
import sys
from collections.abc import Callable
from dataclasses import dataclass

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import torch  # noqa: E402

from reidkit import console, files, store, world  # noqa: E402
from reidkit.recipes import tables  # noqa: E402
from reidkit.retrieval.__main__ import main as embed_command  # noqa: E402
from reidkit.retrieval.model_file import build_model, load_model, save_model  # noqa: E402

from .kinds import ANSWER, SPEC, picture_bytes  # noqa: E402


@dataclass(frozen=True)
class Writer:
    """Something that writes.

    Args:
        name: as tables call it.
        step: step(folder, who, round): writes once.
        check: check(folder, done): "" or what is wrong, where done is {who: rounds done}.
        prepare: prepare(folder), called once before the first step.
        refuses: whether a step may end in a sentence where the disk takes nothing; else it goes on.
    """

    name: str
    step: Callable
    check: Callable
    prepare: Callable = lambda folder: None
    refuses: bool = True


# ---- plain files


def write_file(folder, who, round):
    files.write_atomic(folder / "file.txt", f"{who} {round}\n" * 20000)


def check_file(folder, done):
    path = folder / "file.txt"
    if not path.exists():
        return "" if not any(done.values()) else "the file is gone"
    lines = path.read_text().splitlines()
    return "" if len(lines) == 20000 and len(set(lines)) == 1 else "the file is a mixture"


# ---- a student's progress


def note_verdict(folder, who, round):
    os.environ["REIDKIT_WORK_DIR"] = str(folder)
    os.environ["REIDKIT_PROGRESS"] = "on"
    importlib.import_module("reidkit.teach.progress").note(f"01-{who}-{round}", "well done")


def check_verdicts(folder, done):
    path = folder / "progress.json"
    verdicts = json.loads(path.read_text())["exercises"] if path.exists() else {}
    expected = [f"01-{who}-{round}" for who, count in done.items() for round in range(count)]
    missing = [key for key in expected if not verdicts.get(key, {}).get("done")]
    return f"{len(missing)} of {len(expected)} verdicts are lost" if missing else ""


# ---- copies of chapters


def prepare_copy(folder):
    import chapter_demo

    os.environ["REIDKIT_HOME"] = str(folder)
    os.environ["REIDKIT_WORK_DIR"] = str(folder / "work")
    chapter_demo.write(folder)
    importlib.import_module("reidkit.teach.copies").main([])
    path = folder / "work" / "91_tiny.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["id"] == "add-one-stub":
            cell["source"] = ANSWER
    path.write_text(json.dumps(notebook), encoding="utf-8")


def update_copy(folder, who, round):
    import chapter_demo

    os.environ["REIDKIT_HOME"] = str(folder)
    os.environ["REIDKIT_WORK_DIR"] = str(folder / "work")
    newer = chapter_demo.SOURCE.replace("Use a plus.", f"Use a plus, {who} {round}.")
    path = folder / "notebooks" / "source" / "91_tiny.py"
    files.write_atomic(path, newer)
    status = importlib.import_module("reidkit.teach.copies").main(["--update"])
    if status:
        raise OSError("the command ended in a sentence, printed above")


def check_copy(folder, done):
    notebook = json.loads((folder / "work" / "91_tiny.ipynb").read_text(encoding="utf-8"))
    texts = ["".join(cell["source"]) for cell in notebook["cells"]]
    return "" if any("my own way" in text for text in texts) else "the answer is lost"


# ---- caches


def draw_set(folder, who, round):
    os.environ["REIDKIT_CACHE_DIR"] = str(folder)
    world.sample([("train", 0)], 2, 2, 1, (64, 32), seed=round)


def check_sets(folder, done):
    for path in (folder / "world").glob("*.safetensors"):
        store.load(path)  # raises where it is damaged
    return ""


def train(folder, who, round):
    import training_case

    os.environ["REIDKIT_CACHE_DIR"] = str(folder)
    torch.set_num_threads(1)
    training_case.train(steps=6 + round % 9, keep="twice")


def check_trainings(folder, done):
    import training_case

    os.environ["REIDKIT_CACHE_DIR"] = str(folder)
    torch.set_num_threads(1)
    for steps in (6, 7, 8):
        kept, _ = training_case.train(steps=steps, keep="twice")
        fresh, _ = training_case.train(steps=steps)
        if not training_case.same(kept, fresh):
            return f"the training of {steps} steps ended with other weights"
    return ""


# ---- tables and what is committed


def make_row(case):
    return {"square": int(case["SEED"]) ** 2, "pku_rank1": 1.0}


def record_row(folder, who, round):
    os.environ["REIDKIT_HOME"] = str(folder)
    table = tables.Table([{"SEED": f"{1000 * (who + 1) + round}"}], make_row, {}, (), looks=True)
    tables.record(table, folder / "data" / "results" / "squares.csv")


def check_rows(folder, done):
    results = folder / "data" / "results"
    expected = {
        f"{1000 * (who + 1) + round}" for who, count in done.items() for round in range(count)
    }
    if not expected:
        return ""
    with open(results / "squares.csv", newline="", encoding="utf-8") as stream:
        rows = {row["SEED"]: row for row in csv.DictReader(stream)}
    missing = expected - rows.keys()
    with open(results / "looks.csv", newline="", encoding="utf-8") as stream:
        looks = " ".join(row["for"] for row in csv.DictReader(stream))
    unlogged = [seed for seed in expected if f"seed {seed}" not in looks]
    if missing or unlogged:
        return f"{len(missing)} rows and {len(unlogged)} looks of {len(expected)} are lost"
    return ""


def write_recorded(folder, who, round):
    store.write_recorded(folder / f"{who}-{round}.safetensors", {"x": torch.ones(3)}, {"r": round})


def check_recorded(folder, done):
    for who, count in done.items():
        for round in range(count):
            _, about = store.load_checked(folder / f"{who}-{round}.safetensors")
            if about != {"r": round}:
                return "a file holds what another wrote"
    return ""


def write_model(folder, who, round):
    torch.manual_seed(who)
    save_model(folder / "model.safetensors", build_model(SPEC), SPEC, {"round": round})


def check_model(folder, done):
    if any(done.values()):
        load_model(folder / "model.safetensors")
    return ""


def prepare_pictures(folder):
    inside = folder / "pictures"
    inside.mkdir()
    for number in range(4):
        (inside / f"{number}.png").write_bytes(picture_bytes("PNG"))
    save_model(folder / "small.safetensors", build_model(SPEC), SPEC, {})


def embed_pictures(folder, who, round):
    words = [str(folder / "small.safetensors"), str(folder / "pictures")]
    if embed_command([*words, "--out", str(folder / "features.npz"), "--device", "cpu"]):
        raise OSError("the command ended in a sentence, printed above")


def check_features(folder, done):
    import numpy

    path = folder / "features.npz"
    if not path.exists():
        return "the features are gone" if any(done.values()) else ""
    return "" if len(numpy.load(path)["features"]) == 4 else "features are missing"


WRITERS = (
    Writer("files", write_file, check_file),
    Writer("progress", note_verdict, check_verdicts, refuses=False),
    Writer("copies", update_copy, check_copy, prepare_copy),
    Writer("drawn sets", draw_set, check_sets, refuses=False),
    Writer("trainings", train, check_trainings, refuses=False),
    Writer("recorded rows", record_row, check_rows),
    Writer("recorded tensors", write_recorded, check_recorded),
    Writer("models", write_model, check_model),
    Writer("features", embed_pictures, check_features, prepare_pictures),
)


def named(name):
    return next(writer for writer in WRITERS if writer.name == name)


def main(words):
    name, folder, who, first, rounds = words
    writer = named(name)
    round = int(first)
    while not int(rounds) or round < int(first) + int(rounds):
        try:
            writer.step(pathlib.Path(folder), int(who), round)
        except OSError as error:
            if not writer.refuses:
                raise
            print(f"refused {console.sentence(error)}", flush=True)
        else:
            print(f"done {round}", flush=True)
        round += 1


if __name__ == "__main__":
    main(sys.argv[1:])
