"""The chapter's triplet explorer."""

from widget_frames import frames

from reidkit.chapters.three_ways_to_train import widgets


def test_the_triplet_explorer_counts_active_anchors():
    draw, controls = widgets.triplet_explorer()
    assert len(list(frames(draw, controls))) > 8
    far = draw({"apart": 2.0, "spread": 0.0, "margin": 0.3, "loss": "hard"}, {})
    assert "0 of 12 anchors are active" in far.text
    one_point = draw({"apart": 0.0, "spread": 0.0, "margin": 0.3, "loss": "hard"}, {})
    assert "mean loss 0.300" in one_point.text
    assert "12 of 12" in one_point.text
