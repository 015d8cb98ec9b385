"""Features far from the origin rank as their differences do."""

import pytest
import torch

from reidkit import retrieval
from reidkit.retrieval import evaluate, ranking


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("offset", [30, 1000])
def test_an_offset_that_all_features_share_hides_nothing(offset, unit, onednn, monkeypatch):
    """200 people, each seen twice with hardly a difference, far from the origin."""
    if not onednn:
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    monkeypatch.setattr(retrieval.scoring, "TILE", 64 * 70)  # three tiles
    draw = torch.Generator().manual_seed(0)
    person, people = torch.randn(200, 64, generator=draw), torch.arange(200)
    query, gallery = (
        person + 0.1 * torch.randn(200, 64, generator=draw) + offset for _ in range(2)
    )
    if unit:
        query, gallery = (torch.nn.functional.normalize(side) for side in (query, gallery))
    case = query, people, people * 0, gallery, people, people * 0 + 1
    found = evaluate(*case)
    assert found.map == found.cmc[1] == 1 and ranking(*case, top=1)[1].all()


def test_without_a_shared_offset_nothing_is_subtracted():
    draw, ids = torch.Generator().manual_seed(0), torch.arange(300)
    case = (
        torch.randn(9, 3, generator=draw),
        ids[:9],
        ids[:9] * 0,
        torch.randn(300, 3, generator=draw),
        ids,
        ids * 0,
    )
    assert retrieval.scoring.Scorer(*case).centre is None
    unit = [
        torch.nn.functional.normalize(value + 2) if value.is_floating_point() else value
        for value in case
    ]
    assert retrieval.scoring.Scorer(*unit).centre is None
