"""Widgets: controls, the static form of the builder, the live one with its readout."""

import base64
import re
import time

import numpy as np
import pytest

pytest.importorskip("IPython")
from reidkit import teach  # noqa: E402
from reidkit.teach import widgets  # noqa: E402

ALT = "A picture of something that a test can describe"
CONTROLS = {
    "n": teach.slider(0, 10, 2, 4, "n"),
    "x": teach.slider(0.0, 1.0, 0.1, 0.5, "x"),
    "kind": teach.choice(["a", "b", "c"], "a", "kind"),
    "on": teach.switch(True, "on"),
}


def draw(state, artists=None):
    return teach.Frame(np.full((8, 8, 3), 10 * state["n"], np.uint8), f"n is {state['n']}")


FILM = [{}, {"n": 10}, {"x": 1.0, "kind": "b"}]


@pytest.fixture
def shown(monkeypatch):
    """Every output that a notebook would get, as (bundle, metadata)."""
    import IPython
    import IPython.display

    outputs = []
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(
        IPython.display,
        "display",
        lambda data, raw=False, metadata=None: outputs.append((data, metadata)),
    )
    return outputs


def test_states_hold_the_ends_and_middle_of_each_control():
    states = list(teach.states(CONTROLS))
    assert states[0] == {"n": 4, "x": 0.5, "kind": "a", "on": True}
    assert [state["n"] for state in states[1:4]] == [0, 4, 10]
    assert {state["kind"] for state in states} == {"a", "b", "c"}
    assert {state["on"] for state in states} == {True, False}
    assert {0.0, 1.0} <= {state["x"] for state in states}


@pytest.mark.parametrize(
    "make",
    [
        lambda: teach.slider(0, 10, 1, 11, "n"),
        lambda: teach.slider(5, 5, 1, 5, "n"),
        lambda: teach.slider(0, 1, 0, 1, "n"),
        lambda: teach.slider("0", 1, 1, 1, "n"),
        lambda: teach.choice(["a"], "b", "n"),
    ],
)
def test_controls_that_make_no_sense_are_refused(make):
    with pytest.raises(ValueError, match="'n'"):
        make()


def test_static_explore_shows_picture_readout_and_filmstrip(shown, monkeypatch):
    monkeypatch.setenv("REIDKIT_STATIC", "1")
    assert teach.explore(draw, CONTROLS, FILM, alt=ALT, name="demo") is None
    (picture, metadata), (rest, _) = shown
    assert metadata["image/png"]["alt"] == ALT and picture["image/png"].startswith(b"\x89PNG")
    assert "n is 4" in rest["text/plain"] and "n is 4" in rest["text/html"]
    image = r'<details>.*<img src="data:image/png;base64,([^"]+)" alt="([^"]+)">'
    data, words = re.search(image, rest["text/html"]).groups()
    assert len(base64.b64decode(data)) <= 40_000
    assert "n is 10" in words and ALT in words


def test_static_explore_finds_a_position_that_raises(shown, monkeypatch):
    def breaks(state, artists=None):
        return draw(state) if state["kind"] != "c" else 1 / 0

    monkeypatch.setenv("REIDKIT_STATIC", "1")
    with pytest.raises(ZeroDivisionError):
        teach.explore(breaks, CONTROLS, FILM, alt=ALT)
    with pytest.raises(ZeroDivisionError):  # and a broken first frame, live or not
        monkeypatch.delenv("REIDKIT_STATIC")
        teach.explore(lambda state: 1 / 0, CONTROLS, FILM, alt=ALT)


@pytest.mark.parametrize(
    "film, words", [([{}, {}], "3 to 5"), ([{}] * 6, "3 to 5"), ([{}, {}, {"m": 1}], "'m'")]
)
def test_explore_refuses_a_wrong_filmstrip(film, words):
    with pytest.raises(ValueError, match=words):
        teach.explore(draw, CONTROLS, film, alt=ALT)


def test_frames_of_a_film_have_one_size(monkeypatch):
    """A montage of others is impossible; the message says which state is off."""
    monkeypatch.setenv("REIDKIT_STATIC", "1")

    def grows(state):
        return teach.Frame(np.full((40 + 10 * state["n"], 40, 3), 9, np.uint8), "text")

    controls = {"n": teach.slider(0, 3, 1, 0, "n")}
    with pytest.raises(ValueError, match=r"state \{'n': 2\} is drawn \(60, 40\) .* one size"):
        teach.explore(grows, controls, [{}, {"n": 2}, {"n": 3}], alt=ALT)


