"""Every kind of file and word that a user hands in: a sound one, and what a damaged one leads to.

A kind prepares a folder of its own and gives back examples, (name, bytes, ways to damage them), and
attempt(name, damaged bytes, what was said so far) -> outcome. Errors may escape an attempt: they
are judged by outcomes.judge_error. What a kind sets in os.environ lasts as long as its trials.
"""

import contextlib
import importlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy
import torch
from PIL import Image

from reidkit import files, store, world
from reidkit.methods import baseline
from reidkit.pictures import read_picture
from reidkit.retrieval.__main__ import main as embed_command
from reidkit.retrieval.model_file import build_model, load_model, save_model
from reidkit.weights import load_trunk

from . import damage
from .outcomes import AGAIN, CARRIED, LOST, SAME, SILENT, UNSEEN, judge_command

SPEC = {"size": [32, 16], "mirror": False, "trunk": "tiny"}


@dataclass(frozen=True)
class Kind:
    """One kind of input.

    Args:
        name: as the table calls it.
        trials: how many of the whole suite's thousand.
        prepare: prepare(folder) -> (examples, attempt).
        names_file: whether an error must name the file, which is the example's name.
    """

    name: str
    trials: int
    prepare: Callable
    names_file: bool = True


def same_tensors(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(value, other[name]) for name, value in one.items()
    )


# ---- pictures


def picture_bytes(form, mode="RGB"):
    """A picture of coloured noise in a format and mode."""
    numbers = numpy.random.default_rng(0).integers(0, 256, (48, 24, 3), numpy.uint8)
    stream = io.BytesIO()
    Image.fromarray(numbers).convert(mode).save(stream, form)
    return stream.getvalue()


def pictures(folder):
    examples = [
        ("a.jpg", picture_bytes("JPEG"), damage.BYTES),
        ("b.png", picture_bytes("PNG"), damage.BYTES),
        ("c.bmp", picture_bytes("BMP"), damage.BYTES),
        ("d.webp", picture_bytes("WEBP"), damage.BYTES),
        ("e.png", picture_bytes("PNG", "P"), damage.BYTES),
        ("f.png", picture_bytes("PNG", "RGBA"), damage.BYTES),
        ("g.jpg", picture_bytes("JPEG", "CMYK"), damage.BYTES),
    ]
    sound = {}
    for name, whole, _ in examples:
        (folder / name).write_bytes(whole)
        sound[name] = read_picture(folder / name, (32, 16))

    def attempt(name, changed, said):
        (folder / name).write_bytes(changed)
        picture = read_picture(folder / name, (32, 16))
        assert picture.shape == (3, 32, 16) and picture.dtype == torch.uint8
        # None of these formats is checked by its decoder to the last bit.
        return SAME if torch.equal(picture, sound[name]) else UNSEEN

    return examples, attempt


def folders_of_pictures(folder):
    """A damaged picture among sound ones, met by the command that embeds a folder."""
    inside = folder / "pictures"
    inside.mkdir()
    for number in range(2):
        (inside / f"sound{number}.png").write_bytes(picture_bytes("PNG"))
    save_model(folder / "model.safetensors", build_model(SPEC), SPEC, {})
    out = folder / "features.npz"

    def attempt(name, changed, said):
        (inside / name).write_bytes(changed)
        words = [str(folder / "model.safetensors"), str(inside), "--out", str(out)]
        status = embed_command([*words, "--device", "cpu"])
        if status:
            return judge_command(status, said)
        table = numpy.load(out)
        is_told = f"skipped {name!r}" in said.getvalue() or name in table["names"]
        return SAME if is_told and numpy.isfinite(table["features"]).all() else SILENT

    return [("hurt.jpg", picture_bytes("JPEG"), damage.BYTES)], attempt


# ---- weights and tensors


def model_files(folder):
    path = folder / "model.safetensors"
    save_model(path, build_model(SPEC), SPEC, {"seed": 1})
    sound = load_model(path)

    def attempt(name, changed, said):
        path.write_bytes(changed)
        loaded = load_model(path)
        is_same = loaded.spec == sound.spec and loaded.recipe == sound.recipe
        is_same = is_same and same_tensors(loaded.model.state_dict(), sound.model.state_dict())
        return SAME if is_same else SILENT

    return [(path.name, path.read_bytes(), damage.BYTES)], attempt


