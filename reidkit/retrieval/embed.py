"""Pictures to features: one vector of unit length per picture."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import console
from ..arguments import describe, whole_number
from ..layers.statistics import interleaved, reestimated_statistics
from ..record import Exam, ReIDData
from ..runtime import pick_device
from .metrics import Metrics, check_options, evaluate

TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # that models compute in


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
    distances after BNNeck), else its `feature`. A model that returns a tensor returns the feature.
    Pictures go in as 0..255, in the type of the model's parameters: a model normalizes them itself.
    The model's training mode, layer by layer, is as before when this returns or fails.

    Args:
        model: returns an Output, or features (B, D).
        data: the pictures.
        mirror: add the feature of the mirrored picture before the norm is taken.
        batch: how many pictures go through at once.
        device: None is where the model is; a name ("auto", "cpu", "cuda") moves the model there.
        progress: whether a bar is shown, in a terminal or a notebook.
    Returns:
        (N, D) float32 of unit norm, on the device.
    Raises:
        ValueError: no pictures, batches of none, a device that is not here, or features of another
            shape.
        TypeError: what is no model or no record, or a model that returns something else.
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
        As `embed`.
    """
    batch = _check(model, data, batch)
    device = _place(model, device)
    dtype = _type_of(model)
    starts = range(0, len(data), batch)
    features = []
    with _evaluation_mode(model):
        for start in console.bar(starts, show=progress, desc=f"embed {data.name}", leave=False):
            pictures = data.pictures(slice(start, start + batch))
            images = pictures.to(device).to(dtype)  # (B, 3, H, W)
            feature = _picked(pick, model, images)  # (B, D)
            if mirror:
                feature = feature + _picked(pick, model, images.flip(3))
            features.append(feature)
    return torch.cat(features)


def _check(model, data, batch):
    """The batch as an int, after a look at all three."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {describe(model)}; expected a torch.nn.Module")
    if not isinstance(data, ReIDData):
        raise TypeError(
            f"data is {describe(data)}; expected a record of pictures, ReIDData(images, ids, "
            "cameras, domains)"
        )
    if not len(data):
        raise ValueError(f"{data.name}: cannot embed 0 pictures; expected at least one")
    try:
        return whole_number(batch, "batch", 1)
    except ValueError as error:
        raise ValueError(f"cannot embed pictures in batches of {batch!r}: {error}") from None


def _place(model, device):
    """Move a model to a device, unless that is None; where it is then."""
    if device is not None:
        device = pick_device(device)
        model.to(device)
        return device
    # where its first tensor is; the CPU for a model without any
    for tensor in (*model.parameters(), *model.buffers()):
        return tensor.device
    return torch.device("cpu")


def _type_of(model):
    """The type that a model computes in: of its first parameter with one; else float32."""
    for parameter in model.parameters():
        if parameter.dtype in TYPES:
            return parameter.dtype
    return torch.float32


def _picked(pick, model, images):
    """What `pick` takes out of the model's output, checked: (B, D) float32."""
    feature = pick(model(images))
    if not isinstance(feature, Tensor):
        raise TypeError(
            f"the model's feature is {describe(feature)}; expected a tensor of shape (pictures, "
            "numbers)"
        )
    fits = feature.ndim == 2 and len(feature) == len(images) and feature.shape[1] > 0
    if not fits or not feature.is_floating_point():
        raise ValueError(
            f"the model's feature is {describe(feature)} for {len(images)} pictures; expected "
            f"real numbers of shape ({len(images)}, numbers): one row a picture, flattened"
        )
    return feature.float()


def _feature(output):
    """The feature that pictures are compared by: of an Output, or the output itself."""
    if isinstance(output, Tensor):
        return output
    if not hasattr(output, "feature"):
        kinds = describe(output)
        if isinstance(output, (tuple, list)):
            kinds = f"a {type(output).__name__} of {', '.join(map(describe, output))}"
        if isinstance(output, dict):
            kinds = f"a dict of {', '.join(map(repr, output))}"
        raise TypeError(
            f"the model returned {kinds}; expected an Output (with feature and neck), or the "
            "features as one tensor (pictures, numbers): wrap it in a module that picks them"
        )
    neck = getattr(output, "neck", None)
    return output.feature if neck is None else neck


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
        ValueError: a camera with a single picture; and as `embed`.
        TypeError: as `embed`.
    """
    batch = _check(model, data, batch)
    device = _place(model, device)
    features = None
    for camera in data.cameras.unique().tolist():
        numbers = (data.cameras == camera).nonzero().flatten()
        if len(numbers) < 2:
            raise ValueError(
                f"{data.name}: camera {camera} has one picture, which has no statistics; expected "
                "at least two of each camera: leave it out, or use embed"
            )
        with reestimated_statistics(model, _batches(model, data, numbers, mirror, batch)):
            of_camera = embed(
                model, data[numbers], mirror=mirror, batch=batch, device=device, progress=progress
            )
        if features is None:
            features = of_camera.new_empty(len(data), of_camera.shape[1])
        features[numbers.to(of_camera.device)] = of_camera
    return features


def _batches(model, data, numbers, mirror, batch):
    """The pictures of these numbers in the model's type, decoded piece by piece."""
    dtype = _type_of(model)
    for part in interleaved(numbers, batch):
        images = data.pictures(part).to(dtype)  # (b, 3, H, W)
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
    Raises:
        ValueError: as `embed` and `evaluate`.
        TypeError: no Exam; and as `embed`.
    """
    if not isinstance(exam, Exam):
        raise TypeError(f"exam is {describe(exam)}; expected an Exam(query, gallery)")
    ranks = check_options(ap, ranks)  # before the long work
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
