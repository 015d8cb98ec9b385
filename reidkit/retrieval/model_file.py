"""A trained model as one file: its weights in safetensors, with what is needed to build it and how it was trained."""

import json
from dataclasses import dataclass

import safetensors
import safetensors.torch
import torch
from torch import nn

from .. import files
from ..layers.heads import NoClassifier
from ..layers.whitening import WhiteningNeck
from ..methods import baseline
from ..weights import check_file, hashes, misfit

FORMAT = "reidkit model 1"
DRAWN_LAPTOP = "drawn-laptop"  # the committed model


@dataclass(frozen=True)
class Loaded:
    """A model read from a file: without classifier (its logits are None), in evaluation mode, float32, on the CPU.

    spec: "size" [H, W] of its pictures, "mirror": whether features are summed over both orientations, and the arguments
    that built it. recipe: how it was trained. sha256 of the file.
    """

    model: nn.Module
    spec: dict
    recipe: dict
    sha256: str


def build(spec):
    """A model with fresh weights and without classifier after a spec: "size" [H, W], "mirror", keyword arguments of
    `baseline.make`, and "whiten": how many numbers a WhiteningNeck maps to, if there is one. Evaluation mode; random
    numbers of the caller stay as they are. ValueError for any other spec.
    """
    try:
        architecture = dict(spec)
        architecture.pop("mirror")
        whiten = architecture.pop("whiten", 0)
        _height, _width = architecture.pop("size")
        with torch.random.fork_rng(devices=[]):
            model = baseline.make(1, **architecture)
        if whiten:
            model.neck = WhiteningNeck(model.neck.num_features, whiten)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no model can be built from spec {spec!r} ({error!r}); expected size [height, width], mirror "
            "and arguments of baseline.make. Correct it, or update the course for a newer file"
        ) from None
    model.classifier = NoClassifier()
    return model.eval()


def save_model(path, model, spec, recipe, half=True):
    """Write a model's weights without classifier, its spec (see `build`) and recipe (any dict that JSON can hold).

    half stores float16, except a tensor with a number too large for it. The file is written whole or not at all.
    ValueError for a model that is not what spec builds, TypeError for what JSON cannot hold.
    """
    state = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("classifier.")
    }
    if found := misfit(state, build(spec).state_dict()):
        raise ValueError(
            f"this {type(model).__name__} is not what spec {spec!r} builds. {found}. Give the spec that "
            "it was built with"
        )
    tensors = {name: _stored(value.cpu().contiguous(), half) for name, value in state.items()}
    metadata = {"format": FORMAT, "spec": json.dumps(spec), "recipe": json.dumps(recipe)}
    files.write_atomic(path, safetensors.torch.save(tensors, metadata))


def _stored(value, half):
    """The tensor as it goes to disk: float16 where that is asked for and holds its numbers, else as it is."""
    small = value.half()
    return small if half and value.is_floating_point() and small.isfinite().all() else value


def load_model(path, sha256=None, size=None):
    """Read a file of `save_model` -> Loaded. size in bytes and sha256 (hex, or its beginning) are compared first.

    FileNotFoundError, or ValueError for another file, a spec of another version, weights that do not fit.
    """
    path = check_file(path, sha256, size)
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name} cannot be read ({error}); expected a model of save_model. Copy it again"
        ) from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path.name} has format {header.get('format')!r}, expected {FORMAT!r}. Update the course for "
            "a newer one; fill a trunk with weights from elsewhere by weights.load_trunk"
        )
    spec, recipe = json.loads(header["spec"]), json.loads(header["recipe"])
    model = build(spec)
    if found := misfit(state, model.state_dict()):
        raise ValueError(
            f"{path.name} does not fit its spec {spec!r}. {found}. Train again, or update the course"
        )
    model.load_state_dict(state)
    return Loaded(model, spec, recipe, files.sha256_file(path))


def drawn_laptop():
    """The committed model, trained on drawn people with the laptop preset -> Loaded.

    Size and SHA-256 are compared with hashes.json beside it. FileNotFoundError where either has not been made.
    """
    path = files.weights_dir() / f"{DRAWN_LAPTOP}.safetensors"
    known = hashes(path)
    if not path.is_file() or path.name not in known:
        raise FileNotFoundError(
            f"expected a model at {str(path)!r} and its SHA-256 in hashes.json beside it; make "
            f"both: python -m reidkit.recipes {DRAWN_LAPTOP} --out data/weights/{path.name}"
        )
    return load_model(path, **known[path.name])
