"""What a notebook shows: the set-up cell, pictures, widgets, source.

Claims and tables: test_teach_show_claims.py.
"""

import base64
import io
import re
import sys
import time
import types

import numpy as np
import pytest
import torch
from PIL import Image

pytest.importorskip("matplotlib").use("Agg")
pytest.importorskip("IPython")
from matplotlib import pyplot  # noqa: E402

pyplot.switch_backend("Agg")  # before a test pretends to be a notebook

from reidkit import files, teach  # noqa: E402
from reidkit.teach import figures, widgets  # noqa: E402
from reidkit.teach.show_source import show_source  # noqa: E402
from reidkit.teach.start import Run, check_parameter, start  # noqa: E402

ALT = "A picture of something that a test can describe"


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


@pytest.fixture
def presets(monkeypatch):
    fake = types.ModuleType("reidkit.recipes")
    fake.PRESETS = {
        name: types.SimpleNamespace(name=name, minutes=1.5) for name in ("smoke", "laptop", "gpu")
    }
    monkeypatch.setitem(sys.modules, "reidkit.recipes", fake)
    monkeypatch.setattr(sys.modules["reidkit"], "recipes", fake, raising=False)


def people(count, height=64, width=32):
    return (
        torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(0)) * 255
    ).to(torch.uint8)


# ---- the set-up cell


def test_start_returns_the_run_and_fixes_seed_and_threads(presets, capsys):
    threads = torch.get_num_threads()
    try:
        run = start("01", PRESET="smoke", SEED=3, DATA="world", DEVICE="cpu", THREADS=1)
        first = torch.rand(1)
        start("01", PRESET="smoke", SEED=3, DEVICE="cpu", THREADS=1)
    finally:
        torch.set_num_threads(threads)
    assert isinstance(run, Run)
    assert (run.preset.name, run.seed, run.source) == ("smoke", 3, "world")
    assert (run.device, run.threads) == ("cpu", 1)
    assert torch.equal(first, torch.rand(1))
    said = capsys.readouterr().out
    assert "torch" in said and "cpu" in said and "1.5 minutes" in said


@pytest.mark.parametrize(
    "given, kind, words",
    [
        (
            {"PRESET": "lapptop"},
            ValueError,
            ["'lapptop'", "smoke, laptop, gpu", "Did you mean 'laptop'"],
        ),
        ({"PRESET": 1}, TypeError, ["PRESET", "str", "int"]),
        ({"SEED": "1"}, TypeError, ["SEED", "int"]),
        ({"SEED": True}, TypeError, ["bool"]),
        ({"SEED": -1}, ValueError, ["SEED"]),
        ({"THREADS": 2.0}, TypeError, ["THREADS", "float"]),
        ({"THREADS": 9999}, ValueError, ["1024"]),
        ({"DATA": "word"}, ValueError, ["'word'", "market1501:PATH", "'world'"]),
        ({"DATA": "world:x"}, ValueError, ["world"]),
        ({"DATA": "market1501"}, ValueError, ["market1501:PATH"]),
        ({"DATA": "market1501:/nowhere/at/all"}, ValueError, ["no folder"]),
        ({"DATA": "pku-reid:"}, ValueError, ["no folder"]),
        ({"DEVICE": "cudda"}, ValueError, ["cudda", "'cpu'"]),
    ],
)
def test_start_refuses_before_anything_happens(presets, given, kind, words, capsys):
    with pytest.raises(kind) as error:
        start("01", **given)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert capsys.readouterr().out == ""


