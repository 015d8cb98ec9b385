"""Which pictures make a batch: P identities x K pictures, over all data or split over the domains.

Every stream is a function of (seed, step): started at any step it goes on exactly as if it had run
from the beginning.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from .record import ReIDData, is_junk


def step_seed(seed: Any, *counters: Any) -> int:
    """A 63-bit seed for one step of one purpose, independent of the random numbers of other steps.

    Args:
        seed: of the run.
        counters: the purpose and the step: numbers and words.
    Returns:
        A number from 0 to 2^63 - 1.
    """
    text = repr((seed, *counters))
    first_bytes = hashlib.sha256(text.encode()).digest()[:8]
    return int.from_bytes(first_bytes, "little") >> 1


def generator(seed: Any, *counters: Any, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator that starts at `step_seed(seed, *counters)`.

    Args:
        seed: of the run.
        counters: the purpose and the step.
        device: where it draws.
    Returns:
        The generator.
    """
    return torch.Generator(device=device).manual_seed(step_seed(seed, *counters))


def pk_batches(ids: Tensor, P: int, K: int, seed: Any, start: int = 0) -> Iterator[Tensor]:
    """Endless batches of P identities x K pictures, the K of an identity in a row.

    One pass shows each identity at most once (as in open-reid, the C mod P left over sit out), in
    new order each time; an identity with fewer than K pictures repeats them. Junk (id < 0) is never
    drawn.

    Args:
        ids: (N,) int64 identities.
        P: identities in a batch.
        K: pictures of each.
        seed: of the stream.
        start: the batch that the stream begins at.
    Returns:
        An iterator of (P K,) int64 indices into `ids`.
    Raises:
        ValueError: fewer than P identities, labels of another form, or a number that is too small
            or not whole.
    """
    ids = _labels("ids", ids)
    pictures = torch.nonzero(~is_junk(ids)).squeeze(1)  # (M,) those that count
    _, labels, counts = torch.unique(ids[pictures], return_inverse=True, return_counts=True)
    whole = all(isinstance(number, int) and number is not True for number in (P, K, start))
    if not whole or P < 1 or K < 1 or start < 0:
        raise ValueError(
            f"P={P!r}, K={K!r}, start={start!r}: P and K are at least 1, start at least 0, all of "
            "them whole numbers"
        )
    if len(counts) == 0:
        raise ValueError(
            f"a batch needs P={P} identities, the data have 0: none of their {len(ids)} ids is 0 "
            "or more, and an id below 0 is junk or unlabelled; bring people with ids, or a sampler "
            "for pictures without them"
        )
    if len(counts) < P:
        raise ValueError(
            f"a batch needs P={P} identities, the data have {len(counts)}; "
            "lower P or bring more people"
        )
    return _passes(pictures, labels, counts, P, K, seed, start)


def _labels(name, values):
    """Labels on the CPU, after a look at their form."""
    fits = isinstance(values, Tensor) and values.ndim == 1
    if not fits or values.is_floating_point() or values.dtype == torch.bool:
        found = type(values).__name__
        if isinstance(values, Tensor):
            found = f"{values.dtype} {tuple(values.shape)}"
        raise ValueError(f"{name} is {found}; expected an int64 tensor (N,), one value a picture")
    return values.cpu()


def _passes(pictures, labels, counts, P, K, seed, start):
    """Pass after pass: pictures (M,), their labels 0..C-1 (M,) and pictures of each label (C,)."""
    batches_per_pass = len(counts) // P
    # Sorted by label, the pictures of an identity are neighbours. Of them, these places are taken:
    # the first K, from the start again where there are fewer.
    first = counts.cumsum(0) - counts  # (C,) where each identity begins
    places = first[:, None] + torch.arange(K)[None, :] % counts[:, None]  # (C, K)
    turn, skip = divmod(start, batches_per_pass)
    while True:
        draw = generator(seed, "pk", turn)
        # A fraction added to the labels shuffles the pictures within each identity.
        keys = labels + torch.rand(len(labels), generator=draw, dtype=torch.float64)  # (M,)
        shuffled = pictures[torch.argsort(keys)]
        people = torch.randperm(len(counts), generator=draw)[: batches_per_pass * P]
        batches = shuffled[places[people]]  # (batches P, K)
        batches = batches.reshape(batches_per_pass, P * K)
        yield from batches[skip:]
        turn += 1
        skip = 0


def domain_balanced_batches(
    ids: Tensor, domains: Tensor, P: int, K: int, seed: Any, start: int = 0
) -> Iterator[Tensor]:
    """P x K batches split evenly over the D domains (MetaBIN, DualNorm), domain after domain.

    Each domain runs through its own people at its own pace.

    Args:
        ids: (N,) int64 identities.
        domains: (N,) int64.
        P: identities in a batch, a multiple of D.
        K: pictures of each.
        seed: of the stream.
        start: the batch that the stream begins at.
    Returns:
        An iterator of (P K,) int64 indices into `ids`.
    Raises:
        ValueError: D does not divide P, or a domain has fewer than P/D people. A domain of junk
            alone does not count.
    """
    ids = _labels("ids", ids)
    domains = _labels("domains", domains)
    if len(ids) != len(domains):
        raise ValueError(
            f"there are {len(ids)} ids and {len(domains)} domains; expected one of each a picture"
        )
    names = torch.unique(domains[~is_junk(ids)]).tolist()
    if not names:
        return pk_batches(ids, P, K, seed, start)  # which says that there is nobody
    if P % len(names):
        raise ValueError(
            f"P={P} identities do not split over {len(names)} domains; "
            f"take a multiple of {len(names)}"
        )
    streams = []
    for name in names:
        # -1 is never drawn, so that each stream sees one domain only.
        ids_of_domain = torch.where(domains == name, ids, -1)
        seed_of_domain = step_seed(seed, "domain", name)
        streams.append(pk_batches(ids_of_domain, P // len(names), K, seed_of_domain, start))
    return (torch.cat(parts) for parts in zip(*streams))


def by_identity(
    data: ReIDData, people: int, pictures: int, seed: Any, start: int
) -> Iterator[Tensor]:
    """`fit`'s usual sampler: P x K over all identities of a record.

    Args:
        data: the record.
        people: P, identities in a batch.
        pictures: K of each.
        seed: of the stream.
        start: the batch that the stream begins at.
    Returns:
        An iterator of (P K,) int64 indices into the record.
    Raises:
        ValueError: data are several records, and as `pk_batches` does.
    """
    record = _only_record(data, "by_identity")
    return pk_batches(record.ids, people, pictures, seed, start)


def by_domain(
    data: ReIDData, people: int, pictures: int, seed: Any, start: int
) -> Iterator[Tensor]:
    """`fit`'s sampler for many domains: each has the same share of every batch.

    Args:
        data: the record.
        people: P, identities in a batch.
        pictures: K of each.
        seed: of the stream.
        start: the batch that the stream begins at.
    Returns:
        An iterator of (P K,) int64 indices into the record.
    Raises:
        ValueError: data are several records, and as `domain_balanced_batches` does.
    """
    record = _only_record(data, "by_domain")
    return domain_balanced_batches(record.ids, record.domains, people, pictures, seed, start)


def _only_record(data, sampler):
    if isinstance(data, Mapping):
        raise ValueError(
            f"the sampler {sampler} is for one record, the data are {len(data)}: "
            f"{', '.join(map(str, data))}; give the method a sampler that yields {{name: indices}}"
        )
    return data
