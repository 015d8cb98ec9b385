"""embed: evaluation mode and back, every picture once, mirror, unit norm.

And from a model to metrics.
"""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from reidkit.record import Exam, ReIDData
from reidkit.retrieval import embed, evaluate_exam


class Model(nn.Module):
    """Norms and dropout, so that training mode would show.

    It keeps the sizes of the batches that it was given.
    """

    def __init__(self, neck=True):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.Dropout(0.5),
            nn.Flatten(),
            nn.Linear(4 * 6 * 2, 5),
        )
        self.has_neck = neck
        self.sizes = []

    def forward(self, images):
        self.sizes.append(len(images))
        feature = self.body(images)
        neck = feature.flip(1) * 2 if self.has_neck else None
        return SimpleNamespace(feature=feature, neck=neck, logits=None)


def people(count=11, seed=0):
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 3, 8, 4), generator=draw, dtype=torch.uint8)
    numbers = torch.arange(count)
    return ReIDData(images, ids=numbers % 4, cameras=numbers // 4 % 2, domains=numbers * 0)


def by_hand(model, images, mirror=False):
    pictures = torch.cat([images, images.flip(3)] if mirror else [images])
    features = []
    for picture in pictures:
        output = model.eval()(picture[None].float())
        features.append(output.neck if model.has_neck else output.feature)
    both = torch.cat(features).view(-1, len(images), 5)  # (orientations, N, 5)
    total = both.sum(0)
    return total / total.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("neck", [False, True])
def test_features(neck, mirror):
    torch.manual_seed(0)
    model = Model(neck)
    data = people()
    found = embed(model, data, mirror=mirror, batch=4)
    assert found.shape == (11, 5)
    assert found.dtype == torch.float32
    assert not found.requires_grad
    assert model.sizes == ([4, 4, 4, 4, 3, 3] if mirror else [4, 4, 3])
    assert torch.allclose(found, by_hand(model, data.images, mirror), atol=1e-6)
    assert torch.allclose(found.norm(dim=1), torch.ones(11))


def test_mirror_does_not_see_left_and_right():
    torch.manual_seed(0)
    model = Model()
    data = people()
    turned = ReIDData(data.images.flip(3), data.ids, data.cameras, data.domains)
    expected = embed(model, data, mirror=True)
    assert torch.allclose(expected, embed(model, turned, mirror=True), atol=1e-6)
    assert not torch.allclose(embed(model, data), embed(model, turned), atol=1e-3)


def test_mode_and_statistics_are_left_alone():
    model = Model().train()
    model.body[1].eval()  # a frozen norm in a training model
    before = {name: value.clone() for name, value in model.state_dict().items()}
    embed(model, people())
    assert model.training
    assert model.body.training
    assert model.body[2].training
    assert not model.body[1].training
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    model.body[4] = nn.Linear(3, 3)
    with pytest.raises(RuntimeError):
        embed(model, people())
    assert model.training
    assert not model.body[1].training


def test_nothing_to_embed():
    with pytest.raises(ValueError, match="0 pictures"):
        embed(Model(), people()[:0])
    with pytest.raises(ValueError, match="batches of 0"):
        embed(Model(), people(), batch=0)


def test_from_a_model_to_metrics():
    """The gallery holds the queries' own pictures in the other camera: everybody is found."""
    query = people(4)
    gallery = ReIDData(query.images, query.ids, 1 - query.cameras, query.domains)
    found = evaluate_exam(Model(), Exam(query, gallery), mirror=True, ap="trapezoid", ranks=(1, 2))
    assert (found.map, found.cmc, found.ap, found.queries) == (1, {1: 1, 2: 1}, "trapezoid", 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_features_stay_on_the_gpu():
    model = Model().cuda()
    there = embed(model, people())
    assert there.is_cuda
    assert torch.allclose(there.cpu(), embed(model, people(), device="cpu"), atol=1e-4)
    assert evaluate_exam(model.cuda(), Exam(people(4), people(11, seed=1))).queries == 4
