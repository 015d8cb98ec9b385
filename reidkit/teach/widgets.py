"""Pictures with controls: a thin shell around `draw(state, artists)`.

The first frame is there without a kernel.
"""

from __future__ import annotations

import base64
import html
import inspect
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from .display import emit, in_words, number
from .figures import grid, pixels, png, words_of
from .messages import say

QUICK = 0.1  # seconds; a slower drawing waits until the slider rests
FILM_WIDTH, FILM_HEIGHT = 300, 200  # pixels that a frame of the filmstrip has at most
STRIP_WIDTH = 930  # pixels of the page, which the frames of one row share
STRIP_LIMIT = 40_000  # bytes
HIDDEN = "position: absolute; clip-path: inset(50%)"  # seen by screen readers alone


class Frame(NamedTuple):
    """What a drawing gives for one state."""

    picture: object  # uint8 (H, W, 3), or a matplotlib figure kept in `artists`
    text: str  # the readout: what the picture says, in words and numbers


# ---- controls


@dataclass(frozen=True)
class Control:
    """One thing to move: a slider, a choice or a switch."""

    kind: str  # "slider", "choice" or "switch"
    label: str
    value: object  # at the beginning
    values: tuple  # the states that tests draw: least, middle and greatest, or every option
    step: float = 0  # of a slider; an int makes it a slider of whole numbers

    @property
    def min(self) -> Any:
        return self.values[0]

    @property
    def middle(self) -> Any:
        return self.values[len(self.values) // 2]

    @property
    def max(self) -> Any:
        return self.values[-1]

    def random(self, chance: random.Random) -> object:
        """A state drawn by `chance`."""
        if self.kind != "slider":
            return chance.choice(self.values)
        steps = round((self.max - self.min) / self.step)
        value = self.min + chance.randrange(steps + 1) * self.step
        return value if isinstance(self.step, int) else round(value, 10)

    def live(self, quick: bool) -> object:
        """The ipywidgets control.

        A choice is a slider over words: JupyterLab takes arrow keys and letters away from a
        drop-down list.

        Args:
            quick: draw while a slider moves; a slow drawing waits until it rests.
        """
        import ipywidgets

        if self.kind == "switch":
            return ipywidgets.Checkbox(value=self.value, description=self.label, indent=False)
        common = {
            "value": self.value,
            "description": self.label,
            "continuous_update": quick,
            "style": {"description_width": "initial"},
        }
        if self.kind == "choice":
            return ipywidgets.SelectionSlider(options=self.values, **common)
        kind = ipywidgets.IntSlider if isinstance(self.step, int) else ipywidgets.FloatSlider
        return kind(min=self.min, max=self.max, step=self.step, **common)


def slider(min: float, max: float, step: float, value: float, label: str) -> Control:
    """A number from min to max in steps; four ints make a slider of whole numbers.

    Args:
        min: the least.
        max: the greatest.
        step: between two neighbours, above 0.
        value: at the beginning.
        label: beside the slider.
    Raises:
        ValueError: the four do not belong together.
    """
    kinds = {type(number) for number in (min, max, step, value)}
    are_numbers = kinds <= {int, float}
    if not are_numbers or not (min <= value <= max and min < max and step > 0):
        raise ValueError(
            say("control slider", label=label, min=min, max=max, step=step, value=value)
        )
    kind = int if kinds == {int} else float
    middle = min + round((max - min) / step / 2) * step
    return Control("slider", label, kind(value), (kind(min), kind(middle), kind(max)), kind(step))


def choice(options: Sequence, value: object, label: str) -> Control:
    """One of some options.

    Args:
        options: in the order of the control.
        value: the option at the beginning.
        label: beside the control.
    Raises:
        ValueError: the value at the beginning is none of them.
    """
    if value not in options:
        raise ValueError(say("control choice", label=label, value=value, options=list(options)))
    return Control("choice", label, value, tuple(options))


def switch(value: bool, label: str) -> Control:
    """On or off.

    Args:
        value: at the beginning.
        label: beside the box.
    """
    return Control("switch", label, bool(value), (False, True))


def states(controls: dict[str, Control]) -> Iterator[dict]:
    """The states a test draws: the first, then each control at its least, middle and greatest."""
    first = _first_state(controls)
    yield first
    for name, control in controls.items():
        for value in control.values:
            yield first | {name: value}


def _first_state(controls):
    return {name: control.value for name, control in controls.items()}


def describe(state: dict, controls: dict[str, Control]) -> str:
    """A state in words: "height = 30, dark = off".

    Args:
        state: {name of a control: its value}.
        controls: by name; their labels are the words.
    """
    parts = []
    for name, value in state.items():
        if isinstance(value, bool):
            word = "on" if value else "off"
        else:
            word = number(value)
        parts.append(f"{controls[name].label} = {word}")
    return ", ".join(parts)


# ---- drawings


class _Drawing:
    """A `draw` with its artists and its last duration."""

    def __init__(self, draw):
        self.draw = draw
        self.artists = {}
        self.seconds = 0.0
        self.takes_artists = len(inspect.signature(draw).parameters) > 1

    def __call__(self, state):
        """A state -> (uint8 (H, W, 3), readout)."""
        began = time.perf_counter()
        arguments = [dict(state)]
        if self.takes_artists:
            arguments.append(self.artists)
        frame = self.draw(*arguments)
        picture = pixels(frame[0])
        self.seconds = time.perf_counter() - began
        return picture, str(frame[1])


def _filmstrip(drawing, first, film, controls):
    """A montage of the film's states, small enough to be folded into a page -> (PNG, its words)."""
    frames = []
    labels = []
    for change in film:
        unknown = set(change) - set(controls)
        if unknown:
            raise ValueError(say("film state", unknown=sorted(unknown), known=list(controls)))
        picture, text = drawing(first | change)
        if frames and _shrunk(picture).shape != frames[0].shape:
            raise ValueError(say("film size", state=change, size=picture.shape[:2]))
        frames.append(_shrunk(picture))
        labels.append(f"{describe(change or first, controls)}\n{text}")
    columns = max(1, STRIP_WIDTH // (frames[0].shape[1] + 12))
    stack = np.stack(frames).transpose(0, 3, 1, 2)  # (F, H, W, 3) -> (F, 3, H, W)
    montage = grid(stack, columns, labels, height=1)
    words = "; ".join(label.replace("\n", ": ") for label in labels)
    return png(montage, STRIP_LIMIT), words


def _shrunk(picture):
    """uint8 (H, W, 3) -> the same, as large as a frame of the filmstrip may be."""
    high, wide = picture.shape[:2]
    scale = min(FILM_WIDTH / wide, FILM_HEIGHT / high)
    size = (max(1, round(wide * scale)), max(1, round(high * scale)))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS))


