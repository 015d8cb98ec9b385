"""The chapter's pictures and its walk through the world."""

import numpy as np
from widget_frames import frames

from reidkit.chapters.start_here import figures as c00


def test_world_walk_shows_what_was_asked_for():
    seen = list(frames(*c00.world_walk()))
    first = seen[0]
    for state, picture, text in seen[1:]:
        changed = [name for name in state if state[name] != first[0][name]]
        assert np.array_equal(picture, first[1]) == (not changed), changed
        assert f"place {state['place']}, camera {state['camera']}" in text


def test_the_search_picture_and_the_map():
    drawn, masks = c00.one_person_many_cameras()
    assert drawn.shape == (16, 3, 128, 64) and (masks == masks[:, :1]).all()
    assert c00.search_picture(drawn[0], drawn[1:9]).shape[2] == 3
    from matplotlib import pyplot

    figure, ready = c00.course_map()
    assert {"00", "01", "01b"} <= set(ready) and len(figure.axes) == 1
    pyplot.close(figure)
