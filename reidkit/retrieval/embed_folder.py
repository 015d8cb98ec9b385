"""Embed a folder of pictures with a trained model, and write the features as one .npz file.

    python -m reidkit.retrieval.embed drawn-laptop FOLDER --out features.npz

WEIGHTS is a file of retrieval.model_file.save_model, or "drawn-laptop" for the course's own. The .npz holds features
(N, D) float32 of unit norm, names (N,) relative to FOLDER, skipped: pictures that cannot be read; weights: SHA-256 of
the model; spec, recipe and options as JSON; with --cameras also cameras (N,). numpy.load reads it without pickle.
"""

import argparse
import contextlib
import json
import pathlib
import re
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy
import torch
from tqdm import tqdm

from .. import runtime
from ..datasets.readers import HIDDEN, SUFFIXES
from ..datasets.record import ReIDData, read_picture
from ..files import atomic_path
from .embed import embed, embed_by_camera
from .model_file import DRAWN_LAPTOP, Loaded, drawn_laptop, load_model

PICTURES = SUFFIXES | {".webp"}


@dataclass(frozen=True)
class Embedded:
    """What `embed_folder` found. features (N, D) float32 of unit norm, on the CPU; names: N paths relative to the
    folder, with slashes; skipped: name -> why it cannot be read; cameras: N texts, or None where no pattern was given.
    """
    features: torch.Tensor
    names: tuple
    skipped: dict
    cameras: tuple | None = None


def embed_folder(model, folder, *, size=None, mirror=None, cameras=None, batch=256, device=None, progress=False):
    """Embed every .jpg, .jpeg, .png, .bmp and .webp picture in a folder and the folders in it -> Embedded.

    model: a Loaded, whose spec says size and mirror where they are None, or any model with size=(height, width).
    Hidden files are left out; names are sorted; pictures are decoded as those of data sets. cameras: a regular
    expression with one group, searched in each relative path, which finds the camera ("_c(\\d)"): then features come
    from `embed_by_camera`, which is transductive. batch, device: see `embed`. FileNotFoundError for a missing folder or
    one without pictures; ValueError where none can be read, and for a camera pattern that does not fit.
    """
    if isinstance(model, Loaded):
        size, mirror = size or model.spec["size"], model.spec["mirror"] if mirror is None else mirror
        model = model.model
    if size is None:
        raise ValueError("size is None; expected (height, width) that pictures are resized to, as in training: give "
                         "it, or a model of load_model, which knows it")
    names = picture_names(folder)
    seen = camera_names(names, cameras) if cameras is not None else None
    root, size = pathlib.Path(folder).expanduser(), tuple(size)
    skipped = _unreadable(root, names, size, progress)
    kept = [name for name in names if name not in skipped]
    if not kept:
        raise ValueError(f"none of the {len(names)} pictures in {str(folder)!r} can be read; the first: "
                         f"{skipped[names[0]]}. Copy them again from their source")
    seen = seen and [seen[name] for name in kept]
    options = {"mirror": bool(mirror), "batch": batch, "device": device, "progress": progress}
    method = embed_by_camera if seen else embed
    features = method(model, _record(root, kept, seen, size), **options)
    return Embedded(features.float().cpu(), tuple(kept), skipped, seen and tuple(seen))


def picture_names(folder):
    """Pictures in a folder and the folders in it: sorted relative paths with slashes. FileNotFoundError for none."""
    root = pathlib.Path(folder).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"{str(folder)!r} is no folder; expected one with pictures. Correct the path")
    found = (path.relative_to(root) for path in root.rglob("*") if path.suffix.lower() in PICTURES and path.is_file())
    names = sorted(path.as_posix() for path in found if not any(part.startswith(HIDDEN) for part in path.parts))
    if not names:
        raise FileNotFoundError(f"there is no picture in {str(folder)!r}; expected names that end in "
                                f"{', '.join(sorted(PICTURES))}. Name another folder")
    return names


