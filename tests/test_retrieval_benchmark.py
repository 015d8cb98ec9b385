"""The benchmark runs, its ways agree, and our memory stays in bounds at the size of Market-1501."""

import json
import pathlib
import subprocess
import sys

import numpy
import pytest

from benchmarks import evaluate

ROOT = pathlib.Path(evaluate.__file__).resolve().parents[1]


def run_command(*words):
    """What the command prints with these words, on one thread."""
    command = [sys.executable, "-m", "benchmarks", "evaluate", "--threads", "1", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout


def test_published_way_and_ours_agree():
    inputs = evaluate.make_inputs(150, 1200, 16)
    published = evaluate.vectorised(*inputs)
    numpy.testing.assert_allclose(published, evaluate.ours(*inputs), atol=1e-5)
    assert 0 < published[0] < 1


@pytest.mark.slow
def test_command():
    words = ["--queries", "120", "--gallery", "900", "--width", "8", "--runs", "1"]
    printed = run_command(*words)
    assert "ours is" in printed
    assert "times as fast as vectorised" in printed


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("people", [751, 1])
def test_memory_at_the_size_of_market(tmp_path, people):
    """Never 300 MB above the inputs.

    With one person, each query has as many positives as the gallery has pictures.
    """
    queries = 3368 if people > 1 else 200
    inputs = list(evaluate.make_inputs(queries, 15913, 64))
    inputs[1] = inputs[1] % people
    inputs[4] = inputs[4] % people
    for number, value in enumerate(inputs):
        numpy.save(tmp_path / f"{number}.npy", value.numpy())
    measured = json.loads(run_command("--way", "ours", "--inputs", tmp_path))
    assert measured["megabytes"] < 300
