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

    Whatever number was measured, it does not raise, and one that is not finite is "not held".

    Args:
        sentence: what is claimed.
        measured: a number from this run; None judges the mean of `recorded` instead, which no
            preset changes.
        holds: number -> bool; every claim has one.
        unit: of the number.
        run: the Run of teach.start, or None; at another preset or data source than `at` says, a
            measured claim is shown, not judged.
        recorded: teach.recorded("table", "column"): the same number over recorded seeds.
        at: (presets, data sources) at which a measured claim is judged.
    Raises:
        ValueError: there is neither a measured nor a recorded number, or holds fails.
        TypeError: something else than a number was measured, or holds is no such function.
    """
    if measured is None and recorded is None:
        raise ValueError(say("claim nothing", sentence=sentence))
    if not callable(holds):
        raise TypeError(say("claim holds", sentence=sentence, holds=holds))
    if recorded is not None and not isinstance(recorded, Recorded):
        raise TypeError(say("claim table", sentence=sentence, value=recorded))
    value = None if measured is None else _number(sentence, measured)  # a word if it is not finite
    past = None if recorded is None else recorded.estimate()
    judged = past.mean if measured is None else value
    presets, sources = at
    here = run is None or (run.preset.name in presets and run.source in sources)
    if measured is not None and not here:
        state = "not tested here"
    elif not isinstance(judged, str) and _holds(sentence, holds, judged):
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
        "measured": value,
        "unit": unit,
        "recorded": past and _as_json(past),
    }
    emit("\n   ".join(lines), _framed(lines, state), claim=content)


def _number(sentence, measured):
    """What was measured as a plain number; "nan" or "inf" where it is not finite."""
    value = plain(measured, "claim(measured=...)")
    if isinstance(measured, str):
        raise TypeError(say("claim number", sentence=sentence, value=measured))
    return value


def _holds(sentence, holds, value):
    """What holds says of a number, as a bool; an error in our words where it says nothing."""
    try:
        answer = holds(value)
    except Exception as error:  # whatever it is, it is the function's
        kind = type(error).__name__
        about = {"sentence": sentence, "value": value, "kind": kind, "error": error}
        raise ValueError(say("claim failed", **about)) from error
    answer = answer.item() if getattr(answer, "shape", None) == () else answer  # of torch, numpy
    if not isinstance(answer, bool):
        raise TypeError(say("claim answer", sentence=sentence, value=value, answer=answer))
    return answer


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
    Raises:
        ValueError: a row has another form.
    """
    lines = []
    for row in rows:
        if isinstance(row, str) or not hasattr(row, "__len__") or not 4 <= len(row) <= 6:
            raise ValueError(say("paper row", row=row))
        what, paper, source, ours, *rest = row
        agree = rest[0] if rest else _within(paper, ours, tolerance)
        if callable(agree):
            agree = agree(paper, ours)
        agree = agree.item() if getattr(agree, "shape", None) == () else agree  # of torch, numpy
        if agree is not None and not isinstance(agree, bool):
            raise ValueError(say("paper agree", what=what, agree=agree))
        remark = rest[1] if len(rest) > 1 else ""
        lines.append([what, number(paper), source, number(ours), say(AGREEMENT[agree]), remark])
    emit(*table(say("paper headers").split("|"), lines, title))


def _within(paper, ours, tolerance):
    are_numbers = all(isinstance(value, (int, float)) for value in (paper, ours))
    if tolerance is None or not are_numbers:
        return None
    return abs(paper - ours) <= tolerance
