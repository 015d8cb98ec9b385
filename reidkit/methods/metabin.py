"""MetaBIN: gates between batch and instance norm, learnt on places that the step before has not seen.

Choi, Kim, Jeong, Park, Kim, "Meta Batch-Instance Normalization for Generalizable Person Re-Identification", CVPR 2021. One
gate a channel mixes the two norms (`layers.norms.BatchInstanceNorm`). Learnt on the source places alone, the gates slide to what
fits these places. So each iteration plays the change of place: the gates take a trial step on some places, on losses that push
them to too little and too much style, and are then really moved by how well they do on the others.
"""

from dataclasses import dataclass, replace

import torch
from torch.func import functional_call

from .. import losses, sampling
from ..layers.norms import BatchInstanceNorm, gates
from ..layers.statistics import held_statistics
from .baseline import baseline_losses


def scatter_loss(features, domains):
    """Spread each domain: mean over domains z of the mean over its features f_i of cos(f_i, c_z), c_z the mean of the domain's
    features of length 1 (paper's intra-domain scatter). features (B, D), domains (B,) -> scalar in [-1, 1], 1 where every
    domain is one point. Minimised, it pushes features of a domain from their centre: style that they share may not hold them.
    """
    unit = torch.nn.functional.normalize(features.float(), dim=1)  # (B, D)
    alike = []
    for domain in domains.unique():
        own = unit[domains == domain]  # (n_z, D)
        alike.append(torch.nn.functional.cosine_similarity(own, own.mean(0, keepdim=True)).mean())
    return torch.stack(alike).mean()


def shuffle_loss(features, ids, domains):
    """Mix the domains: softplus(d(f, f+) - d(f, f-)) with f+ the farthest feature of any other domain and f- the nearest of the
    same domain and another person (paper's inter-domain shuffle). features (B, D), ids (B,), domains (B,) -> (B,); 0, attached
    to the graph, for an anchor without an f+ or f-. All features equal: log 2.
    """
    distance = losses.pairwise_distance(features)  # (B, B)
    home = domains[:, None] == domains[None]
    stranger = home & (ids[:, None] != ids[None])
    gap = distance.masked_fill(home, 0).amax(1) - distance.masked_fill(~stranger, losses.FAR).amin(
        1
    )
    valid = ~home.all(1) & stranger.any(1)
    return torch.where(valid, torch.nn.functional.softplus(gap), 0 * gap)


def episode_losses(names, output, ids, domains, margin=0.3):
    """The named parts of a meta loss -> dict name -> scalar: "scatter", "shuffle", "triplet", "identity"."""
    made = {
        "scatter": lambda: scatter_loss(output.feature, domains),
        "shuffle": lambda: shuffle_loss(output.feature, ids, domains).mean(),
        "triplet": lambda: losses.batch_hard_triplet(output.feature, ids, margin).mean(),
        "identity": lambda: losses.cross_entropy(output.logits, ids, 0.1, "fastreid").mean(),
    }
    if unknown := [name for name in names if name not in made]:
        raise ValueError(f"no meta loss {unknown[0]!r}; expected some of {', '.join(made)}")
    return {name: made[name]() for name in names}


def cycle(progress, low=0.001, high=0.1, cycles=20):
    """Factor on the gate rate in the inner step: a triangle from low up to high and down again, `cycles` times in a run.
    progress: share of the steps done, 0 .. 1. The authors' run: 100 epochs, 5 a cycle."""
    turn = progress * cycles % 1
    return low + (high - low) * (1 - abs(2 * turn - 1))


@dataclass(frozen=True)
class LearntBIN:
    """Gates learnt on the sources like any weight, no episode: what MetaBIN is compared with. `step` is for `fit`.

    gate_rate: of the gates' own gradient descent, without momentum and weight decay, clamped to [0, 1] after each step.
    """

    gate_rate: float
    losses: callable = baseline_losses

    def step(self, model, batch, optimizer, progress):
        parts, slopes = base_step(model, batch, optimizer, self.losses)
        _descend(gates(model), slopes, self.gate_rate)
        return {**parts, "gate": _mean(gates(model))}


