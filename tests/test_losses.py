"""Losses against golden numbers, slow loops over pairs, and the cases that break training."""

import math

import pytest
import torch
import torch.nn.functional as F

from reidkit import losses
from reidkit.layers.heads import AttributeHeads, PairClassifier

POINTS = torch.tensor([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
IDS = torch.tensor([0, 0, 1, 1])
LOGITS = torch.tensor([[2.0, 0.0, 0.0]])
FIRST = torch.tensor([0])
METRIC = (losses.batch_hard_triplet, losses.weighted_triplet, losses.circle)


def circle_points(degrees):
    angle = torch.tensor(degrees, dtype=torch.float32).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], 1)


def near(value, expected, tolerance=2e-6):
    assert float(value.detach()) == pytest.approx(expected, rel=tolerance, abs=tolerance)


def test_cross_entropy_golden():
    near(losses.cross_entropy(LOGITS, FIRST), 0.2395448)
    near(losses.cross_entropy(LOGITS, FIRST, 0.1), 0.3728782)
    near(losses.cross_entropy(LOGITS, FIRST, 0.1, "fastreid"), 0.4395448)
    near(losses.cross_entropy(LOGITS, FIRST, 0.2, "adaptive"), 0.5543392)


def test_cross_entropy_is_torchs_and_two_classes_differ_by_half_epsilon():
    torch.manual_seed(0)
    logits = torch.randn(6, 5)
    ids = torch.randint(5, (6,))
    for smoothing in (0.0, 0.1, 1.0):
        torch.testing.assert_close(
            losses.cross_entropy(logits, ids, smoothing),
            F.cross_entropy(logits, ids, label_smoothing=smoothing, reduction="none"),
        )
    two = torch.tensor([[1.0, 0.0]])
    right = torch.tensor([0])
    gap = losses.cross_entropy(two, right, 0.1, "fastreid") - losses.cross_entropy(two, right, 0.1)
    near(gap, 0.05)  # the true class's target differs by 0.05, the logits by 1
    uniform = losses.cross_entropy(torch.zeros(1, 751), FIRST)
    near(uniform, math.log(751))


def test_adaptive_smoothing_is_a_constant_to_the_gradient():
    logits = LOGITS.clone().requires_grad_()
    losses.cross_entropy(logits, FIRST, 0.2, "adaptive").sum().backward()
    share = 0.2 * LOGITS.softmax(1)[0, 0]
    target = torch.tensor([[1 - share, share / 2, share / 2]])
    torch.testing.assert_close(logits.grad, LOGITS.softmax(1) - target)


def test_metric_losses_golden():
    near(losses.batch_hard_triplet(POINTS, IDS, 0.3).mean(), 2.0166461)
    near(losses.batch_hard_triplet(POINTS, IDS, None).mean(), 1.9858410)
    # Within 2e-5, for the published 1e-6 in the denominators: see the next test.
    near(losses.weighted_triplet(POINTS, IDS).mean(), 1.7354541, 2e-5)
    near(losses.batch_hard_triplet(POINTS + 0.1, IDS, 0.3, metric="cosine").mean(), 0.8090292)
    near(losses.circle(POINTS + 0.1, IDS, 0.25, 16).mean(), 14.2827740)


def test_weighted_golden_is_ours_with_1e6_in_the_denominators():
    distance = losses.pairwise_distance(POINTS)
    same = IDS[:, None] == IDS[None, :]
    top = (distance * same).amax(1, keepdim=True)
    near_by = (distance - top).exp() * same
    far = (-distance).exp() * ~same
    d_ap = (near_by / (near_by.sum(1, keepdim=True) + 1e-6) * distance).sum(1)
    d_an = (far / (far.sum(1, keepdim=True) + 1e-6) * distance).sum(1)
    near(F.softplus(d_ap - d_an).mean(), 1.7354541)


def test_margin_softmax_golden():
    cosine = torch.tensor([[0.8, 0.1, -0.3]])
    for function, expected in (
        (losses.arcface_logits, (34.92861, 6.4, -19.2)),
        (losses.cosface_logits, (28.8, 6.4, -19.2)),
        (losses.circle_logits, (5.28, -7.2, -2.08)),
    ):
        torch.testing.assert_close(
            function(cosine, FIRST, 64, 0.35), torch.tensor([expected]), rtol=1e-6, atol=1e-5
        )
    sure = torch.tensor([[1.0, 0.0, 0.0]])
    near(losses.circle_logits(sure, FIRST, 64, 0.35)[0, 0], 64 * 0.35**2)
    torch.testing.assert_close(
        losses.arcface_logits(cosine, FIRST, 64, 0.0), 64 * cosine, rtol=1e-6, atol=1e-5
    )
    beyond = torch.tensor([[1.0000001, 0.0]], requires_grad=True)
    losses.arcface_logits(beyond, FIRST).sum().backward()
    assert beyond.grad.isfinite().all()