def _folded(summary, picture, alt, words=""):
    """HTML of a picture (PNG) and words below it, seen when the summary is opened."""
    data = base64.b64encode(picture).decode()
    image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt, quote=True)}">'
    below = f"<p>{html.escape(words)}</p>" if words else ""
    return f"<details><summary>{html.escape(summary)}</summary>{image}{below}</details>"


# ---- on the page


def explore(
    draw: Callable,
    controls: dict[str, Control],
    film: Sequence[dict],
    name: str | None = None,
    *,
    alt: str | None = None,
    **values: object,
) -> None:
    """A picture with controls.

    The first frame and the film are drawn at once, so a drawing that raises stops the cell. With
    REIDKIT_STATIC=1 (set by the builder and the rerun tool) or without ipywidgets there is the
    plain picture instead of controls, and every state of `states(controls)` is drawn once, so that
    a position that raises is found without a hand on the slider.

    Args:
        draw: draw(state) or draw(state, artists) -> Frame(picture, text).
        controls: name -> slider(...), choice(...) or switch(...).
        film: 3 to 5 states, dicts of what differs from the first.
        name: what the text output calls the picture, and under which its chapter's room has the
            alt text.
        alt: what the picture shows, for those who cannot see it, at least 20 characters; None: as
            the chapter's room has it.
        values: for the blanks in that text.
    Raises:
        ValueError: the alt text or the film is not like that.
    """
    alt, _ = words_of(name, alt, values=values)
    if not 3 <= len(film) <= 5:
        raise ValueError(say("film length", count=len(film)))
    drawing = _Drawing(draw)
    first = _first_state(controls)
    picture, text = drawing(first)
    still = png(picture)
    strip, words = _filmstrip(drawing, first, film, controls)
    folded = _folded(say("film title", count=len(film)), strip, f"{alt} {words}")
    readout = f"{describe(first, controls)}. {text}"
    hint = say("explore live", names=", ".join(control.label for control in controls.values()))
    if _is_static():
        for state in states(controls):
            drawing(state)
        emit(f"[{name or 'explore'}] {alt}", metadata={"image/png": {"alt": alt}}, png=still)
        markup = f"<p>{html.escape(readout)}</p><p><small>{html.escape(hint)}</small></p>{folded}"
        emit(f"{readout}\n{hint}", markup)
    else:
        from IPython.display import display

        box = _live_box(drawing, controls, picture, readout, alt)
        display(in_words(box, say("explore box", alt=alt)))
        # The same for whoever sees no widgets: what the first frame shows, and the film.
        still_below = _folded(say("still title"), still, alt, readout)
        film_words = say("film plain", states=words)
        plain = f"[{name or 'explore'}] {alt}\n{readout}\n{hint}\n{film_words}"
        emit(plain, folded + still_below)


