"""Chapter 00: the search picture, the map of the course, one person through many cameras, a walk through the world."""

import math
from dataclasses import fields, replace

import numpy as np
import torch

from ... import files, world
from ...teach.figures import grid
from ...teach.widgets import Frame, choice, slider

# what stands in the map: row of boxes, chapters in it, what each repairs or explains
MAP = (
    ("the task", (("00", "start here"), ("01", "what is re-ID?"), ("01b", "three ways\nto train"))),
    (
        "normalisation",
        (
            ("02", "batch against\ninstance statistics"),
            ("03", "DualNorm: forget\nthe camera's style"),
            ("04", "MetaBIN: forget\njust enough"),
        ),
    ),
    ("adaptation", (("05", "ECN: learn from the\nnew place, unlabelled"),)),
    (
        "parts",
        (
            ("06", "MGN: stripes\nof the body"),
            ("07", "SPReID: masks\nof body parts"),
            ("08", "bilinear: what\nand where"),
        ),
    ),
    ("neighbours", (("09", "SGGNN: pairs\nask pairs"), ("10", "re-ranking by\nneighbours"))),
    (
        "the real world",
        (("11", "does it hold on\nreal people?"), ("12", "scaling up:\nthe bag of tricks")),
    ),
)


def search_picture(query, gallery):
    """The query beside rows of eight gallery pictures; query uint8 (3, H, W), gallery uint8 (N, 3, H, W) -> uint8 (H', W', 3)."""
    right = grid(gallery, columns=8)
    left = grid(query[None], labels=["Where is she?"])
    rows = max(len(left), len(right))
    pad = lambda page: np.pad(page, ((0, rows - len(page)), (0, 0), (0, 0)), constant_values=255)
    rule = np.full((rows, 4, 3), 90, dtype=np.uint8)
    return np.concatenate([pad(left), rule, pad(right)], 1)


def course_map():
    """The chapters as boxes, solid where a notebook stands, dashed where it is being written -> (figure, open chapters)."""
    from matplotlib import pyplot

    ready = {
        path.name.split("_")[0]
        for path in (files.project_root() / "notebooks").glob("[0-9]*.ipynb")
    }
    ready |= {
        path.name.split("_")[0]
        for path in (files.project_root() / "notebooks" / "source").glob("[0-9]*.py")
    }
    fig, ax = pyplot.subplots(figsize=(8, 5.6))
    for row, (title, chapters) in enumerate(MAP):
        ax.text(0.0, -row, title, va="center", fontsize=10, fontweight="bold")
        for column, (number, name) in enumerate(chapters):
            line = "-" if number in ready else "--"
            ax.text(
                2.5 + 2.0 * column,
                -row,
                f"{number}\n{name}",
                ha="center",
                va="center",
                fontsize=8.5,
                color="#1a1a1a",
                bbox={
                    "boxstyle": "round,pad=0.35",
                    "facecolor": "#dce9f5" if number in ready else "white",
                    "edgecolor": "#1a1a1a",
                    "linestyle": line,
                },
            )
        if row:
            ax.annotate(
                "",
                (0.5, -row + 0.22),
                (0.5, -row + 0.78),
                arrowprops={"arrowstyle": "->", "color": "#1a1a1a"},
            )
    ax.set(xlim=(-0.2, 7.6), ylim=(-len(MAP) + 0.4, 0.6))
    ax.axis("off")
    return fig, sorted(ready & {number for _, chapters in MAP for number, _ in chapters})


def one_person_many_cameras(seed=0, size=(128, 64)):
    """Two people, one pose each, through the imaging chains of four cameras of two places: images (16, 3, H, W), masks (2, 8, H, W)."""
    people, poses = world.make_people(2, seed=seed), world.make_poses(2, seed=seed)
    first, second = (world.make_cameras(world.make_place("train", place), 4) for place in (2, 4))
    both = world.Cameras(
        **{
            field.name: torch.cat([getattr(first, field.name), getattr(second, field.name)])
            for field in fields(first)
        }
    )
    who = torch.arange(2).repeat_interleave(8)  # (16,) one person a row
    scene = first[torch.zeros(16, dtype=torch.int64)]  # one geometry and background for all
    drawn = world.restyle(
        people[who],
        scene,
        poses[who],
        both[torch.arange(8).repeat(2)],
        size=size,
        raw=False,
        seed=seed,
    )
    return drawn.images, drawn.masks.view(2, 8, *size)


def world_walk(seed=0, people=8, places=4, cameras=4):
    """A person, a place, one of its cameras and the side she shows -> (draw, controls)."""
    crowd = world.make_people(people, seed=seed)
    networks = [
        world.make_cameras(world.make_place("train", place), cameras) for place in range(places)
    ]
    pose = world.make_poses(1, seed=seed, knobs=world.EASY)

    def draw(state, artists=None):
        facing = torch.tensor([math.radians(state["facing"])])
        camera = networks[state["place"]][[state["camera"]]]
        drawn = world.render(
            crowd[[state["person"]]],
            camera,
            replace(pose, facing=facing),
            size=(128, 64),
            raw=False,
            seed=seed,
        )
        shown = drawn.masks[0].float() / 4  # (H, W) 0 background .. 1 shoes
        mask = (255 * shown).to(torch.uint8).expand(3, -1, -1)
        page = grid(
            torch.stack([drawn.images[0], mask]),
            columns=2,
            labels=["picture", "head, upper, lower, shoes: ever lighter"],
            height=256,
        )
        return Frame(
            page,
            f"{world.describe(crowd, state['person'])}; place {state['place']}, camera {state['camera']}, "
            f"turned by {state['facing']} degrees. Mean colour {tuple(drawn.images[0].float().mean((1, 2)).int().tolist())}.",
        )

    return draw, {
        "person": slider(0, people - 1, 1, 0, "person"),
        "place": slider(0, places - 1, 1, 1, "place"),
        "camera": slider(0, cameras - 1, 1, 0, "camera"),
        "facing": choice([0, 45, 90, 135, 180, 270], 0, "turned (degrees)"),
    }
