"""Checks of chapter 11: small fixed features, so that they work without any folder of pictures."""

import torch

from ...teach.exercises import exercise, expect


@exercise("11-per-camera")
def per_camera(answer):
    features = torch.tensor([[1.0, 2, 0], [3, 0, 0], [2, 1, 3], [8, 0, 1], [6, 4, 1], [7, 2, 4]])
    cameras = torch.tensor([5, 5, 5, 0, 0, 0])
    means = torch.stack(
        [features[cameras == camera].mean(0) for camera in cameras]
    )  # (6, 3) of each one's camera
    kept, unit = features.clone(), torch.nn.functional.normalize
    got = answer(features, cameras)
    expect(
        torch.equal(features, kept),
        "your function changed the features it was given: build a new tensor, or clone first",
    )
    expect(
        isinstance(got, torch.Tensor) and got.shape == features.shape,
        "return a tensor of the shape of features, one row a picture",
    )
    expect(
        not torch.allclose(got, unit(features, dim=1), atol=1e-5),
        "only the lengths have changed: the mean of the camera is still in the features",
    )
    expect(
        not torch.allclose(got, unit(features - features.mean(0), dim=1), atol=1e-5),
        "you took away the mean of all pictures; each camera has a mean of its own",
    )
    expect(
        not torch.allclose(got, features - means, atol=1e-5),
        "the means are gone, but the rows no longer have length 1: renormalise them",
    )
    scaled = unit(features, dim=1)
    late = scaled - torch.stack([scaled[cameras == camera].mean(0) for camera in cameras])
    expect(
        not torch.allclose(got, late, atol=1e-5),
        "you made the lengths 1 first and took the means away afterwards: the other way round",
    )
    lengths = got.norm(dim=1)
    expect(
        torch.allclose(lengths, torch.ones(6), atol=1e-4),
        f"every row must have length 1; yours have {[round(x, 2) for x in lengths.tolist()]}",
    )
    expect(
        torch.allclose(got, unit(features - means, dim=1), atol=1e-5),
        "every row has length 1, but its direction is wrong: the mean is over the pictures of a camera, as they "
        "were given, and has one value for each number of the feature",
    )
    mixed = torch.tensor([3, 0, 4, 1, 5, 2])
    expect(
        torch.allclose(answer(features[mixed], cameras[mixed]), got[mixed], atol=1e-5),
        "right while the pictures lie camera by camera, wrong when they are mixed: keep the order of the rows",
    )


@exercise("11-most-alike")
def most_alike(answer):
    features = torch.tensor(
        [[1.0, 0.0], [9.0, 9.0], [-1.0, 0.1], [1.0, 0.0], [0.2, 0.02], [0.0, -1.0]]
    )
    got = answer(features, 3, 2)
    expect(
        isinstance(got, torch.Tensor) and got.dtype == torch.int64,
        "return a tensor of picture numbers (int64), as topk and argsort give them",
    )
    expect(
        got.shape == (2,),
        f"asked for 2 pictures, the answer must have shape (2,); yours is {tuple(got.shape)}",
    )
    expect(
        3 not in got,
        "the query is in its own answer: a copy of it (picture 0) has the same similarity, so "
        "leaving out the first place is not enough",
    )
    expect(
        2 not in got and 5 not in got,
        "pictures 2 and 5 point away from the query: did you take the least alike?",
    )
    expect(
        1 not in got,
        "picture 1 is long, not alike: the cosine does not see lengths; make every row length 1 first",
    )
    expect(got.tolist() == [0, 4], f"expected [0, 4], the most alike first; got {got.tolist()}")
    far = answer(torch.tensor([[1.0, 0.0], [-1.0, 0.1], [-1.0, 0.5]]), 0, 2)
    expect(
        0 not in far,
        "when all others point away, the query comes back: hide it with minus infinity, not with 0",
    )
    expect(
        far.tolist() == [2, 1],
        f"all others point away from the query: expected [2, 1], got {far.tolist()}",
    )
