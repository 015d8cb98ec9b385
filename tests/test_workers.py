"""Work side by side: results as they come, and no worker outlives the process that started it."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from reidkit import files, workers

pytest.importorskip("joblib")


def double(number):
    return 2 * number


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_result_comes_with_its_number(jobs):
    results = dict(workers.side_by_side(double, [(number,) for number in range(5)], jobs))
    assert results == {number: 2 * number for number in range(5)}
    assert list(workers.side_by_side(double, [], jobs)) == []


SLEEPERS = """
import pathlib, sys, time
from reidkit import workers
def work(folder, number):
    import os, subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"],
                             start_new_session=True)
    (pathlib.Path(folder) / str(number)).write_text(f"{os.getpid()} {child.pid}")
    time.sleep(120)
list(workers.side_by_side(work, [(sys.argv[1], number) for number in range(2)], 2))
"""


def is_alive(number):
    psutil = pytest.importorskip("psutil")
    return psutil.pid_exists(number) and psutil.Process(number).status() != "zombie"


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_workers_and_what_they_started_end_with_their_owner(tmp_path):
    pytest.importorskip("psutil")
    words = [sys.executable, "-c", SLEEPERS, str(tmp_path)]
    owner = subprocess.Popen(words, cwd=files.project_root(), stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    started = []
    while len(started) < 4 and time.monotonic() < until:
        time.sleep(0.1)
        texts = [path.read_text() for path in tmp_path.iterdir()]
        started = [int(word) for text in texts for word in text.split()]
    assert len(started) == 4 and all(is_alive(number) for number in started)
    os.kill(owner.pid, signal.SIGKILL)
    owner.wait()
    until = time.monotonic() + 10
    while any(is_alive(number) for number in started) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(is_alive(number) for number in started)


def test_signs_of_killed_processes_are_removed_and_those_of_living_ones_stay(tmp_path, monkeypatch):
    monkeypatch.setattr(workers.tempfile, "tempdir", str(tmp_path))
    dead = tmp_path / f"{workers.SIGN}dead"
    dead.write_text("")
    with workers.sign_of_life() as living:
        for path in (dead, living):
            os.utime(path, (0, 0))
        with workers.sign_of_life():
            assert not dead.exists() and pathlib.Path(living).exists()
    assert not pathlib.Path(living).exists()
