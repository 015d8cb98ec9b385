"""One training loop for every method: `fit(method, data, plan)`."""

from .batches import Batch
from .loop import History, fit
from .plan import MAIN, TRAIN, Method, Plan, lr_at, make_optimizers

__all__ = ["MAIN", "TRAIN", "Batch", "History", "Method", "Plan", "fit", "lr_at", "make_optimizers"]
