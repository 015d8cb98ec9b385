"""The set-up cell of a chapter: checks every parameter, then tells what the chapter runs on."""

import difflib
import pathlib
from collections.abc import Iterable
from dataclasses import dataclass

from .. import files, runtime
from ..pictures import folder_path
from .display import line
from .messages import say

# The first is drawn; the others read a folder: "market1501:PATH".
SOURCES = ("world", "market1501", "pku-reid", "caviar4reid", "3dpes", "vehicles")
TYPES = {"PRESET": str, "SEED": int, "DATA": str, "DEVICE": str, "THREADS": int}
# Whole numbers from 0; THREADS = 0 is torch's own choice.
LIMITS = {"SEED": 2**31 - 1, "THREADS": 1024}
STYLE = pathlib.Path(__file__).with_name("course.mplstyle")


@dataclass(frozen=True)
class Run:
    """What a chapter runs with, its parameters checked."""

    chapter: str
    preset: object  # reidkit.recipes.presets.Preset
    seed: int
    data: str  # "world", or a source and a full path, as datasets.load_journey takes it
    device: str
    threads: int

    @property
    def source(self) -> str:
        """ "world", "pku-reid" or another of SOURCES: what claims are bound to."""
        return self.data.partition(":")[0]


def check_parameter(name: str, value: object) -> object:
    """Check one parameter of a chapter.

    Args:
        name: "PRESET", "SEED", "DATA", "DEVICE", "THREADS", or one of the chapter's own, which may
            hold anything.
        value: what the parameters cell or a command line gave.
    Returns:
        The value that the chapter may work with; a folder of DATA has its full path.
    Raises:
        TypeError, ValueError: it says what the parameter holds and what it may hold.
    """
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
        from ..recipes.presets import PRESETS

        if value not in PRESETS:
            names = ", ".join(PRESETS)
            hint = nearest(value, PRESETS)
            raise ValueError(say("parameter preset", value=value, known=names, hint=hint))
    elif name in LIMITS and not 0 <= value <= LIMITS[name]:
        raise ValueError(say("parameter limit", parameter=name, value=value, limit=LIMITS[name]))
    elif name == "DATA":
        return _with_full_path(value)
    elif name == "DEVICE":
        return str(runtime.pick_device(value))
    return value


def nearest(word: str, names: Iterable[str]) -> str:
    """ " Did you mean 'laptop'?", or "" where no name is near the word.

    Args:
        word: what was given.
        names: what could have been meant.
    """
    close = difflib.get_close_matches(str(word), list(names), 1, 0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def _with_full_path(spec):
    """ "world", or "market1501:FOLDER" with the full path of the folder."""
    source, colon, path = spec.partition(":")
    needs_path = source != "world"
    if source not in SOURCES or needs_path != bool(colon):
        forms = ", ".join(f'"{name}:PATH"' for name in SOURCES[1:])
        hint = nearest(source, SOURCES)
        raise ValueError(say("parameter data", value=spec, forms=forms, hint=hint))
    if not needs_path:
        return spec
    # A relative path counts from the course's folder too.
    places = [folder_path(path, "DATA"), files.project_root() / path]
    folders = [place for place in places if path and place.is_dir()]
    if not folders:
        raise ValueError(say("parameter folder", value=spec, path=path))
    return f"{source}:{folders[0].resolve()}"


def start(
    chapter: str,
    PRESET: str = "laptop",
    SEED: int = 0,
    DATA: str = "world",
    DEVICE: str = "auto",
    THREADS: int = 0,
) -> Run:
    """Check the five parameters, fix threads and seed, set the figure style, say what this runs on.

    Args:
        chapter: its number, "01".
        PRESET: "smoke", "laptop" or "gpu"; chooses trunk, picture size and steps.
        SEED: of everything random.
        DATA: "world", or another of SOURCES with its folder: "market1501:FOLDER".
        DEVICE: "auto" or a name of torch's.
        THREADS: torch's on the CPU; 0 is torch's own choice.
    Raises:
        TypeError, ValueError: a parameter has the wrong type or value; before anything else
            happens.
    """
    import torch

    given = {"PRESET": PRESET, "SEED": SEED, "DATA": DATA, "DEVICE": DEVICE, "THREADS": THREADS}
    checked = {name: check_parameter(name, value) for name, value in given.items()}
    from ..recipes.presets import PRESETS

    run = Run(
        chapter,
        preset=PRESETS[PRESET],
        seed=SEED,
        data=checked["DATA"],
        device=checked["DEVICE"],
        threads=runtime.set_threads(THREADS),
    )
    torch.manual_seed(SEED)
    from matplotlib import pyplot

    pyplot.style.use(STYLE)
    versions = runtime.versions(("torch", "numpy"))
    line(
        say(
            "start",
            chapter=chapter,
            preset=PRESET,
            seed=SEED,
            source=run.source,
            device=run.device,
            threads=run.threads,
            versions=", ".join(f"{name} {version}" for name, version in versions.items()),
        )
    )
    line(say("start minutes", minutes=f"{run.preset.minutes:g}", preset=PRESET))
    return run
