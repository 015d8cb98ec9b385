"""The benchmark runs, its ways agree, and our memory stays in bounds at the size of Market-1501."""

import importlib.util
import json
import subprocess
import sys

import numpy
import pytest

from reidkit.files import project_root

SCRIPT = project_root() / "benchmarks" / "evaluate.py"


@pytest.fixture(scope="module")
def benchmark():
    spec = importlib.util.spec_from_file_location("benchmark_evaluate", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_published_way_and_ours_agree(benchmark):
    inputs = benchmark.make_inputs(150, 1200, 16)
    published = benchmark.vectorised(*inputs)
    numpy.testing.assert_allclose(published, benchmark.ours(*inputs), atol=1e-5)
    assert 0 < published[0] < 1


def test_script():
    command = [
        sys.executable,
        SCRIPT,
        "--queries",
        "120",
        "--gallery",
        "900",
        "--width",
        "8",
        "--runs",
        "1",
    ]
    done = subprocess.run([*command, "--threads", "1"], capture_output=True, text=True, check=True)
    assert "ours is" in done.stdout and "times as fast as vectorised" in done.stdout


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
@pytest.mark.parametrize("people", [751, 1])
def test_memory_at_the_size_of_market(benchmark, tmp_path, people):
    """Never 300 MB above the inputs.

    With one person, each query has as many positives as the gallery has pictures.
    """
    inputs = list(benchmark.make_inputs(3368 if people > 1 else 200, 15913, 64))
    for ids in (1, 4):
        inputs[ids] = inputs[ids] % people
    for number, value in enumerate(inputs):
        numpy.save(tmp_path / f"{number}.npy", value.numpy())
    done = subprocess.run(
        [sys.executable, SCRIPT, "--way", "ours", "--inputs", tmp_path, "--threads", "1"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["megabytes"] < 300
