"""The drawn world: procedural pedestrians, cameras and places, with exact labels.

people = world.make_people(8, seed=1)
cameras = world.make_cameras(world.make_place("train", 0), 8)
drawn = world.render(people, cameras, world.make_poses(8, seed=1))  # images, masks, raw
data = world.sample([("train", 0), ("train", 1)], people=20, cameras=4, pictures=2)  # ReIDData
"""

from .cameras import Cameras, make_cameras, neutral
from .dress import COLOURS
from .people import ATTRIBUTES, People, describe, make_people
from .places import EASY, FAMILIES, HARD, NORMAL, STYLE, Knobs, Place, make_place
from .poses import Poses, make_poses
from .render import Rendering, render, restyle
from .sets import VERSION, make_exam, sample

__all__ = [
    "ATTRIBUTES",
    "COLOURS",
    "EASY",
    "FAMILIES",
    "HARD",
    "NORMAL",
    "STYLE",
    "VERSION",
    "Cameras",
    "Knobs",
    "People",
    "Place",
    "Poses",
    "Rendering",
    "describe",
    "make_exam",
    "make_cameras",
    "make_people",
    "make_place",
    "make_poses",
    "neutral",
    "render",
    "restyle",
    "sample",
]
