"""The walk through the world."""

import numpy as np
from widget_frames import frames

from reidkit.chapters.start_here import widgets


def test_world_walk_shows_what_was_asked_for():
    draw, controls = widgets.world_walk()
    shown = list(frames(draw, controls))
    first_state, first_picture, _ = shown[0]
    for state, picture, text in shown[1:]:
        changed = [name for name in state if state[name] != first_state[name]]
        assert np.array_equal(picture, first_picture) == (not changed), changed
        assert f"place {state['place']}, camera {state['camera']}" in text
