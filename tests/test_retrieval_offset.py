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
    people = torch.arange(200)
    person = torch.randn(200, 64, generator=draw)
    query = person + 0.1 * torch.randn(200, 64, generator=draw) + offset
    gallery = person + 0.1 * torch.randn(200, 64, generator=draw) + offset
    if unit:
        query = torch.nn.functional.normalize(query)
        gallery = torch.nn.functional.normalize(gallery)
    case = (query, people, people * 0, gallery, people, people * 0 + 1)
    found = evaluate(*case)
    assert found.map == found.cmc[1] == 1
    assert ranking(*case, top=1)[1].all()


def test_without_a_shared_offset_nothing_is_subtracted():
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(9, 3, generator=draw)
    gallery = torch.randn(300, 3, generator=draw)
    ids = torch.arange(300)
    labels = (ids[:9], ids[:9] * 0)
    gallery_labels = (ids, ids * 0)
    scorer = retrieval.scoring.Scorer(query, *labels, gallery, *gallery_labels)
    assert scorer.centre is None
    unit_query = torch.nn.functional.normalize(query + 2)
    unit_gallery = torch.nn.functional.normalize(gallery + 2)
    scorer = retrieval.scoring.Scorer(unit_query, *labels, unit_gallery, *gallery_labels)
    assert scorer.centre is None
