"""What in the world makes drawn people useful? One knob at a time is turned in a short training, and the model meets drawn
validation places and the development half of PKU-Reid: the two that may choose."""

import json
from dataclasses import replace

import safetensors.torch
import torch

from .. import files, retrieval, world
from ..methods.baseline import STAGES
from ..weights import record_hash
from . import PRESETS, real_exams
from .drawn import LAPTOP, provenance, scores, train_drawn

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


# every knob of the world that makes it richer, off at once; people, cameras and light differ as usual
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

# knob -> value shown -> what differs from SHORT. "usual" is SHORT itself, shown in every group under the value named here.
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


def cases(seeds, knobs=None):
    """The rows of the table: SHORT itself ("usual") and each value that differs from it, for every seed."""
    asked = [
        (knob, value)
        for knob, values in STUDY.items()
        for value, changes in values.items()
        if changes and (knobs is None or knob in knobs)
    ]
    return [
        {"knob": knob, "value": value, "SEED": seed}
        for seed in seeds
        for knob, value in [("usual", ""), *asked]
    ]


def _exams(recipe, device):
    """The two that may choose: drawn validation places, and PKU-Reid's development half where it is at hand."""
    validation = world.make_exam(
        [("validation", place) for place in range(4)], 25, 4, 2, recipe.size, device=device
    )
    real = real_exams(
        replace(PRESETS["smoke"], size=recipe.size)
    )  # the smoke preset meets no other half
    return {"validation": validation, **real}


def study_row(case, device="cpu", base=SHORT):
    """One short training -> its scores on drawn validation places and on PKU-Reid's development half."""
    recipe = replace(
        base, **(STUDY[case["knob"]][case["value"]] if case["knob"] != "usual" else {})
    )
    model, history = train_drawn(recipe, int(case["SEED"]), device, cache=None, progress=False)
    return scores(model, _exams(recipe, device), recipe.mirror) | {
        "training_seconds": round(history.seconds, 1)
    }


def write_features(out, base=SHORT, seed=0, device="cpu", components=256):
    """Features of PKU-Reid's development half under a short BN and a short BIN training, one small file of float16.

    ids, cameras (N,); for "bn" and "bin", with the model's own statistics and, "_camera", with those of each camera, the
    unit features on their `components` strongest axes (N, components; not centred, so that lengths stay near 1);
    style_pku (N, 6): mean and deviation of each colour channel of a picture (0 .. 1).
    """
    data = _exams(base, device)["pku_development"].both()
    images = data.pictures().float() / 255  # (N, 3, H, W)
    tensors = {
        "ids": data.ids,
        "cameras": data.cameras,
        "style_pku": torch.cat([images.mean((2, 3)), images.std((2, 3))], 1).half(),
    }
    for norm in ("bn", "bin"):
        model = train_drawn(replace(base, norm=norm), seed, device)[0]
        for suffix, how in (("", retrieval.embed), ("_camera", retrieval.embed_by_camera)):
            features = how(model, data, mirror=base.mirror).cpu()  # (N, D)
            axes = torch.linalg.svd(features, full_matrices=False).Vh[:components]
            tensors[norm + suffix] = (features @ axes.T).half()
    about = {"about": json.dumps(provenance(base, seed, device), sort_keys=True)}
    files.write_atomic(
        out,
        safetensors.torch.save(
            {name: value.contiguous() for name, value in tensors.items()}, about
        ),
    )
    record_hash(out)
