"""Chapter 02: its pictures and its widget."""

import time

import numpy as np
import pytest
import torch
from matplotlib import pyplot

from reidkit.chapters.batch_and_instance_statistics import deep_nets, figures
from reidkit.chapters.batch_and_instance_statistics.widgets import normalisation_explorer
from reidkit.teach import widgets


def test_the_explorer_shows_what_each_norm_forgets():
    draw, controls = normalisation_explorer((64, 32), seed=0, people=3)
    artists = {}
    frames = []
    for state in widgets.states(controls):
        frame = draw(state, artists)
        assert frame.picture.dtype == np.uint8
        assert frame.picture.std() > 5
        frames.append((state, frame.picture.copy()))
    first_state, first_picture = frames[0]
    changed = set()
    for state, picture in frames:
        if not np.array_equal(picture, first_picture):
            changed |= {name for name in state if state[name] != first_state[name]}
    assert changed == set(controls)  # every control changes the picture
    readout = draw(first_state | {"gain": 1.0}, artists).text
    pixels, bn, instance = readout.split("; ")
    assert "STRANGER closer" in pixels
    assert "STRANGER closer" in bn
    assert "own closer" in instance
    # Nothing of a state is left behind.
    assert np.array_equal(draw(first_state, artists).picture, first_picture)


def test_the_explorer_is_quick():
    draw, controls = normalisation_explorer((64, 32), people=3)
    artists = {}
    state = {name: control.value for name, control in controls.items()}
    draw(state, artists)
    times = []
    for step in range(5):
        began = time.process_time()
        draw(state | {"gain": 0.1 * step}, artists)
        times.append(time.process_time() - began)
    assert min(times) < 0.1


def test_the_goal_picture_measures_what_it_says():
    montage, distances = figures.goal_picture((64, 32), 0)
    assert montage.shape[2] == 3
    assert set(distances) == {"pixels", "BN", "IN"}
    ratio = {name: own / stranger for name, (own, stranger) in distances.items()}
    # BN divides three colours by nearly one number.
    assert ratio["BN"] == pytest.approx(ratio["pixels"], rel=0.1)
    assert ratio["IN"] < ratio["BN"]


def test_the_histogram_picture_counts_saturation():
    inputs = [torch.zeros(1, 10, deep_nets.WIDTH) for _ in range(deep_nets.DEPTH)]
    inputs[5] += 9
    runs = {"before": inputs}
    fig = figures.histogram_picture(runs, runs, [("made up", "before", 0)] * 2)
    labels = [text.get_text() for text in fig.axes[0].get_legend().get_texts()]
    assert all(ax.get_ylim()[1] < 1.1 for ax in fig.axes)  # shares
    assert labels == [
        "layer 1: 0 % saturated",
        "layer 6: 100 % saturated",
        "layer 12: 0 % saturated",
    ]
    pyplot.close(fig)