@pytest.mark.parametrize("metric", ["euclid", "cosine"])
def test_batch_hard_against_a_slow_loop(metric):
    torch.manual_seed(1)
    points = torch.randn(9, 4)
    ids = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 3])  # person 3 has one picture
    got = losses.batch_hard_triplet(points, ids, 0.3, metric)
    for a in range(9):
        if metric == "euclid":
            d = [float((points[a] - points[j]).norm()) for j in range(9)]
        else:
            d = [2 - 2 * float(F.cosine_similarity(points[a], points[j], dim=0)) for j in range(9)]
        positive = [d[j] for j in range(9) if j != a and ids[j] == ids[a]]
        negative = [d[j] for j in range(9) if ids[j] != ids[a]]
        expected = max(0.3 + max(positive) - min(negative), 0) if positive else 0.0
        near(got[a], expected, 1e-5)


def test_points_on_the_circle():
    """Chord of an angle t is 2 sin(t/2): 0 and 60 degrees are one person, 90 and 180 the other."""
    points = circle_points([0, 60, 90, 180])
    ids = torch.tensor([0, 0, 1, 1])

    def chord(t):
        return 2 * math.sin(math.radians(t) / 2)

    expected = [
        0.3 + chord(60) - chord(90),
        0.3 + chord(60) - chord(30),
        0.3 + chord(90) - chord(30),
        0.3 + chord(90) - chord(120),
    ]
    torch.testing.assert_close(
        losses.batch_hard_triplet(points, ids),
        torch.tensor(expected).clamp_min(0),
        rtol=1e-5,
        atol=1e-5,
    )


def test_weighted_and_circle_against_slow_loops():
    torch.manual_seed(2)
    points = torch.randn(8, 3)
    ids = torch.tensor([0, 0, 1, 1, 1, 2, 2, 2])
    weighted = losses.weighted_triplet(points, ids, 0.3)
    circle = losses.circle(points, ids, 0.25, 8)
    for a in range(8):
        same = [j for j in range(8) if ids[j] == ids[a]]
        other = [j for j in range(8) if ids[j] != ids[a]]
        d = torch.tensor([max(float((points[a] - points[j]).norm()), 1e-6) for j in range(8)])
        d_ap = (d[same].softmax(0) * d[same]).sum()
        d_an = ((-d[other]).softmax(0) * d[other]).sum()
        near(weighted[a], max(float(d_ap - d_an) + 0.3, 0), 1e-5)
        s = [float(F.cosine_similarity(points[a], points[j], dim=0)) for j in range(8)]
        pull = sum(math.exp(-8 * max(1.25 - s[j], 0) * (s[j] - 0.75)) for j in same if j != a)
        push = sum(math.exp(8 * max(s[j] + 0.25, 0) * (s[j] - 0.25)) for j in other)
        near(circle[a], math.log(1 + pull * push), 1e-4)


def test_collapsed_features_sit_at_the_margin_with_finite_gradients():
    for value in (0.0, 3.7):
        features = torch.full((4, 5), value, requires_grad=True)
        hinge = losses.batch_hard_triplet(features, IDS, 0.3)
        soft = losses.batch_hard_triplet(features, IDS, None)
        torch.testing.assert_close(hinge, torch.full((4,), 0.3))
        torch.testing.assert_close(soft, torch.full((4,), math.log(2)))
        metric = sum(loss(features, IDS).sum() for loss in METRIC)
        everything = metric + hinge.sum() + losses.contrastive(features, IDS).sum()
        everything.backward()
        assert features.grad.isfinite().all()


@pytest.mark.parametrize("loss", METRIC)
@pytest.mark.parametrize("ids", [[0, 1, 2, 3], [5, 5, 5, 5]])
def test_no_valid_pair_is_zero_and_attached(loss, ids):
    features = POINTS.clone().requires_grad_()
    value = loss(features, torch.tensor(ids))
    assert value.shape == (4,)
    assert (value == 0).all()
    assert value.requires_grad
    value.sum().backward()
    assert (features.grad == 0).all()


