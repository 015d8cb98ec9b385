"""Pooling and heads."""

import pytest
import torch

from reidkit.layers import pooling
from reidkit.layers.heads import BNNeck, Classifier, CosineClassifier

MAPS = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(1, 1, 2, 2)


def test_pooling_golden_and_limits():
    assert pooling.gem(MAPS, 3.0).item() == pytest.approx(2.9240177)
    mean = pooling.avg(MAPS).item()
    assert pooling.gem(MAPS, 1.0).item() == pytest.approx(mean) == pytest.approx(2.5)
    assert pooling.gem(MAPS, 60.0).item() == pytest.approx(pooling.max(MAPS).item(), rel=0.03)
    assert pooling.max(MAPS).item() == 4
    assert pooling.gem(torch.zeros(1, 2, 2, 2)).isfinite().all()
    assert pooling.avg(torch.ones(1, 2, 2, 2, dtype=torch.bfloat16)).dtype == torch.float32


def test_pooling_does_not_see_where():
    maps = torch.randn(2, 3, 4, 5).abs()
    mixed = maps.flatten(2)[:, :, torch.randperm(20)].reshape(2, 3, 4, 5)
    for pool in (pooling.avg, pooling.max, pooling.gem):
        torch.testing.assert_close(pool(maps), pool(mixed))


def test_learnt_p_has_the_gradient_of_the_books():
    """df/dp = f/p^2 (-log mean x^p + p mean(x^p log x) / mean x^p)."""
    pool = pooling.GeM(3.0)
    f = pool(MAPS)
    f.backward()
    x = MAPS.flatten()
    mean = x.pow(3).mean()
    expected = f.item() / 9 * (-mean.log() + 3 * (x.pow(3) * x.log()).mean() / mean)
    torch.testing.assert_close(pool.p.grad, expected)


def test_neck():
    torch.manual_seed(0)
    neck = BNNeck(6)
    head = Classifier(6, 4)
    features = torch.randn(16, 6) * 3 + 1
    logits = head(neck(features))
    logits.sum().backward()
    assert neck.bias.grad is None
    assert (neck.bias == 0).all()
    assert neck.weight.grad is not None
    # Scale does not matter in training.
    torch.testing.assert_close(head(neck(features * 7)), logits, rtol=1e-4, atol=1e-6)
    assert neck(features.bfloat16()).dtype == torch.float32
    assert head.bias is None
    assert 0 < head.weight.abs().max() < 0.01


def test_cosine_classifier_gives_cosines():
    head = CosineClassifier(5, 3)
    features = torch.randn(4, 5)
    expected = torch.cosine_similarity(features[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(features), expected)
    torch.testing.assert_close(head(features * 9), expected)
