"""The two pictures at the top of the README, made from the drawn world and from recorded tables.

`python -m reidkit.teach.face` writes docs/people.png and docs/headline.png. Both are opaque, so
that they are readable on light and dark pages.
"""

import argparse
import pathlib
from collections.abc import Sequence

import numpy as np
import torch

from .. import files, world
from ..console import command
from ..stats import Estimate
from . import plots
from .figures import grid, pixels, png
from .recorded import Recorded, recorded
from .start import STYLE

SIZE = (128, 64)  # height and width of one drawn picture, pixels
CAMERAS = 4
GAP = 28  # pixels between the two halves of the picture of people


def draw_people() -> np.ndarray:
    """Four people, each through the four cameras of one place.

    Returns:
        uint8 (H, W, 3): two people of one place on the left, two of another on the right, a row of
        four cameras each.
    """
    halves = [_through_cameras(("train", 0), seed=11), _through_cameras(("train", 5), seed=12)]
    paper = np.full((len(halves[0]), GAP, 3), 255, np.uint8)
    return np.concatenate([halves[0], paper, halves[1]], axis=1)


def _through_cameras(place, seed):
    """Two people as the cameras of a place see them, uint8 (H, W, 3), one person a row."""
    people = world.make_people(2, seed=seed)
    poses = world.make_poses(2 * CAMERAS, seed=seed)
    cameras = world.make_cameras(world.make_place(*place), CAMERAS)
    person = torch.arange(2).repeat_interleave(CAMERAS)  # (8,) 0 0 0 0 1 1 1 1
    camera = torch.arange(CAMERAS).repeat(2)  # (8,) 0 1 2 3 0 1 2 3
    drawn = world.render(people[person], cameras[camera], poses, size=SIZE, seed=seed)
    labels = [f"camera {number + 1}" for number in camera.tolist()]
    return grid(drawn.images, CAMERAS, labels)


def headline() -> list[tuple[str, str, Estimate]]:
    """What the headline plot shows, from the recorded tables 01_baseline and 11_models.

    Returns:
        (people, row, rank-1 in %) per row, people being "drawn" or "real". The mean is over the
        table's seeds, the interval what other people in the exam would do to it (bootstrap over
        identities, 95 %, ends averaged over the seeds), which is more than what the seeds do.
    """
    baseline = recorded("01_baseline")
    models = recorded("11_models")
    untrained = models.where(model="untrained")
    trained = models.where(model="drawn-laptop")
    return [
        ("drawn", "new people, same places", _rank1(baseline, "home")),
        ("drawn", "new people, unseen places", _rank1(baseline, "away")),
        ("real", "before any training", _rank1(untrained, "pku_report")),
        ("real", "trained on drawn people only", _rank1(trained, "pku_report")),
        ("real", "... with statistics per camera", _rank1(trained, "pku_report_camera")),
    ]


def _rank1(table: Recorded, exam: str) -> Estimate:
    columns = [f"{exam}_rank1{end}" for end in ("", "_low", "_high")]
    mean, low, high = [table.mean(column) for column in columns]
    return Estimate(mean, low, high, len(table.rows))


def draw_headline() -> np.ndarray:
    """The headline plot: rank-1 on drawn and on real people -> uint8 (H, W, 3)."""
    from matplotlib import pyplot

    looks = {"drawn": plots.EXAM_LOOKS["home"], "real": plots.EXAM_LOOKS["away"]}
    rows = headline()
    # Whatever style a caller has set, the picture is the same.
    with pyplot.style.context(["default", STYLE]):
        figure, axes = plots.make_figure(size=(8, 3))
        for place, (people, _, rank1) in enumerate(rows):
            height = len(rows) - 1 - place
            plots.dot(axes, rank1, height, looks[people], markersize=8)
            axes.annotate(
                f"{rank1.mean:.0f}",
                (rank1.mean, height),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
            )
        names = [f"{people} people: {row}" for people, row, _ in rows]
        plots.name_rows(axes, names, xlim=(0, 100), xlabel="rank-1 in %, with 95 % interval")
        axes.set_ylim(-0.6, len(rows) - 0.3)  # room for the number above the first row
        array = pixels(figure)
        pyplot.close(figure)
    return array


@command
def main(words: Sequence[str] | None = None) -> None:
    """Write both pictures into docs/."""
    about = __doc__.splitlines()[0]
    argparse.ArgumentParser(prog="python -m reidkit.teach.face", description=about).parse_args(
        words
    )
    for name, array in {"people": draw_people(), "headline": draw_headline()}.items():
        path = docs_dir() / f"{name}.png"
        files.write_atomic(path, png(array))
        print(f"{path.name}: {path.stat().st_size} bytes")


def docs_dir() -> pathlib.Path:
    """The folder of the README's pictures."""
    return files.project_root() / "docs"


if __name__ == "__main__":
    raise SystemExit(main())
