"""A new chapter to begin with: its source, its room, and its tests.

    python -m reidkit.teach.new 05 ecn "ECN: neighbours without labels"

writes notebooks/source/05_ecn.py, reidkit/chapters/ecn/ and tests/chapters/ecn/. They are
a small chapter that runs and passes the tests of form; whoever writes the chapter replaces it part
by part.
"""

import argparse
import json
import keyword
import pathlib
import re
import string

from .. import files
from ..console import command
from . import rooms

LONGEST_NAME = 60  # of a room

SOURCE = '''\
# ---
# jupyter:
#   reidkit:
#     chapter: "$number"
#     title: $title_quoted
#     about: "One line for the table of chapters in the README"
#     row: "the real world"
#     map: "what stands in\\nthe map's box"
#     minutes_study: 30
#     minutes_compute: 0.1
#     prerequisites: ["00"]
#     least_checks: 2
# ---

# %% [markdown] key="title" tags=["slide"]
# # $title
#
# **Promise:** you will be able to say in one sentence what the reader can do afterwards.
#
# | | |
# |---|---|
# | **Study** | 30 minutes, of which the computer needs a few seconds |
# | **You need** | chapter 0 |
# | **Afterwards you can** | name the skill |

# %% key="parameters" tags=["parameters"]
PRESET: str = "laptop"  # smoke (seconds) | laptop (minutes) | gpu (bigger network and pictures)
SEED: int = 0  # of everything that is drawn or trained
DATA: str = "world"  # "world", "market1501:PATH" or "pku-reid:PATH"
DEVICE: str = "auto"  # "auto", "cpu" or "cuda"
THREADS: int = 2  # CPU threads; the same number gives the same digits on one machine

# %% key="setup" tags=["setup", "skip"]
from reidkit import teach, world
from reidkit.chapters.$name import checks as check
from reidkit.chapters.$name import figures, widgets

run = teach.start("$number", PRESET=PRESET, SEED=SEED, DATA=DATA, DEVICE=DEVICE, THREADS=THREADS)

# %% [markdown] key="goal" tags=["slide"]
# ## Where this chapter ends
#
# Say what the picture below will mean to the reader at the end.

# %% key="goal-picture" tags=["slide"]
people = world.sample([("train", 0)], people=2, cameras=4, pictures=1, size=(128, 64))
teach.show(figures.goal_picture(people.images), "$number-goal")

# %% key="ask-colour" tags=["prediction"]
teach.ask("$number-colour", "Whose mean colour changes more?", ["a person's", "a camera's"])

# %% [markdown] key="mean-colour" tags=["exercise"]
# ### Exercise 1 · The mean colour of a picture
# *3 minutes · easy.* Average each colour channel over all pixels of a picture.


# %% key="mean-colour-stub" tags=["exercise", "stub", "check"]
def mean_colour(images):
    """images: (B, 3, H, W) in 0..255 -> (B, 3), the mean of each channel."""
    ...


check.mean_colour(mean_colour)

# %% [markdown] key="mean-colour-hint1" tags=["hint"]
# Which two of the four axes are pixels?

# %% [markdown] key="mean-colour-hint2" tags=["hint"]
# `mean` takes several axes at once.

# %% [markdown] key="mean-colour-hint3" tags=["hint"]
# `images.mean((..., ...))`


# %% key="mean-colour-solution" tags=["solution"]
def mean_colour(images):
    return images.mean((2, 3))  # (B, 3, H, W) -> (B, 3)


# %% [markdown] key="mean-colour-why" tags=["solution"]
# Height and width are axes 2 and 3.

# %% key="measured" tags=["check"]
colours = people.images.float().mean((2, 3)).view(2, 4, 3)  # (person, camera, channel)
between_cameras = colours.std(1).mean()
print(f"over four cameras a person's mean colour scatters by {between_cameras:.0f} grey levels")

# %% key="camera-explorer" tags=["widget", "slide"]
draw, controls = widgets.camera_explorer(people.images)
film = [{}, {"camera": 1}, {"camera": 3}]
teach.explore(draw, controls, film, "$number-cameras")

# %% [markdown] key="verdict" tags=["slide"]
# The cameras change a person's colour. Every section ends in one plain sentence of verdict.

# %% key="claim" tags=["claim"]
teach.claim(
    "Cameras change the mean colour of a person",
    measured=between_cameras.item(),
    holds=lambda levels: levels > 1,
    unit="grey levels",
    run=run,
)

# %% [markdown] key="end" tags=["slide"]
# ## What this does not show
#
# Say it openly.
#
# ## In five lines
#
# 1. What the reader should remember.
#
# ## References
#
# - Author. *Title.* Venue and year.
#
# **Next:** name the chapter that follows.

# %% [markdown] key="notes" tags=["notes"]
# *For lecturers.* 15 minutes: the picture and the claim. 45 minutes: everything.
'''

