"""Other statistics for the batch norms of a trained model: those of the pictures it is to meet."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextlib.contextmanager
def reestimated_statistics(
    model: nn.Module, pictures: Tensor | Iterable[Tensor], batch: int | None = None
) -> Iterator[nn.Module]:
    """Inside the block, the model's batch norms have statistics re-estimated on `pictures`.

    This is AdaBN (Li et al. 2016), and CBN (Zhuang et al. 2020) if the pictures are those of one
    camera: weights stay, every BatchNorm, BatchInstanceNorm, FeatureNorm and BNNeck forgets its
    running mean and variance for those of these pictures. So does any other module that has buffers
    `running_mean` and `running_var` and a number `momentum`, which it heeds as nn.BatchNorm2d does:
    a norm that somebody wrote by hand. The model is in evaluation mode inside.

    Each picture counts the same. With one batch the statistics are those of the set exactly; with
    several, a variance is the mean of those within batches, and deeper layers see inputs that were
    normalised batch by batch. On exit, also by an exception, statistics and training modes are as
    before, bit for bit.

    Args:
        model: any module.
        pictures: (N, 3, H, W) as the model takes them, or an iterable of such batches.
        batch: how many of a tensor's pictures go through at once, interleaved; None for all.
    Returns:
        A context manager that gives the model.
    Raises:
        ValueError: a batch of fewer than two pictures.
    """
    torch_norms = _tracking_norms(model)
    norms = [*torch_norms, *_handwritten_norms(model)]
    modes = [(module, module.training) for module in model.modules()]
    momenta = [norm.momentum for norm in norms]
    copies = []  # (buffer, its value before)
    for norm in torch_norms:
        for buffer in norm.buffers(recurse=False):
            copies.append((buffer, buffer.clone()))
    buffers_before = _lend_copies(norms[len(torch_norms) :])
    try:
        model.eval()
        for norm in norms:
            _forget_statistics(norm)
            norm.train()
        batches = interleaved(pictures, batch) if isinstance(pictures, Tensor) else pictures
        _estimate(model, norms, batches)
        model.eval()
        yield model
    finally:
        _take_back(buffers_before)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
        with torch.no_grad():
            for buffer, value in copies:
                buffer.copy_(value)
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def held_statistics(model: nn.Module) -> Iterator[nn.Module]:
    """Inside the block, batch norms in training mode leave their running statistics alone.

    They normalise by the batch and keep their running mean and variance as they are: what MetaBIN
    calls "hold". What was tracked before is tracked again on exit. A norm that somebody wrote by
    hand (see `reestimated_statistics`) need not know `track_running_stats`: inside it moves copies
    of its buffers, and on exit it has its own back, bit for bit.

    Args:
        model: any module.
    Returns:
        A context manager that gives the model.
    """
    norms = _tracking_norms(model)
    buffers_before = _lend_copies(_handwritten_norms(model))
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield model
    finally:
        for norm in norms:
            norm.track_running_stats = True
        _take_back(buffers_before)


def _tracking_norms(model):
    """The batch norms of a model that keep running statistics."""
    norms = []
    for module in model.modules():
        if isinstance(module, _BatchNorm) and module.track_running_stats:
            norms.append(module)
    return norms


def _handwritten_norms(model):
    """Modules that keep running statistics, as torch's batch norms do, and are none of these."""
    norms = []
    for module in model.modules():
        buffers = dict(module.named_buffers(recurse=False))
        has_statistics = {"running_mean", "running_var"} <= buffers.keys()
        momentum = getattr(module, "momentum", None)
        has_momentum = isinstance(momentum, (int, float)) and not isinstance(momentum, bool)
        if has_statistics and has_momentum and not isinstance(module, _BatchNorm):
            if getattr(module, "track_running_stats", True):
                norms.append(module)
    return norms


def _lend_copies(norms):
    """Let norms work on copies of their buffers.

    A buffer that is put back is the very tensor that it was, whether the norm changed its copy in
    place or put another tensor there.

    Returns:
        [(norm, its buffers before by name)], for `_take_back`.
    """
    lent = []
    for norm in norms:
        buffers = dict(norm.named_buffers(recurse=False))
        lent.append((norm, buffers))
        for name, buffer in buffers.items():
            setattr(norm, name, buffer.clone())
    return lent


def _take_back(lent):
    for norm, buffers in lent:
        for name, buffer in buffers.items():
            setattr(norm, name, buffer)


@torch.no_grad()
def _forget_statistics(norm):
    """Give a norm the statistics of a new one."""
    if isinstance(norm, _BatchNorm):
        norm.reset_running_stats()
        return
    norm.running_mean.zero_()
    norm.running_var.fill_(1)
    count = getattr(norm, "num_batches_tracked", None)
    if isinstance(count, Tensor):
        count.zero_()


def interleaved(pictures: Sequence, batch: int | None = None) -> list:
    """Slices [i::n] of N pictures, each at most `batch` long but never one picture alone.

    Neighbours in a set are alike, so that runs of them would underestimate the variance.

    Args:
        pictures: a tensor (N, ...), or anything else that can be sliced.
        batch: pictures in a slice at most; None for all in one.
    Returns:
        The slices.
    Raises:
        ValueError: fewer than two pictures, or a batch of fewer.
    """
    count = len(pictures)
    if count < 2 or batch is not None and batch < 2:
        raise ValueError(
            f"cannot estimate statistics from {count} pictures in batches of {batch}; "
            "expected two of each"
        )
    slices = 1
    if batch is not None:
        needed = -(-count // batch)  # count / batch, rounded up
        slices = min(needed, count // 2)
    return [pictures[start::slices] for start in range(slices)]


@torch.no_grad()
def _estimate(model, norms, batches):
    tensors = (*model.parameters(), *model.buffers())
    device = tensors[0].device if tensors else torch.device("cpu")
    pictures_so_far = 0
    for images in batches:
        if len(images) < 2:
            raise ValueError(
                f"a batch of {len(images)} pictures has no statistics; expected at least two: "
                "join it to another"
            )
        pictures_so_far += len(images)
        # With this momentum, the running value is the mean over all pictures so far.
        for norm in norms:
            norm.momentum = len(images) / pictures_so_far
        model(images.to(device))
    if not pictures_so_far:
        raise ValueError("no pictures to estimate statistics from; expected at least two")
