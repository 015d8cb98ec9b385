"""Checks of chapter 11: small fixed features, so that they work without any folder of pictures."""

import torch
from torch.nn.functional import normalize

from ...teach.exercises import exercise, expect


@exercise("11-per-camera")
def per_camera(answer):
    features = torch.tensor([[1.0, 2, 0], [3, 0, 0], [2, 1, 3], [8, 0, 1], [6, 4, 1], [7, 2, 4]])
    cameras = torch.tensor([5, 5, 5, 0, 0, 0])
    before = features.clone()
    rows = answer(features, cameras)
    expect(
        torch.equal(features, before),
        "your function changed the features it was given: build a new tensor, or clone first",
    )
    is_tensor = isinstance(rows, torch.Tensor)
    expect(
        is_tensor and rows.shape == features.shape,
        "return a tensor of the shape of features, one row a picture",
    )
    _name_the_mistake(rows, features, cameras)
    lengths = rows.norm(dim=1)
    ones = torch.ones(6)
    values = [round(length, 2) for length in lengths.tolist()]
    expect(
        torch.allclose(lengths, ones, atol=1e-4),
        f"every row must have length 1; yours have {values}",
    )
    centred = features - _means(features, cameras)
    expect(
        _alike(rows, normalize(centred, dim=1)),
        "every row has length 1, but its direction is wrong: the mean is over the pictures of a "
        "camera, as they were given, and has one value for each number of the feature",
    )
    mixed = torch.tensor([3, 0, 4, 1, 5, 2])
    rows_of_mixed = answer(features[mixed], cameras[mixed])
    expect(
        _alike(rows_of_mixed, rows[mixed]),
        "right while the pictures lie camera by camera, wrong when they are mixed: keep the order "
        "of the rows",
    )


def _name_the_mistake(rows, features, cameras):
    """Answers that are known to go wrong, each with its own sentence."""
    only_lengths = normalize(features, dim=1)
    expect(
        not _alike(rows, only_lengths),
        "only the lengths have changed: the mean of the camera is still in the features",
    )
    one_mean = normalize(features - features.mean(0), dim=1)
    expect(
        not _alike(rows, one_mean),
        "you took away the mean of all pictures; each camera has a mean of its own",
    )
    centred = features - _means(features, cameras)
    expect(
        not _alike(rows, centred),
        "the means are gone, but the rows no longer have length 1: renormalise them",
    )
    too_late = only_lengths - _means(only_lengths, cameras)
    expect(
        not _alike(rows, too_late),
        "you made the lengths 1 first and took the means away afterwards: the other way round",
    )


def _means(features, cameras):
    """(N, D) the mean of each picture's camera."""
    means = [features[cameras == camera].mean(0) for camera in cameras]
    return torch.stack(means)


def _alike(rows, others):
    return torch.allclose(rows, others, atol=1e-5)


@exercise("11-most-alike")
def most_alike(answer):
    features = torch.tensor(
        [[1.0, 0.0], [9.0, 9.0], [-1.0, 0.1], [1.0, 0.0], [0.2, 0.02], [0.0, -1.0]]
    )
    numbers = answer(features, 3, 2)
    is_tensor = isinstance(numbers, torch.Tensor)
    expect(
        is_tensor and numbers.dtype == torch.int64,
        "return a tensor of picture numbers (int64), as topk and argsort give them",
    )
    shape = tuple(numbers.shape)
    expect(
        shape == (2,),
        f"asked for 2 pictures, the answer must have shape (2,); yours is {shape}",
    )
    expect(
        3 not in numbers,
        "the query is in its own answer: a copy of it (picture 0) has the same similarity, so "
        "leaving out the first place is not enough",
    )
    expect(
        2 not in numbers and 5 not in numbers,
        "pictures 2 and 5 point away from the query: did you take the least alike?",
    )
    expect(
        1 not in numbers,
        "picture 1 is long, not alike: the cosine does not see lengths; make every row length 1 "
        "first",
    )
    values = numbers.tolist()
    expect(values == [0, 4], f"expected [0, 4], the most alike first; got {values}")
    all_away = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, 0.5]])
    numbers = answer(all_away, 0, 2)
    expect(
        0 not in numbers,
        "when all others point away, the query comes back: hide it with minus infinity, not with 0",
    )
    values = numbers.tolist()
    expect(
        values == [2, 1],
        f"all others point away from the query: expected [2, 1], got {values}",
    )
