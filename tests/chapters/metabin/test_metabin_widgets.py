"""Chapter 4's widget, and the plane on which it pushes points about."""

import itertools
import time

import numpy as np
import pytest
import torch

from reidkit.chapters.metabin import widgets as room
from reidkit.teach import figures, widgets


def test_the_loss_explorer_draws_every_state_and_says_what_it_shows():
    draw, controls = room.loss_explorer()
    artists = {}
    texts = []
    pictures = []
    for state in widgets.states(controls):
        frame = draw(state, artists)
        pictures.append(np.array(figures.pixels(frame.picture)))
        texts.append(frame.text)
        assert all(name in frame.text for name in room.LOSSES[state["loss"]])
        assert "same place for" in frame.text
    assert min(picture.std() for picture in pictures) > 5
    # Every control says something new.
    assert len(set(texts)) >= 1 + sum(len(control.values) - 1 for control in controls.values()) - 1
    seconds = []
    for steps in (0, 10, 20):
        begun = time.process_time()
        state = {"loss": "all three", "apart": 1.5, "steps": steps}
        figures.pixels(draw(state, artists).picture)
        seconds.append(time.process_time() - begun)
    assert min(seconds) < 0.3  # 0.08 s on a quiet core; a full machine doubles it


def test_one_place_in_one_point_scatters_to_1():
    plane = room.make_plane()
    points = torch.ones(len(plane.ids), 2) * (1 + plane.domains[:, None].float())
    steps = room.gradient_steps(points, plane.ids, plane.domains, ("scatter",))
    _, descent, parts = next(steps)
    assert parts["scatter"] == pytest.approx(1)
    assert descent.abs().max() < 1e-4


def test_downhill_is_downhill():
    plane = room.make_plane()
    start = room.place_points(plane, apart=1.5, centre=3)
    for name in ("scatter", "shuffle", "triplet"):
        steps = room.gradient_steps(start, plane.ids, plane.domains, (name,))
        values = [parts[name] for _, _, parts in itertools.islice(steps, 5)]
        assert values[4] < values[0]
    steps = room.gradient_steps(start, plane.ids, plane.domains, ("shuffle",))
    shuffled, _, _ = next(itertools.islice(steps, 40, None))
    before = room.neighbours(start, plane.ids, plane.domains)
    after = room.neighbours(shuffled, plane.ids, plane.domains)
    assert before > 90 and after < before - 20  # what the loss is for


def test_neighbours_by_hand():
    points = torch.tensor([[0.0, 0], [1, 0], [9, 0], [9.5, 0]])
    ids = torch.arange(4)
    domains = torch.tensor([0, 0, 0, 1])
    # 0 and 1 find each other, 2 and 3 the other place.
    assert room.neighbours(points, ids, domains) == 75 - 25