CHECKS = '''\
"""Checks of this chapter's exercises."""

import torch

from ...teach.exercises import exercise, expect


@exercise("$number-mean-colour")
def mean_colour(answer):
    images = torch.rand(5, 3, 4, 2, generator=torch.Generator().manual_seed(0))
    colours = answer(images)
    is_tensor = isinstance(colours, torch.Tensor)
    shape = tuple(colours.shape) if is_tensor else type(colours).__name__
    expect(shape == (5, 3), f"five pictures give the shape (5, 3), yours has {shape}")
    expected = images.mean((2, 3))  # (5, 3, 4, 2) -> (5, 3)
    expect(torch.allclose(colours, expected), "the shape is right, the numbers are not means")
'''

FIGURES = '''\
"""Pictures of this chapter."""

import numpy as np
from torch import Tensor

from ...teach.figures import grid


def goal_picture(images: Tensor) -> np.ndarray:
    """Two people, one row each, through four cameras.

    Args:
        images: uint8 (8, 3, H, W), person by person.
    Returns:
        uint8 (H', W', 3).
    """
    return grid(images, columns=4, labels=[f"camera {number + 1}" for number in range(4)] * 2)
'''

WIDGETS = '''\
"""Draw functions of this chapter's widgets. Each returns (draw, controls) for `teach.explore`."""

from torch import Tensor

from ...teach.figures import grid
from ...teach.widgets import Frame, slider


def camera_explorer(images: Tensor):
    """One person through one camera at a time.

    Args:
        images: uint8 (N, 3, H, W), a picture per camera.
    Returns:
        (draw, controls).
    """

    def draw(state, artists=None):
        # Every frame has one size, so that the page does not jump and a film can be cut.
        picture = grid(images[[state["camera"]]], height=256)
        light = images[state["camera"]].float().mean()
        return Frame(picture, f"camera {state['camera'] + 1}: mean grey level {light:.0f}")

    return draw, {"camera": slider(0, 3, 1, 0, "camera")}
'''

CAPTIONS = """\
# Alt text and caption of each figure of this chapter.

[goal]
alt = "Two rows of four pictures: in each row one drawn person, seen by four cameras."
caption = "What you see: two people, one in each row, through the four cameras of one place."

[cameras]
alt = "One drawn person, seen by the camera that the slider chooses."
"""

RECALL = """\
# Four to six questions that later chapters ask about this one (`teach.recall`), the best first.

[colour]
question = "One person walks past two cameras of a place. What changes in her pictures most of all?"
options = [
    "Their mean colour, because each camera has its own light.",
    "Her outline, because each camera draws people differently.",
]
right = 1
why = "Say in one sentence why the right answer is right."
exercise = "mean-colour"
"""

ANSWERS = '''\
"""Wrong answers to the exercises of a chapter, with a word of the verdict that each must earn."""

WRONG = {
    "$number-mean-colour": [
        ("def f(images): return images.mean((1, 2, 3))", "(5, 3)"),
        ("def f(images): return images.sum((2, 3))", "not means"),
    ],
}
'''


