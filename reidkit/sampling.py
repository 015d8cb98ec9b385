"""Which pictures make a batch: P identities x K pictures, over all data or split evenly over the domains.

Every stream is a function of (seed, step): started at any step it goes on exactly as if it had run from the beginning.
"""

import hashlib

import torch


def step_seed(seed, *counters):
    """A 63-bit seed for one step of one purpose, so that no step depends on the random numbers of an earlier one."""
    return (
        int.from_bytes(hashlib.sha256(repr((seed, *counters)).encode()).digest()[:8], "little") >> 1
    )


def generator(seed, *counters, device="cpu"):
    return torch.Generator(device=device).manual_seed(step_seed(seed, *counters))


def pk_batches(ids, P, K, seed, start=0):
    """Endless batches of P identities x K pictures: yields (P*K,) int64 indices into `ids`, K in a row an identity.

    One pass shows each identity at most once (as in open-reid, the C mod P left over sit out), in new order each time;
    an identity with fewer than K pictures repeats them. Junk (id < 0) is never drawn. ids (N,) int64; the stream begins
    at batch `start`. ValueError if there are fewer than P identities.
    """
    ids = ids.cpu()
    members = torch.nonzero(ids >= 0).squeeze(1)  # (M,) pictures that count
    _, labels, counts = torch.unique(ids[members], return_inverse=True, return_counts=True)
    if P < 1 or K < 1 or start < 0:
        raise ValueError(f"P={P}, K={K}, start={start}: P and K are at least 1, start at least 0")
    if len(counts) < P:
        raise ValueError(
            f"a batch needs P={P} identities, the data have {len(counts)}; lower P or bring more people"
        )
    return _passes(members, labels, counts, P, K, seed, start)


def _passes(members, labels, counts, P, K, seed, start):
    per_pass = len(counts) // P
    first = counts.cumsum(0) - counts  # (C,) where each identity begins in the sorted order
    take = (
        first[:, None] + torch.arange(K)[None, :] % counts[:, None]
    )  # (C, K) repeats where pictures are few
    turn, skip = divmod(start, per_pass)
    while True:
        draw = generator(seed, "pk", turn)
        shuffled = torch.argsort(
            labels + torch.rand(len(labels), generator=draw, dtype=torch.float64)
        )
        people = torch.randperm(len(counts), generator=draw)[: per_pass * P]
        batches = members[shuffled[take[people]]].reshape(
            per_pass, P * K
        )  # (passes * P, K) -> (passes, P * K)
        yield from batches[skip:]
        turn, skip = turn + 1, 0


def domain_balanced_batches(ids, domains, P, K, seed, start=0):
    """P x K batches split evenly over the D domains (MetaBIN, DualNorm): yields (P*K,) indices, domain after domain.

    Each domain runs through its own people at its own pace. ValueError unless D divides P and each domain has P/D
    people.
    """
    names = torch.unique(domains.cpu()).tolist()
    if P % len(names):
        raise ValueError(
            f"P={P} identities do not split over {len(names)} domains; take a multiple of {len(names)}"
        )
    hidden = torch.full_like(ids.cpu(), -1)  # -1 is never drawn: each stream sees one domain only
    streams = [
        pk_batches(
            torch.where(domains.cpu() == name, ids.cpu(), hidden),
            P // len(names),
            K,
            step_seed(seed, "domain", name),
            start,
        )
        for name in names
    ]
    return (torch.cat(parts) for parts in zip(*streams))


def by_identity(data, people, pictures, seed, start):
    """`fit`'s usual sampler: P x K over all identities of a record."""
    return pk_batches(data.ids, people, pictures, seed, start)


def by_domain(data, people, pictures, seed, start):
    """`fit`'s sampler for many domains: each has the same share of every batch."""
    return domain_balanced_batches(data.ids, data.domains, people, pictures, seed, start)
