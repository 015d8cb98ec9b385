"""Every test runs with one thread, a cache of its own (so that training is live) and without
touching a student's progress.
"""

import os
import pathlib
import tempfile

import pytest

_cache = None
os.environ["REIDKIT_PROGRESS"] = "off"
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault(
    "JUPYTER_PREFER_ENV_PATH", "1"
)  # kernels of this environment, not of the user's folder
if "REIDKIT_CACHE_DIR" not in os.environ:  # course.py gives one for the whole run
    _cache = tempfile.TemporaryDirectory(prefix="reidkit-test-", ignore_cleanup_errors=True)
    os.environ["REIDKIT_CACHE_DIR"] = _cache.name


def pytest_sessionfinish(session):
    if _cache is not None:
        _cache.cleanup()


@pytest.fixture(autouse=True)
def one_thread():
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session")
def data_root():
    """The folder of real pictures: skipped without REIDKIT_DATA_ROOT, a failure where it is asked
    for and not there.
    """
    named = os.environ.get("REIDKIT_DATA_ROOT")
    if named and pathlib.Path(named).is_dir():
        return pathlib.Path(named)
    if named or os.environ.get("REQUIRE_DATA") == "1":
        pytest.fail(f"real pictures are asked for, but REIDKIT_DATA_ROOT={named!r} is no folder")
    pytest.skip("no real pictures: REIDKIT_DATA_ROOT is not set")
