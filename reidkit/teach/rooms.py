"""Where a chapter keeps what it alone needs: its room, `reidkit/chapters/NAME/`.

NAME is what follows the number in the name of the chapter's source
(`notebooks/source/03_dualnorm.py` -> `dualnorm`), so that a chapter can get another number by
renaming one file. A room holds any of

    experiments.py  what the chapter measures, beyond the package
    figures.py      pictures of what was measured
    widgets.py      draw functions for `teach.explore`
    checks.py       checks of the exercises
    figures.toml    alt text and caption of every figure: prose, which a translation overlays
    recall.toml     questions that later chapters ask about this one: `questions` reads them
"""

import functools
import importlib
import pathlib
import tomllib
from types import ModuleType

from .. import files
from .messages import say

# Chapters stand on the machinery, so the machinery knows their rooms by name and imports none.
ROOMS = "reidkit.chapters"
PACKAGE = __name__.partition(".")[0]
CHAPTERS = pathlib.Path(__file__).resolve().parents[1] / "chapters"
PARTS = ("experiments", "figures", "widgets", "checks")


def source_folder() -> pathlib.Path:
    """The folder of the chapters' sources."""
    return files.project_root() / "notebooks" / "source"


def numbers_before(number: str) -> list[str]:
    """Numbers of the chapters before one, in reading order.

    Args:
        number: of the chapter, such as "03" or "01b".
    Raises:
        KeyError: no source has this number.
    """
    room_of(number)  # raises
    names = sorted(path.stem for path in source_folder().glob("[0-9]*.py"))
    numbers = [name.partition("_")[0] for name in names]
    return numbers[: numbers.index(number)]


def room_of(number: str) -> str:
    """The name of a chapter's room.

    Args:
        number: of the chapter, such as "03" or "01b".
    Raises:
        KeyError: no source has this number.
    """
    names = [path.stem for path in sorted(source_folder().glob("[0-9]*.py"))]
    for name in names:
        found, _, room = name.partition("_")
        if found == number and room:
            return room
    raise KeyError(say("no chapter", number=number, known=", ".join(names)))


def room_folder(number: str) -> pathlib.Path:
    """The folder of a chapter's room; it need not exist."""
    package = pathlib.Path(__file__).resolve().parents[1]
    return package / "chapters" / room_of(number)


def load_part(number: str, part: str) -> ModuleType | None:
    """One module of a chapter's room; None where the chapter has no such file.

    Args:
        number: of the chapter.
        part: one of PARTS.
    """
    if not (room_folder(number) / f"{part}.py").is_file():
        return None
    return importlib.import_module(f"{ROOMS}.{room_of(number)}.{part}")


def load_words(name: str) -> dict[str, str]:
    """Alt text and caption of a figure, from the figures.toml of its chapter's room.

    Args:
        name: of the figure: the chapter's number, a dash and a key of figures.toml ("02-shares").
    Returns:
        {"alt": ..., "caption": ...}, with {blanks} still in them.
    Raises:
        KeyError: there is no such figure; the message lists those there are.
    """
    number, _, key = name.partition("-")
    table = read_table(room_folder(number) / "figures.toml")
    if key not in table:
        raise KeyError(say("no figure", name=name, known=", ".join(table) or "none"))
    return table[key]


def read_table(path: pathlib.Path) -> dict:
    """What a TOML file of a room holds; {} where there is no such file.

    Raises:
        tomllib.TOMLDecodeError: it is no TOML.
    """
    if not path.is_file():
        return {}
    return _parse_table(path, path.stat().st_mtime_ns)


@functools.lru_cache
def _parse_table(path: pathlib.Path, changed: int) -> dict:
    """`changed` makes an edited file a new one to the cache."""
    return tomllib.loads(path.read_text(encoding="utf-8"))
