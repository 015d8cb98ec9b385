"""What steers a training run has a name: the same for the same behaviour, another for another."""

import functools
import linecache
import shutil
import types

import pytest
import torch

from reidkit import code_digest
from reidkit.fingerprints import describe
from reidkit.recipes import drawn


def defined(cell, name="f", number=[0]):  # noqa: B006 a counter: each cell has a file name of its own
    """What a cell of a notebook defines, its text known to linecache as IPython does it."""
    number[0] += 1
    file = f"<cell {number[0]}>"
    linecache.cache[file] = (len(cell), None, cell.splitlines(True), file)
    space = {"__name__": "__main__"}
    exec(compile(cell, file, "exec"), space)
    return space[name]


def description(cell):
    return describe(defined(cell))


SAME = [
    (
        "def f(x):\n    return x + 1",
        "def f(x):\n    'doc'\n    # why\n    return (\n        x + 1\n    )",
    ),
    ("def f(x, y=2): return x", "\n\ndef f(x, y=2):\n    return x"),
    ("f = lambda x: x + 1", "f = lambda x: (x +\n    1)"),
    (
        "class f:\n    def g(self): return 1",
        "class f:\n    'doc'\n    def g(self):\n        return 1  # one",
    ),
]
OTHER = [
    ("def f(x):\n    return x + 1", "def f(x):\n    return x + 2"),
    ("def f(x, y=2): return x", "def f(x, y=3): return x"),
    ("k = 1\ndef f(x): return x + k", "k = 2\ndef f(x): return x + k"),
    ("f = lambda x: x + 1", "f = lambda x: x + 2"),
    ("class f:\n    def g(self): return 1", "class f:\n    def g(self): return 2"),
    ("class f:\n    k = 1", "class f:\n    k = 2"),
    ("def h(x): return x\ndef f(x): return h(x)", "def h(x): return -x\ndef f(x): return h(x)"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_comments_and_layout_of_a_cell_do_not_count(one, other):
    assert description(one) == description(other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_what_a_cell_does_counts(one, other):
    assert description(one) != description(other)


@pytest.mark.parametrize("line", ["pair = lambda: {}, lambda: 2; f = pair[0]"])
def test_two_lambdas_on_a_line_are_told_apart_by_their_byte_code(line):
    first = description(line.format(1))
    assert description(line.format(1)) == first != description(line.format(3))


def test_a_function_without_source_counts_by_its_byte_code():
    def made(body):
        space = {"__name__": "__main__"}
        exec(body, space)  # nowhere in linecache
        return describe(space["f"])

    assert made("def f(): return 1") == made("def f():\n    # why\n    return 1")
    assert made("def f(): return 1") != made("def f(): return 2")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package that code digests look at -> edit(file, old, new)."""
    copy = tmp_path / "reidkit"
    shutil.copytree(code_digest.ROOT, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code_digest, "ROOT", copy)

    def edit(file, old, new):
        path = copy / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return edit


def test_a_changed_loss_of_a_recipe_is_noticed(package):
    loss = functools.partial(drawn.drawn_losses, triplet=1.0)
    before = describe(loss)
    package("recipes/drawn.py", '"""The strong baseline\'s two losses.', '"""Two losses.')
    assert describe(loss) == before
    package("recipes/drawn.py", "triplet * parts", "2 * triplet * parts")
    assert describe(loss) != before


def test_what_a_recipes_loss_stands_on_counts_and_another_method_does_not(package):
    before = describe(drawn.drawn_losses)
    package("methods/metabin.py", "cycles: int = 20", "cycles: int = 21")
    assert describe(drawn.drawn_losses) == before
    package("losses.py", "margin", "gap")
    assert describe(drawn.drawn_losses) != before


def test_modules_that_are_no_plain_text_have_a_name_too(tmp_path):
    """A byte-order mark, another encoding, compiled code, a file that is gone."""

    def of(content):
        module = types.ModuleType("helper")
        path = tmp_path / "helper.py"
        path.write_bytes(content)
        module.__file__ = str(path)
        return describe(module)

    plain = of(b"x = 1\n")
    assert of(b"\xef\xbb\xbfx = 1  # why\n") == plain != of(b"x = 2\n")
    latin = b"# -*- coding: latin-1 -*-\nx = '\xe4'\n"
    assert of(latin) == of("x = '\u00e4'\n".encode())
    assert of(b"\x7fELF\x00\xf8") == of(b"\x7fELF\x00\xf8") != of(b"\x7fELF\x00\xf9")
    (tmp_path / "helper.py").unlink()
    gone = types.ModuleType("helper")
    gone.__file__ = str(tmp_path / "helper.py")
    assert describe(gone) == ["helper", ""]


def test_tensors_of_every_layout_have_a_name():
    eye = torch.eye(3)
    assert describe(eye.to_sparse()) == describe(eye) != describe(torch.ones(3, 3))
    waves = torch.tensor([1 + 2j, 3 - 1j])
    assert describe(waves.conj()) == describe(waves.conj().resolve_conj()) != describe(waves)