def trunks(folder):
    """Outside weights in both formats: with a SHA-256 every damage shows, without it only some."""
    trunk = baseline.make(1, trunk="tiny").trunk
    state = trunk.state_dict()
    torch.save(state, folder / "trunk.pth")
    store.write_recorded(folder / "trunk.safetensors", state, {})
    examples = []
    hashes = {}
    for name in ("trunk.pth", "trunk.safetensors"):
        examples.append((name, (folder / name).read_bytes(), damage.BYTES))
        hashes[name] = files.sha256_file(folder / name)
    counter = iter(range(1 << 30))

    def attempt(name, changed, said):
        (folder / name).write_bytes(changed)
        is_hashed = next(counter) % 2 == 0
        fresh = baseline.make(1, trunk="tiny").trunk
        load_trunk(fresh, folder / name, hashes[name] if is_hashed else None)
        if same_tensors(fresh.state_dict(), state):
            return SAME
        return SILENT if is_hashed else UNSEEN

    return examples, attempt


def lists_of_hashes(folder):
    path = folder / "features.safetensors"
    tensors = {"features": torch.arange(6.0)}
    store.write_recorded(path, tensors, {"seed": 1})
    table = folder / "hashes.json"

    def attempt(name, changed, said):
        table.write_bytes(changed)
        loaded, about = store.load_checked(path)
        return SAME if same_tensors(loaded, tensors) and about == {"seed": 1} else SILENT

    ways = damage.BYTES + damage.TEXT + damage.JSON
    return [("hashes.json", table.read_bytes(), ways)], attempt


# ---- caches


def drawn_sets(folder):
    """A kept set of drawn people: whatever lies in its place, the set comes out the same."""

    def draw():
        return world.sample([("train", 0)], 2, 2, 1, (64, 32))

    os.environ["REIDKIT_CACHE_DIR"] = str(folder)
    sound = draw()
    path = next((folder / "world").glob("*.safetensors"))

    def attempt(name, changed, said):
        path.write_bytes(changed)
        again = draw()
        return AGAIN if again.fingerprint() == sound.fingerprint() else SILENT

    return [(path.name, path.read_bytes(), damage.BYTES)], attempt


def kept_trainings(folder):
    """A kept result: whatever lies in its place, the trained network comes out the same."""
    import training_case

    def train():
        return training_case.train(steps=2, keep="hurt", checkpoint_every=1e9)

    os.environ["REIDKIT_CACHE_DIR"] = str(folder)
    sound, _ = train()
    path = next((folder / "fits").glob("*.safetensors"))

    def attempt(name, changed, said):
        path.write_bytes(changed)
        again, history = train()
        is_told = "damaged" in said.getvalue() or history.loaded
        return AGAIN if is_told and training_case.same(sound, again) else SILENT

    return [(path.name, path.read_bytes(), damage.BYTES)], attempt


# ---- a student's work


def progress_files(folder):
    """A verdict is noted while the file of progress is damaged: what it held is still somewhere."""
    # the package's own name `progress` is a function
    progress = importlib.import_module("reidkit.teach.progress")
    path = folder / "progress.json"
    os.environ["REIDKIT_WORK_DIR"] = str(folder)
    os.environ["REIDKIT_PROGRESS"] = "on"
    for number in range(5):
        progress.note(f"01-exercise-{number}", "well done")
    whole = path.read_bytes()

    def attempt(name, changed, said):
        for other in folder.iterdir():
            other.unlink()
        path.write_bytes(changed)
        progress.note("01-new", "wrong")
        content = json.loads(path.read_text(encoding="utf-8"))
        assert content["exercises"]["01-new"]["state"] == "wrong"
        return judge_work(changed, content, folder, said)

    return [("progress.json", whole, damage.BYTES + damage.TEXT + damage.JSON)], attempt


