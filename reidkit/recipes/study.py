"""What in the world makes drawn people useful? One knob at a time is turned in a short training,
and the model meets drawn validation places and the development half of PKU-Reid: the two that may
choose."""

import pathlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from .. import retrieval, store, world
from ..methods.baseline import STAGES
from .drawn import LAPTOP, Drawn, provenance, scores, train_drawn
from .examine import real_exams
from .presets import PRESETS

SHORT = replace(
    LAPTOP, trunk="tiny", places=16, people=60, steps=250
)  # 960 people, half a minute on one core


def _knob(name, values=(0, 1, 2)):
    """A world knob's values by what they are called; the normal one changes nothing."""
    usual = getattr(world.NORMAL, name)
    return {
        f"{value:g}": {} if value == usual else {"knobs": replace(world.NORMAL, **{name: value})}
        for value in values
    }


# every knob of the world that makes it richer, off at once; people, cameras and light differ as
# usual
PLAIN = replace(
    world.NORMAL,
    degradation=0,
    texture=0,
    clutter=0,
    occlusion=0,
    misalignment=0,
    variety=0,
    views=0,
)

# knob -> value shown -> what differs from SHORT. "usual" is SHORT itself, shown in every group
# under the value named here.
STUDY = {
    "normalisation": {
        "BN": {"norm": "bn"},
        "IN": {"norm": "in"},
        "IN, BN last": {"norm": "in", "stages": STAGES[:-1]},
        "IBN": {"norm": "ibn", "stages": STAGES[1:-1]},
        "BIN": {},
    },
    "stripes": {"0": {"stripes": 0}, "4": {}},
    "levels": {"last": {"levels": None}, "3, 4": {"levels": ("layer3", "layer4")}, "2, 3, 4": {}},
    "neck": {"batch norm": {"whiten": 0}, "whitened": {}},
    "colour jitter": {"0": {"jitter": 0.0}, "2": {}, "4": {"jitter": 4.0}},
    "erasing": {"no": {"erase": 0.0}, "yes": {}},
    "shift": {"no": {"shift": False}, "yes": {}},
    "mirror": {"no": {"mirror": False}, "yes": {}},
    "batch P x K": {
        "8 x 8": {"batch_people": 8, "batch_pictures": 8},
        "16 x 4": {},
        "32 x 2": {"batch_people": 32, "batch_pictures": 2},
    },
    "losses": {"identity": {"triplet": 0.0}, "both": {}},
    "steps": {"250": {}, "500": {"steps": 500}},
    "trunk": {"tiny": {}, "small": {"trunk": "small"}},
    "picture size": {"32 x 32": {"size": (32, 32)}, "64 x 32": {}},
    "people": {"240": {"people": 15}, "960": {}},
    "places": {"2": {"places": 2, "people": 480}, "16": {}},
    "cameras": {"2": {"cameras": 2, "pictures": 4}, "4": {}},
    "camera shift": _knob("camera_shift"),
    "place shift": _knob("place_shift", (0, 1)),
    "degradation": _knob("degradation", (0, 1)),
    "texture": _knob("texture", (0, 1)),
    "clutter": _knob("clutter", (0, 1)),
    "occlusion": _knob("occlusion", (0, 1)),
    "crop error": _knob("misalignment", (0, 1)),
    "variety of dress": _knob("variety", (0, 1)),
    "views": _knob("views", (0, 1)),
    "look-alikes": _knob("lookalike", (0, 0.5)),
    "whole world": {"plain": {"knobs": PLAIN}, "usual": {}},
}
FAMILIES = {
    "network": ("normalisation", "stripes", "levels", "neck", "trunk", "picture size"),
    "training": ("colour jitter", "erasing", "shift", "mirror", "batch P x K", "losses", "steps"),
    "how many are drawn": ("people", "places", "cameras"),
    "world": (
        "camera shift",
        "place shift",
        "degradation",
        "texture",
        "clutter",
        "occlusion",
        "crop error",
        "variety of dress",
        "views",
        "look-alikes",
        "whole world",
    ),
}


def cases(seeds: Sequence[int], knobs: Sequence[str] | None = None) -> list[dict]:
    """The rows of the table: SHORT itself ("usual") and each value that differs from it, for every
    seed.

    Args:
        seeds: of the trainings.
        knobs: some of STUDY; None for all.
    """
    asked = [("usual", "")]
    for knob, values in STUDY.items():
        if knobs is None or knob in knobs:
            asked += [(knob, value) for value, changes in values.items() if changes]
    return [{"knob": knob, "value": value, "SEED": seed} for seed in seeds for knob, value in asked]


def _exams(recipe, device):
    """The two that may choose: drawn validation places, and PKU-Reid's development half where it is
    at hand.
    """
    places = [("validation", place) for place in range(4)]
    validation = world.make_exam(places, 25, 4, 2, recipe.size, device=device)
    # The smoke preset meets no other half.
    real = real_exams(replace(PRESETS["smoke"], size=recipe.size))
    return {"validation": validation, **real}


def study_row(
    case: Mapping[str, Any], device: str | torch.device = "cpu", base: Drawn = SHORT
) -> dict:
    """One short training, examined in drawn validation places and on PKU-Reid's development half.

    Args:
        case: {"knob": ..., "value": ..., "SEED": ...}.
        device: to compute on.
        base: the usual recipe.
    """
    changes = {} if case["knob"] == "usual" else STUDY[case["knob"]][case["value"]]
    recipe = replace(base, **changes)
    model, history = train_drawn(recipe, int(case["SEED"]), device, keep=None, progress=False)
    marks = scores(model, _exams(recipe, device), recipe.mirror)
    return marks | {"training_seconds": round(history.seconds, 1)}


def write_features(
    out: str | pathlib.Path,
    base: Drawn = SHORT,
    seed: int = 0,
    device: str | torch.device = "cpu",
    components: int = 256,
) -> None:
    """Features of PKU-Reid's development half under a short BN and a short BIN training, one small
    file of float16.

    ids, cameras (N,); for "bn" and "bin", with the model's own statistics and, "_camera", with
    those of each camera, the unit features on their `components` strongest axes (N, components; not
    centred, so that lengths stay near 1); style_pku (N, 6): mean and deviation of each colour
    channel of a picture (0 .. 1).

    Args:
        out: of the file, .safetensors.
        base: the training.
        seed: see `train_drawn`.
        device: to compute on.
        components: how many axes are kept.
    """
    data = _exams(base, device)["pku_development"].both()
    images = data.pictures().float() / 255  # (N, 3, H, W)
    style = torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)  # (N, 6)
    tensors = {"ids": data.ids, "cameras": data.cameras, "style_pku": style.half()}
    for norm in ("bn", "bin"):
        model, _ = train_drawn(replace(base, norm=norm), seed, device)
        for suffix, embed in (("", retrieval.embed), ("_camera", retrieval.embed_by_camera)):
            features = embed(model, data, mirror=base.mirror).cpu()  # (N, D)
            axes = torch.linalg.svd(features, full_matrices=False).Vh[:components]
            tensors[norm + suffix] = (features @ axes.T).half()
    store.write_recorded(out, tensors, provenance(base, seed, device))
