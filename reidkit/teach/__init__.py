"""The teaching wing: what a chapter calls beside the field's own code. Names are fetched when first
used.
"""

import importlib
import sys
import types

_HOME = {
    "start": "start",
    "show": "figures",
    "strip": "figures",
    "grid": "figures",
    "explore": "widgets",
    "slider": "widgets",
    "choice": "widgets",
    "switch": "widgets",
    "Frame": "widgets",
    "states": "widgets",
    "claim": "claims",
    "compare_with_paper": "claims",
    "recorded": "recorded",
    "record": "recorded",
    "show_source": "show_source",
    "ask": "progress",
    "guess": "progress",
    "recall": "recall",
    "answer": "recall",
    "progress": "progress",
    "solution": "solutions",
    "mine": "mine",
    "use_mine": "mine",
    "mine_is_yours": "mine",
    "mine_all": "mine",
    "doctor": "doctor",
}
__all__ = sorted(_HOME)


class _Wing(types.ModuleType):
    """Some functions live in a file of their own name (start in start.py): importing that file must
    not hide them.
    """

    def __getattr__(self, name):
        if name not in _HOME:
            raise AttributeError(f"reidkit.teach has no {name!r}; it has {', '.join(__all__)}")
        return getattr(importlib.import_module(f"{self.__name__}.{_HOME[name]}"), name)

    def __setattr__(self, name, value):
        if not (name in _HOME and isinstance(value, types.ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self):
        return __all__


sys.modules[__name__].__class__ = _Wing
