"""Chapter 11: the knob explorer."""

from collections.abc import Callable

from ...recipes import study
from ...teach.plots import line, make_canvas
from ...teach.recorded import Recorded
from ...teach.widgets import Control, Frame, choice
from . import results
from .figures import EXAMS

COLUMNS = {"rank-1": "rank1", "mAP": "map"}


def knob_explorer(table: Recorded) -> tuple[Callable, dict[str, Control]]:
    """One knob of the recorded study: what each value scores on drawn and real people.

    Args:
        table: 11_study.
    Returns:
        (draw, controls) for `teach.explore`.
    """
    cells_of_knobs = results.groups(table)

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "axes" not in artists:
            artists["figure"] = make_canvas((6, 3.4))
            artists["axes"] = artists["figure"].add_subplot()
        knob = state["knob"]
        cells = cells_of_knobs[knob]
        scores = _scores(cells, state["score"], state["interval"])
        _draw_scores(artists["axes"], scores)
        _name_values(artists["axes"], knob, cells, state["score"])
        return Frame(artists["figure"], _readout(state, cells, scores))

    knobs = list(cells_of_knobs)
    controls = {
        "knob": choice(knobs, knobs[0], "knob"),
        "score": choice(["rank-1", "mAP"], "rank-1", "score"),
        "interval": choice(["seeds", "people"], "seeds", "whiskers over"),
    }
    return draw, controls


def _scores(cells, score, interval):
    """{exam: an Estimate for each value}"""
    estimate = results.over_people if interval == "people" else Recorded.estimate
    scores = {}
    for exam in EXAMS:
        column = f"{exam}_{COLUMNS[score]}"
        scores[exam] = [estimate(cell, column) for cell in cells.values()]
    return scores


def _draw_scores(axes, scores):
    axes.clear()
    for index, (exam, (label, look)) in enumerate(EXAMS.items()):
        shift = 0.12 * (index - 1)
        places = [x + shift for x in range(len(scores[exam]))]
        line(axes, places, scores[exam], look, linestyle="none", label=label)


def _name_values(axes, knob, cells, score):
    names = [value if study.STUDY[knob][value] else f"{value}*" for value in cells]
    axes.set(
        xticks=range(len(names)),
        xticklabels=names,
        xlim=(-0.5, len(names) - 0.5),
        ylim=(0, 100),
        xlabel=f"{knob} (*: the usual recipe)",
        ylabel=f"{score} (%)",
    )
    axes.legend(fontsize=7, loc="upper right")


def _readout(state, cells, scores):
    sentences = [f"{state['score']} in %"]
    for exam, (label, _) in EXAMS.items():
        pairs = zip(cells, scores[exam])
        words = [f"{value} {score.mean:.1f}" for value, score in pairs]
        sentences.append(f"{label}: {', '.join(words)}")
    sentences.append(f"Whiskers: 95 % over {state['interval']}.")
    return ". ".join(sentences)
