"""A trained model as one file: its weights in safetensors, with what is needed to build it and how
it was trained.
"""

import importlib
import json
import pathlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from .. import files, methods, store, tensor_files
from ..layers.heads import NoClassifier
from ..layers.whitening import WhiteningNeck
from ..weights import check_digest, misfit, plain_name, unwrap

FORMAT = "reidkit model 1"
HEADER = ("format", "spec", "recipe", "digest")  # names of the texts in a header
LARGEST = 65_536  # of a number in a spec: what is larger is damage, and would fill the memory
LARGEST_PICTURE = 4_096  # pixels of a side
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
        options = _checked_spec(spec)
        options.pop("mirror")
        options.pop("size")
        whiten = options.pop("whiten", 0)
        make = find_maker(options.pop("method", "baseline"))
        with torch.random.fork_rng(devices=[]):
            model = make(1, **options)
        if whiten:
            model.neck = WhiteningNeck(model.neck.num_features, whiten)
    except ImportError:  # a package is missing, whatever the spec says
        raise
    except Exception as error:  # a maker may fail in any way at options of another version
        raise ValueError(
            f"no model can be built from spec {spec!r:.1000} ({error!r}); expected size [height, "
            "width], mirror, method and arguments of the method's make. Correct it, or update the "
            "course for a newer file"
        ) from None
    model.classifier = NoClassifier()
    return model.eval()


def _checked_spec(spec):
    """A copy of a spec; TypeError or ValueError where its form is wrong, whatever the method."""
    if not isinstance(spec, dict):
        raise TypeError(f"it is a {type(spec).__name__}, expected a dictionary")
    height, width = spec["size"]
    for side in (height, width):
        if type(side) is not int or not 1 <= side <= LARGEST_PICTURE:
            raise ValueError(
                f"size is {spec['size']!r}, expected two whole numbers from 1 to {LARGEST_PICTURE}"
            )
    if not isinstance(spec["mirror"], bool):
        raise ValueError(f"mirror is {spec['mirror']!r}, expected true or false")
    whiten = spec.get("whiten", 0)
    if type(whiten) is not int or whiten < 0:
        raise ValueError(f"whiten is {whiten!r}, expected a whole number from 0")
    for name, value in spec.items():
        # NaN fails the comparison, too.
        if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise ValueError(f"{name} is {value!r}, expected at most {LARGEST}")
        if isinstance(value, (list, str)) and len(value) > 40:
            raise ValueError(f"{name} has {len(value)} entries or letters, expected at most 40")
    return dict(spec)


def save_model(
    path: pathlib.Path, model: nn.Module, spec: dict, recipe: dict, half: bool = True
) -> None:
    """Write a model's weights without classifier, with what builds it.

    The file is written whole or not at all, and equal content gives equal bytes.

    Args:
        path: of the file, .safetensors.
        model: what `spec` builds, trained; DataParallel, torch.compile and their kin around it or
            in it are left out.
        spec: see `build_model`.
        recipe: how it was trained, any dict that JSON can hold.
        half: store float16, except a tensor with a number too large for it.
    Raises:
        ValueError: the model is not what spec builds, or its weights are not finite.
        TypeError: JSON cannot hold spec or recipe, or the recipe is no dict.
    """
    if not isinstance(recipe, dict):
        raise TypeError(
            f"recipe is a {type(recipe).__name__}, expected a dict that says how the model was "
            'trained, such as {"seed": 0}'
        )
    model = unwrap(model)
    state = {}
    for name, value in model.state_dict().items():
        if not plain_name(name).startswith("classifier."):
            state[plain_name(name)] = value
    difference = misfit(state, build_model(spec).state_dict())
    if difference:
        raise ValueError(
            f"this {type(model).__name__} is not what spec {spec!r} builds. {difference}. Give the "
            "spec that it was built with"
        )
    infinite = tensor_files.find_infinite(state)
    if infinite:
        raise ValueError(
            f"this {type(model).__name__} cannot be saved: {infinite}. Its training diverged: "
            "lower lr, or save an earlier state"
        )
    tensors = {name: _stored(value.cpu(), half) for name, value in state.items()}
    header = {
        "format": FORMAT,
        "spec": json.dumps(spec, sort_keys=True),
        "recipe": json.dumps(recipe, sort_keys=True),
    }
    texts = [header[name] for name in sorted(header)]
    digest = tensor_files.content_digest(tensors, *texts)
    tensor_files.write(path, tensors, {**header, "digest": digest})


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
        ValueError: it is another file or damaged, its spec is of another version, or its weights do
            not fit or are not finite.
    """
    path = store.check_file(path, sha256, size)
    state, header = tensor_files.read(path)
    spec, recipe = _read_header(path, header)
    if "digest" in header:
        check_digest(path, state, header)
    else:  # an older file, such as the committed model
        store.check_file(path, **store.hashes(path).get(path.name, {}))
    try:
        # Shapes alone at first: a damaged number could ask for more than the memory holds.
        with torch.device("meta"):
            shapes = build_model(spec).state_dict()
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    difference = misfit(state, shapes)
    if difference:
        raise ValueError(
            f"{path.name} does not fit its spec {spec!r:.1000}. {difference}. Train again, or "
            "update the course"
        )
    _check_numbers(path, state, shapes)
    model = build_model(spec)
    model.load_state_dict(state)
    return Loaded(model, spec, recipe, files.sha256_file(path))


def _read_header(path, header):
    """(spec, recipe) of a file's header."""
    if header.get("format") != FORMAT:
        raise ValueError(
            f"{path.name} has format {header.get('format')!r:.100}, expected {FORMAT!r}. Update "
            "the course for a newer one; fill a trunk with weights from elsewhere by "
            "weights.load_trunk"
        )
    unknown = [name for name in header if name not in HEADER]
    if unknown:
        raise ValueError(
            f"{path.name} has {unknown[0]!r:.100} in its header, expected {', '.join(HEADER)} and "
            "nothing else: it is damaged, or newer than this course. Copy it again, or update the "
            "course"
        )
    found = []
    for name in ("spec", "recipe"):
        try:
            value = json.loads(header.get(name, ""))
        except (ValueError, RecursionError):
            value = header.get(name)
        if not isinstance(value, dict):
            raise ValueError(
                f"{path.name} has the {name} {value!r:.200} in its header, expected a JSON object. "
                "Copy it again, or save the model again with save_model"
            )
        found.append(value)
    return found


def _check_numbers(path, state, own):
    """ValueError where a file's tensors are of another kind than the model's, or not finite."""
    for name, value in state.items():
        if value.is_floating_point() != own[name].is_floating_point() or value.is_complex():
            raise ValueError(
                f"{path.name} holds {name} as {value.dtype}, expected numbers that fit "
                f"{own[name].dtype}. Save the model again with save_model"
            )
    infinite = tensor_files.find_infinite(state)
    if infinite:
        raise ValueError(
            f"{path.name} cannot be used: {infinite}. Its training diverged, or it is damaged. "
            "Copy it again, or train again"
        )


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