@pytest.mark.parametrize("loss", METRIC)
def test_metric_losses_ignore_the_order_and_can_be_differentiated_twice(loss):
    torch.manual_seed(3)
    features = torch.randn(6, 3, dtype=torch.float32)
    ids = torch.tensor([0, 0, 1, 1, 2, 2])
    order = torch.randperm(6)
    torch.testing.assert_close(
        loss(features, ids)[order], loss(features[order], ids[order]), rtol=1e-4, atol=1e-4
    )
    features.requires_grad_()
    (slope,) = torch.autograd.grad(loss(features, ids).sum(), features, create_graph=True)
    slope.square().sum().backward()
    assert features.grad.isfinite().all()


def test_distance_stays_exact_far_from_the_origin():
    points = torch.tensor([[1000.0, 1000.0], [1000.0, 1000.5]])
    near(losses.pairwise_distance(points)[0, 1], 0.5)
    torch.testing.assert_close(
        losses.pairwise_distance(POINTS, POINTS[1:]),
        torch.cdist(POINTS, POINTS[1:]),
        rtol=1e-5,
        atol=2e-6,
    )


def test_verification_losses():
    first, second, same = losses.pairs(IDS)
    assert list(zip(first.tolist(), second.tolist())) == [
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
        (2, 3),
    ]
    assert same.tolist() == [True, False, False, False, False, True]
    d = [5, 1, 2, math.dist((3, 4), (1, 0)), math.dist((3, 4), (0, 2)), math.sqrt(5)]
    expected = [25, 4, 1, 0, 0, 5]  # margin 3: (3-1)^2, (3-2)^2, and two beyond it
    assert min(d[3:5]) > 3
    torch.testing.assert_close(
        losses.contrastive(POINTS, IDS, 3.0), torch.tensor(expected, dtype=torch.float32)
    )
    identical = losses.contrastive(torch.ones(3, 2), torch.tensor([0, 0, 1]), 2.0)
    torch.testing.assert_close(identical, torch.tensor([0.0, 4.0, 4.0]), atol=1e-5, rtol=1e-5)
    near(losses.balanced_mean(torch.tensor([1.0, 2.0, 4.0, 6.0, 8.0, 3.0]), same), (2 + 5) / 2)
    near(losses.balanced_mean(torch.tensor([1.0, 2.0]), torch.tensor([False, False])), 0.75)


def test_pair_classifier():
    judge = PairClassifier(2)
    a = POINTS[[0, 2]]
    b = POINTS[[1, 3]]
    logits = judge(a, b)
    torch.testing.assert_close(logits, torch.tensor([-12.5, -2.5]))
    torch.testing.assert_close(judge(b, a), logits)  # the order of a pair does not matter
    loss = losses.verification(logits, torch.tensor([True, False]))
    torch.testing.assert_close(
        loss, torch.tensor([math.log(1 + math.exp(12.5)), math.log(1 + math.exp(-2.5))])
    )
    with pytest.raises(ValueError, match="with bool .n,."):
        losses.verification(logits, torch.tensor([True]))


def test_attributes_and_centres():
    heads = AttributeHeads(2, {"hat": 2, "coat": 3})
    logits = heads(POINTS)
    labels = {"hat": torch.tensor([0, 1, -1, 0]), "coat": torch.tensor([0, 1, 2, 0])}
    got = losses.attribute_loss(logits, labels)
    coat = F.cross_entropy(logits["coat"], labels["coat"], reduction="none")
    near(got[2], coat[2].item() / 2)  # its hat is not known
    near(got[0], (coat[0] + F.cross_entropy(logits["hat"][:1], labels["hat"][:1])).item() / 2)
    with pytest.raises(ValueError, match="hat"):
        losses.attribute_loss(logits, {"coat": labels["coat"]})
    torch.testing.assert_close(
        losses.centre_loss(POINTS, IDS, torch.tensor([[0.0, 0.0], [1.0, 1.0]])),
        torch.tensor([0.0, 25.0, 1.0, 2.0]),
    )


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(3,\)"):
        losses.batch_hard_triplet(POINTS, IDS[:3])
    with pytest.raises(ValueError, match="szegedi"):
        losses.cross_entropy(LOGITS, FIRST, 0.1, "szegedi")
    with pytest.raises(ValueError, match="manhattan"):
        losses.batch_hard_triplet(POINTS, IDS, metric="manhattan")
