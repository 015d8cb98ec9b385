"""Batches: right shape, distinct people, the same for the same seed, and able to start anywhere."""

import itertools

import pytest
import torch

from reidkit.sampling import domain_balanced_batches, generator, pk_batches, step_seed

SORTED = torch.tensor([7] * 5 + [3] * 2 + [9] * 1 + [4] * 6 + [5] * 4 + [-1] * 3)
IDS = SORTED[torch.randperm(21, generator=torch.Generator().manual_seed(0))]


def take(stream, count):
    return torch.stack(list(itertools.islice(stream, count)))


def test_each_batch_has_P_people_and_K_pictures_in_a_row():
    for batch in take(pk_batches(IDS, 4, 3, seed=1), 30):
        people = IDS[batch].reshape(4, 3)
        assert batch.dtype == torch.int64
        assert (people == people[:, :1]).all()
        assert len(people[:, 0].unique()) == 4
        assert (people >= 0).all()


def test_few_pictures_repeat_and_many_do_not():
    seen = {}
    for batch in take(pk_batches(IDS, 5, 4, seed=2), 40):
        for row in batch.reshape(5, 4):
            person = int(IDS[row[0]])
            have = int((IDS == person).sum())
            assert len(row.unique()) == min(have, 4)
            seen.setdefault(person, set()).update(row.tolist())
    for person, pictures in seen.items():
        # In time every picture comes.
        assert pictures == set(torch.nonzero(IDS == person).squeeze(1).tolist())


def test_one_pass_shows_each_person_once():
    batches = take(pk_batches(IDS, 2, 3, seed=3), 2)  # 5 people: 2 batches of 2 in a pass
    people = IDS[batches][..., ::3].flatten()
    assert len(people.unique()) == 4


def test_seed_and_start():
    whole = take(pk_batches(IDS, 2, 3, seed=4), 12)
    assert torch.equal(whole, take(pk_batches(IDS, 2, 3, seed=4), 12))
    assert not torch.equal(whole, take(pk_batches(IDS, 2, 3, seed=5), 12))
    for start in (1, 2, 3, 7):
        assert torch.equal(
            whole[start:], take(pk_batches(IDS, 2, 3, seed=4, start=start), 12 - start)
        )


def test_too_few_people_names_both_numbers_at_once():
    with pytest.raises(ValueError, match="P=6 .* have 5; lower P"):
        pk_batches(IDS, 6, 2, seed=0)
    with pytest.raises(ValueError, match="K=0"):
        pk_batches(IDS, 2, 0, seed=0)


@pytest.mark.parametrize(
    "ids, words",
    [
        (IDS.float(), r"ids is torch.float32 \(21,\); expected an int64 tensor \(N,\)"),
        (IDS > 3, "ids is torch.bool"),
        (IDS[None], r"ids is torch.int64 \(1, 21\)"),
        (torch.tensor(3), r"ids is torch.int64 \(\)"),
        (IDS.tolist(), "ids is list"),
        (None, "ids is NoneType"),
        (torch.full((5,), -2), "the data have 0: none of their 5 ids .*bring people with ids"),
        (IDS[:0], "the data have 0: none of their 0 ids"),
    ],
)
def test_labels_of_another_form_are_named(ids, words):
    with pytest.raises(ValueError, match=words):
        pk_batches(ids, 2, 2, seed=0)
    with pytest.raises(ValueError, match=words):
        domain_balanced_batches(ids, torch.zeros(21, dtype=torch.int64)[: _length(ids)], 2, 2, 0)


def _length(ids):
    return len(ids) if isinstance(ids, torch.Tensor) and ids.ndim == 1 else 21


@pytest.mark.parametrize(
    "P, K, start", [(0, 1, 0), (2, 0, 0), (2, 1, -1), (2.0, 1, 0), (2, "1", 0)]
)
def test_numbers_of_a_batch_are_whole(P, K, start):
    with pytest.raises(ValueError, match=f"P={P!r}, K={K!r}, start={start!r}: .*whole numbers"):
        pk_batches(IDS, P, K, 0, start)


def test_a_domain_of_junk_alone_does_not_count():
    ids = torch.arange(9).repeat_interleave(2)
    domains = torch.arange(18) // 6
    ids[domains == 2] = -1
    batch = next(domain_balanced_batches(ids, domains, 4, 2, seed=1))
    assert domains[batch].tolist() == [0] * 4 + [1] * 4
    with pytest.raises(ValueError, match="18 ids and 5 domains; expected one of each"):
        domain_balanced_batches(ids, domains[:5], 4, 2, seed=1)


def test_domains_share_a_batch_evenly():
    ids = torch.arange(12).repeat_interleave(3)
    domains = torch.arange(36) // 12  # 4 people in each of 3 domains
    whole = take(domain_balanced_batches(ids, domains, 6, 2, seed=1), 9)
    for batch in whole:
        assert domains[batch].tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert len(ids[batch].unique()) == 6
    assert torch.equal(
        whole[5:], take(domain_balanced_batches(ids, domains, 6, 2, seed=1, start=5), 4)
    )
    with pytest.raises(ValueError, match="P=4 .* 3 domains"):
        domain_balanced_batches(ids, domains, 4, 2, seed=1)
    with pytest.raises(ValueError, match="P=5 .* have 4"):
        domain_balanced_batches(ids, domains, 15, 2, seed=1)


def test_step_seeds_differ_and_stay():
    counters = itertools.product(range(3), "ab", range(9))  # seed, purpose, step
    assert len({step_seed(*counter) for counter in counters}) == 54
    first = torch.rand(3, generator=generator(1, 2))
    assert torch.equal(first, torch.rand(3, generator=generator(1, 2)))
    assert 0 <= step_seed(0) < 2**63
