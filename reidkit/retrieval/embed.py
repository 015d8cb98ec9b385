"""Pictures to features: one vector of unit length a picture."""

import contextlib

import torch
import torch.nn.functional as F
from tqdm import tqdm

from ..augment import normalise
from .metrics import evaluate


@torch.no_grad()
def embed(model, data, *, mirror=False, batch=256, device=None, progress=False):
    """Features of all pictures of a ReIDData, computed in evaluation mode: (N, D) float32 of unit norm, on the device.

    A model returns an Output; its `neck` is the feature where there is one (Luo et al. 2019: distances after BNNeck),
    else its `feature`. mirror=True adds the feature of the mirrored picture before the norm is taken. Pictures are
    normalised as in training (augment.normalise). device=None is where the model is; a name moves the model there. The
    model's training mode, layer by layer, is as before when this returns or fails.
    """
    if batch < 1 or not len(data):
        raise ValueError(f"cannot embed {len(data)} pictures in batches of {batch}; expected at least one of each")
    if device is None:
        device = next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    model.to(device)
    features = []
    with _evaluation_mode(model):
        for start in tqdm(range(0, len(data), batch), desc=f"embed {data.name}", disable=not progress, leave=False):
            images = normalise(data.pictures(slice(start, start + batch)).to(device))       # (B, 3, H, W)
            feature = _feature(model(images))                                               # (B, D)
            features.append(feature + _feature(model(images.flip(3))) if mirror else feature)
    return F.normalize(torch.cat(features), dim=1)


def _feature(output):
    return (output.feature if output.neck is None else output.neck).float()


@contextlib.contextmanager
def _evaluation_mode(model):
    before = [(module, module.training) for module in model.modules()]      # frozen layers may differ from their model
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training


def evaluate_exam(model, exam, *, mirror=False, batch=256, device=None, ap="rectangle", ranks=(1, 5, 10)):
    """Embed both sides of an Exam and `evaluate` them -> Metrics."""
    sides = exam.query, exam.gallery
    query, gallery = (embed(model, side, mirror=mirror, batch=batch, device=device) for side in sides)
    return evaluate(query, exam.query.ids, exam.query.cameras, gallery, exam.gallery.ids, exam.gallery.cameras,
                    ap=ap, ranks=ranks)
