"""Chapter 02: the explorer of what each norm forgets."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from ...teach.plots import make_canvas
from ...teach.widgets import Control, Frame, slider
from .experiments import PixelNorms, root_mean_square

# Middle and scale of the values of each norm, so that every histogram covers -3 to 3.
SPANS = {"pixels": (0.5, 6), "BN": (0, 1), "IN": (0, 1)}
EDGES = torch.linspace(-3, 3, 37)


def normalisation_explorer(
    size: tuple[int, int], seed: int = 0, people: int = 6
) -> tuple[Callable, dict[str, Control]]:
    """Push a camera's gain, warmth and contrast: histograms before and after BN and IN, and the
    distance between two pictures of one person, beside a stranger's.

    Args:
        size: (height, width) of the pictures.
        seed: of the people.
        people: among whom to choose.
    Returns:
        (draw, controls) for `teach.explore`.
    """
    norms = PixelNorms(size, seed)

    def draw(state, artists=None):
        artists = {} if artists is None else artists
        if "figure" not in artists:
            artists |= _make_panels(size)
        person = state["person"]
        if artists.get("person") != person:
            # What no slider but this one changes.
            people_shown = [person, (person + 1) % people]
            pictures = norms.draw(people_shown, [0, 1], [norms.camera] * 2)
            artists |= {"person": person, "first and stranger": pictures.split(1)}
        first, stranger = artists["first and stranger"]
        second = norms.draw([person], [1], [_push(norms.camera, state)])
        pictures = torch.cat([first, second, stranger])  # (3, 3, H, W)
        for image, picture in zip(artists["images"], pictures):  # of the first and the second
            image.set_data(picture.permute(1, 2, 0).numpy())
        sentences = []
        for name, normed in norms(pictures).items():
            same_person = root_mean_square(normed[0], normed[1])
            to_stranger = root_mean_square(normed[0], normed[2])
            closer = "own" if same_person < to_stranger else "STRANGER"
            title = f"{name}: own {same_person:.2f}\nstranger {to_stranger:.2f}"
            _fill_panel(artists[name], name, normed, title)
            sentences.append(
                f"{name}: second picture {same_person:.2f} away, stranger {to_stranger:.2f}, "
                f"{closer} closer"
            )
        return Frame(_paint(artists), "; ".join(sentences) + ".")

    controls = {
        "person": slider(0, people - 1, 1, 0, "person"),
        "gain": slider(-1.0, 1.0, 0.1, 0.0, "gain (powers of two)"),
        "warmth": slider(-1.0, 1.0, 0.1, 0.0, "white balance (cold to warm)"),
        "contrast": slider(0.4, 1.6, 0.1, 1.0, "contrast (factor)"),
    }
    return draw, controls


def _push(camera, state):
    """The camera with gain, white balance and contrast as the sliders say."""
    warmth = 2 ** (0.8 * state["warmth"])
    tint = torch.tensor([[warmth, 1.0, 1 / warmth]])  # (1, 3) of red, green, blue
    return replace(
        camera,
        gain=camera.gain * 2 ** state["gain"],
        contrast=camera.contrast * state["contrast"],
        white_balance=camera.white_balance * tint,
    )


def _fill_panel(panel, name, normed, title):
    """Histograms of the first two pictures, (3, H, W) each, and the title above them.

    Args:
        panel: the two lines and the title.
        name: of the norm.
        normed: (3, 3, H, W) the first picture, the second and the stranger's.
        title: what to write.
    """
    middle, scale = SPANS[name]
    *lines, heading = panel
    for line, values in zip(lines, normed):
        grey = ((values.mean(0) - middle) * scale).clamp(-3, 3).flatten()  # (3, H, W) -> (H * W,)
        counts, _ = torch.histogram(grey, EDGES)
        line.set_ydata(counts / len(grey))
    heading.set_text(title)


def _paint(artists):
    """What changes, over what never does: the picture, (H, W, 3) uint8."""
    canvas = artists["figure"].canvas
    canvas.restore_region(artists["background"])
    changing = list(artists["images"])
    for name in SPANS:
        changing += artists[name]
    for artist in changing:
        artist.axes.draw_artist(artist)
    return np.array(canvas.buffer_rgba())[..., :3]


def _make_panels(size):
    """Two pictures and a histogram for each norm; what never changes is painted once.

    Returns:
        "figure"; "images", of the first and the second picture; for each norm its two lines and its
        title; "background".
    """
    figure = make_canvas((7.8, 3.1), layout="none")
    first = _make_image(figure, 0.01, "first picture", size)
    second = _make_image(figure, 0.125, "second, pushed", size)
    artists = {"figure": figure, "images": [first, second]}
    for index, name in enumerate(SPANS):
        artists[name] = _make_panel(figure, index, name)
    figure.canvas.draw()
    artists["background"] = figure.canvas.copy_from_bbox(figure.bbox)
    return artists


def _make_image(figure, left, title, size):
    """An empty picture whose left edge is at this part of the figure's width."""
    ax = figure.add_axes([left, 0.16, 0.11, 0.68], xticks=[], yticks=[])
    ax.set_title(title, fontsize=7.5)
    return ax.imshow(torch.zeros(*size, 3).numpy(), animated=True)


def _make_panel(figure, index, name):
    """Two empty histograms and a title above them -> [line, line, text]."""
    ax = figure.add_axes([0.33 + 0.225 * index, 0.17, 0.2, 0.62], ylim=(0, 0.3))
    ax.set_xlabel("deviations" if index else "brightness")
    ax.set_ylabel("" if index else "share of pixels")
    ax.tick_params(labelsize=7, labelleft=not index)
    middle, scale = SPANS[name]
    centres = (EDGES[1:] + EDGES[:-1]) / 2 / scale + middle  # in the norm's own values
    common = {"marker": "none", "animated": True}
    (first,) = ax.plot(centres, 0 * centres, linestyle="-", color="C0", label="first", **common)
    (second,) = ax.plot(centres, 0 * centres, linestyle="--", color="C1", label="second", **common)
    title = ax.text(0, 1.03, "", transform=ax.transAxes, fontsize=9, animated=True)
    ax.legend(fontsize=7)
    return [first, second, title]
