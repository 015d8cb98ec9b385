"""Chapter 02, section 1: a deep net with and without batch norm, many times side by side."""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import world
from ...augment import normalize

DEPTH = 12  # linear layers of a net
WIDTH = 64  # numbers each of them gives
SATURATED = 0.97  # beyond it, tanh passes on less than 6 % of a gradient
BATCH = 64
EPS = 1e-5  # added to the variance, under the root

# Pictures to learn from or to be asked about: thumbnails (N, in), people (N,).
Pictures = tuple[Tensor, Tensor]


def make_thumbnails(people: int, seed: int) -> tuple[Pictures, Pictures]:
    """People of one drawn place at 16 x 8 pixels.

    Args:
        people: how many.
        seed: who they are.
    Returns:
        ((N, 384) thumbnails, (N,) people) to learn from, and the same of new pictures of them.
    """
    data = world.sample([("demo", 1)], people, cameras=3, pictures=8, seed=seed).relabelled()
    small = F.avg_pool2d(normalize(data.pictures()), 4)  # (N, 3, 64, 32) -> (N, 3, 16, 8)
    thumbnails = small.flatten(1)  # (N, 384)
    is_new = torch.arange(len(data)) % 8 >= 6  # two of the eight pictures in each camera
    known = (thumbnails[~is_new], data.ids[~is_new])
    new = (thumbnails[is_new], data.ids[is_new])
    return known, new


class DeepNets:
    """R nets of DEPTH linear layers, each followed by tanh, and a classifier, trained at once.

    Run r multiplies by weights of its own, (R, in, out), so that runs do not meet.

    Args:
        seeds: of the first weights, one per run.
        scales: what the first weights are multiplied by, one per run.
        inputs: numbers of a picture.
        classes: people.
        norm: None, "before" (linear, batch norm, tanh) or "after" (linear, tanh, batch norm).
        dropout: share of numbers that is left out behind each layer in training.
    """

    def __init__(self, seeds, scales, inputs, classes, norm=None, dropout=0.0):
        runs = len(seeds)
        self.norm = norm
        self.dropout = dropout
        self.weights = [_first_weights(seeds, scales, 0, inputs)]
        for layer in range(1, DEPTH):
            self.weights.append(_first_weights(seeds, scales, layer, WIDTH))
        # The classifier: weight and bias.
        self.out = [torch.zeros(runs, WIDTH, classes), torch.zeros(runs, 1, classes)]
        # Gamma, beta, running mean and running variance of each layer. Without batch norm, the
        # shifts are the layers' biases.
        self.gains = [torch.ones(runs, 1, WIDTH) for _ in range(DEPTH)]
        self.shifts = [torch.zeros(runs, 1, WIDTH) for _ in range(DEPTH)]
        self.running_means = [torch.zeros(runs, 1, WIDTH) for _ in range(DEPTH)]
        self.running_variances = [torch.ones(runs, 1, WIDTH) for _ in range(DEPTH)]
        self.parameters = [*self.weights, *self.out, *self.gains, *self.shifts]
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.velocities = [torch.zeros_like(parameter) for parameter in self.parameters]

    def forward(
        self, x: Tensor, training: bool, inputs_of_tanh: list[Tensor] | None = None
    ) -> Tensor:
        """Logits of pictures.

        Args:
            x: (R, B, in) pictures of each run.
            training: batch norm takes the batch's statistics, and dropout is on.
            inputs_of_tanh: a list that takes what each tanh was given, (R, B, WIDTH).
        Returns:
            (R, B, classes).
        """
        for layer, weight in enumerate(self.weights):
            x = x @ weight
            if self.norm == "before":
                x = self._normalize(x, layer, training)
            elif self.norm is None:
                x = x + self.shifts[layer]
            if inputs_of_tanh is not None:
                inputs_of_tanh.append(x.detach())
            x = x.tanh()
            if self.norm == "after":
                x = self._normalize(x, layer, training)
            x = F.dropout(x, self.dropout, training)
        weight, bias = self.out
        return x @ weight + bias

    def _normalize(self, x, layer, training):
        """Batch norm over the pictures of each run: (R, B, WIDTH) -> the same shape."""
        mean = self.running_means[layer]
        variance = self.running_variances[layer]
        if training:
            mean = x.mean(1, keepdim=True)
            unbiased = x.var(1, keepdim=True)
            self._remember(layer, mean.detach(), unbiased.detach())
            # The unbiased variance is remembered, the biased one divides, as torch does.
            variance = unbiased * (1 - 1 / x.shape[1])
        return self.gains[layer] * (x - mean) / (variance + EPS).sqrt() + self.shifts[layer]

    def _remember(self, layer, mean, variance):
        """Running statistics: 0.9 of the old ones and 0.1 of this batch's."""
        self.running_means[layer] = self.running_means[layer].lerp(mean, 0.1)
        self.running_variances[layer] = self.running_variances[layer].lerp(variance, 0.1)

    def step(self, x: Tensor, y: Tensor, rates: Tensor) -> Tensor:
        """One step of each run, SGD with momentum 0.9.

        Args:
            x: (R, B, in) pictures.
            y: (R, B) who they show.
            rates: (R, 1, 1) learning rates.
        Returns:
            (R,) losses.
        """
        logits = self.forward(x, True).flatten(0, 1)  # (R * B, classes)
        costs = F.cross_entropy(logits, y.flatten(), reduction="none")  # (R * B,)
        losses = costs.view(y.shape).mean(1)  # (R,)
        # Runs do not meet in the sum: the gradient of each run's weights is that of its own loss.
        grads = torch.autograd.grad(losses.sum(), self.parameters, allow_unused=True)
        with torch.no_grad():
            for parameter, grad, velocity in zip(self.parameters, grads, self.velocities):
                if grad is None:  # gains of nets without batch norm
                    continue
                velocity.mul_(0.9).add_(grad)
                parameter.sub_(rates * velocity)
        return losses.detach()

    @torch.no_grad()
    def look(self, x: Tensor, training: bool) -> list[Tensor]:
        """What each layer's tanh is given for pictures.

        Args:
            x: (R, B, in) pictures of each run.
            training: batch norm takes the batch's statistics, and dropout is on.
        Returns:
            A list of (R, B, WIDTH), one for each layer.
        """
        inputs_of_tanh = []
        self.forward(x, training, inputs_of_tanh)
        return inputs_of_tanh

    @torch.no_grad()
    def accuracy(self, pictures: Pictures) -> Tensor:
        """Share of pictures ((N, in), (N,)) that each run tells right in evaluation mode: (R,)."""
        x, y = pictures
        runs = len(self.out[0])
        logits = self.forward(x.expand(runs, -1, -1), False)  # (R, N, classes)
        return (logits.argmax(2) == y).float().mean(1)


