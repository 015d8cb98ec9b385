"""A trained model as one file: its weights in safetensors, with what is needed to build it and how
it was trained.
"""

import importlib
import json
import pathlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import safetensors
import safetensors.torch
import torch
from torch import nn

from .. import files, methods, store
from ..layers.heads import NoClassifier
from ..layers.whitening import WhiteningNeck
from ..weights import misfit

FORMAT = "reidkit model 1"
DRAWN_LAPTOP = "drawn-laptop"  # the committed model


@dataclass(frozen=True)
class Loaded:
    """A model read from a file: without classifier (its logits are None), in evaluation mode,
    float32, on the CPU.

    spec: see `build_model`. recipe: how it was trained. sha256: of the file.
    """

    model: nn.Module
    spec: dict
    recipe: dict
    sha256: str


def find_maker(method: str) -> Callable:
    """make(classes, **options) of a method: the function of that name in `reidkit.methods.METHOD`.

    Args:
        method: name of the method's file, such as "dualnorm".
    Raises:
        ValueError: there is no such method, or it makes no network; the message lists those that
            do.
    """
    names = [found.name for found in pkgutil.iter_modules(methods.__path__)]
    if method in names:
        module = importlib.import_module(f"{methods.__name__}.{method}")
        if hasattr(module, "make"):
            return module.make
    raise ValueError(f"no method is called {method!r}; there are {', '.join(names)}")


def build_model(spec: dict) -> nn.Module:
    """A model with fresh weights and without classifier; random numbers of the caller stay as they
    are.

    Args:
        spec: "size" [H, W] of its pictures; "mirror": whether features are summed over both
            orientations; "method": a file of `reidkit.methods` ("baseline" if it is not named);
            "whiten": how many numbers a WhiteningNeck maps to, if there is one; and the options of
            the method's `make`.
    Returns:
        The model in evaluation mode.
    Raises:
        ValueError: nothing can be built from this spec.
    """
    try:
        options = dict(spec)
        options.pop("mirror")
        _height, _width = options.pop("size")
        whiten = options.pop("whiten", 0)
        make = find_maker(options.pop("method", "baseline"))
        with torch.random.fork_rng(devices=[]):
            model = make(1, **options)
        if whiten:
            model.neck = WhiteningNeck(model.neck.num_features, whiten)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no model can be built from spec {spec!r} ({error!r}); expected size [height, width], "
            "mirror, method and arguments of the method's make. Correct it, or update the course "
            "for a newer file"
        ) from None
    model.classifier = NoClassifier()
    return model.eval()


def save_model(
    path: pathlib.Path, model: nn.Module, spec: dict, recipe: dict, half: bool = True
) -> None:
    """Write a model's weights without classifier, with what builds it; the file is written whole or
    not at all.

    Args:
        path: of the file, .safetensors.
        model: what `spec` builds, trained.
        spec: see `build_model`.
        recipe: how it was trained, any dict that JSON can hold.
        half: store float16, except a tensor with a number too large for it.
    Raises:
        ValueError: the model is not what spec builds.
        TypeError: JSON cannot hold spec or recipe.
    """
    state = {
        name: value
        for name, value in model.state_dict().items()
        if not name.startswith("classifier.")
    }
    difference = misfit(state, build_model(spec).state_dict())
    if difference:
        raise ValueError(
            f"this {type(model).__name__} is not what spec {spec!r} builds. {difference}. Give the "
            "spec that it was built with"
        )
    tensors = {name: _stored(value.cpu().contiguous(), half) for name, value in state.items()}
    metadata = {"format": FORMAT, "spec": json.dumps(spec), "recipe": json.dumps(recipe)}
    files.write_atomic(path, safetensors.torch.save(tensors, metadata))


def _stored(value, half):
    """The tensor as it goes to disk: float16 where that is asked for and holds its numbers, else as
    it is.
    """
    small = value.half()
    fits = value.is_floating_point() and small.isfinite().all()
    return small if half and fits else value


def load_model(path: pathlib.Path, sha256: str | None = None, size: int | None = None) -> Loaded:
    """Read a file of `save_model`.

    Args:
        path: of the file.
        sha256: hexadecimal digest that it must have, or its beginning.
        size: bytes that it must have.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is another file, its spec is of another version, or its weights do not fit.
    """
    path = store.check_file(path, sha256, size)
    try:
        state, header = store.read(path)
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(
            f"{path.name} cannot be read ({error}); expected a model of save_model. Copy it again"
        ) from None
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path.name} has format {header.get('format')!r}, expected {FORMAT!r}. Update the "
            "course for a newer one; fill a trunk with weights from elsewhere by "
            "weights.load_trunk"
        )
    spec = json.loads(header["spec"])
    recipe = json.loads(header["recipe"])
    model = build_model(spec)
    difference = misfit(state, model.state_dict())
    if difference:
        raise ValueError(
            f"{path.name} does not fit its spec {spec!r}. {difference}. Train again, or update the "
            "course"
        )
    model.load_state_dict(state)
    return Loaded(model, spec, recipe, files.sha256_file(path))


def load_drawn_laptop() -> Loaded:
    """The committed model, trained on drawn people with the laptop preset.

    Size and SHA-256 are compared with hashes.json beside it.

    Raises:
        FileNotFoundError: the model or its hash has not been made.
    """
    path = files.weights_dir() / f"{DRAWN_LAPTOP}.safetensors"
    known = store.hashes(path)
    if not path.is_file() or path.name not in known:
        raise FileNotFoundError(
            f"expected a model at {str(path)!r} and its SHA-256 in hashes.json beside it; make "
            f"both: python -m reidkit.recipes {DRAWN_LAPTOP} --out data/weights/{path.name}"
        )
    return load_model(path, **known[path.name])
