"""Chapter 00: a walk through the drawn world."""

import math
from collections.abc import Callable
from dataclasses import replace

import torch

from ... import world
from ...teach.figures import grid
from ...teach.widgets import Control, Frame, choice, slider

LABELS = ["picture", "head, upper, lower, shoes: ever lighter"]


def world_walk(
    seed: int = 0, people: int = 8, places: int = 4, cameras: int = 4
) -> tuple[Callable, dict[str, Control]]:
    """A person, a place, one of its cameras and the side she shows.

    Args:
        seed: of the people and the pose.
        people: how many there are to choose from.
        places: how many training places there are to choose from.
        cameras: of each place.
    Returns:
        (draw, controls) for `teach.explore`.
    """
    crowd = world.make_people(people, seed=seed)
    pose = world.make_poses(1, seed=seed, knobs=world.EASY)
    networks = []
    for place in range(places):
        network = world.make_cameras(world.make_place("train", place), cameras)
        networks.append(network)

    def draw(state, artists=None):
        person = crowd[[state["person"]]]
        camera = networks[state["place"]][[state["camera"]]]
        facing = torch.tensor([math.radians(state["facing"])])
        turned = replace(pose, facing=facing)
        drawn = world.render(person, camera, turned, size=(128, 64), raw=False, seed=seed)
        image = drawn.images[0]
        mask = _grey_mask(drawn.masks[0])
        page = grid(torch.stack([image, mask]), columns=2, labels=LABELS, height=256)
        who = world.describe(crowd, state["person"])
        return Frame(page, _readout(state, who, image))

    controls = {
        "person": slider(0, people - 1, 1, 0, "person"),
        "place": slider(0, places - 1, 1, 1, "place"),
        "camera": slider(0, cameras - 1, 1, 0, "camera"),
        "facing": choice([0, 45, 90, 135, 180, 270], 0, "turned (degrees)"),
    }
    return draw, controls


def _grey_mask(mask):
    """Body parts (H, W), 0 background to 4 shoes -> greys (3, H, W), black to white."""
    share = mask.float() / 4
    grey = (255 * share).to(torch.uint8)
    return grey.expand(3, -1, -1)


def _readout(state, who, image):
    """What the picture shows, in words and numbers."""
    colour = tuple(image.float().mean((1, 2)).int().tolist())
    view = "place {place}, camera {camera}, turned by {facing} degrees".format(**state)
    return f"{who}; {view}. Mean colour {colour}."
