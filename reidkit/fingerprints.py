"""The name under which a training run is kept: a description of everything that steers it, so that a kept result is
never that of another run."""

import functools
import json
import pathlib
import re
import sys
import types

import numpy
import torch

from .files import digest

ELSEWHERE = frozenset(
    {
        "teach",
        "world",
        "datasets",
        "pictures.py",
        "record.py",
        "retrieval",
        "recipes",
        "measures.py",
    }
)  # no part in `fit`
NO_CODE = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
}
KEPT_ELSEWHERE = (
    "training",
    "_parameters",
    "_buffers",
    "_modules",
)  # described apart, or no setting


@functools.cache
def package_digest(without=ELSEWHERE):
    """One name for the source of reidkit, but for some folders and files: what is left can change a training run."""
    root = pathlib.Path(__file__).parent
    files = [
        path
        for path in sorted(root.rglob("*.py"))
        if not without & set(path.relative_to(root).parts)
    ]
    return digest(
        *((str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in files)
    )


def describe(thing, seen=()):
    """Anything that steers a training run -> something json can write, equal for equal behaviour in every process.

    A function counts by its byte code, defaults, closure and the globals that it names, so that a changed constant in a
    notebook is noticed and a changed comment is not; a module by its class, settings and weights; reidkit's own
    functions by name (`package_digest` covers their source); a wrapper by its repr and the functions that it holds.
    """
    if thing is None or isinstance(thing, (bool, int, float, str, bytes)):
        return repr(thing)
    if isinstance(thing, (torch.Tensor, numpy.ndarray)):
        return digest(thing if isinstance(thing, torch.Tensor) else thing.tolist())
    if any(thing is known for known in seen):
        return "again"
    inner = functools.partial(describe, seen=(*seen, thing))
    if isinstance(thing, (list, tuple)):
        return [inner(item) for item in thing]
    if isinstance(thing, (set, frozenset)):
        return sorted(json.dumps(inner(item)) for item in thing)
    if isinstance(thing, dict):
        return [[inner(key), inner(value)] for key, value in thing.items()]
    if isinstance(thing, functools.partial):
        return ["partial", *map(inner, (thing.func, thing.args, thing.keywords))]
    if isinstance(thing, (types.MethodType, staticmethod, classmethod)):
        return ["method", inner(thing.__func__), inner(getattr(thing, "__self__", None))]
    if isinstance(thing, types.ModuleType):
        own = thing.__file__ if not _foreign(thing) else None
        return [thing.__name__, pathlib.Path(own).read_text("utf-8") if own else ""]
    if isinstance(thing, types.FunctionType):
        return _function(thing, inner)
    if isinstance(thing, type):
        return _class(thing, inner)
    if callable(getattr(thing, "fingerprint", None)):
        return thing.fingerprint()
    if isinstance(thing, torch.nn.Module):
        settings = {
            name: value for name, value in vars(thing).items() if name not in KEPT_ELSEWHERE
        }
        own = [*thing.named_parameters(recurse=False), *thing.named_buffers(recurse=False)]
        return [
            inner(type(thing)),
            inner(settings),
            inner([(name, value, value.requires_grad) for name, value in own]),
            [[name, inner(child)] for name, child in thing.named_children()],
        ]
    if _foreign(type(thing)) or not hasattr(thing, "__dict__"):
        held = filter(
            callable, getattr(thing, "__dict__", {}).values()
        )  # __wrapped__ of lru_cache, func of
        return [
            re.sub(r" at 0x[0-9a-f]+", "", repr(thing)),
            *map(inner, held),
        ]  # cached_property, any wrapper's
    return [inner(type(thing)), inner(vars(thing))]


def _class(kind, inner):
    name = [kind.__module__, kind.__qualname__]
    if _foreign(kind):
        return name
    members = [
        (key, getattr(value, "__func__", None) or getattr(value, "fget", None) or value)
        for key, value in vars(kind).items()
        if key not in NO_CODE
    ]  # class methods and properties: the function
    return [*name, *map(inner, members), *map(inner, kind.__bases__)]


def _function(function, inner):
    empty = types.CellType()
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != empty]
    name = [function.__module__, function.__qualname__]
    if _foreign(function):
        return [*name, *map(inner, cells)]
    used = [
        function.__globals__[word]
        for word in _names(function.__code__)
        if word in function.__globals__
    ]
    defaults = function.__defaults__, function.__kwdefaults__
    return [*name, _code(function.__code__, inner), *map(inner, (*defaults, cells, used))]


def _names(code):
    """Every name that a function, or one defined inside it, may look up among the globals."""
    nested = [
        word
        for constant in code.co_consts
        if isinstance(constant, types.CodeType)
        for word in _names(constant)
    ]
    return sorted({*code.co_names, *nested})


def _code(code, inner):
    constants = [
        _code(value, inner) if isinstance(value, types.CodeType) else inner(value)
        for value in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _foreign(thing):
    """Defined by Python, an installed package or reidkit: its version or source is in the key anyway."""
    name = (
        thing.__name__
        if isinstance(thing, types.ModuleType)
        else getattr(thing, "__module__", None)
    )
    root = (name or "").partition(".")[0]
    where = getattr(sys.modules.get(root), "__file__", None) or ""
    return (
        root == "reidkit"
        or root in sys.stdlib_module_names
        or "site-packages" in where
        or "dist-packages" in where
    )
