"""A trained model as one file: its weights in safetensors, with what is needed to build it and how it was trained."""

import inspect
import json
from dataclasses import dataclass

import safetensors
import safetensors.torch
import torch
from torch import nn

from .. import files
from ..methods import baseline
from ..weights import check_file, misfit

FORMAT = "reidkit model 1"
DRAWN_LAPTOP = "drawn-laptop"                               # the committed model


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


class NoClassifier(nn.Module):
    """Stands where the classifier was: retrieval needs no logits."""
    def forward(self, features):
        return None


def build(spec, classes=None):
    """A randomly initialised model after a spec: "size" [H, W], "mirror", and keyword arguments of `baseline.make`.

    classes None leaves the classifier out: the model's logits are None. ValueError for a spec that says something else.
    """
    architecture = _architecture(spec)
    try:
        model = baseline.make(1 if classes is None else classes, **architecture)
    except (TypeError, ValueError) as error:                # which of them a wrong value ends in depends on the layer
        raise ValueError(f"no model can be built from spec {architecture!r}: {error}. Give other values") from None
    if classes is None:
        model.classifier = NoClassifier()
    return model


def _architecture(spec):
    """The spec without size and mirror, checked: {argument of `baseline.make`: value}."""
    known = {"size", "mirror", *inspect.signature(baseline.make).parameters} - {"classes"}
    if not isinstance(spec, dict) or set(spec) - known:
        unknown = ", ".join(map(repr, sorted(set(spec) - known))) if isinstance(spec, dict) else repr(spec)
        raise ValueError(f"spec has unknown {unknown}; expected a dict with keys among {', '.join(sorted(known))}. "
                         "Correct it, or update the course where the file is newer")
    size, mirror = spec.get("size"), spec.get("mirror")
    if (not isinstance(size, (list, tuple)) or len(size) != 2
            or not all(type(side) is int and side > 0 for side in size)):
        raise ValueError(f"spec's size is {size!r}; expected [height, width] in pixels, such as [64, 32]. Correct it")
    if not isinstance(mirror, bool):
        raise ValueError(f"spec's mirror is {mirror!r}; expected true or false. Correct it")
    return {key: value for key, value in spec.items() if key not in ("size", "mirror")}


def _blank(spec):
    """The model that a file is for; the random numbers of the caller stay as they are."""
    with torch.random.fork_rng(devices=[]):
        return build(spec).eval()


def save_model(path, model, spec, recipe, half=True):
    """Write a model's weights without classifier, its spec (see `build`) and recipe (any dict that JSON can hold).

    Arguments that spec leaves out are filled in, so that the file outlives other defaults. half stores float16, except
    a tensor that would not survive it: one that overflows, or a running variance that would become zero. The file is
    written whole or not at all; the same input gives the same bytes. ValueError for a model that is not what spec
    builds, for weights that are not finite, and for what JSON cannot hold.
    """
    known = inspect.signature(baseline.make).parameters.values()
    defaults = {one.name: one.default for one in known if one.default is not one.empty}
    spec = {**defaults, **spec} if isinstance(spec, dict) else spec
    state = {name: value for name, value in model.state_dict().items() if not name.startswith("classifier.")}
    if found := misfit(state, _blank(spec).state_dict()):
        raise ValueError(f"this {type(model).__name__} is not what spec {spec!r} builds. {found}. Give the spec that "
                         "it was built with")
    tensors = {name: _stored(name, value, half) for name, value in state.items()}
    try:
        texts = [json.dumps(part, sort_keys=True) for part in (spec, recipe)]
    except (TypeError, ValueError) as error:
        raise ValueError(f"spec and recipe cannot be written as JSON ({error}); use dicts of texts, numbers and "
                         "lists") from None
    files.write_atomic(path, _bytes(tensors, {"format": FORMAT, "spec": texts[0], "recipe": texts[1],
                                              "digest": _digest(texts, tensors)}))


def _stored(name, value, half):
    """The tensor as it goes to disk: integers as they are, others float16 where that is safe, else float32."""
    value = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
    if not value.is_floating_point():
        return value
    value = value.float()
    if not value.isfinite().all():
        raise ValueError(f"{name} holds values that are not finite in float32; expected a trained model. Train it "
                         "again, with a smaller rate")
    small = value.half()
    vanished = name.endswith("running_var") and bool(((small == 0) & (value > 0)).any())
    return small if half and small.isfinite().all() and not vanished else value


def _digest(texts, tensors):
    return files.digest(*texts, *(part for name in sorted(tensors) for part in (name, tensors[name])))


def _bytes(tensors, metadata):
    """A safetensors file with its header in sorted order: the library writes metadata in another order every time."""
    raw = safetensors.torch.save(tensors, metadata)
    end = 8 + int.from_bytes(raw[:8], "little")
    header = json.dumps(json.loads(raw[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)                     # the format wants its data aligned
    return len(header).to_bytes(8, "little") + header + raw[end:]


def load_model(path, sha256=None, size=None):
    """Read a file of `save_model` -> Loaded. size in bytes and sha256 (hex, or its beginning) are compared first.

    FileNotFoundError, or ValueError for another or damaged file, a spec of another version, weights that do not fit.
    """
    path = check_file(path, sha256, size)
    try:
        with safetensors.safe_open(path, "pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}
    except (safetensors.SafetensorError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read ({error}); expected a model of save_model. Copy it "
                         "again") from None
    if header.get("format") != FORMAT:
        raise ValueError(f"{path.name} has format {header.get('format')!r}, expected {FORMAT!r}. Update the course for "
                         "a newer one; fill a trunk with weights from elsewhere by weights.load_trunk")
    try:
        texts = [header["spec"], header["recipe"]]
        if header["digest"] != _digest(texts, state):
            raise ValueError("its content does not match its digest")
        spec, recipe = map(json.loads, texts)
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path.name} is damaged ({error}); copy it again, or train again") from None
    try:
        model = _blank(spec)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from None
    if found := misfit(state, model.state_dict()):
        raise ValueError(f"{path.name} does not fit its spec {spec!r}. {found}. Train again, or update the course")
    model.load_state_dict(state)
    return Loaded(model, spec, recipe, files.sha256_file(path))


# ---- the committed model

def drawn_laptop():
    """The committed model, trained on drawn people with the laptop preset -> Loaded.

    Size and SHA-256 are compared with hashes.json beside it. FileNotFoundError where it has not been made.
    """
    path = files.weights_dir() / f"{DRAWN_LAPTOP}.safetensors"
    if not path.is_file():
        raise FileNotFoundError(f"no model at {str(path)!r}; make it: python -m reidkit.recipes {DRAWN_LAPTOP} "
                                f"--out data/weights/{path.name}")
    hashes = _read_hashes(path.parent / "hashes.json")
    if path.name not in hashes:
        raise ValueError(f"hashes.json beside {path.name} has no entry for it; expected its size and SHA-256. Fetch "
                         "both files again, or call record_hash for a model of your own")
    return load_model(path, **hashes[path.name])


def record_hash(path):
    """Note a file's size in bytes and SHA-256 in hashes.json beside it, file name -> {size, sha256}; returns them."""
    path = check_file(path)
    entry = {"size": path.stat().st_size, "sha256": files.sha256_file(path)}
    table = path.parent / "hashes.json"
    files.write_atomic(table, json.dumps({**_read_hashes(table), path.name: entry}, indent=1, sort_keys=True) + "\n")
    return entry


def _read_hashes(table):
    return json.loads(table.read_text(encoding="utf-8")) if table.is_file() else {}
