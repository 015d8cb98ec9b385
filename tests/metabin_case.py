"""A two-layer network with gates and a domain-balanced batch, for the tests of MetaBIN."""

import torch
from torch import nn

from reidkit.layers.heads import Output
from reidkit.layers.norms import BatchInstanceNorm
from reidkit.training import Batch

INNER = ("scatter", "shuffle", "triplet", "identity")


class Toy(nn.Module):
    """images (B, 3, h, w) -> Output(feature (B, 4), logits (B, 5)): two convolutions, each with its
    gated norm.
    """

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = (
            nn.Conv2d(3, 6, 3, padding=1, bias=False),
            BatchInstanceNorm(6, gate=0.6),
        )
        self.conv2, self.bn2 = (
            nn.Conv2d(6, 4, 3, padding=1, bias=False),
            BatchInstanceNorm(4, gate=0.4),
        )
        self.classifier = nn.Linear(4, 5)

    def forward(self, images):
        maps = torch.tanh(self.bn2(self.conv2(torch.tanh(self.bn1(self.conv1(images))))))
        feature = maps.flatten(2).square().mean(2)
        return Output(feature, self.classifier(feature))


def toy(seed=0, kind=Toy):
    torch.manual_seed(seed)
    model = kind().double()
    with torch.no_grad():
        for norm in (model.bn1, model.bn2):
            for value in (norm.weight, norm.bias, norm.instance_weight, norm.instance_bias):
                value.uniform_(0.5, 1.5)
    return model.train()


def batch_of(domains=4, people=2, pictures=2, step=0, seed=1, dtype=torch.float64):
    draw = torch.Generator().manual_seed(seed)
    count = domains * people * pictures
    labels = torch.arange(count)
    tint = 1 + 0.5 * torch.randn(domains, 3, 1, 1, generator=draw, dtype=dtype).repeat_interleave(
        people * pictures, 0
    )
    images = torch.randn(count, 3, 6, 4, generator=draw, dtype=dtype) * tint + tint
    return Batch(
        images,
        labels // pictures % 5,
        labels // (people * pictures),
        labels // (people * pictures),
        labels,
        {},
        None,
        step,
    )
