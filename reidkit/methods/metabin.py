"""MetaBIN: gates between batch and instance norm, learnt on places that the step before has not
seen.

Choi, Kim, Jeong, Park, Kim, "Meta Batch-Instance Normalization for Generalizable Person
Re-Identification", CVPR 2021. One gate a channel mixes the two norms
(`layers.norms.BatchInstanceNorm`). Learnt on the source places alone, the gates slide to what fits
these places. So each iteration plays the change of place: the gates take a trial step on some
places, on losses that push them to too little and too much style, and are then really moved by how
well they do on the others.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .. import losses, sampling
from ..layers.heads import Output
from ..layers.ids import check_ids
from ..layers.norms import gates
from ..layers.precision import at_least_float32
from ..layers.statistics import held_statistics
from ..training.plan import MAIN, TRAIN
from .baseline import Baseline, baseline_losses
from .baseline import make as make_baseline


def make(classes: int, **options: Any) -> Baseline:
    """A network with a gate in the place of every batch norm, the gates at 1 as in the paper.

    Args:
        classes: people that the classifier tells apart.
        **options: of `methods.baseline.make`.
    """
    return make_baseline(classes, **{"norm": "bin", "gate": 1.0} | options)


def scatter_loss(features: Tensor, domains: Tensor) -> Tensor:
    """Spread each domain (the paper's intra-domain scatter).

    The mean over domains z of the mean over its features f_i of cos(f_i, c_z), with c_z the mean of
    the domain's features of length 1. Minimised, it pushes features of a domain from their centre:
    style that they share may not hold them.

    Args:
        features: (B, D).
        domains: (B,).
    Returns:
        Scalar in [-1, 1]; 1 where every domain is one point.
    """
    unit = torch.nn.functional.normalize(at_least_float32(features), dim=1)  # (B, D)
    similarities = []
    for domain in domains.unique():
        members = unit[domains == domain]  # (n_z, D)
        centre = members.mean(0, keepdim=True)  # (1, D)
        similarities.append(torch.nn.functional.cosine_similarity(members, centre).mean())
    return torch.stack(similarities).mean()


def shuffle_loss(features: Tensor, ids: Tensor, domains: Tensor) -> Tensor:
    """Mix the domains (the paper's inter-domain shuffle): softplus(d(f, f+) - d(f, f-)).

    f+ is the farthest feature of any other domain, f- the nearest of the same domain and another
    person.

    Args:
        features: (B, D).
        ids: (B,).
        domains: (B,).
    Returns:
        (B,); 0, attached to the graph, for an anchor without an f+ or f-. All features equal: log
        2.
    Raises:
        ValueError: shapes that do not fit, or ids below 0 (junk).
    """
    check_ids("shuffle_loss", features, ids)
    distance = losses.pairwise_distance(features)  # (B, B)
    same_domain = domains[:, None] == domains[None]  # (B, B)
    stranger = same_domain & (ids[:, None] != ids[None])  # (B, B) of the same domain
    farthest = distance.masked_fill(same_domain, 0).amax(1)  # d(f, f+)
    nearest = distance.masked_fill(~stranger, losses.FAR).amin(1)  # d(f, f-)
    gap = farthest - nearest
    valid = ~same_domain.all(1) & stranger.any(1)
    return torch.where(valid, torch.nn.functional.softplus(gap), 0 * gap)


def episode_losses(
    names: Sequence[str], output: Output, ids: Tensor, domains: Tensor, margin: float = 0.3
) -> dict:
    """The named parts of a meta loss.

    Args:
        names: some of "scatter", "shuffle", "triplet", "identity".
        output: of the model, with feature and logits.
        ids: (B,).
        domains: (B,).
        margin: of the triplet loss.
    Returns:
        {name: scalar}.
    Raises:
        ValueError: there is no part of this name.
    """
    parts = {
        "scatter": lambda: scatter_loss(output.feature, domains),
        "shuffle": lambda: shuffle_loss(output.feature, ids, domains).mean(),
        "triplet": lambda: losses.batch_hard_triplet(output.feature, ids, margin).mean(),
        "identity": lambda: losses.cross_entropy(output.logits, ids, 0.1, "fastreid").mean(),
    }
    unknown = [name for name in names if name not in parts]
    if unknown:
        raise ValueError(f"no meta loss {unknown[0]!r}; expected some of {', '.join(parts)}")
    return {name: parts[name]() for name in names}


def cycle(progress: float, low: float = 0.001, high: float = 0.1, cycles: int = 20) -> float:
    """Factor on the gates' learning rate in the inner step: a triangle from low up to high and down
    again.

    Args:
        progress: share of the steps done, 0 .. 1.
        low: the least factor.
        high: the greatest.
        cycles: triangles in a run; the authors' run of 100 epochs has 5 epochs in each.
    """
    turn = progress * cycles % 1
    return low + (high - low) * (1 - abs(2 * turn - 1))


@dataclass(frozen=True)
class LearntBIN:
    """Gates learnt on the sources like any weight, no episode: what MetaBIN is compared with. A
    method for `fit`.

    gate_lr: of the gates' own gradient descent, without momentum and weight decay, clamped to [0,
    1] after each step. losses: losses(output, batch) -> dict of scalars.
    """

    gate_lr: float
    losses: Callable = baseline_losses
    make: Callable = make
    sampler: Callable = sampling.by_identity

    def step(
        self,
        model: nn.Module,
        batches: Mapping[str, Any],
        optimizers: Mapping[str, torch.optim.Optimizer],
        progress: float,
    ) -> dict:
        """One base step, and one step of the gates on the same losses.

        Args:
            model: with BatchInstanceNorms.
            batches: {"train": P x K pictures}.
            optimizers: {"main": of everything but the gates}.
            progress: share of the steps done, 0 .. 1.
        Returns:
            Numbers for the history: losses, and "gate", the mean gate.
        """
        parts, grads = base_step(model, batches[TRAIN], optimizers[MAIN], self.losses)
        move_gates(gates(model), grads, self.gate_lr)
        return {**parts, "gate": _mean(gates(model))}


@dataclass(frozen=True)
class MetaBIN:
    """The iteration of MetaBIN: a method for `fit`.

        fit(MetaBIN(gate_lr=10), data, Plan(steps=250, people=16, pictures=4))

    The model may be any with BatchInstanceNorms whose output has feature and logits. In each step,
    in this order: base step (losses, on P x K pictures of all domains; moves everything but the
    gates); a domain-balanced batch, split at random into meta-train and meta-test domains; inner
    step, gates' = clamp(gates - gate_lr cycle(progress) d inner / d gates) on meta-train; outer
    step, gates = clamp(gates - gate_lr d outer / d gates) with the gradient taken at gates' on
    meta-test. Both meta losses are of batch statistics and leave weights and running statistics as
    they are.

    gate_lr: the paper's 0.1 (0.2, 0.5) belongs to 150,000 steps; see recipes.norms for shorter
    runs. losses: of the base step, losses(output, batch) -> dict of scalars. domains: "domains", or
    "cameras" for a single source, whose cameras then stand for domains. domain_people x pictures:
    of each domain in the meta batch. first: base steps in the first iteration, 10 in the authors'
    code. inner, outer: names for `episode_losses`; for a single source the authors add "identity"
    to both. low, high, cycles: see `cycle`; low = high is a fixed inner step. second_order: the
    outer gradient also through the inner step, as MAML does; the authors (and the default) leave it
    out.
    """

    gate_lr: float
    losses: Callable = baseline_losses
    domains: str = "domains"
    domain_people: int = 3
    pictures: int = 4
    first: int = 1
    inner: tuple = ("scatter", "shuffle", "triplet")
    outer: tuple = ("triplet",)
    low: float = 0.001
    high: float = 0.1
    cycles: int = 20
    second_order: bool = False
    make: Callable = make

    def sampler(
        self, data: Any, people: int, pictures: int, seed: int, start: int
    ) -> Iterator[dict]:
        """Yields {"base": a list of P x K indices, "meta": indices of the domain-balanced batch}.

        The list has `first` entries at step 0, then one.

        Args:
            data: a ReIDData of several domains.
            people: P identities of a base batch.
            pictures: K pictures of each.
            seed: of both streams.
            start: the step that the streams begin with.
        Raises:
            ValueError: the data have fewer than two domains, or too few people in one.
        """
        labels = getattr(data, self.domains)
        count = len(labels.unique())
        if count < 2:
            raise ValueError(
                f"MetaBIN needs two domains or more, the data's {self.domains} are {count}; "
                'a single source can take its cameras: domains="cameras"'
            )
        # Steps before `start` have used one base batch each, the first of them `first`.
        used = start + self.first - 1 if start else 0
        base = sampling.pk_batches(data.ids, people, pictures, seed, used)
        meta = sampling.domain_balanced_batches(
            data.ids,
            labels,
            count * self.domain_people,
            self.pictures,
            sampling.step_seed(seed, "meta"),
            start,
        )
        return self._named(base, meta, start)

    def _named(self, base, meta, start):
        for step, episode in enumerate(meta, start):
            count = 1 if step else self.first
            yield {"base": [next(base) for _ in range(count)], "meta": episode}

    def step(
        self,
        model: nn.Module,
        batches: Mapping[str, Any],
        optimizers: Mapping[str, torch.optim.Optimizer],
        progress: float,
    ) -> dict:
        """The whole iteration: base steps, then an episode.

        Args:
            model: with BatchInstanceNorms.
            batches: {"base": list of P x K pictures, "meta": of all domains alike}.
            optimizers: {"main": of everything but the gates}.
            progress: share of the steps done, 0 .. 1.
        Returns:
            Numbers for the history: losses, and "gate", the mean gate.
        """
        for batch in batches["base"]:
            parts, _ = base_step(model, batch, optimizers[MAIN], self.losses)
        return parts | self.episode(model, batches["meta"], progress)

    def episode(self, model: nn.Module, batch: Any, progress: float) -> dict:
        """Steps 2 to 6 of the iteration: one inner and one outer step of the gates.

        Args:
            model: with BatchInstanceNorms.
            batch: of all domains alike.
            progress: share of the steps done, 0 .. 1.
        Returns:
            {"meta_train": loss, "meta_test": loss, "gate": mean gate}.
        """
        labels = getattr(batch, self.domains)
        names = labels.unique()
        names = names[torch.randperm(len(names)).to(names.device)]
        of_training = names[: (len(names) + 1) // 2]  # 3 of 5, 3 of 6, 4 of 8 domains
        train = torch.isin(labels, of_training)  # (B,)
        inner_lr = self.gate_lr * cycle(progress, self.low, self.high, self.cycles)
        start = gates(model)  # name -> (C,)
        with held_statistics(model):
            inner, grads = self.gate_grads(
                model, batch[train], self.inner, start, keep_graph=self.second_order
            )
            moved = {}
            for (name, gate), grad in zip(start.items(), grads):
                moved[name] = trial(gate, grad, inner_lr)
            by = start if self.second_order else moved
            outer, grads = self.gate_grads(model, batch[~train], self.outer, moved, by)
        move_gates(start, grads, self.gate_lr)
        return {"meta_train": inner, "meta_test": outer, "gate": _mean(start)}

    def gate_grads(
        self,
        model: nn.Module,
        batch: Any,
        names: Sequence[str],
        values: Mapping[str, Tensor],
        by: Mapping[str, Tensor] | None = None,
        keep_graph: bool = False,
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """A meta loss with these gates, and its gradient.

        Args:
            model: with BatchInstanceNorms.
            batch: what the loss is of.
            names: of the parts of the loss.
            values: the gates to compute with, name -> (C,).
            by: the gates to differentiate by; None for `values`.
            keep_graph: whether the gradient can be differentiated itself.
        Returns:
            (loss, a gradient (C,) per gate).
        """
        by = values if by is None else by
        output = forward(model, batch.images, values)
        parts = episode_losses(names, output, batch.ids, getattr(batch, self.domains))
        loss = sum(parts.values())
        return loss, torch.autograd.grad(loss, list(by.values()), create_graph=keep_graph)


def trial(gate: Tensor, grad: Tensor, lr: float) -> Tensor:
    """Where the inner step takes a gate: clamp(gate - lr grad).

    The clamp does not stop the gradient, as in the authors' code, where it is done to the data.

    Args:
        gate: (C,).
        grad: (C,); with a graph (second order) it keeps it.
        lr: of the inner step.
    Returns:
        (C,); a leaf where grad has no graph.
    """
    moved = gate - lr * grad
    moved = moved + (moved.clamp(0, 1) - moved).detach()
    return moved if grad.requires_grad else moved.detach().requires_grad_()


def base_step(
    model: nn.Module, batch: Any, optimizer: torch.optim.Optimizer, losses: Callable
) -> tuple[dict, list[Tensor]]:
    """One step of everything but the gates, against the gradient of the losses.

    Args:
        model: with BatchInstanceNorms.
        batch: what the losses are of.
        optimizer: of all parameters; it passes over the gates.
        losses: losses(output, batch) -> dict of scalars.
    Returns:
        (dict of the loss and its parts, gradients of the gates, which were not followed).
    """
    parts = losses(forward(model, batch.images), batch)
    optimizer.zero_grad(set_to_none=True)
    total = sum(parts.values())
    total.backward()
    still = gates(model).values()
    grads = [gate.grad for gate in still]
    for gate in still:
        gate.grad = None  # the optimizer passes over it
    optimizer.step()
    return {"loss": total, **parts}, grads


def forward(model: nn.Module, images: Tensor, values: Mapping[str, Tensor] | None = None) -> Output:
    """The model's output; on a GPU in bfloat16, as `fit` does it.

    Args:
        model: with BatchInstanceNorms.
        images: (B, 3, H, W) in 0..255.
        values: other gates to compute with, name -> (C,); None for its own.
    """
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        if values is None:
            return model(images)
        return functional_call(model, values, (images,))


@torch.no_grad()
def move_gates(values: dict, grads: Sequence[Tensor], lr: float) -> None:
    """gates <- clamp(gates - lr grads), in place.

    Args:
        values: the gates, name -> (C,).
        grads: a gradient (C,) per gate, in their order.
        lr: of the step.
    """
    for gate, grad in zip(values.values(), grads):
        gate.sub_(lr * grad).clamp_(0, 1)


def _mean(values):
    return torch.cat([gate.detach() for gate in values.values()]).mean()