def camera_names(names, pattern):
    """Names -> {name: its camera, the text of the pattern's one group}. ValueError for a pattern that does not fit."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"camera pattern {pattern!r} is no regular expression ({error}); try '_c(\\d)'") from None
    if compiled.groups != 1:
        raise ValueError(f"camera pattern {pattern!r} has {compiled.groups} groups; expected one, round the camera, "
                         "such as '_c(\\d)'; write (?:...) for others")
    found = {name: compiled.search(name) for name in names}
    bad = [name for name, match in found.items() if not match or not match[1]]
    if bad:
        raise ValueError(f"camera pattern {pattern!r} finds no camera in {len(bad)} of {len(names)} names, the first "
                         f"{', '.join(map(repr, bad[:3]))}. Change the pattern, or move those pictures elsewhere")
    return {name: match[1] for name, match in found.items()}


def _unreadable(root, names, size, progress):
    """{name: why it cannot be read}. Decodes each picture once for nothing, so that memory stays that of a batch."""
    def failure(name):
        try:
            read_picture(root / name, size)
        except Exception as error:                          # decoders fail in more ways than one can list
            return str(error) or type(error).__name__
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(failure, names)
        found = tqdm(found, desc="check pictures", total=len(names), disable=not progress, leave=False)
        return {name: why for name, why in zip(names, found) if why}


def _record(root, names, cameras, size):
    """The pictures as a ReIDData that decodes on demand, cameras numbered in sorted order; ids are -1."""
    unknown = torch.zeros(len(names), dtype=torch.int64)
    numbers = unknown
    if cameras:
        alone = [camera for camera, count in Counter(cameras).items() if count < 2]
        if alone:
            raise ValueError(f"camera {alone[0]!r} has one readable picture, which has no statistics; expected two or "
                             "more of each camera. Change the pattern, or leave it out")
        order = {camera: number for number, camera in enumerate(sorted(set(cameras)))}
        numbers = torch.tensor([order[camera] for camera in cameras])
    return ReIDData(tuple(root / name for name in names), unknown - 1, numbers, unknown, name=root.name, size=size)


# ---- the command

def main(words=None):
    """Run the command; `words` as in sys.argv[1:]. What a user can mend ends in one sentence and status 2."""
    parser = _parser()
    asked = parser.parse_args(words)
    out = pathlib.Path(asked.out)
    try:
        runtime.set_threads(asked.threads)
        device = runtime.pick_device(asked.device)
        loaded = drawn_laptop() if asked.weights == DRAWN_LAPTOP else load_model(asked.weights)
        mirror = loaded.spec["mirror"] and not asked.no_mirror
        with _writing(out) as temporary:                    # first: a path that cannot be written shows at once
            found = embed_folder(loaded, asked.folder, mirror=mirror, cameras=asked.cameras, batch=asked.batch,
                                 device=device, progress=True)
            _save(temporary, found, loaded, {"mirror": mirror, "cameras": asked.cameras})
    except (OSError, ValueError) as error:
        parser.error(str(error))
    for name, why in found.skipped.items():
        print(f"skipped {name!r}: {why}", file=sys.stderr)
    print(f"{out}: {found.features.shape[1]} numbers for each of {len(found.names)} pictures; "
          f"{len(found.skipped)} skipped")


def _parser():
    parser = argparse.ArgumentParser(prog="python -m reidkit.retrieval.embed", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", metavar="WEIGHTS", help=f"a model file (.safetensors), or {DRAWN_LAPTOP}")
    parser.add_argument("folder", metavar="FOLDER", help="its pictures, and those in the folders in it, are embedded")
    parser.add_argument("--out", required=True, help="the file that is written (.npz)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER")
    parser.add_argument("--batch", type=int, default=256, help="pictures at once")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0 keeps its choice")
    parser.add_argument("--no-mirror", action="store_true",
                        help="do not add the mirrored picture's feature; without this, the model's file says")
    parser.add_argument("--cameras", metavar="REGEX",
                        help="one group finds the camera in the relative path, such as '_c(\\d)': batch norm "
                             "statistics are then re-estimated for each camera. This is transductive: a picture's "
                             "feature depends on which other pictures of its camera are in the folder")
    return parser


@contextlib.contextmanager
def _writing(out):
    """As `atomic_path`, for an .npz file; an OSError names the option."""
    if out.suffix != ".npz" or out.is_dir():
        raise ValueError(f"--out is {str(out)!r}; expected the name of a file that ends in .npz. Name another")
    with contextlib.ExitStack() as stack:
        try:
            temporary = stack.enter_context(atomic_path(out))
        except OSError as error:
            raise OSError(f"--out {str(out)!r} cannot be written ({error.strerror}); name a file in a folder of "
                          "yours") from None
        yield temporary


def _save(path, found, loaded, options):
    texts = {"weights": loaded.sha256, "spec": json.dumps(loaded.spec), "recipe": json.dumps(loaded.recipe),
             "options": json.dumps(options)}
    names = {"names": found.names, "skipped": tuple(found.skipped)}
    if found.cameras:
        names["cameras"] = found.cameras
    arrays = {name: numpy.array(value, dtype=str) for name, value in {**names, **texts}.items()}
    with open(path, "wb") as stream:                        # a path would get .npz added to it
        numpy.savez(stream, features=found.features.numpy(), **arrays)
