"""From a model to numbers: embed pictures, rank the gallery, score the ranking."""

from .embed import embed, embed_by_camera, evaluate_exam
from .metrics import Metrics, bootstrap, evaluate, ranking

__all__ = [
    "Metrics",
    "bootstrap",
    "embed",
    "embed_by_camera",
    "evaluate",
    "evaluate_exam",
    "ranking",
]
