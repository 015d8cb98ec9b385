"""A made-up study for this chapter's tests."""

import pytest

from reidkit.chapters.real_people import figures
from reidkit.recipes import study
from reidkit.teach.recorded import Recorded

KNOBS = {
    "normalisation": {"IN": {"norm": "in"}, "IN, BN last": {"norm": "in"}, "BIN": {}},
    "stripes": {"0": {"stripes": 0}, "4": {}, "8": {"stripes": 8}},
}
ENDS = {"": 0, "_low": -6, "_high": 6}  # of a column's name: its distance to the mean


@pytest.fixture
def table(monkeypatch):
    """Three seeds and two knobs, in which a longer name scores higher."""
    monkeypatch.setattr(study, "STUDY", KNOBS)
    rows = []
    for case in study.cases([0, 1, 2]):
        row = dict(case)
        base = 40 + len(case["value"]) + case["SEED"]
        for number, exam in enumerate(figures.EXAMS):
            for key in ("rank1", "map"):
                for end, distance in ENDS.items():
                    row[f"{exam}_{key}{end}"] = base + 10 * number + distance
        rows.append({name: str(value) for name, value in row.items()})
    return Recorded("11_study", rows)
