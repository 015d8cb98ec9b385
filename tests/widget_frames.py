"""A widget's frames in every state that matters, for the tests of chapters."""

import numpy as np

from reidkit.teach import widgets
from reidkit.teach.figures import pixels


def frames(draw, controls):
    """(state, picture, readout) at the first state and at three values of each control.

    These are its least, middle and greatest; the artists are reused.
    """
    artists = {}
    for state in widgets.states(controls):
        frame = draw(state, artists)
        picture = np.array(pixels(frame.picture))
        assert picture.dtype == np.uint8 and picture.std() > 5
        yield state, picture, frame.text
