"""Checks of chapter 00."""

import torch

from ...teach.exercises import exercise, expect


@exercise("00-same-person")
def same_person(answer):
    ids = torch.tensor([3, 5, 3, 8])
    table = answer(ids)
    kind = type(table).__name__
    expect(isinstance(table, torch.Tensor), f"return a tensor; you returned {kind}")
    shape = tuple(table.shape)
    expect(shape == (4, 4), f"four pictures make a table of shape (4, 4); yours is {shape}")
    dtype = table.dtype
    expect(dtype == torch.bool, f"return booleans; yours has dtype {dtype}")
    expect(
        table.diagonal().all(),
        "a picture shows the same person as itself: the diagonal must be True",
    )
    expect(table[0, 2] and table[2, 0], "pictures 0 and 2 show person 3: both entries must be True")
    count = int(table.sum())
    expect(count == 6, f"six entries are True for ids [3, 5, 3, 8]; yours has {count}")


@exercise("00-cross-camera-pairs")
def cross_camera_pairs(answer):
    ids = torch.tensor([1, 1, 1, 2, 2])
    cameras = torch.tensor([0, 0, 1, 0, 1])
    pairs = answer(ids, cameras)
    kind = type(pairs).__name__
    expect(
        type(pairs) is int,
        "return a Python int (.item() makes one of a tensor, // keeps it one); "
        f"you returned {kind}",
    )
    expect(pairs != 6, "6 counts each pair from both sides: halve it")
    expect(pairs != 4, "4 counts the pair of person 1 in one camera, too: it needs two cameras")
    expect(pairs == 3, f"person 1 has two such pairs and person 2 one: 3 in all; you count {pairs}")
    strangers = torch.tensor([1, 2, 3])
    cameras = torch.tensor([0, 1, 2])
    expect(answer(strangers, cameras) == 0, "three strangers have no pair")
