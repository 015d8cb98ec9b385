"""The knob explorer."""

from widget_frames import frames

from reidkit.chapters.real_people import widgets


def test_the_knob_explorer_shows_every_value_of_a_knob(table):
    draw, controls = widgets.knob_explorer(table)
    assert controls["knob"].values == ("normalisation", "stripes")
    shown = list(frames(draw, controls))
    first_state, _, first_text = shown[0]
    for name in controls:
        texts = set()  # of the states that differ in this control only
        for state, _, text in shown:
            if all(state[other] == first_state[other] for other in controls if other != name):
                texts.add(text)
        assert len(texts) > 1
    # The usual recipe has its own name in each group.
    assert "BIN 41.0" in first_text
    assert "IN, BN last 52.0" in first_text
    assert "4 41.0" in draw(first_state | {"knob": "stripes"}, {}).text
