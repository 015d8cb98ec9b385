"""Names for code: the same for what does the same, on every version of Python."""

import ast
import pathlib
import shutil
import subprocess
import sys

import pytest

from reidkit import code_digest
from reidkit.code_digest import (
    code_digest as digest,
)
from reidkit.code_digest import (
    folder_digest,
    modules_digest,
    modules_in,
    reached_modules,
)

SAMPLE = '''
"""A module."""
import os as system
from . import x, y


@decorate(n=3)
class A(B, metaclass=C):
    """A class."""

    z: int = 1 + 2j * -3.5e10

    async def f(self, a, /, b=..., *args, c: str = "x", **more) -> None:
        """A method."""
        pairs = [i async for i in a if not (i := b"raw")]
        return pairs or (lambda q: {**q, "k": {1, *q}})(a[1:2, ...])


def g(value):
    """A function."""
    match value:
        case {"kind": [1, *rest]} | A(z=2) if rest:
            yield from rest
        case _:
            raise ValueError(f"{value!r:>{10}} is no" "thing" f" known: {value:.2f}") from None
    with open(value) as one, open(one):
        try:
            del value.a
        except* (KeyError, OSError) as error:
            assert error, "why"
        else:
            global h
    while True and value < 3 <= 4 != 5:
        break
'''

# Of SAMPLE. Whoever changes the walk changes this number, and voids every cache, row and notebook.
PINNED = "487257bdf71ac204"


def test_the_digest_is_pinned():
    assert digest(SAMPLE) == PINNED


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_gives_the_same_digest(version):
    python = shutil.which(f"python{version}")
    path = pathlib.Path(code_digest.__file__)
    program = (
        "import importlib.util, sys; spec = importlib.util.spec_from_file_location('code', "
        "sys.argv[1]);"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module);"
        "print(sys.version_info[:2], module.code_digest(sys.stdin.read()))"
    )
    if python is None:
        pytest.skip(f"no python{version} here")
    command = [python, "-c", program, str(path)]
    ended = subprocess.run(command, input=SAMPLE, capture_output=True, text=True, check=False)
    if ended.returncode:
        pytest.skip(f"python{version} does not run here: {ended.stderr[-200:]}")
    assert ended.stdout.strip().endswith(PINNED)


SAME = [
    ("x = 1", "x = 1  # why"),
    ("x = f(1, 2)", "x = f(\n    1,\n    2,\n)"),
    ("x = 'a'", 'x = "a"'),
    ("x = 1000", "x = 1_000"),
    ('def f():\n    "doc"\n    return 1', 'def f():\n    "another"\n    return 1'),
    ('class A:\n    "doc"\n    x = 1', "class A:\n    x = 1"),
    ('"""Module."""\nx = 1', "x = 1"),
    ("x = f'{a}b' 'c'", "x = f'{a}' 'bc'"),
]
OTHER = [
    ("x = 1", "x = 2"),
    ("x = 1", "x = True"),
    ("x = 1", "x = 1.0"),
    ("x = 'a'", "x = b'a'"),
    ("x = a", "y = a"),
    ("x = a + b", "x = a - b"),
    ("f(a, b)", "f(b, a)"),
    ("f(a=1)", "f(b=1)"),
    ("[a, [b]]", "[[a], b]"),
    ("x = f'{a}'", "x = f'{a!r}'"),
    ("def f(a=1): pass", "def f(a=2): pass"),
    ("def f(a): pass", "def f(*, a): pass"),
    ("x = 'doc'\n'text'", "x = 'doc'\n'other'"),  # no docstring: it stands second
    ("if a:\n    b\nc", "if a:\n    b\n    c"),
    ("try:\n    a\nexcept E:\n    b", "try:\n    a\nfinally:\n    b"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_comments_docstrings_and_layout_do_not_count(one, other):
    assert digest(one) == digest(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_the_code_does_counts(one, other):
    assert digest(one) != digest(other)


def test_a_formatter_changes_no_digest():
    source = pathlib.Path(code_digest.__file__).read_text(encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "format", "--line-length=60", "-"]
    ended = subprocess.run(command, input=source, capture_output=True, text=True, check=True)
    assert ended.stdout != source and digest(ended.stdout) == digest(source)
    assert digest(ast.unparse(ast.parse(source))) == digest(source)


# ---- the package's modules


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of this name in a folder of its own -> write(name, text)."""
    monkeypatch.setattr(code_digest, "ROOT", tmp_path)

    def write(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    write("__init__.py", "")
    write("base.py", "x = 1\n")
    write("methods/__init__.py", "")
    write("methods/old.py", "from .. import base\n")
    write("methods/new.py", "from ..base import x\nfrom .old import y\n")
    write("loop.py", "def fit():\n    import reidkit.base\n    import torch\n")
    return write


def test_reached_modules_follow_lazy_imports_and_packages(package):
    assert reached_modules(["reidkit.loop"]) == ["reidkit", "reidkit.base", "reidkit.loop"]
    new = reached_modules(["reidkit.methods.new", "torch"])
    assert new == [
        "reidkit",
        "reidkit.base",
        *(f"reidkit.methods{end}" for end in ("", ".new", ".old")),
    ]
    assert modules_in("from reidkit.methods import old\nimport torch, reidkit.base") == [
        "reidkit.base",
        "reidkit.methods",
        "reidkit.methods.old",
    ]


def test_a_new_method_voids_nothing_else_and_a_changed_base_voids_all(package):
    before = [modules_digest([name]) for name in ("reidkit.loop", "reidkit.methods.old")]
    package("methods/third.py", "from . import new\n")
    package("methods/new.py", "z = 3\n")
    package("base.py", "x = 1  # a comment\n")
    after = [modules_digest([name]) for name in ("reidkit.loop", "reidkit.methods.old")]
    assert after == before
    package("base.py", "x = 2\n")
    changed = [modules_digest([name]) for name in ("reidkit.loop", "reidkit.methods.old")]
    assert changed[0] != before[0] and changed[1] != before[1]


def test_a_folders_digest_follows_its_files(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    before = folder_digest(tmp_path)
    (tmp_path / "a.py").write_text("x = 1  # why\n")
    assert folder_digest(tmp_path) == before
    (tmp_path / "b.py").write_text("x = 1\n")
    assert folder_digest(tmp_path) != before
