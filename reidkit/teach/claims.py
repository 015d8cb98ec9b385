"""Sentences that a notebook measures before it says them, and a paper's numbers beside ours."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .display import emit, number, table
from .messages import say
from .recorded import Recorded, plain, spread

if TYPE_CHECKING:
    import torch

SIGNS = {"held": "✓", "not held": "✗", "not tested here": "–"}
BORDERS = {"held": "solid", "not held": "double", "not tested here": "dotted"}
AGREEMENT = {None: "paper unclear", True: "paper yes", False: "paper no"}


def claim(
    sentence: str,
    measured: float | torch.Tensor | None = None,
    holds: Callable[[float], bool] | None = None,
    unit: str = "",
    run: Any = None,
    recorded: Recorded | None = None,
    at: tuple[Sequence[str], Sequence[str]] = (("laptop",), ("world",)),
) -> None:
    """State a sentence with what was measured: "held", "not held" or "not tested here".

    Whatever was measured, it does not raise, and a number that is not finite is "not held".

    Args:
        sentence: what is claimed.
        measured: a number from this run; None judges the mean of `recorded` instead, which no
            preset changes.
        holds: number -> bool.
        unit: of the number.
        run: the Run of teach.start, or None; at another preset or data source than `at` says, a
            measured claim is shown, not judged.
        recorded: teach.recorded("table", "column"): the same number over recorded seeds.
        at: (presets, data sources) at which a measured claim is judged.
    Raises:
        ValueError: there is neither a measured nor a recorded number.
    """
    if measured is None and recorded is None:
        raise ValueError(say("claim nothing", sentence=sentence))
    past = None if recorded is None else recorded.estimate()
    judged = past.mean if measured is None else measured
    if hasattr(judged, "item"):
        judged = judged.item()
    value = plain(judged, "measured")  # for the record: a word where it is not finite
    presets, sources = at
    here = run is None or (run.preset.name in presets and run.source in sources)
    if measured is not None and not here:
        state = "not tested here"
    elif value == judged and bool(holds(judged)):
        state = "held"
    else:
        state = "not held"
    lines = [say("claim", sign=SIGNS[state], sentence=sentence, state=state)]
    if measured is not None:
        lines.append(say("claim measured", value=number(value), unit=unit).rstrip())
    if state == "not tested here":
        lines.append(say("claim bound", presets=" or ".join(presets), data=" or ".join(sources)))
    if past:
        lines.append(_about_the_past(past, unit, recorded))
    content = {
        "sentence": sentence,
        "state": state,
        "measured": None if measured is None else value,
        "unit": unit,
        "recorded": past and _as_json(past),
    }
    emit("\n   ".join(lines), _framed(lines, state), claim=content)


def _about_the_past(past, unit, recorded):
    source = recorded.provenance()
    return say("claim recorded", spread=spread(past), unit=unit, n=past.count, source=source)


def _as_json(past):
    return {"mean": past.mean, "low": past.low, "high": past.high, "n": past.count}


def _framed(lines, state):
    """The lines in HTML, the first one strong, with the state's border on the left."""
    rest = "".join(f"<br>{html.escape(line)}" for line in lines[1:])
    style = f"border-left: 4px {BORDERS[state]}; padding: 0.2em 0.8em"
    return f'<div style="{style}"><strong>{html.escape(lines[0])}</strong>{rest}</div>'


def compare_with_paper(
    rows: Iterable[Sequence], title: str = "", tolerance: float | None = None
) -> None:
    """Show a paper's numbers beside ours: what, paper, source, ours, agree? and a remark.

    A number that disagrees is shown and never fails.

    Args:
        rows: (what, paper's value, source, ours[, agree[, remark]]). agree is True, False, None
            (cannot be compared) or a function (paper, ours) -> bool; left out, two numbers agree
            within `tolerance`.
        title: of the table.
        tolerance: how far apart two numbers may be; without one they cannot be compared.
    """
    lines = []
    for what, paper, source, ours, *rest in rows:
        agree = rest[0] if rest else _within(paper, ours, tolerance)
        if callable(agree):
            agree = agree(paper, ours)
        remark = rest[1] if len(rest) > 1 else ""
        lines.append([what, number(paper), source, number(ours), say(AGREEMENT[agree]), remark])
    emit(*table(say("paper headers").split("|"), lines, title))


def _within(paper, ours, tolerance):
    are_numbers = all(isinstance(value, (int, float)) for value in (paper, ours))
    if tolerance is None or not are_numbers:
        return None
    return abs(paper - ours) <= tolerance