def test_data_folder_becomes_a_full_path(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_HOME", str(tmp_path))
    folder = tmp_path / "data" / "market"
    folder.mkdir(parents=True)
    checked = check_parameter("DATA", "market1501:data/market")
    assert checked == f"market1501:{folder.resolve()}"


# ---- pictures


def test_show_gives_one_small_opaque_png_with_alt_and_closes_the_figure(shown):
    figure, axes = pyplot.subplots()
    axes.imshow(np.random.default_rng(0).random((300, 300, 3)))
    teach.show(figure, alt=ALT, caption="What you see: noise.", name="noise", width=400)
    (picture, metadata), (caption, _) = shown
    assert len(picture["image/png"]) <= figures.LIMIT
    assert metadata == {"image/png": {"alt": ALT, "width": 400}} and ALT in picture["text/plain"]
    assert Image.open(io.BytesIO(picture["image/png"])).convert("RGBA").getextrema()[3] == (
        255,
        255,
    )
    assert "What you see: noise." in caption["text/markdown"]
    assert not pyplot.get_fignums()


def test_same_figure_gives_the_same_bytes(shown):
    for _ in range(2):
        figure, axes = pyplot.subplots()
        axes.plot([1, 2, 3], label="a")
        axes.legend()
        teach.show(figure, alt=ALT, caption="caption")
    assert shown[0][0]["image/png"] == shown[2][0]["image/png"]


def test_small_arrays_are_enlarged_by_a_whole_factor_with_hard_edges(shown):
    teach.show(people(1)[0], alt=ALT, caption="caption")
    shown_array = np.asarray(Image.open(io.BytesIO(shown[0][0]["image/png"])).convert("RGB"))
    assert shown_array.shape == (256, 128, 3)
    assert (shown_array[:4, :4] == shown_array[0, 0]).all()


@pytest.mark.parametrize("alt", ["", None, "too short"])
def test_alt_text_is_required(alt):
    with pytest.raises(ValueError, match="20 characters"):
        teach.show(people(1)[0], alt=alt, caption="caption")


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((2, 2, 4), np.uint8),
        np.zeros(3),
        np.full((4, 4), 2.0),
        np.zeros((4, 4), np.int64),
        np.zeros((0, 4, 3), np.uint8),
        np.full((4, 4, 3), np.nan),
    ],
)
def test_pictures_that_cannot_be_shown_say_why(picture):
    with pytest.raises(ValueError, match="cannot be shown"):
        figures.pixels(picture)


def test_pixels_reads_every_layout():
    image = people(1)[0]
    expected = image.permute(1, 2, 0).numpy()
    assert (figures.pixels(image) == expected).all() and (
        figures.pixels(expected) == expected
    ).all()
    assert (figures.pixels(image.float() / 255) == expected).all()
    assert (
        figures.pixels(image[0]).shape == (64, 32, 3) and figures.pixels(image[0] > 9).max() == 255
    )


def test_png_keeps_the_limit_and_every_colour_where_it_fits():
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
    assert len(figures.png(noise)) <= figures.LIMIT
    flat = np.zeros((600, 800, 3), np.uint8)
    flat[:, :256, 0] = np.arange(256)
    assert (np.asarray(Image.open(io.BytesIO(figures.png(flat))).convert("RGB")) == flat).all()


def test_strip_marks_right_and_wrong_by_form_not_by_colour_alone():
    blank = torch.full((2, 3, 64, 32), 200, dtype=torch.uint8)
    page = teach.strip(blank[0], blank, [True, False], ["a", "b"]).astype(int)
    wide = 12 + 64
    frames = [
        page[4:7, 12 + wide * place - 4 : wide * (place + 1) + 3] for place in (1, 2)
    ]  # upper edges of the two frames
    right, wrong = [
        (abs(frame - 255).sum((0, 2)) == 0).mean() for frame in frames
    ]  # share of white columns
    assert right == 0 and 0.2 < wrong < 0.7
    grey = page.mean(2)
    sign = [grey[100:140, wide * place + 40 : wide * (place + 1) + 3] for place in (1, 2)]
    assert abs(sign[0] - sign[1]).max() > 80  # tick and cross differ without colour


def test_strip_and_grid_shapes_and_errors():
    images = people(5)
    page = teach.grid(
        images, columns=2, labels=[f"long label number {i} of many words" for i in range(5)]
    )
    assert page.dtype == np.uint8 and page.shape[2] == 3 and page.shape[0] > 3 * 128
    assert teach.strip(images[:1], images[1:], [1, 0, 1, 0]).shape[0] < 200
    for wrong in (
        lambda: teach.strip(images[0], images, [True]),
        lambda: teach.grid(images, labels=["one"]),
    ):
        with pytest.raises(ValueError, match="belong together"):
            wrong()
    for wrong in (images.float(), images[0], images[:0]):
        with pytest.raises(ValueError, match="uint8"):
            teach.grid(wrong)


