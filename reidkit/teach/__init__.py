"""The teaching wing: what a chapter calls beside the field's own code. Names are fetched when first used."""

import importlib

_HOME = {
    "start": "start",
    "show": "figures", "strip": "figures",
    "explore": "widgets", "slider": "widgets", "choice": "widgets", "switch": "widgets", "Frame": "widgets",
    "claim": "claims", "compare_with_paper": "claims",
    "recorded": "recorded", "record": "recorded",
    "show_source": "show_source",
    "ask": "progress", "progress": "progress",
    "solution": "exercises",
    "doctor": "doctor",
}
__all__ = sorted(_HOME)


def _fetch(name):
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __getattr__(name):
    if name in _HOME:
        return _fetch(name)
    raise AttributeError(f"reidkit.teach has no {name!r}; it has {', '.join(__all__)}")


def __dir__():
    return __all__