def _first_weights(seeds, scales, layer, inputs):
    """First weights of one layer of all runs, (R, inputs, WIDTH), of deviation scale / root of
    inputs."""
    weights = []
    for seed, scale in zip(seeds, scales):
        draws = torch.Generator().manual_seed(97 * seed + layer)
        weights.append(scale / math.sqrt(inputs) * torch.randn(inputs, WIDTH, generator=draws))
    return torch.stack(weights)


def number_runs(
    scales: Sequence[float], rates: Sequence[float], seeds: Sequence[int]
) -> dict[tuple[float, float, int], int]:
    """{(scale, rate, seed): number of its run} for `train_deep_nets` with these settings.

    Args:
        scales: of the first weights.
        rates: learning rates.
        seeds: of the first weights and of the order of the pictures.
    """
    settings = itertools.product(scales, rates, seeds)
    return {setting: number for number, setting in enumerate(settings)}


def train_deep_nets(
    pictures: tuple[Pictures, Pictures],
    norm: str | None = None,
    rates: Sequence[float] = (0.03,),
    scales: Sequence[float] = (1.0,),
    seeds: Sequence[int] = (0,),
    steps: int = 60,
    dropout: float = 0.0,
) -> dict:
    """Train a net for every scale of the first weights, learning rate and seed.

    Args:
        pictures: known ones to learn from, and new ones, each ((N, in), (N,)).
        norm: None, "before" or "after" the tanh.
        rates: learning rates.
        scales: of the first weights.
        seeds: of the first weights and of the order of the pictures.
        steps: of training, BATCH pictures each.
        dropout: share of numbers that is left out.
    Returns:
        "loss": (scales, rates, seeds), mean of the last ten steps; "known", "new": accuracy in
        evaluation mode, of the same shape; "before", "after": what each layer's tanh was given
        before and after training, a list of (R, N, WIDTH), the runs in the order of `number_runs`.
    """
    known, new = pictures
    x, y = known
    shape = (len(scales), len(rates), len(seeds))
    scale_of_run, rate_of_run, seed_of_run = zip(*itertools.product(scales, rates, seeds))
    nets = DeepNets(seed_of_run, scale_of_run, x.shape[1], int(y.max()) + 1, norm, dropout)
    step_sizes = torch.tensor(rate_of_run).view(-1, 1, 1)  # (R, 1, 1)
    watched = x[::2].expand(len(seed_of_run), -1, -1)  # (R, N / 2, in), the same for each run
    by_batch = norm is not None  # batch norm takes the statistics of what is watched
    before = nets.look(watched, by_batch)
    order_of_seed = {seed: _draw_order(len(x), steps, seed) for seed in seeds}
    losses = []
    for step in range(steps):
        chosen = torch.stack([order_of_seed[seed][step] for seed in seed_of_run])  # (R, BATCH)
        losses.append(nets.step(x[chosen], y[chosen], step_sizes))
    return {
        "loss": torch.stack(losses[-10:]).mean(0).view(shape),
        "known": nets.accuracy(known).view(shape),
        "new": nets.accuracy(new).view(shape),
        "before": before,
        "after": nets.look(watched, by_batch),
    }


def _draw_order(count, steps, seed):
    """Which of `count` pictures come in each step: (steps, BATCH)."""
    draws = torch.Generator().manual_seed(seed)
    return torch.randint(count, (steps, BATCH), generator=draws)
