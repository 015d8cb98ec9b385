"""Names for code: two pieces of source have the same digest where they do the same, whatever their
comments and layout.

What is hashed is the syntax tree, walked by our own rules: without docstrings, positions and
whatever only some versions of Python note (`ast.dump` and `ast.unparse` differ between versions).
So a mended comment, a docstring or a formatter voids no cache, no recorded row and no built
notebook, and a changed constant does.
"""

import ast
import functools
import hashlib
import pathlib
from collections.abc import Iterable, Iterator

PACKAGE = __name__.partition(".")[0]
ROOT = pathlib.Path(__file__).resolve().parent  # of the package

# Fields of a syntax tree that change nothing of what the code does.
SILENT = {"ctx", "kind", "type_comment", "type_ignores"}
HOLDERS_OF_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def tree_digest(tree: ast.AST) -> str:
    """A name for what a syntax tree does.

    Args:
        tree: of a module, or any node of it.
    Returns:
        16 hexadecimal digits, the same on every version of Python that the course supports.
    """
    sums = hashlib.sha256()
    for word in _words(tree):
        sums.update(word.encode())
        sums.update(b"\0")
    return sums.hexdigest()[:16]


def code_digest(text: str) -> str:
    """`tree_digest` of source code.

    Args:
        text: the source of a module or of a cell.
    Raises:
        SyntaxError: the text is no Python.
    """
    return tree_digest(ast.parse(text))


def _words(node: ast.AST) -> Iterator[str]:
    """A node as words: its kind, then each field that holds something, by name."""
    yield f"({type(node).__name__}"
    for field in sorted(node._fields):
        if field in SILENT:
            continue
        value = getattr(node, field, None)
        if field == "body" and isinstance(node, HOLDERS_OF_DOCSTRINGS):
            value = _without_docstring(value)
        if field == "values" and isinstance(node, ast.JoinedStr):
            value = _joined(value)
        # An empty field is left out: a newer Python has fields that an older one lacks.
        if value is None or value == []:
            continue
        yield field
        yield from _words_of_value(value)
    yield ")"


def _words_of_value(value) -> Iterator[str]:
    if isinstance(value, list):
        yield "["
        for item in value:
            yield from _words_of_value(item)
        yield "]"
    elif isinstance(value, ast.AST):
        yield from _words(value)
    else:
        yield f"{type(value).__name__} {value!r}"


def _without_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    is_text = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    if is_text and isinstance(first.value.value, str):
        return body[1:]
    return body


def _joined(parts: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with neighbouring texts put together: versions of Python cut them
    differently.
    """
    whole = []
    for part in parts:
        is_text = isinstance(part, ast.Constant)
        if is_text and whole and isinstance(whole[-1], ast.Constant):
            whole[-1] = ast.Constant(whole[-1].value + part.value)
        elif not is_text or part.value:
            whole.append(part)
    return whole


# ---- the package's own modules


def module_path(name: str) -> pathlib.Path | None:
    """The file of a module of this package ("reidkit.losses"); None for what is no module of it."""
    first, *rest = name.split(".")
    if first != PACKAGE:
        return None
    place = ROOT.joinpath(*rest)
    for path in (place.with_suffix(".py") if rest else None, place / "__init__.py"):
        if path and path.is_file():
            return path
    return None


def modules_in(text: str) -> list[str]:
    """The package's modules that a piece of code (a notebook's cells, say) imports by name.

    Args:
        text: source; every import in it counts, lazy ones too.
    """
    return _targets(ast.parse(text), "")


def imported_modules(name: str) -> set[str]:
    """The package's modules that one of them imports, lazily or not, and the packages that they lie
    in.

    Args:
        name: such as "reidkit.training".
    """
    path = module_path(name)
    return set(_imports(name, path, path.stat().st_mtime_ns))


@functools.lru_cache
def _imports(name: str, path: pathlib.Path, changed: int) -> tuple[str, ...]:
    """`changed` makes an edited file a new one to the cache, here and below."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return tuple(_targets(_tree(path, changed), package))


def _targets(tree: ast.Module, package: str) -> list[str]:
    """What a tree imports of this package; relative imports count from `package`."""
    targets = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, package)
            targets.add(origin)
            targets.update(f"{origin}.{alias.name}" for alias in node.names)
    return sorted(target for target in targets if module_path(target))


def _origin(node: ast.ImportFrom, package: str) -> str:
    """The full name of what `from ... import` takes from; dots count from `package`."""
    if not node.level:
        return node.module or ""
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, *(node.module or "").split(".")]).strip(".")


@functools.lru_cache
def _tree(path: pathlib.Path, changed: int) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.lru_cache
def _file_digest(path: pathlib.Path, changed: int) -> str:
    return tree_digest(_tree(path, changed))


def reached_modules(names: Iterable[str]) -> list[str]:
    """Modules of the package and all that they import, and what those import in turn.

    Args:
        names: full names; those of other packages are left out.
    Returns:
        Sorted names.
    """
    todo = [name for name in names if module_path(name)]
    reached = set()
    while todo:
        name = todo.pop()
        if name in reached:
            continue
        reached.add(name)
        todo += imported_modules(name)
        parent = name.rpartition(".")[0]
        if parent:
            todo.append(parent)
    return sorted(reached)


def modules_digest(names: Iterable[str]) -> str:
    """A name for what some modules of the package do, with all that they import.

    A module that none of them imports has no part in it: a new method voids no result of an older
    one.

    Args:
        names: full names, such as "reidkit.training".
    Returns:
        16 hexadecimal digits.
    """
    sums = hashlib.sha256()
    for name in reached_modules(names):
        path = module_path(name)
        sums.update(f"{name} {_file_digest(path, path.stat().st_mtime_ns)}\n".encode())
    return sums.hexdigest()[:16]


def folder_digest(folder: pathlib.Path) -> str:
    """A name for what the modules of one folder do, whatever they import."""
    sums = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        sums.update(f"{path.name} {_file_digest(path, path.stat().st_mtime_ns)}\n".encode())
    return sums.hexdigest()[:16]
