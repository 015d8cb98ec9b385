"""Other statistics for the batch norms of a trained model: those of the pictures it is about to meet."""

import contextlib

import torch
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def reestimated_statistics(model, pictures, batch=None):
    """Inside the block, the model's batch norms have statistics re-estimated on `pictures`, and it is in evaluation mode.

    This is AdaBN (Li et al. 2016), and CBN (Zhuang et al. 2020) if the pictures are those of one camera: weights stay,
    every BatchNorm, BatchInstanceNorm, FeatureNorm and BNNeck forgets its running mean and variance for those of these
    pictures. pictures: normalised, (N, 3, H, W), or an iterable of such batches. batch: how many of a tensor's pictures
    go through at once, interleaved; None for all. Each picture counts the same. With one batch the statistics are those
    of the set exactly; with several, a variance is the mean of those within batches, and deeper layers see inputs that
    were normalised batch by batch. On exit, also by an exception, statistics and training modes are as before, bit for
    bit. ValueError for a batch of fewer than two pictures.
    """
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    modes = [(module, module.training) for module in model.modules()]
    kept = [(buffer, buffer.clone()) for norm in norms for buffer in norm.buffers(recurse=False)]
    momenta = [norm.momentum for norm in norms]
    try:
        model.eval()
        for norm in norms:
            norm.reset_running_stats()
            norm.train()
        _estimate(
            model,
            norms,
            interleaved(pictures, batch) if isinstance(pictures, torch.Tensor) else pictures,
        )
        model.eval()
        yield model
    finally:
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        with torch.no_grad():
            for buffer, value in kept:
                buffer.copy_(value)
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def held_statistics(model):
    """Inside the block, batch norms in training mode normalise by the batch and keep their running mean and variance as they
    are: what MetaBIN calls "hold". What was tracked before is tracked again on exit."""
    norms = [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats
    ]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield model
    finally:
        for norm in norms:
            norm.track_running_stats = True


def interleaved(pictures, batch=None):
    """Slices [i::n] of N pictures, each at most `batch` long but never one picture alone; anything that can be sliced.

    Neighbours in a set are alike, so that runs of them would underestimate the variance."""
    count = len(pictures)
    if count < 2 or batch is not None and batch < 2:
        raise ValueError(
            f"cannot estimate statistics from {count} pictures in batches of {batch}; expected two of each"
        )
    pieces = 1 if batch is None else min(-(-count // batch), count // 2)
    return [pictures[start::pieces] for start in range(pieces)]


@torch.no_grad()
def _estimate(model, norms, batches):
    device = next(
        (tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu")
    )
    seen = 0
    for images in batches:
        if len(images) < 2:
            raise ValueError(
                f"a batch of {len(images)} pictures has no statistics; expected at least two: join it to "
                "another"
            )
        seen += len(images)
        for norm in norms:
            norm.momentum = (
                len(images) / seen
            )  # the running value is then the mean over all seen so far
        model(images.to(device))
    if not seen:
        raise ValueError("no pictures to estimate statistics from; expected at least two")
