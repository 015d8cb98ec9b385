"""Records of pictures with their labels, readers of real data sets, and the data a chapter runs on."""

from .journey import Journey, load_journey, parse
from .readers import LAYOUTS, Layout, Splits, read
from .record import Exam, ReIDData, read_picture

__all__ = [
    "LAYOUTS",
    "Exam",
    "Journey",
    "Layout",
    "ReIDData",
    "Splits",
    "load_journey",
    "parse",
    "read",
    "read_picture",
]