def judge_work(changed, content, folder, said):
    """CARRIED where the damaged bytes were set aside with a word, SAME where all of them is in the
    new content, LOST where neither."""
    for other in folder.iterdir():
        if other.is_file() and other.read_bytes() == changed:
            return CARRIED if said.getvalue().strip() else SILENT
    try:
        before = json.loads(changed)
    except ValueError:
        return LOST if changed.strip() else SAME
    return SAME if _is_within(before, content) else LOST


def _is_within(before, after):
    if isinstance(before, dict) and isinstance(after, dict):
        return all(key in after and _is_within(value, after[key]) for key, value in before.items())
    return before == after


ANSWER = "def add_one(x):\n    return 1 + x  # my own way\n\ncheck.add_one(add_one)"


def copies_of_chapters(folder):
    """A student's answered copy, damaged, then `update`: the file as it was is in place or set
    aside, and where it can be read its answer is in the new copy."""
    import chapter_demo

    from reidkit.teach import copies

    work = folder / "work"
    os.environ["REIDKIT_HOME"] = str(folder)
    os.environ["REIDKIT_WORK_DIR"] = str(work)
    chapter_demo.write(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        copies.main([])
    path = work / "91_tiny.ipynb"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["id"] == "add-one-stub":
            cell["source"] = ANSWER.splitlines(keepends=True)
    whole = json.dumps(notebook, indent=1, ensure_ascii=False).encode()

    def attempt(name, changed, said):
        path.write_bytes(changed)
        copies.main(["--update"])
        return judge_copy(changed, path, work, said)

    return [(path.name, whole, damage.BYTES + damage.TEXT + damage.JSON)], attempt


def judge_copy(changed, path, work, said):
    """LOST where the damaged file is nowhere, or where its readable answer is not in the copy."""
    now = path.read_bytes()
    backups = [place.read_bytes() for place in work.rglob("backups/**/*.ipynb")]
    if changed not in (now, *backups) and changed.strip():
        return LOST
    text = changed.decode("utf-8", "ignore")
    was_readable = "my own way" in text and _has_cells(changed)
    if was_readable and b"my own way" not in now:
        return LOST
    return CARRIED if said.getvalue().strip() else SILENT


def _has_cells(changed):
    """Whether bytes are JSON with cells of text in which the answer stands."""
    try:
        cells = json.loads(changed.decode("utf-8-sig"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells]
        return any("my own way" in text for text in texts)
    except (ValueError, KeyError, TypeError):
        return False


BUILD = """from torch import nn

# ---- station 1 (92-scale)


class Scale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x
"""


def files_of_builds(folder):
    """A student's build, damaged: it still passes, or the package's is used with a word; the file
    stays as it is."""
    import build_demo

    from reidkit import teach
    from reidkit.teach import mine_state

    mine_state.see(build_demo.scale)
    os.environ["REIDKIT_WORK_DIR"] = str(folder)
    os.environ["REIDKIT_PROGRESS"] = "on"
    path = folder / "mine" / "scale.py"
    path.parent.mkdir()

    def attempt(name, changed, said):
        path.write_bytes(changed)
        scale = teach.mine("92-scale", torch.nn.Identity, name="Scale")
        if scale is not torch.nn.Identity:
            return SAME if scale(3)(torch.ones(1)) == 3 else SILENT
        if path.read_bytes() != changed:
            return LOST
        return CARRIED if "the package's Identity is used" in said.getvalue() else SILENT

    return [("scale.py", BUILD.encode(), damage.BYTES + damage.TEXT)], attempt


FILES = (
    Kind("pictures", 180, pictures),
    Kind("folders of pictures", 20, folders_of_pictures),
    Kind("model files", 100, model_files),
    Kind("outside weights", 80, trunks),
    Kind("lists of hashes", 40, lists_of_hashes, names_file=False),  # it or the file it is of
    Kind("kept sets", 60, drawn_sets),
    Kind("kept trainings", 40, kept_trainings),
    Kind("progress files", 100, progress_files),
    Kind("copies of chapters", 100, copies_of_chapters),
    Kind("files of builds", 12, files_of_builds),
)
