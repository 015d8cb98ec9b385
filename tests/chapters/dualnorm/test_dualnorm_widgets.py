"""Chapter 03: both widgets at every end of every control."""

import numpy as np
import torch
from dualnorm_case import make_table, make_tone_exam
from widget_frames import frames

from reidkit.chapters.dualnorm import experiments, widgets
from reidkit.methods.baseline import Baseline
from reidkit.recipes.norms import TABLES, make_network


def moved_by(name, drawn):
    """The frames (state, picture, text) that differ from the first in this control alone, the first
    among them.
    """
    first = drawn[0][0]
    others = [control for control in first if control != name]
    return [frame for frame in drawn if all(frame[0][other] == first[other] for other in others)]


def test_the_placement_explorer_answers_every_control():
    draw, controls = widgets.placement_explorer(make_table())
    drawn = list(frames(draw, controls))
    assert controls["placement"].values == (*experiments.PLACES, *experiments.OTHERS)
    for name in controls:
        texts = {text for _, _, text in moved_by(name, drawn)}
        assert len(texts) > 1, name
    draw, controls = widgets.placement_explorer(make_table(1))
    assert len(list(frames(draw, controls))) > 10


def test_the_placement_explorer_reads_the_chosen_row():
    draw, controls = widgets.placement_explorer(make_table())
    first = next(frames(draw, controls))[0]
    early = draw(first | {"placement": "early"}, {}).text
    # 50 - 4, a mean of seeds 0, 1, 2 with 1 more on the last.
    assert "early, new people, unseen places: rank-1 47.3 %" in early
    assert "-3.7 points" in early and "3 seeds" in early
    assert "no feature norm" in draw(first | {"feature norm": False}, {}).text
    # This row exists with the feature norm only.
    lone = draw(first | {"placement": "IBN-a", "feature norm": False}, {}).text
    assert lone.startswith("IBN-a, new")
    assert "Against" not in draw(first | {"placement": "none"}, {}).text


def test_the_tone_explorer_answers_every_control():
    torch.manual_seed(0)
    tone = make_tone_exam()
    models = {"BN": Baseline(4), "IN": make_network(TABLES["places"]["everywhere"], 4)}
    for model in models.values():  # statistics of these pictures: random features differ by little
        for _ in range(20):
            model.train()(tone.query.pictures())
    draw, controls = widgets.tone_explorer(models, tone)
    drawn = list(frames(draw, controls))
    for name in controls:
        pictures = [picture for _, picture, _ in moved_by(name, drawn)]
        assert any(not np.array_equal(picture, pictures[0]) for picture in pictures[1:]), name
    same = draw(drawn[0][0] | {"tone": 1.0}, {})
    assert same.text.count(": 0.00 to herself") == 2
