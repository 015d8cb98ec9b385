"""Sentences that a notebook measures before it says them, and a paper's numbers beside ours."""

import html

from .display import emit, number, table
from .messages import say
from .recorded import plain, spread

SIGNS = {"held": "✓", "not held": "✗", "not tested here": "–"}


def claim(
    sentence,
    measured=None,
    holds=None,
    unit="",
    run=None,
    presets=("laptop",),
    data=("world",),
    recorded=None,
):
    """State a sentence with what was measured: "held", "not held" or "not tested here"; whatever was
    measured, it does not raise, and a number that is not finite is "not held".

    measured: a number from this run; None judges the mean of `recorded` instead, which no preset changes.
    holds: number -> bool.
    run: from teach.start; with another preset or data source than the named ones a measured claim is shown, not judged.
    recorded: teach.recorded("table", "column"): the same number over recorded seeds.
    """
    past = None if recorded is None else recorded.summary()
    if measured is None and past is None:
        raise ValueError(say("claim nothing", sentence=sentence))
    judged = (
        past["mean"]
        if measured is None
        else measured.item()
        if hasattr(measured, "item")
        else measured
    )
    value = plain(judged, "measured")  # for the record: a word where it is not finite
    bound = measured is None or run is None or (run.preset.name in presets and run.source in data)
    state = (
        "not tested here"
        if not bound
        else "held"
        if value == judged and bool(holds(judged))
        else "not held"
    )
    lines = [say("claim", sign=SIGNS[state], sentence=sentence, state=state)]
    if measured is not None:
        lines.append(say("claim measured", value=number(value), unit=unit).rstrip())
    if not bound:
        lines.append(say("claim bound", presets=" or ".join(presets), data=" or ".join(data)))
    if past:
        lines.append(
            say(
                "claim recorded",
                spread=spread(past),
                unit=unit,
                n=past["n"],
                source=recorded.provenance(),
            )
        )
    border = {"held": "solid", "not held": "double", "not tested here": "dotted"}[state]
    markup = f"<strong>{html.escape(lines[0])}</strong>" + "".join(
        f"<br>{html.escape(line)}" for line in lines[1:]
    )
    said = {
        "sentence": sentence,
        "state": state,
        "measured": None if measured is None else value,
        "unit": unit,
    }
    emit(
        "\n   ".join(lines),
        f'<div style="border-left: 4px {border}; padding: 0.2em 0.8em">{markup}</div>',
        claim=said | {"recorded": past},
    )


def compare_with_paper(rows, title="", tolerance=None):
    """A paper's numbers beside ours: what, paper, source, ours, agree? and a remark; shown and never failing.

    rows: (what, paper's value, source, ours[, agree[, remark]]). agree is True, False, None (cannot be compared) or a
    function (paper, ours) -> bool; left out, two numbers agree within `tolerance`; without one they cannot be compared.
    """
    lines = []
    for row in rows:
        what, paper, source, ours, *rest = row
        agree = rest[0] if rest else _within(paper, ours, tolerance)
        agree = agree(paper, ours) if callable(agree) else agree
        words = say("paper unclear" if agree is None else "paper yes" if agree else "paper no")
        lines.append(
            [what, number(paper), source, number(ours), words, rest[1] if len(rest) > 1 else ""]
        )
    emit(*table(say("paper headers").split("|"), lines, title))


def _within(paper, ours, tolerance):
    if tolerance is None or not all(isinstance(value, (int, float)) for value in (paper, ours)):
        return None
    return abs(paper - ours) <= tolerance
