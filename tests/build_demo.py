"""A tiny chapter whose exercise is a build, with the room of its checks, for the tests of `mine`.

The checks stand in this module, so that another process can import them by name.
"""

import torch

from reidkit.teach.exercises import exercise, expect

SOURCE = '''# ---
# jupyter:
#   reidkit:
#     chapter: "92"
#     title: A chapter with a build
#     minutes_study: 1
#     minutes_compute: 0.1
#     prerequisites: []
# ---

# %% [markdown] key="title" tags=["slide"]
# # A chapter with a build

# %% key="parameters" tags=["parameters"]
SEED: int = 0           # of everything

# %% key="setup" tags=["setup", "skip"]
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import build_demo as check
from reidkit import teach

# %% [markdown] key="scale" tags=["exercise", "build"]
# ### Build: a layer that scales

# %% key="scale-stub" tags=["exercise", "build", "stub"]
class Scale(nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        ...

check.scale(Scale)

# %% [markdown] key="scale-hint1" tags=["hint"]
# Multiply.

# %% key="scale-solution" tags=["solution"]
class Scale(nn.Module):
    """Multiplies by a number."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * self.factor

# %% [markdown] key="shift" tags=["exercise", "build"]
# ### The second station: scale, then shift

# %% key="shift-stub" tags=["exercise", "build", "stub"]
def shift(x: Tensor) -> Tensor:
    """Twice x, and one."""
    ...

check.shift(shift)

# %% [markdown] key="shift-hint1" tags=["hint"]
# Scale(2).

# %% key="shift-solution" tags=["solution"]
def shift(x: Tensor) -> Tensor:
    """Twice x, and one."""
    return Scale(2)(x) + 1

# %% key="use"
def train(layer):
    return float(layer(3)(torch.ones(2)).sum())

class TheirScale(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return self.factor * x

number, whose = teach.use_mine("92-scale", TheirScale, train, name="Scale")
print("trained:", number, whose, teach.mine_is_yours("92-scale", "Scale"))
'''


@exercise("92-scale", build="scale", names=("Scale",), seconds=3)
def scale(answer):
    x = torch.tensor([1.0, -2.0])
    result = answer(3)(x)
    expect(isinstance(result, torch.Tensor), f"the result is {result!r}, no tensor")
    expect(torch.equal(result, 3 * x), f"3 times {x.tolist()} is not {result.tolist()}")


@exercise("92-shift", build="scale", names=("shift",), station=2, seconds=3)
def shift(answer):
    x = torch.tensor([1.0, -2.0])
    expect(torch.equal(answer(x), 2 * x + 1), f"2 x + 1 is not {answer(x).tolist()}")


@exercise("93-later", build="later", names=("later",), seconds=3)
def later(answer):
    expect(answer() == 6, f"it is {answer()}, not 6")


def write(root):
    """Put a project with this one chapter under `root`; returns the chapter's path."""
    path = root / "notebooks" / "source" / "92_building.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(SOURCE, encoding="utf-8")
    return path
