"""From a model to numbers: embed pictures, rank the gallery, score the ranking."""

import warnings

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

# `python -m reidkit.retrieval.embed`: runpy warns that the import above came first, which does no harm to a command
warnings.filterwarnings(
    "ignore", ".*'reidkit.retrieval.embed' found in sys.modules", RuntimeWarning
)