def _is_static():
    if os.environ.get("REIDKIT_STATIC") == "1":
        return True
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return True
    return False


def _live_box(drawing, controls, picture, readout, alt):
    """Controls, the readout and the picture, which follows the controls -> an ipywidgets box."""
    import ipywidgets

    quick = drawing.seconds <= QUICK  # measured on a drawing whose artists are there already
    image = ipywidgets.Image(
        value=png(picture, None), layout={"max_width": "100%", "object_fit": "contain"}
    )
    line = ipywidgets.HTML()
    live = {name: control.live(quick) for name, control in controls.items()}

    def read_out(words):
        # The line tells a screen reader what the picture shows: an Image takes no alt text.
        hidden = f'<span style="{HIDDEN}">{html.escape(alt)}</span>'
        line.value = f'{hidden}<div role="status" aria-live="polite">{html.escape(words)}</div>'

    def redraw(_=None):
        state = {name: control.value for name, control in live.items()}
        state_in_words = describe(state, controls)
        try:
            picture, words = drawing(state)
        except Exception as error:
            kind = type(error).__name__
            read_out(say("explore error", state=state_in_words, kind=kind, error=error))
            raise  # the kernel's log keeps the full story
        image.value = png(picture, None)
        read_out(f"{state_in_words}. {words}")

    read_out(readout)
    for control in live.values():
        control.observe(redraw, "value")
    row = list(live.values())
    if os.environ.get("REIDKIT_LECTURE_SEED"):
        row.append(_next_button(controls, live, redraw))
    upper = ipywidgets.HBox(row, layout={"flex_flow": "row wrap"})
    return ipywidgets.VBox([upper, line, image]).add_class("reidkit-explore")


def _next_button(controls, live, redraw):
    """In a lecture copy: the next of a seeded row of examples.

    The row is the same in every lecture with that seed.
    """
    import ipywidgets

    chance = random.Random(int(os.environ["REIDKIT_LECTURE_SEED"]))
    button = ipywidgets.Button(description=say("next example"), tooltip=say("next example"))

    def step(_):
        for name, control in live.items():  # one drawing for the whole step, not one per control
            control.unobserve(redraw, "value")
            control.value = controls[name].random(chance)
            control.observe(redraw, "value")
        redraw()

    button.on_click(step)
    return button
