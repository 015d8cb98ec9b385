"""The set-up cell of a chapter: every parameter checked before anything runs, then one look at what it runs on."""

import difflib
import pathlib
from dataclasses import dataclass

from .. import files, runtime
from .messages import say

SOURCES = (
    "world",
    "market1501",
    "pku-reid",
)  # the first is drawn; the others read a folder: "market1501:PATH"
TYPES = {"PRESET": str, "SEED": int, "DATA": str, "DEVICE": str, "THREADS": int}
LIMITS = {
    "SEED": 2**31 - 1,
    "THREADS": 1024,
}  # whole numbers from 0; THREADS = 0 is torch's own choice
STYLE = pathlib.Path(__file__).with_name("course.mplstyle")


@dataclass(frozen=True)
class Run:
    chapter: str
    preset: object  # reidkit.recipes.Preset
    seed: int
    data: str  # "world", or "market1501:" or "pku-reid:" with a full path, as datasets.journey takes it
    device: str
    threads: int

    @property
    def source(self):
        """ "world", "market1501" or "pku-reid": what claims are bound to."""
        return self.data.partition(":")[0]


def check_parameter(name, value):
    """The value a chapter may work with; TypeError or ValueError says what the parameter holds and what it may hold."""
    expected = TYPES.get(name, type(value))
    if type(value) is not expected:
        raise TypeError(
            say(
                "parameter type",
                parameter=name,
                value=value,
                expected=expected.__name__,
                found=type(value).__name__,
            )
        )
    if name == "PRESET":
        from ..recipes import PRESETS

        if value not in PRESETS:
            known, hint = ", ".join(PRESETS), nearest(value, PRESETS)
            raise ValueError(say("parameter preset", value=value, known=known, hint=hint))
    elif name in LIMITS and not 0 <= value <= LIMITS[name]:
        raise ValueError(say("parameter limit", parameter=name, value=value, limit=LIMITS[name]))
    elif name == "DATA":
        return _data(value)
    elif name == "DEVICE":
        return str(runtime.pick_device(value))
    return value


def nearest(word, known):
    close = difflib.get_close_matches(str(word), list(known), 1, 0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _data(spec):
    source, colon, path = spec.partition(":")
    if source not in SOURCES or (source == "world") != (not colon):
        raise ValueError(say("parameter data", value=spec, hint=nearest(source, SOURCES)))
    if source == "world":
        return spec
    places = [
        pathlib.Path(path).expanduser(),
        files.project_root() / path,
    ]  # relative: from the course's folder too
    found = next((place for place in places if path and place.is_dir()), None)
    if found is None:
        raise ValueError(say("parameter folder", value=spec, path=path))
    return f"{source}:{found.resolve()}"


def start(chapter, PRESET="laptop", SEED=0, DATA="world", DEVICE="auto", THREADS=0):
    """Check the five parameters, fix threads and seed, set the figure style, say what this runs on -> Run.

    Raises TypeError or ValueError for a parameter of the wrong type or value, before anything else happens.
    """
    import torch

    given = {"PRESET": PRESET, "SEED": SEED, "DATA": DATA, "DEVICE": DEVICE, "THREADS": THREADS}
    checked = {name: check_parameter(name, value) for name, value in given.items()}
    from ..recipes import PRESETS

    run = Run(
        chapter,
        PRESETS[PRESET],
        SEED,
        checked["DATA"],
        checked["DEVICE"],
        runtime.set_threads(THREADS),
    )
    torch.manual_seed(SEED)
    from matplotlib import pyplot

    pyplot.style.use(STYLE)
    versions = ", ".join(
        f"{name} {version}" for name, version in runtime.versions(("torch", "numpy")).items()
    )
    print(
        say(
            "start",
            chapter=chapter,
            preset=PRESET,
            seed=SEED,
            source=run.source,
            device=run.device,
            threads=run.threads,
            versions=versions,
        )
    )
    print(say("start minutes", minutes=f"{run.preset.minutes:g}", preset=PRESET))
    return run