TESTS = '''\
"""What the chapter promises beside its exercises: the widget answers every control."""

import torch
from widget_frames import frames

from reidkit.chapters.$name import widgets


def test_the_camera_explorer_shows_the_camera_that_was_asked_for():
    images = torch.arange(4).view(4, 1, 1, 1).mul(60).expand(4, 3, 64, 32).to(torch.uint8)
    images = images + torch.arange(32).to(torch.uint8)  # a picture, not one grey
    for state, _, text in frames(*widgets.camera_explorer(images)):
        assert f"camera {state['camera'] + 1}" in text
'''


def new_chapter(number: str, name: str, title: str) -> list[pathlib.Path]:
    """Write the files of a new chapter; nothing that exists is touched.

    Args:
        number: "05", or "05b" for a companion.
        name: of the room, an importable name such as "ecn".
        title: of the chapter.
    Returns:
        The files that were written, the source first.
    Raises:
        ValueError: number or name has another form, or title is empty.
        FileExistsError: a chapter has this number, or a file is there.
    """
    _check(number, name, title)
    blanks = {
        "number": number,
        "name": name,
        "title": title,
        "title_quoted": json.dumps(title, ensure_ascii=False),
    }
    room = rooms.CHAPTERS / name
    tests = files.project_root() / "tests" / "chapters" / name
    texts = {
        rooms.source_folder() / f"{number}_{name}.py": SOURCE,
        room / "__init__.py": "",
        room / "checks.py": CHECKS,
        room / "figures.py": FIGURES,
        room / "figures.toml": CAPTIONS,
        room / "recall.toml": RECALL,
        room / "widgets.py": WIDGETS,
        tests / "answers.py": ANSWERS,
        tests / f"test_{name}_chapter.py": TESTS,
    }
    for path in texts:
        if path.exists():
            raise FileExistsError(f"{path.name} is there already; choose another number or name")
    for path, text in texts.items():
        files.write_atomic(path, string.Template(text).substitute(blanks))
    return list(texts)


def _check(number, name, title):
    if not re.fullmatch(r"[0-9][0-9][a-z]?", number):
        raise ValueError(f"number is {number!r}; expected two digits, or two digits and a letter")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        raise ValueError(f"name is {name!r}; expected small letters, digits and underscores")
    if keyword.iskeyword(name) or len(name) > LONGEST_NAME:
        raise ValueError(
            f"name is {name!r}; expected a name that can be imported, of at most {LONGEST_NAME} "
            "letters: no word of Python's own"
        )
    if not title.strip():
        raise ValueError("the title is empty; expected a few words")
    if not title.isprintable():
        raise ValueError(f"the title is {title!r}; expected a few words in one line")
    for path in rooms.source_folder().glob("[0-9]*.py"):
        if path.stem.partition("_")[0] == number:
            raise FileExistsError(f"{path.name} has the number {number}; choose another")
        if path.stem.partition("_")[2] == name:
            raise FileExistsError(f"{path.name} has the room {name}; choose another name")


@command
def main(words: list[str] | None = None) -> None:
    """Run the command. What a user can mend ends in one sentence and status 2."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m reidkit.teach.new", description=about)
    parser.add_argument("number", help='"05", or "05b" for a companion')
    parser.add_argument("name", help='of its room, "ecn"')
    parser.add_argument("title", help='"ECN: neighbours without labels"')
    asked = parser.parse_args(words)
    try:
        written = new_chapter(asked.number, asked.name, asked.title)
    except (ValueError, FileExistsError) as error:
        parser.error(str(error))
    for path in written:
        print(path.relative_to(files.project_root()).as_posix())
    print(f"then: python course.py notebooks {asked.number} 00")
    print("and:  python -m reidkit.teach.toc --write")


if __name__ == "__main__":
    raise SystemExit(main())
