"""Checks of chapter 00."""

import torch

from ...teach.exercises import exercise, expect


@exercise("00-same-person")
def same_person(answer):
    ids = torch.tensor([3, 5, 3, 8])
    got = answer(ids)
    expect(isinstance(got, torch.Tensor), f"return a tensor; you returned {type(got).__name__}")
    expect(
        got.shape == (4, 4),
        f"four pictures make a table of shape (4, 4); yours is {tuple(got.shape)}",
    )
    expect(got.dtype == torch.bool, f"return booleans; yours has dtype {got.dtype}")
    expect(
        got.diagonal().all(), "a picture shows the same person as itself: the diagonal must be True"
    )
    expect(got[0, 2] and got[2, 0], "pictures 0 and 2 show person 3: both entries must be True")
    expect(
        got.sum() == 6, f"six entries are True for ids {ids.tolist()}; yours has {int(got.sum())}"
    )


@exercise("00-cross-camera-pairs")
def cross_camera_pairs(answer):
    ids, cameras = torch.tensor([1, 1, 1, 2, 2]), torch.tensor([0, 0, 1, 0, 1])
    got = answer(ids, cameras)
    expect(
        type(got) is int,
        f"return a Python int (.item() makes one of a tensor, // keeps it one); you returned {type(got).__name__}",
    )
    expect(got != 6, "6 counts each pair from both sides: halve it")
    expect(got != 4, "4 counts the pair of person 1 in one camera, too: it needs two cameras")
    expect(got == 3, f"person 1 has two such pairs and person 2 one: 3 in all; you count {got}")
    expect(
        answer(torch.tensor([1, 2, 3]), torch.tensor([0, 1, 2])) == 0,
        "three strangers have no pair",
    )
