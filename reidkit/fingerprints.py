"""The name under which a training run is kept: a description of everything that steers it, so that
a kept result is never that of another run."""

import ast
import functools
import json
import linecache
import pathlib
import re
import sys
import types
from typing import Any

import numpy
import torch

from .code_digest import PACKAGE, modules_digest, tree_digest
from .files import digest

# Entries of a class's dictionary that are no code.
NO_CODE = {
    "__dict__",
    "__weakref__",
    "__doc__",
    "__module__",
    "__annotations__",
    "__firstlineno__",
    "__static_attributes__",
}
# Entries of a module's dictionary that are described apart, or are no setting.
KEPT_ELSEWHERE = ("training", "_parameters", "_buffers", "_modules")
PLAIN = (bool, int, float, str, bytes)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


def describe(thing: Any, seen: tuple = ()) -> Any:
    """Anything that steers a training run as something that json can write, equal for equal
    behaviour in every process.

    A function counts by its syntax tree, defaults, closure and the globals that it names, so that a
    changed constant in a notebook is noticed and a changed comment is not. Where its source cannot
    be told for sure (a class of a notebook, two lambdas on one line), its byte code stands for the
    tree. Functions and classes of this package count by their name and the code of their module
    with all that it imports; those of other packages by name. A network counts by its class,
    settings and weights, a wrapper by its repr and the functions that it holds.

    Args:
        thing: numbers, text, tensors, containers, functions, classes, networks, modules, wrappers.
        seen: what is being described further out; a second meeting with it is "again".
    """
    if thing is None or isinstance(thing, PLAIN):
        return repr(thing)
    if isinstance(thing, torch.Tensor):
        plain = thing if thing.layout == torch.strided else thing.to_dense()
        return digest(plain.resolve_conj().resolve_neg())
    if isinstance(thing, numpy.ndarray):
        return digest(thing.tolist())
    if any(thing is outer for outer in seen):
        return "again"
    inner = functools.partial(describe, seen=(*seen, thing))
    if isinstance(thing, (list, tuple, set, frozenset, dict)):
        return _container(thing, inner)
    if isinstance(thing, (functools.partial, types.MethodType, staticmethod, classmethod)):
        return _wrapped(thing, inner)
    if isinstance(thing, (types.ModuleType, types.FunctionType, type)):
        return _code(thing, inner)
    return _object(thing, inner)


def _container(thing, inner):
    if isinstance(thing, dict):
        return [[inner(key), inner(value)] for key, value in thing.items()]
    parts = [inner(item) for item in thing]
    if isinstance(thing, (list, tuple)):
        return parts
    return sorted(json.dumps(part) for part in parts)


def _wrapped(thing, inner):
    if isinstance(thing, functools.partial):
        return ["partial", inner(thing.func), inner(thing.args), inner(thing.keywords)]
    return ["method", inner(thing.__func__), inner(getattr(thing, "__self__", None))]


def _code(thing, inner):
    if isinstance(thing, types.ModuleType):
        return _module(thing)
    if isinstance(thing, type):
        return _class(thing, inner)
    return _function(thing, inner)


def _object(thing, inner):
    if callable(getattr(thing, "fingerprint", None)):
        return thing.fingerprint()
    if isinstance(thing, torch.nn.Module):
        return _network(thing, inner)
    if _home(type(thing)) == "foreign" or not hasattr(thing, "__dict__"):
        # __wrapped__ of an lru_cache, func of a cached_property: any wrapper's
        functions = filter(callable, getattr(thing, "__dict__", {}).values())
        return [_without_address(thing), *map(inner, functions)]
    return [inner(type(thing)), inner(vars(thing))]


def _without_address(thing):
    return re.sub(r" at 0x[0-9a-f]+", "", repr(thing))


def _network(model, inner):
    settings = {name: value for name, value in vars(model).items() if name not in KEPT_ELSEWHERE}
    tensors = [*model.named_parameters(recurse=False), *model.named_buffers(recurse=False)]
    return [
        inner(type(model)),
        inner(settings),
        inner([(name, value, value.requires_grad) for name, value in tensors]),
        [[name, inner(child)] for name, child in model.named_children()],
    ]


def _module(module):
    home = _home(module)
    if home == "ours":
        return [module.__name__, modules_digest([module.__name__])]
    if home == "user" and getattr(module, "__file__", None):
        return [module.__name__, _file_digest(module.__file__)]
    return [module.__name__, ""]


def _file_digest(path):
    """Of a module's syntax tree, in whatever encoding it names; of its bytes where it has no tree
    (a compiled one), and "" where the file is gone."""
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError:
        return ""
    try:
        return tree_digest(ast.parse(content))
    except (SyntaxError, ValueError):
        return digest(content.hex())


def _class(kind, inner):
    name = [kind.__module__, kind.__qualname__]
    home = _home(kind)
    if home == "ours":
        return [*name, modules_digest([kind.__module__])]
    if home == "foreign":
        return name
    members = []
    for key, value in vars(kind).items():
        if key in NO_CODE:
            continue
        # class methods and properties: the function that they wrap
        function = getattr(value, "__func__", None) or getattr(value, "fget", None)
        members.append((key, function or value))
    return [*name, *map(inner, members), *map(inner, kind.__bases__)]


def _function(function, inner):
    name = [function.__module__, function.__qualname__]
    empty = types.CellType()
    cells = [cell.cell_contents for cell in function.__closure__ or () if cell != empty]
    home = _home(function)
    if home == "ours":
        return [*name, modules_digest([function.__module__]), *map(inner, cells)]
    if home == "foreign":
        return [*name, *map(inner, cells)]
    scope = function.__globals__
    globals_used = [scope[word] for word in _names(function.__code__) if word in scope]
    rest = (function.__defaults__, function.__kwdefaults__, cells, globals_used)
    return [*name, _tree_or_bytes(function, inner), *map(inner, rest)]


def _names(code):
    """Every name that a function, or one defined inside it, may look up among the globals."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names.update(_names(constant))
    return sorted(names)


def _tree_or_bytes(function, inner):
    node = _syntax_tree(function)
    return _byte_code(function.__code__, inner) if node is None else tree_digest(node)


def _syntax_tree(function):
    """The node that defines a function; None where the source is missing or more than one node
    could be it.
    """
    code = function.__code__
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a notebook's magics
        return None
    nodes = [node for node in ast.walk(tree) if _could_be(node, code)]
    return nodes[0] if len(nodes) == 1 else None


def _could_be(node, code):
    if not isinstance(node, FUNCTIONS) or getattr(node, "name", "<lambda>") != code.co_name:
        return False
    decorators = getattr(node, "decorator_list", [])
    first_line = min(part.lineno for part in (node, *decorators))
    return first_line == code.co_firstlineno


def _byte_code(code, inner):
    constants = [
        _byte_code(value, inner) if isinstance(value, types.CodeType) else inner(value)
        for value in code.co_consts
    ]
    return [code.co_code.hex(), list(code.co_names), constants]


def _home(thing):
    """Whose code this is: "ours" (this package's), "foreign" (Python's, an installed package's) or
    "user".
    """
    is_module = isinstance(thing, types.ModuleType)
    name = thing.__name__ if is_module else getattr(thing, "__module__", None)
    root = (name or "").partition(".")[0]
    if root == PACKAGE:
        return "ours"
    if root == "__main__":  # a notebook or a script, whatever program runs it
        return "user"
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    if root in sys.stdlib_module_names or "site-packages" in file or "dist-packages" in file:
        return "foreign"
    return "user"
