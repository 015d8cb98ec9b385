"""Pictures to features: one vector of unit length a picture."""

import contextlib

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..augment import normalize
from ..layers.statistics import interleaved, reestimated_statistics
from .metrics import evaluate


def embed(model, data, *, mirror=False, batch=256, device=None, progress=False):
    """Features of all pictures of a ReIDData, computed in evaluation mode: (N, D) float32 of unit norm, on the device.

    A model returns an Output; its `neck` is the feature where there is one (Luo et al. 2019: distances after BNNeck),
    else its `feature`. mirror=True adds the feature of the mirrored picture before the norm is taken. Pictures are
    normalised as in training (augment.normalize). device=None is where the model is; a name moves the model there. The
    model's training mode, layer by layer, is as before when this returns or fails.
    """
    return F.normalize(
        outputs(
            model, data, _feature, mirror=mirror, batch=batch, device=device, progress=progress
        ),
        dim=1,
    )


@torch.no_grad()
def outputs(model, data, pick, *, mirror=False, batch=256, device=None, progress=False):
    """pick(Output) of all pictures as `embed` computes it, before the norm is taken: (N, D). mirror=True sums both
    orientations."""
    if batch < 1 or not len(data):
        raise ValueError(
            f"cannot embed {len(data)} pictures in batches of {batch}; expected at least one of each"
        )
    if device is None:
        device = next(
            (tensor.device for tensor in (*model.parameters(), *model.buffers())),
            torch.device("cpu"),
        )
    model.to(device)
    features = []
    with _evaluation_mode(model):
        for start in tqdm(
            range(0, len(data), batch), desc=f"embed {data.name}", disable=not progress, leave=False
        ):
            images = normalize(
                data.pictures(slice(start, start + batch)).to(device)
            )  # (B, 3, H, W)
            feature = pick(model(images))  # (B, D)
            features.append(feature + pick(model(images.flip(3))) if mirror else feature)
    return torch.cat(features)


def _feature(output):
    return (output.feature if output.neck is None else output.neck).float()


@contextlib.contextmanager
def _evaluation_mode(model):
    before = [
        (module, module.training) for module in model.modules()
    ]  # frozen layers may differ from their model
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def embed_by_camera(model, data, *, mirror=False, batch=256, device=None, progress=False):
    """As `embed`, each camera's pictures under batch norm statistics re-estimated on them (Zhuang et al. 2020, CBN):
    (N, D) float32 of unit norm in the order of the data, on the device.

    This is transductive: it uses the test pictures of a camera together, without labels but for the camera, and a
    picture's feature depends on which others are there. mirror=True estimates on the mirrored pictures too. batch limits
    the pictures (of one orientation) that go through at once; up to so many in a camera, statistics are exact, see
    `reestimated_statistics`. The model's own statistics are as before when this returns or fails. ValueError for a
    camera with a single picture.
    """
    if not len(data):
        raise ValueError("cannot embed 0 pictures; expected at least two of each camera")
    if device is not None:
        model.to(device)
    features = None
    for camera in data.cameras.unique().tolist():
        chosen = (data.cameras == camera).nonzero().flatten()
        if len(chosen) < 2:
            raise ValueError(
                f"{data.name}: camera {camera} has one picture, which has no statistics; expected at least "
                "two of each camera: leave it out, or use embed"
            )
        with reestimated_statistics(model, _batches(data, chosen, mirror, batch)):
            found = embed(
                model, data[chosen], mirror=mirror, batch=batch, device=device, progress=progress
            )
        features = found.new_empty(len(data), found.shape[1]) if features is None else features
        features[chosen.to(found.device)] = found
    return features


def _batches(data, chosen, mirror, batch):
    """The chosen pictures, decoded and normalised piece by piece."""
    for part in interleaved(chosen, batch):
        images = normalize(data.pictures(part))  # (b, 3, H, W)
        yield torch.cat([images, images.flip(3)]) if mirror else images


def evaluate_exam(
    model,
    exam,
    *,
    mirror=False,
    batch=256,
    device=None,
    ap="rectangle",
    ranks=(1, 5, 10),
    per_camera=False,
):
    """Embed both sides of an Exam and `evaluate` them -> Metrics.

    per_camera=True takes `embed_by_camera`, which is transductive; a camera's statistics come from its pictures of both
    sides together, whose cameras are numbered alike."""
    sides = exam.query, exam.gallery
    if per_camera:
        both = embed_by_camera(model, exam.both(), mirror=mirror, batch=batch, device=device)
        query, gallery = both.split([len(side) for side in sides])
    else:
        query, gallery = (
            embed(model, side, mirror=mirror, batch=batch, device=device) for side in sides
        )
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