# ---- widgets

CONTROLS = {
    "n": teach.slider(0, 10, 2, 4, "n"),
    "x": teach.slider(0.0, 1.0, 0.1, 0.5, "x"),
    "kind": teach.choice(["a", "b", "c"], "a", "kind"),
    "on": teach.switch(True, "on"),
}


def draw(state, artists=None):
    return teach.Frame(np.full((8, 8, 3), 10 * state["n"], np.uint8), f"n is {state['n']}")


FILM = [{}, {"n": 10}, {"x": 1.0, "kind": "b"}]


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


@pytest.fixture
def live(monkeypatch):
    """The box of a live explore and what stands below it."""
    pytest.importorskip("ipywidgets")
    import IPython
    import IPython.display

    outputs = []
    monkeypatch.delenv("REIDKIT_STATIC", raising=False)
    monkeypatch.setattr(IPython, "get_ipython", lambda: object())
    monkeypatch.setattr(IPython.display, "display", lambda data, **_: outputs.append(data))
    return outputs


def parts(box):
    controls, readout, image = box.children
    return controls.children, readout, image


def test_live_explore_redraws_and_reads_out(live):
    teach.explore(draw, CONTROLS, FILM, alt=ALT)
    (n, x, kind, on), readout, image = parts(live[0])
    # The first frame is there once, the still folded.
    assert not any("image/png" in str(output)[:20] for output in live)
    assert "<details>" in live[1]["text/html"]
    first_picture = image.value
    n.value = 8
    assert image.value != first_picture
    for words in ("n is 8", 'role="status"', ALT):
        assert words in readout.value
    assert type(n).__name__ == "IntSlider" and n.continuous_update
    assert type(x).__name__ == "FloatSlider"


def test_live_explore_waits_with_a_slow_drawing_and_reuses_artists(live):
    artists_given = []

    def slow(state, artists):
        artists_given.append(artists)
        time.sleep(0.11)
        return draw(state)

    teach.explore(slow, CONTROLS, FILM, alt=ALT)
    (n, *_), _, _ = parts(live[0])
    assert not n.continuous_update
    assert all(artists is artists_given[0] for artists in artists_given)


def test_live_explore_reports_an_error_and_raises_it(live):
    def breaks(state):
        return draw(state) if state["n"] < 6 else 1 / 0

    teach.explore(breaks, CONTROLS, [{}, {"n": 0}, {"n": 2}], alt=ALT)
    (n, *_), readout, image = parts(live[0])
    with pytest.raises(ZeroDivisionError):
        n.value = 10
    assert "ZeroDivisionError" in readout.value and "n = 10" in readout.value


def test_next_example_is_a_seeded_row(live, monkeypatch):
    monkeypatch.setenv("REIDKIT_LECTURE_SEED", "5")
    rows = []
    for _ in range(2):
        live.clear()
        teach.explore(draw, CONTROLS, FILM, alt=ALT)
        (n, x, kind, on, button), readout, _ = parts(live[0])
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


# ---- source


def test_show_source_folds_long_listings_and_names_no_machine_path(shown):
    show_source(files.results_dir)
    show_source(figures.grid)
    (short, _), (long, _) = shown
    assert "<details>" not in short["text/html"] and "<details>" in long["text/html"]
    assert short["text/plain"].splitlines()[1] == "def results_dir():"
    assert re.match(r"# reidkit/files\.py, lines \d+-\d+", short["text/plain"])
    assert "<span style=" in short["text/html"]
    assert not any(str(files.project_root()) in str(bundle) for bundle, _ in shown)


def test_show_source_of_another_library_and_of_a_test(shown):
    show_source(torch.nn.functional.relu)
    show_source(draw)
    (of_torch, _), (of_test, _) = shown
    assert of_torch["text/plain"].startswith("# torch/nn/functional.py")
    assert "/" not in of_test["text/plain"].splitlines()[0]
