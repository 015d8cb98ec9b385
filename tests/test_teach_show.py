"""What a notebook shows: the set-up cell, pictures, source.

Widgets: test_teach_widgets.py. Claims and tables: test_teach_show_claims.py.
"""

import inspect
import io
import re
import sys
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
from reidkit.teach import figures  # noqa: E402
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
    fake = types.ModuleType("reidkit.recipes.presets")
    fake.PRESETS = {
        name: types.SimpleNamespace(name=name, minutes=1.5) for name in ("smoke", "laptop", "gpu")
    }
    monkeypatch.setitem(sys.modules, "reidkit.recipes.presets", fake)


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


# ---- source


def test_show_source_folds_long_listings_and_names_no_machine_path(shown):
    show_source(files.results_dir)
    show_source(figures.grid)
    (short, _), (long, _) = shown
    assert "<details>" not in short["text/html"] and "<details>" in long["text/html"]
    place, _, code = short["text/plain"].partition("\n")
    assert code == inspect.getsource(files.results_dir).rstrip()
    assert re.fullmatch(r"# reidkit/files\.py, lines \d+-\d+", place)
    assert "<span style=" in short["text/html"]
    assert not any(str(files.project_root()) in str(bundle) for bundle, _ in shown)


def test_show_source_of_another_library_and_of_a_test(shown):
    show_source(torch.nn.functional.relu)
    show_source(people)
    (of_torch, _), (of_test, _) = shown
    assert of_torch["text/plain"].startswith("# torch/nn/functional.py")
    assert "/" not in of_test["text/plain"].splitlines()[0]
