"""A kept fit that is killed while its result is written: the same call ends with the same bits."""

import os
import pathlib
import signal
import subprocess
import sys

import pytest
import torch
from training_case import own_cache, train  # noqa: F401 a fixture

KILLED = """
import os, signal, sys
sys.path.insert(0, "tests")
import torch
torch.set_num_threads(1)
import training_case
from reidkit import files, tensor_files
from reidkit.training import checkpoints

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

moment = sys.argv[1]
if moment == "in the middle of the result":
    put = tensor_files.write
    def half(path, tensors, header):
        if ".partial." in path.name:
            return put(path, tensors, header)
        with files.atomic_path(path) as temporary:
            temporary.write_bytes(b"half")
            die()
    tensor_files.write = half
if moment == "before its name":
    replace = os.replace
    def dying(source, target):
        if ".partial." not in str(target):
            die()
        replace(source, target)
    os.replace = dying
if moment == "before the description":
    files.write_atomic = die
if moment == "before the checkpoint goes":
    checkpoints.Run._drop_checkpoint = die
if moment == "nothing":
    pass
model, history = training_case.train(keep="killed", steps=12)
torch.save(model.state_dict(), sys.argv[2])
print("loaded" if history.loaded else "trained")
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    "moment, after",
    [
        ("in the middle of the result", "trained"),
        ("before its name", "trained"),
        ("before the description", "loaded"),
        ("before the checkpoint goes", "loaded"),
    ],
)
def test_killed_while_the_result_is_written(tmp_path, moment, after):
    root = pathlib.Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def run(moment):
        words = [sys.executable, "-c", KILLED, moment, str(tmp_path / "weights.pt")]
        return subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True)

    assert run(moment).returncode == -signal.SIGKILL
    assert list((tmp_path / "fits").glob("*.partial.safetensors"))
    done = run("nothing")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == after
    assert "loaded" in done.stderr or "going on after step 12 of 12" in done.stderr
    found = torch.load(tmp_path / "weights.pt", weights_only=True)
    expected, _ = train(steps=12)
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())
    assert not list((tmp_path / "fits").glob("*.partial.safetensors"))