@dataclass(frozen=True)
class MetaBIN:
    """The iteration of MetaBIN as `step`, and the batches that it needs as `sampler`, both for `fit`.

        method = MetaBIN(gate_rate=10)
        fit(model, data, step=method.step, sampler=method.sampler, steps=250, people=16, pictures=4)

    model: any with BatchInstanceNorms whose output has feature and logits. In each step, in this order: base step (losses, on
    P x K pictures of all domains; moves everything but the gates); a domain-balanced batch, split at random into meta-train
    and meta-test domains; inner step, gates' = clamp(gates - gate_rate cycle(progress) d inner / d gates) on meta-train; outer
    step, gates = clamp(gates - gate_rate d outer / d gates) with the gradient taken at gates' on meta-test. Both meta losses are
    of batch statistics and leave weights and running statistics as they are.

    gate_rate: the paper's 0.1 (0.2, 0.5) belongs to 150,000 steps; see recipes.norms for shorter runs.
    domains: "domains", or "cameras" for a single source, whose cameras then stand for domains.
    domain_people x pictures: of each domain in the meta batch. first: base steps in the first iteration, 10 in the authors' code.
    inner, outer: names for `episode_losses`; for a single source the authors add "identity" to both.
    low, high, cycles: see `cycle`; low = high is a fixed inner step.
    second_order: the outer gradient also through the inner step, as MAML does; the authors (and the default) leave it out.
    """

    gate_rate: float
    losses: callable = baseline_losses
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

    def sampler(self, data, people, pictures, seed, start):
        """Base batch, then meta batch: yields indices (P K + domains domain_people pictures,), at step 0 with `first` base
        batches. ValueError for fewer than two domains or too few people in one."""
        labels = getattr(data, self.domains)
        count = len(labels.unique())
        if count < 2:
            raise ValueError(
                f"MetaBIN needs two domains or more, the data's {self.domains} are {count}; a single source can "
                'take its cameras: domains="cameras"'
            )
        base = sampling.pk_batches(
            data.ids, people, pictures, seed, start and start + self.first - 1
        )
        meta = sampling.domain_balanced_batches(
            data.ids,
            labels,
            count * self.domain_people,
            self.pictures,
            sampling.step_seed(seed, "meta"),
            start,
        )
        return self._joined(base, meta, start)

    def _joined(self, base, meta, start):
        for number, episode in enumerate(meta, start):
            yield torch.cat([*(next(base) for _ in range(1 if number else self.first)), episode])

    def step(self, model, batch, optimizer, progress):
        count = len(getattr(batch, self.domains).unique())  # the meta batch holds every domain
        split = len(batch.ids) - count * self.domain_people * self.pictures
        size = split // (self.first if batch.step == 0 else 1)
        for begin in range(0, split, size):
            parts, _ = base_step(
                model, rows(batch, slice(begin, begin + size)), optimizer, self.losses
            )
        return parts | self.episode(model, rows(batch, slice(split, None)), progress)

    def episode(self, model, batch, progress):
        """Steps 2 to 6 of the iteration: one inner and one outer step of the gates on a domain-balanced batch -> numbers."""
        labels = getattr(batch, self.domains)
        names = labels.unique()
        names = names[torch.randperm(len(names)).to(names.device)]
        train = torch.isin(
            labels, names[: (len(names) + 1) // 2]
        )  # (B,) 3 of 5, 3 of 6, 4 of 8 domains
        for module in model.modules():
            if isinstance(module, BatchInstanceNorm):
                module.second_order = self.second_order
        rate = self.gate_rate * cycle(progress, self.low, self.high, self.cycles)
        start = gates(model)  # name -> (C,)
        with held_statistics(model):
            inner, slopes = self.slopes(
                model, rows(batch, train), self.inner, start, start, self.second_order
            )
            moved = {
                name: trial(gate, slope, rate) for (name, gate), slope in zip(start.items(), slopes)
            }
            outer, slopes = self.slopes(
                model, rows(batch, ~train), self.outer, moved, start if self.second_order else moved
            )
        _descend(start, slopes, self.gate_rate)
        return {"meta_train": inner, "meta_test": outer, "gate": _mean(start)}

    def slopes(self, model, batch, names, values, by, keep=False):
        """A meta loss with these gates (name -> (C,)), and its gradient by the gates `by`, with its graph if keep."""
        output = forward(model, batch.images, values)
        loss = sum(episode_losses(names, output, batch.ids, getattr(batch, self.domains)).values())
        return loss, torch.autograd.grad(loss, list(by.values()), create_graph=keep)


def trial(gate, slope, rate):
    """Where the inner step takes a gate: clamp(gate - rate slope). The clamp does not stop the gradient, as in the authors' code,
    where it is done to the data. slope with a graph (second order) keeps it; without one the result is a leaf."""
    moved = gate - rate * slope
    moved = moved + (moved.clamp(0, 1) - moved).detach()
    return moved if slope.requires_grad else moved.detach().requires_grad_()


def base_step(model, batch, optimizer, losses):
    """One step downhill of everything but the gates -> (loss parts, gradients of the gates, not followed)."""
    parts = losses(forward(model, batch.images), batch)
    optimizer.zero_grad(set_to_none=True)
    total = sum(parts.values())
    total.backward()
    held = gates(model).values()
    slopes = [gate.grad for gate in held]
    for gate in held:
        gate.grad = None  # the optimizer passes over it
    optimizer.step()
    return {"loss": total, **parts}, slopes


def forward(model, images, values=None):
    """The model's output, with other gates (name -> (C,)) where there are any; on a GPU in bfloat16, as `fit` does it."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
        return model(images) if values is None else functional_call(model, values, (images,))


def rows(batch, chosen):
    """Some pictures of a batch, by slice or mask, with their labels."""
    parts = {
        name: getattr(batch, name)[chosen]
        for name in ("images", "ids", "cameras", "domains", "index")
    }
    return replace(
        batch,
        **parts,
        attributes={name: value[chosen] for name, value in batch.attributes.items()},
        masks=None if batch.masks is None else batch.masks[chosen],
    )


@torch.no_grad()
def _descend(values, slopes, rate):
    """gates <- clamp(gates - rate slopes), in place."""
    for gate, slope in zip(values.values(), slopes):
        gate.sub_(rate * slope).clamp_(0, 1)


def _mean(values):
    return torch.cat([gate.detach() for gate in values.values()]).mean()
