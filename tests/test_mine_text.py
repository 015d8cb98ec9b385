"""The text of a build: its imports, what it may not use, and its file."""

import math
import types
from collections import Counter

import IPython
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reidkit import datasets, world
from reidkit.layers import norms
from reidkit.teach import mine_text
from reidkit.teach.mine_imports import imports_of
from reidkit.teach.mine_text import Build, Refused, read_file, with_station

SETUP = "from math import pi, tau as turn\nfrom torch import float32\nfrom scipy import stats\n"


def helper():
    return 1


helper.__module__ = "__main__"
BUILT = types.FunctionType(helper.__code__, {})
BUILT.__module__ = "__main__"

NAMES = {
    "torch": torch,
    "np": np,
    "nn": nn,
    "F": F,
    "Tensor": Tensor,
    "Module": nn.Module,
    "conv": F.conv2d,
    "Counter": Counter,
    "math": math,
    "path": __import__("os").path,
    "pi": math.pi,
    "turn": math.tau,
    "float32": torch.float32,
    "world": world,
    "datasets": datasets,
    "sample": world.sample,
    "norms": norms,
    "Ours": norms.BatchInstanceNorm,
    "helper": helper,
    "x": torch.zeros(2),
    "count": 3,
    "evaluate": BUILT,
    "Norm": norms.BatchInstanceNorm,
    "open": open,
    "sum": helper,
    "get_ipython": IPython.get_ipython,
    "pytest": pytest,
}
KNOWN = {"evaluate": "retrieve", "Norm": "norm", "Before": ""}


def lines_of(text):
    return imports_of(text, NAMES, KNOWN, [SETUP])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def f(): return torch.zeros(1)", "import torch"),
        ("def f(): return np.zeros(1)", "import numpy as np"),
        ("class A(nn.Module): pass", "from torch import nn"),
        ("def f(): return F.relu", "import torch.nn.functional as F"),
        ("def f(x: Tensor): return x", "from torch import Tensor"),
        ("class A(Module): pass", "from torch.nn import Module"),
        ("def f(): return conv", "from torch import conv2d as conv"),
        ("def f(): return Counter()", "from collections import Counter"),
        ("def f(): return math.pi", "import math"),
        ("def f(): return path.join('a')", "from os import path"),
        ("def f(): return pi", "from math import pi"),
        ("def f(): return turn", "from math import tau as turn"),
        ("def f(): return float32", "from torch import float32"),
        ("def f(): return world.sample", "from reidkit import world"),
        ("def f(): return datasets", "from reidkit import datasets"),
        ("def f(): return sample", "from reidkit.world import sample"),
        ("def f(): return evaluate", "from .retrieve import evaluate"),
        ("class A(Norm): pass", "from .norm import Norm"),
    ],
)
def test_names_from_outside_become_imports(text, line):
    assert lines_of(text) == [line]


@pytest.mark.parametrize(
    "text",
    [
        "def f(x, *y, k=1, **z):\n    total = len(x)\n    return [k for k in range(total)]",
        "import torch\ndef f(): return torch",
        "class A:\n    size = 3\n    def f(self): return A.size, print, self",
        "def f(): return open('a')",
        "def f(): return Before(1)",
        "def f(): return nowhere_at_all",
        "from reidkit import world\nfrom reidkit.backbones import make_trunk\nplace = world",
        "from mine.retrieve import evaluate\ndef f(): return evaluate",
        "def f():\n    import json\n    return json",
        "def norms(): return 1",
        "def f():\n    def g(): return h()\n    def h(): return 1\n    return g",
    ],
)
def test_what_needs_no_import(text):
    assert lines_of(text) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(): return helper()", "put helper into this cell"),
        ("def f(): return x + 1", "x is a Tensor of another cell"),
        ("def f(): return count", "count is a int of another cell"),
        ("def f(): return norms.eps", "norms is of reidkit.layers.norms"),
        ("class A(Ours): pass", "Ours is of reidkit.layers.norms"),
        ("def f(): return sum([1])", "put sum into this cell"),
        ("def f(): return get_ipython()", "get_ipython is"),
        ("def f(): return pytest.raises", "pytest is of pytest"),
        ("from reidkit.layers.norms import InstanceNorm", "imports reidkit.layers.norms"),
        ("from reidkit import layers", "imports reidkit.layers"),
        ("import reidkit", "imports reidkit;"),
        ("def f():\n    import scipy.stats", "imports scipy.stats"),
        ("from torch import *", "import the names"),
    ],
)
def test_what_is_refused_and_why(text, words):
    with pytest.raises(Refused) as refusal:
        lines_of(text)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("cell", "word"),
    [
        ("%time x = 1\ndef f(): return 1", "%time"),
        ("%%timeit\nx = 1", "%%timeit"),
        ("!ls\nx = 1", "!ls"),
        ("files = !ls", "!ls"),
        ("here = %pwd", "%pwd"),
        ("def f(:\n    return 1", "no plain Python"),
        ("x = 5 % 3\ny = 'a\\n", "no plain Python"),
    ],
)
def test_magics_and_broken_cells_are_refused(cell, word):
    with pytest.raises(Refused, match=word):
        mine_text.without_checks(cell)


def test_check_lines_go_and_all_else_stays():
    cell = (
        "# a comment\nclass A:\n    def check(self):\n        check = 1\n        return check\n\n"
        "check.a(A)   # says so\nverdict = check.a(\n    A,\n    deep=True)\nB = A\n"
    )
    expected = cell.partition("check.a")[0] + "B = A\n"
    assert mine_text.without_checks(cell) == expected


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("def f(x):\n    ...", True),
        ("def f(x):\n    y = ...\n    return y", True),
        ("def f(x):\n    return x, ...", True),
        ("def f(x):\n    return x[..., 0] + x.sum(...)", False),
        ("def f(:", False),
    ],
)
def test_blanks_are_seen(cell, expected):
    assert mine_text.has_blanks(cell) is expected


def test_a_file_holds_its_stations_in_order_with_the_imports_that_they_need():
    second = Build("norm", ("g",), 2, 20.0)
    first = Build("norm", ("f",), 1, 20.0)
    cell = "from __future__ import annotations\ndef g(): return F.relu(math.pi)\n"
    text = with_station(
        "", "02-g", second, cell, ["import math", "import torch.nn.functional as F"]
    )
    text = with_station(text, "02-f", first, "def f():\n    return torch", ["import torch"])
    lines, sections = read_file(text)
    assert lines == [
        "from __future__ import annotations",
        "import math",
        "import torch",
        "import torch.nn.functional as F",
    ]
    assert list(sections) == [1, 2] and text.index("def f") < text.index("def g")
    compile(text, "norm.py", "exec")
    same = with_station(text, "02-f", first, "def f():\n    return torch", ["import torch"])
    assert same == text
    text = with_station(text, "02-g", second, "def g(): return 1", [])
    assert read_file(text)[0] == ["from __future__ import annotations", "import torch"]
    broken = text.replace("return 1", "return (")
    assert list(read_file(broken)[1]) == [1]  # a section that is no Python is left out


def test_the_builds_that_a_file_imports():
    text = (
        "from .retrieve import evaluate\nfrom . import norm\nimport mine.gates\n"
        "from mine.learn import fit\nfrom mine import network\nimport torch\n"
        "def late():\n    from .memory import Memory\n"
    )
    names = set(mine_text.builds_in(text))
    assert {"retrieve", "norm", "gates", "learn", "network", "memory"} <= names
    assert mine_text.builds_in("def f(:") == []
