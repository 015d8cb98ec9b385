"""Readers of real data sets, and the data that a chapter runs on."""

from .journey import Journey, load_journey, parse
from .readers import LAYOUTS, Layout, Splits, read

__all__ = [
    "LAYOUTS",
    "Journey",
    "Layout",
    "Splits",
    "load_journey",
    "parse",
    "read",
]
