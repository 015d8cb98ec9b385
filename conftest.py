"""Tests on several cores (`pytest -n 2`, which course.py asks for): what belongs together stays in
one process.

A committed notebook is one kernel, cell after cell. The whole runs of a chapter share a cache: the
second loads what the first has trained. All else goes by files, so that what a file sets up is set
up once.
"""

import re

import pytest

# Longest first, so that no core waits for them at the end: a word of the path -> its turn.
TURNS = {".ipynb": 0, "test_notebooks.py": 1, "test_browser.py": 2}


def pytest_collection_modifyitems(items):
    items.sort(key=_turn)


def _turn(item):
    return TURNS.get(item.path.suffix, TURNS.get(item.path.name, len(TURNS)))


@pytest.hookimpl(optionalhook=True)  # xdist's; without xdist nobody asks
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        """One worker runs a group from its first test to its last."""

        def _split_scope(self, nodeid):
            return group_of(nodeid)

    config.option.loadscopereorder = False  # keep the order of `_turn`
    return ByGroup(config, log)


def group_of(nodeid):
    """What a test belongs to, from its name: a notebook, the runs of one chapter, or a file.

    >>> group_of("tests/test_notebooks.py::test_with_planted_answers[raise-expected0-01b]")
    'tests/test_notebooks.py of chapter 01b'
    """
    path, _, test = nodeid.rpartition("::")
    chapter = re.search(r"\[(?:.*-)?(\d\d[a-z]?)(?:-.*)?\]$", test)
    if path.endswith("test_notebooks.py") and chapter:
        return f"{path} of chapter {chapter[1]}"
    return path
