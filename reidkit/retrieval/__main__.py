"""Embed a folder of pictures with a trained model, and write the features as one .npz file.

    python -m reidkit.retrieval drawn-laptop FOLDER --out features.npz

WEIGHTS is a file of retrieval.model_file.save_model, or "drawn-laptop" for the course's own.
The .npz holds features (N, D) float32 of unit norm; names (N,) relative to FOLDER; cameras (N,),
empty texts without --cameras; skipped: pictures that cannot be read; left_out: what was not tried
(hidden, or no picture by its name); weights: SHA-256 of the model; spec and recipe as JSON.
numpy.load reads it, no pickle.
"""

import argparse
import json
import os
import sys

import numpy

from .. import console, runtime
from ..files import atomic_path
from .folder import Embedded, embed_folder
from .model_file import DRAWN_LAPTOP, Loaded, load_drawn_laptop, load_model


def make_parser() -> argparse.ArgumentParser:
    """The words that the command takes."""
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.retrieval",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help=f"a model file (.safetensors), or {DRAWN_LAPTOP}"
    )
    parser.add_argument(
        "folder",
        metavar="FOLDER",
        help="its pictures, and those in the folders in it, are embedded",
    )
    parser.add_argument("--out", required=True, help="the file that is written (.npz)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:NUMBER")
    parser.add_argument(
        "--batch", type=console.whole_number(1), default=256, help="pictures at once"
    )
    parser.add_argument(
        "--cameras",
        metavar="REGEX",
        help="one group finds the camera in the relative path, such as '_c(\\d)': batch norm "
        "statistics are then re-estimated for each camera. This is transductive: a picture's "
        "feature depends on which other pictures of its camera are in the folder",
    )
    return parser


def to_arrays(embedded: Embedded, loaded: Loaded) -> dict[str, numpy.ndarray]:
    """What the .npz file holds.

    Args:
        embedded: names, features and cameras of a folder.
        loaded: the model that made them.
    Returns:
        Name -> array.
    """
    texts = {
        "names": embedded.names,
        "skipped": list(embedded.skipped),
        "left_out": list(embedded.left_out),
        "cameras": embedded.cameras,
        "weights": loaded.sha256,
        "spec": json.dumps(loaded.spec),
        "recipe": json.dumps(loaded.recipe),
    }
    arrays = {name: numpy.array(text, str) for name, text in texts.items()}
    return {"features": embedded.features.numpy(), **arrays}


@console.command
def main(words: list[str] | None = None) -> None:
    """Run the command. What a user can mend ends in one sentence and status 2.

    Args:
        words: as in sys.argv[1:], which is the default.
    """
    arguments = make_parser().parse_args(words)
    out = arguments.out
    if not out.endswith(".npz") or os.path.isdir(out):
        raise ValueError(
            f"--out is {out!r}; expected the name of a file that ends in .npz. Name another"
        )
    course_model = arguments.weights == DRAWN_LAPTOP
    loaded = load_drawn_laptop() if course_model else load_model(arguments.weights)
    device = runtime.pick_device(arguments.device)
    # The file is opened before the work, so that a bad path shows at once.
    with atomic_path(out) as path, open(path, "wb") as stream:
        embedded = embed_folder(
            loaded,
            arguments.folder,
            cameras=arguments.cameras,
            batch=arguments.batch,
            device=device,
            progress=True,
        )
        numpy.savez(stream, **to_arrays(embedded, loaded))
    for name, why in embedded.skipped.items():
        print(f"skipped {name!r}: {why}", file=sys.stderr)
    pictures, width = embedded.features.shape
    print(
        f"{out}: {width} numbers for each of {pictures} pictures; {len(embedded.skipped)} skipped, "
        f"{len(embedded.left_out)} left out"
    )


if __name__ == "__main__":
    raise SystemExit(main())
