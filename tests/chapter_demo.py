"""A tiny chapter for the tests of the builder: one exercise, one cell to compare, a claim."""

SOURCE = '''# ---
# jupyter:
#   reidkit:
#     chapter: "91"
#     title: A tiny chapter
#     minutes_study: 1
#     minutes_compute: 0.1
#     prerequisites: []
# ---

# %% [markdown] key="title" tags=["slide"]
# # A tiny chapter

# %% key="parameters" tags=["parameters"]
SEED: int = 0           # of everything

# %% key="setup" tags=["setup", "skip"]
from reidkit.teach import claim
from reidkit.teach.exercises import exercise, expect

class check:
    @exercise("91-add-one")
    def add_one(answer):
        expect(answer(1) == 2, "1 plus 1 is 2")

# %% [markdown] key="add-one" tags=["exercise"]
# ### Add one

# %% key="add-one-stub" tags=["exercise", "stub", "check"]
def add_one(x):
    """One more."""
    ...

check.add_one(add_one)

# %% [markdown] key="add-one-hint1" tags=["hint"]
# Use a plus.

# %% [markdown] key="add-one-hint2" tags=["hint"]
# `x + ...`

# %% key="add-one-solution" tags=["solution"]
def add_one(x):
    return x + 1

# %% [markdown] key="add-one-why" tags=["solution"]
# Because.

# %% key="table" tags=["check"]
print([SEED + n * n for n in range(4)])

# %% key="claim" tags=["claim"]
claim("squares are not negative", measured=SEED * SEED, holds=lambda v: v >= 0)
'''


def write(root, text=SOURCE, name="91_tiny.py"):
    """Put a project with this one chapter under `root`; returns the chapter's path."""
    path = root / "notebooks" / "source" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
