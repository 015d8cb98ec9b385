"""Checks of chapter 01: what is wrong, in the student's terms; none gives the answer away."""

import torch

from ...teach.exercises import exercise, expect


@exercise("01-keep")
def keep(answer):
    ids = torch.tensor([1, 1, 2, 2, -1, -1, 0])
    cameras = torch.tensor([0, 1, 0, 1, 0, 1, 0])
    mask = answer(1, 0, ids, cameras)
    kind = type(mask).__name__
    expect(
        isinstance(mask, torch.Tensor),
        f"return a tensor, one True or False a gallery picture; you returned {kind}",
    )
    dtype = mask.dtype
    expect(dtype == torch.bool, f"return a bool mask; yours has dtype {dtype}")
    shape = tuple(mask.shape)
    expect(
        shape == (7,),
        f"return one value a gallery picture, shape (7,); yours is {shape}",
    )
    expect(not mask[0], "the same person in the same camera is still in: that is the junk rule")
    expect(mask[1], "the same person in another camera must stay: it is the right answer")
    expect(
        mask[2],
        "a stranger in the query's camera must stay: being in the same camera alone is no reason "
        "to leave",
    )
    expect(not mask[4] and not mask[5], "id -1 is junk in every camera")
    expect(mask[6], "id 0 is a stranger (a distractor), not junk: it stays")
    values = mask.tolist()
    expect(
        values == [False, True, True, True, False, False, True],
        f"expected [F, T, T, T, F, F, T] for ids [1, 1, 2, 2, -1, -1, 0], got {values}",
    )
    second = answer(2, 1, ids, cameras)
    expect(
        second.tolist() == [True, True, True, False, False, False, True],
        "right for the first query, wrong for another: does the mask use query_id and "
        "query_camera?",
    )


@exercise("01-average-precision")
def average_precision(answer):
    def ap(*right):
        return answer(torch.tensor(right, dtype=torch.bool))

    first = ap(1, 0, 0)
    kind = type(first).__name__
    expect(isinstance(first, float), f"return a Python float (use .item()); you returned {kind}")
    golden = 0.8303571  # right answers at ranks 1, 2, 4 and 7
    mixed = ap(1, 1, 0, 1, 0, 0, 1)
    expect(
        abs(mixed - golden * 4 / 7) > 1e-4,
        "you divide by the length of the list; divide by the number of right answers",
    )
    expect(abs(first - 1) < 1e-6, f"one right answer at the top must give 1, you give {first:.4f}")
    late = ap(0, 0, 0, 0, 1)
    expect(
        abs(late - 0.1) > 1e-6,
        "0.1 for a single right answer at rank 5 is the trapezoid rule; "
        "the rectangle rule gives 1/5",
    )
    expect(
        abs(late - 0.2) < 1e-6,
        f"a single right answer at rank 5 must give 1/5, you give {late:.4f}",
    )
    expect(
        abs(mixed - golden) < 1e-5,
        f"right answers at ranks 1, 2, 4, 7 must give 0.8304, you give {mixed:.4f}",
    )
    longer = ap(1, 1, 0, 1, 0, 0, 1, 0, 0)
    expect(abs(longer - golden) < 1e-5, "strangers at the very end must not change AP")


@exercise("01-first-rank")
def first_rank(answer):
    def rank(similarity, *right):
        return answer(torch.tensor(similarity), torch.tensor(right, dtype=torch.bool))

    plain = rank([0.9, 0.8, 0.7, 0.1], 0, 0, 1, 0)
    expect(not isinstance(plain, torch.Tensor), "return a Python int (use .item())")
    expect(plain == 3, f"two strangers are closer, so the rank is 3; you give {plain}")
    constant = rank([0.5, 0.5, 0.5, 0.5, 0.5], 0, 1, 0, 0, 0)
    expect(
        constant != 1,
        "a constant feature still gets rank 1: strangers that tie with the right answer are put "
        "behind it",
    )
    expect(
        constant == 5,
        f"four strangers tie with the right answer, so its honest rank is 5; you give {constant}",
    )
    first = rank([0.9, 0.5, 0.1], 1, 0, 1)
    expect(
        first == 1,
        "the best right answer is closer than every stranger, so its rank is 1; "
        f"you give {first} (did you take the worst right answer?)",
    )
    tied = rank([0.9, 0.9, 0.9, 0.2], 1, 1, 0, 0)
    expect(
        tied == 2,
        "one stranger ties with two right answers: the best of them has rank 2; "
        f"you give {tied} (do right answers push each other down?)",
    )
