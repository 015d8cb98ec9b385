"""Readers of real data sets, and the data that a chapter runs on."""

from .journey import Journey, load_journey, parse
from .layouts import LAYOUTS, Layout
from .readers import Splits, read

__all__ = [
    "LAYOUTS",
    "Journey",
    "Layout",
    "Splits",
    "load_journey",
    "parse",
    "read",
]
