"""From a model to numbers: embed pictures, rank the gallery, score the ranking."""

from .embed import embed, evaluate_exam
from .metrics import Metrics, bootstrap, evaluate, ranking

__all__ = ["Metrics", "bootstrap", "embed", "evaluate", "evaluate_exam", "ranking"]
