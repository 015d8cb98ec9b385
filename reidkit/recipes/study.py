"""What in the world makes drawn people useful? One knob at a time is turned in a short training, and the model meets drawn
validation places and the development half of PKU-Reid: the two that may choose."""

from dataclasses import replace

from .. import world
from ..methods.baseline import STAGES
from . import PRESETS, real_exams
from .drawn import LAPTOP, scores, train_drawn

SHORT = replace(LAPTOP, places=16, people=60, steps=300)    # 960 people, 40 seconds on one core


def _knob(name, values=(0, 1, 2)):
    """A world knob's values by what they are called; the normal one changes nothing."""
    usual = getattr(world.NORMAL, name)
    return {f"{value:g}": {} if value == usual else {"knobs": replace(world.NORMAL, **{name: value})} for value in values}


# knob -> value shown -> what differs from SHORT. "usual" is SHORT itself, shown in every group under the value named here.
STUDY = {
    "normalisation": {"BN": {"norm": "bn"}, "IN": {"norm": "in"}, "IN, BN last": {"norm": "in", "stages": STAGES[:-1]},
                      "IBN": {"norm": "ibn", "stages": STAGES[1:-1]}, "BIN": {}},
    "stripes": {"0": {"stripes": 0}, "4": {}, "8": {"stripes": 8}},
    "colour jitter": {"0": {"jitter": 0.0}, "2": {}, "4": {"jitter": 4.0}},
    "erasing": {"no": {"erase": 0.0}, "yes": {}},
    "mirror": {"no": {"mirror": False}, "yes": {}},
    "losses": {"identity": {"triplet": 0.0}, "both": {}},
    "batch P x K": {"32 x 2": {"batch_people": 32, "batch_pictures": 2}, "16 x 4": {},
                    "8 x 8": {"batch_people": 8, "batch_pictures": 8}},
    "steps": {"100": {"steps": 100}, "300": {}, "900": {"steps": 900}},
    "picture size": {"32 x 32": {"size": (32, 32)}, "64 x 32": {}, "96 x 64": {"size": (96, 64)}},
    "people": {"240": {"people": 15}, "960": {}, "3840": {"people": 240}},
    "places": {"2": {"places": 2, "people": 480}, "16": {}, "48": {"places": 48, "people": 20}},
    "cameras": {"2": {"cameras": 2, "pictures": 4}, "4": {}, "8": {"cameras": 8, "pictures": 1}},
    "camera shift": _knob("camera_shift"), "place shift": _knob("place_shift"), "degradation": _knob("degradation"),
    "texture": _knob("texture"), "clutter": _knob("clutter"), "occlusion": _knob("occlusion"),
    "crop error": _knob("misalignment"), "variety of dress": _knob("variety", (0, 1)), "views": _knob("views", (0, 1)),
    "look-alikes": _knob("lookalike", (0, 0.5)),
}


def cases(seeds, knobs=None):
    """The rows of the table: SHORT itself ("usual") and each value that differs from it, for every seed."""
    asked = [(knob, value) for knob, values in STUDY.items() for value, changes in values.items()
             if changes and (knobs is None or knob in knobs)]
    return [{"knob": knob, "value": value, "SEED": seed} for seed in seeds for knob, value in [("usual", ""), *asked]]


def study_row(case, device="cpu", base=SHORT):
    """One short training -> its scores on drawn validation places and on PKU-Reid's development half."""
    recipe = replace(base, **(STUDY[case["knob"]][case["value"]] if case["knob"] != "usual" else {}))
    model, history = train_drawn(recipe, int(case["SEED"]), device, cache=None, progress=False)
    validation = world.exam([("validation", place) for place in range(4)], 25, 4, 2, recipe.size, device=device)
    real = real_exams(replace(PRESETS["smoke"], size=recipe.size))          # the smoke preset meets the development half only
    return scores(model, {"validation": validation, **real}, recipe.mirror) | {"training_seconds": round(history.seconds, 1)}