@pytest.fixture
def live(shown, monkeypatch):
    """The box of a live explore and what stands below it, each as (output, metadata)."""
    pytest.importorskip("ipywidgets")
    monkeypatch.delenv("REIDKIT_STATIC", raising=False)
    return shown


def parts(live):
    box, _ = live[0]
    controls, readout, image = box.children
    return controls.children, readout, image


def test_live_explore_redraws_and_reads_out(live):
    teach.explore(draw, CONTROLS, FILM, alt=ALT)
    (n, x, kind, on), readout, image = parts(live)
    # The first frame is there once, the still folded.
    assert not any("image/png" in str(output)[:20] for output, _ in live)
    assert "<details>" in live[1][0]["text/html"]
    first_picture = image.value
    n.value = 8
    assert image.value != first_picture
    for words in ("n is 8", 'role="status"', ALT):
        assert words in readout.value
    assert type(n).__name__ == "IntSlider" and n.continuous_update
    assert type(x).__name__ == "FloatSlider"


def test_live_explore_is_readable_where_no_widget_shows(live):
    teach.explore(draw, CONTROLS, FILM, alt=ALT, name="demo")
    (box, _), (beside, _) = live
    assert box._repr_mimebundle_()["text/plain"].endswith(f"{ALT})")
    assert any("widget-view" in name for name in box._repr_mimebundle_())
    plain = beside["text/plain"]
    assert "VBox" not in plain
    for words in (f"[demo] {ALT}", "n = 4", "n is 4", "n is 10", "to move: n, x, kind, on"):
        assert words in plain
    assert "n is 4" in re.sub("<img[^>]*>", "", beside["text/html"])


def test_words_of_a_drawing_are_escaped(live):
    def risky(state):
        return teach.Frame(draw(state)[0], "<img src=x onerror=alert(1)>")

    teach.explore(risky, CONTROLS, FILM, alt=ALT + ' "><script>')
    _, readout, _ = parts(live)
    for markup in (live[1][0]["text/html"], readout.value):
        assert "<script>" not in markup and "<img src=x" not in markup


def test_live_explore_waits_with_a_slow_drawing_and_reuses_artists(live):
    artists_given = []

    def slow(state, artists):
        artists_given.append(artists)
        time.sleep(0.11)
        return draw(state)

    teach.explore(slow, CONTROLS, FILM, alt=ALT)
    (n, *_), _, _ = parts(live)
    assert not n.continuous_update
    assert all(artists is artists_given[0] for artists in artists_given)


def test_live_explore_reports_an_error_and_raises_it(live):
    def breaks(state):
        return draw(state) if state["n"] < 6 else 1 / 0

    teach.explore(breaks, CONTROLS, [{}, {"n": 0}, {"n": 2}], alt=ALT)
    (n, *_), readout, image = parts(live)
    with pytest.raises(ZeroDivisionError):
        n.value = 10
    assert "ZeroDivisionError" in readout.value and "n = 10" in readout.value


def test_next_example_is_a_seeded_row(live, monkeypatch):
    monkeypatch.setenv("REIDKIT_LECTURE_SEED", "5")
    rows = []
    for _ in range(2):
        live.clear()
        teach.explore(draw, CONTROLS, FILM, alt=ALT)
        (n, x, kind, on, button), readout, _ = parts(live)
        row = []
        for _ in range(5):
            button.click()
            row.append((n.value, round(x.value, 5), kind.value, on.value))
            assert f"n is {n.value}" in readout.value
        rows.append(row)
    assert rows[0] == rows[1] and len(set(rows[0])) == 5
    assert all(n % 2 == 0 and 0 <= n <= 10 for n, *_ in rows[0])


def test_drawing_with_a_figure_kept_in_artists():
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def plot(state, artists):
        if "line" not in artists:
            artists["figure"] = Figure(figsize=(2, 1), dpi=50)
            FigureCanvasAgg(artists["figure"])
            (artists["line"],) = artists["figure"].add_subplot().plot([0, 1], [0, 10])
        artists["line"].set_ydata([0, state["n"]])
        return teach.Frame(artists["figure"], "")

    drawing = widgets._Drawing(plot)
    first, _ = drawing({"n": 1})
    second, _ = drawing({"n": 9})
    assert first.shape == (50, 100, 3) and (first != second).any()
