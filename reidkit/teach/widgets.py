"""Pictures with controls: a thin shell around `draw(state, artists)`. The first frame is there without a kernel."""

import base64
import html
import inspect
import os
import random
import time
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from .display import emit, number
from .figures import grid, pixels, png, words_of
from .messages import say


class Frame(NamedTuple):
    picture: object  # uint8 (H, W, 3), or a matplotlib figure kept in `artists`
    text: str  # the readout: what the picture says, in words and numbers


@dataclass(frozen=True)
class Control:
    """One thing to move; `values` are the states that tests draw: least, middle and greatest, or every option."""

    kind: str
    label: str
    value: object
    values: tuple
    step: float = 0

    min = property(lambda self: self.values[0])
    middle = property(lambda self: self.values[len(self.values) // 2])
    max = property(lambda self: self.values[-1])

    def random(self, chance):
        """A state drawn by `chance`, a random.Random."""
        if self.kind != "slider":
            return chance.choice(self.values)
        value = (
            self.min + chance.randrange(round((self.max - self.min) / self.step) + 1) * self.step
        )
        return value if isinstance(self.step, int) else round(value, 10)

    def live(self, quick):
        """The ipywidgets control; a slow drawing waits until the slider rests.

        A choice is a slider over words: JupyterLab takes arrow keys and letters away from a drop-down list.
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


def slider(min, max, step, value, label):
    """A number from min to max in steps; four ints make a slider of whole numbers."""
    kinds = {type(number) for number in (min, max, step, value)}
    if not kinds <= {int, float} or not (min <= value <= max and min < max and step > 0):
        raise ValueError(
            say("control slider", label=label, min=min, max=max, step=step, value=value)
        )
    kind = int if kinds == {int} else float
    middle = min + round((max - min) / step / 2) * step
    return Control("slider", label, kind(value), tuple(map(kind, (min, middle, max))), kind(step))


def choice(options, value, label):
    if value not in options:
        raise ValueError(say("control choice", label=label, value=value, options=list(options)))
    return Control("choice", label, value, tuple(options))


def switch(value, label):
    return Control("switch", label, bool(value), (False, True))


def states(controls):
    """The states a test draws: the first one, then each control at its least, middle and greatest."""
    first = {name: control.value for name, control in controls.items()}
    yield first
    for name, control in controls.items():
        for value in control.values:
            yield first | {name: value}


def describe(state, controls):
    words = {True: "on", False: "off"}
    return ", ".join(
        f"{controls[name].label} = {words[value] if isinstance(value, bool) else number(value)}"
        for name, value in state.items()
    )


class _Drawing:
    """draw with its artists, its last duration, and frames turned into PNG bytes."""

    def __init__(self, draw):
        self.draw, self.artists, self.seconds = draw, {}, 0.0
        self.takes_artists = len(inspect.signature(draw).parameters) > 1

    def __call__(self, state):
        began = time.perf_counter()
        frame = (
            self.draw(dict(state), self.artists) if self.takes_artists else self.draw(dict(state))
        )
        picture, text = pixels(frame[0]), str(frame[1])
        self.seconds = time.perf_counter() - began
        return picture, text


def _filmstrip(drawing, first, film, controls):
    """A montage of the states of the film, small enough to be folded into a page -> (PNG, its description)."""
    frames, labels = [], []
    for change in film:
        unknown = set(change) - set(controls)
        if unknown:
            raise ValueError(say("film state", unknown=sorted(unknown), known=list(controls)))
        picture, text = drawing(first | change)
        scale = min(300 / picture.shape[1], 200 / picture.shape[0])
        size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]  # (W, H)
        frames.append(np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.LANCZOS)))
        labels.append(f"{describe(change or first, controls)}\n{text}")
    columns = max(1, 930 // (frames[0].shape[1] + 12))
    montage = grid(
        np.stack(frames).transpose(0, 3, 1, 2), columns, labels, height=1
    )  # (F, H, W, 3) -> (F, 3, H, W)
    return png(montage, 40_000), "; ".join(label.replace("\n", ": ") for label in labels)


def _folded(summary, picture, alt):
    data = base64.b64encode(picture).decode()
    return (
        f'<details><summary>{html.escape(summary)}</summary><img src="data:image/png;base64,{data}" '
        f'alt="{html.escape(alt, quote=True)}"></details>'
    )


def explore(draw, controls, film, name=None, *, alt=None, **values):
    """A picture with controls, drawn by `draw(state)` or `draw(state, artists)` -> Frame(picture, text).

    controls: dict name -> slider(...), choice(...) or switch(...); film: 3 to 5 states, dicts of what differs from the
    first. Draws the first frame and the film at once, so a drawing that raises stops the cell. REIDKIT_STATIC=1 (set by
    the builder and the rerun tool) or a missing ipywidgets: the plain picture instead of controls, and every state of
    `states(controls)` is drawn once, so that a position that raises is found without a hand on the slider.
    """
    alt, _ = words_of(name, alt, values=values)
    if not 3 <= len(film) <= 5:
        raise ValueError(say("film length", count=len(film)))
    drawing, first = _Drawing(draw), {key: control.value for key, control in controls.items()}
    still, text = drawing(first)
    strip, strip_alt = _filmstrip(drawing, first, film, controls)
    quick = drawing.seconds <= 0.1  # measured on a drawing whose artists are there already
    folded = _folded(say("film title", count=len(film)), strip, f"{alt} {strip_alt}")
    if _static():
        for state in states(controls):
            drawing(state)
        emit(f"[{name or 'explore'}] {alt}", metadata={"image/png": {"alt": alt}}, png=png(still))
        readout = f"{describe(first, controls)}. {text}"
        live = say("explore live", names=", ".join(control.label for control in controls.values()))
        emit(
            f"{readout}\n{live}",
            f"<p>{html.escape(readout)}</p><p><small>{html.escape(live)}</small></p>{folded}",
        )
        return
    _live(drawing, controls, first, still, text, alt, quick)
    emit(say("film plain", states=strip_alt), folded + _folded(say("still title"), png(still), alt))


def _static():
    if os.environ.get("REIDKIT_STATIC") == "1":
        return True
    try:
        import ipywidgets  # noqa: F401
    except ImportError:
        return True
    return False


def _live(drawing, controls, first, still, text, alt, quick):
    import ipywidgets
    from IPython.display import display

    image = ipywidgets.Image(
        value=png(still, None), layout={"max_width": "100%", "object_fit": "contain"}
    )
    readout = (
        ipywidgets.HTML()
    )  # it tells a screen reader what the picture shows: an Image takes no alt text
    hidden = f'<span style="position: absolute; clip-path: inset(50%)">{html.escape(alt)}</span>'
    live = {key: control.live(quick) for key, control in controls.items()}

    def read(words):
        readout.value = f'{hidden}<div role="status" aria-live="polite">{html.escape(words)}</div>'

    def redraw(_=None):
        state = {key: control.value for key, control in live.items()}
        try:
            picture, words = drawing(state)
        except Exception as error:
            read(
                say(
                    "explore error",
                    state=describe(state, controls),
                    kind=type(error).__name__,
                    error=error,
                )
            )
            raise  # the kernel's log keeps the full story
        image.value = png(picture, None)
        read(f"{describe(state, controls)}. {words}")

    read(f"{describe(first, controls)}. {text}")
    for control in live.values():
        control.observe(redraw, "value")
    buttons = (
        [_next_button(controls, live, redraw)] if os.environ.get("REIDKIT_LECTURE_SEED") else []
    )
    row = ipywidgets.HBox([*live.values(), *buttons], layout={"flex_flow": "row wrap"})
    display(ipywidgets.VBox([row, readout, image]).add_class("reidkit-explore"))


def _next_button(controls, live, redraw):
    """In a lecture copy: the next of a seeded row of examples, the same row in every lecture with that seed."""
    import ipywidgets

    chance = random.Random(int(os.environ["REIDKIT_LECTURE_SEED"]))
    button = ipywidgets.Button(description=say("next example"), tooltip=say("next example"))

    def step(_):
        for key, control in live.items():  # one drawing for the whole step, not one a control
            control.unobserve(redraw, "value")
            control.value = controls[key].random(chance)
            control.observe(redraw, "value")
        redraw()

    button.on_click(step)
    return button
