"""Pictures to features: one vector of unit length per picture."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from ..layers.statistics import interleaved, reestimated_statistics
from ..record import Exam, ReIDData
from .metrics import Metrics, evaluate


def embed(
    model: nn.Module,
    data: ReIDData,
    *,
    mirror: bool = False,
    batch: int = 256,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor:
    """Features of all pictures, computed in evaluation mode.

    A model returns an Output; its `neck` is the feature where there is one (Luo et al. 2019:
    distances after BNNeck), else its `feature`. Pictures go in as 0..255: a model normalizes
    them itself. The model's training mode, layer by layer, is as before when this returns
    or fails.

    Args:
        model: returns an Output.
        data: the pictures.
        mirror: add the feature of the mirrored picture before the norm is taken.
        batch: how many pictures go through at once.
        device: None is where the model is; a name moves the model there.
        progress: whether a bar is shown.
    Returns:
        (N, D) float32 of unit norm, on the device.
    """
    features = outputs(
        model, data, _feature, mirror=mirror, batch=batch, device=device, progress=progress
    )
    return F.normalize(features, dim=1)


@torch.no_grad()
def outputs(
    model: nn.Module,
    data: ReIDData,
    pick: Callable[..., Tensor],
    *,
    mirror: bool = False,
    batch: int = 256,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor:
    """pick(Output) of all pictures as `embed` computes it, before the norm is taken.

    Args:
        model: see `embed`, as all others.
        pick: takes (B, D) out of the Output of a batch.
        mirror: sum both orientations.
    Returns:
        (N, D) on the device.
    Raises:
        ValueError: no pictures, or batches of none.
    """
    if batch < 1 or not len(data):
        raise ValueError(
            f"cannot embed {len(data)} pictures in batches of {batch}; expected at least one of "
            "each"
        )
    if device is None:
        device = _device_of(model)
    model.to(device)
    starts = range(0, len(data), batch)
    features = []
    with _evaluation_mode(model):
        for start in tqdm(starts, desc=f"embed {data.name}", disable=not progress, leave=False):
            pictures = data.pictures(slice(start, start + batch))
            images = pictures.to(device).float()  # (B, 3, H, W)
            feature = pick(model(images))  # (B, D)
            if mirror:
                feature = feature + pick(model(images.flip(3)))
            features.append(feature)
    return torch.cat(features)


def _device_of(model):
    """Where a model's first tensor is; the CPU for a model without any."""
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def _feature(output):
    feature = output.feature if output.neck is None else output.neck
    return feature.float()


@contextlib.contextmanager
def _evaluation_mode(model):
    # Layer by layer: frozen layers may differ from their model.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def embed_by_camera(
    model: nn.Module,
    data: ReIDData,
    *,
    mirror: bool = False,
    batch: int = 256,
    device: str | torch.device | None = None,
    progress: bool = False,
) -> Tensor:
    """As `embed`, each camera's pictures under batch norm statistics re-estimated on them.

    This is CBN (Zhuang et al. 2020). It is transductive: it uses the test pictures of a camera
    together, without labels but for the camera, and a picture's feature depends on which others are
    there. The model's own statistics are as before when this returns or fails.

    Args:
        model: see `embed`.
        data: the pictures; two or more of each camera.
        mirror: see `embed`; statistics are then estimated on the mirrored pictures too.
        batch: limits the pictures (of one orientation) that go through at once. Up to so many in a
            camera, statistics are exact, see `reestimated_statistics`.
        device: see `embed`.
        progress: see `embed`.
    Returns:
        (N, D) float32 of unit norm in the order of the data, on the device.
    Raises:
        ValueError: no pictures, or a camera with a single one.
    """
    if not len(data):
        raise ValueError("cannot embed 0 pictures; expected at least two of each camera")
    if device is not None:
        model.to(device)
    features = None
    for camera in data.cameras.unique().tolist():
        numbers = (data.cameras == camera).nonzero().flatten()
        if len(numbers) < 2:
            raise ValueError(
                f"{data.name}: camera {camera} has one picture, which has no statistics; expected "
                "at least two of each camera: leave it out, or use embed"
            )
        with reestimated_statistics(model, _batches(data, numbers, mirror, batch)):
            of_camera = embed(
                model, data[numbers], mirror=mirror, batch=batch, device=device, progress=progress
            )
        if features is None:
            features = of_camera.new_empty(len(data), of_camera.shape[1])
        features[numbers.to(of_camera.device)] = of_camera
    return features


def _batches(data, numbers, mirror, batch):
    """The pictures of these numbers, decoded piece by piece."""
    for part in interleaved(numbers, batch):
        images = data.pictures(part).float()  # (b, 3, H, W)
        if mirror:
            images = torch.cat([images, images.flip(3)])  # (2 b, 3, H, W)
        yield images


def evaluate_exam(
    model: nn.Module,
    exam: Exam,
    *,
    ap: str = "rectangle",
    ranks: tuple[int, ...] = (1, 5, 10),
    per_camera: bool = False,
    **embedding: Any,
) -> Metrics:
    """Embed both sides of an exam and `evaluate` them.

    Args:
        model: see `embed`.
        exam: its query is searched in its gallery.
        ap: see `evaluate`.
        ranks: see `evaluate`.
        per_camera: take `embed_by_camera`, which is transductive. A camera's statistics come from
            its pictures of both sides together, whose cameras are numbered alike.
        embedding: mirror, batch, device and progress, as `embed` takes them.
    """
    if per_camera:
        both = embed_by_camera(model, exam.both(), **embedding)
        query, gallery = both.split([len(exam.query), len(exam.gallery)])
    else:
        query = embed(model, exam.query, **embedding)
        gallery = embed(model, exam.gallery, **embedding)
    return evaluate(
        query,
        exam.query.ids,
        exam.query.cameras,
        gallery,
        exam.gallery.ids,
        exam.gallery.cameras,
        ap=ap,
        ranks=ranks,
    )
