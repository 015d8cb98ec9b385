"""The same kept fit asked for twice at a time: one trains, the other waits and loads its result."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from training_case import both, own_cache, same, train  # noqa: F401 a fixture

from reidkit import files
from reidkit.training import checkpoints

ROOT = pathlib.Path(__file__).parents[1]


def start(tmp_path, name):
    """The training of training_case.py in another process: weights in NAME, lines in NAME.err."""
    words = [sys.executable, str(ROOT / "tests" / "training_case.py"), str(tmp_path / name)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "TEST_GATE": str(tmp_path / "gate"),
    }
    with open(tmp_path / f"{name}.err", "w") as lines:
        return subprocess.Popen(words, env=environment, stderr=lines)


def said_by(tmp_path, name):
    return (tmp_path / f"{name}.err").read_text()


def has_checkpoint(tmp_path):
    return list((tmp_path / "fits").glob("*.partial.safetensors"))


def wait_for(condition, seconds=60.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def weights(tmp_path, name):
    return torch.load(tmp_path / name, weights_only=True)


def are_those_of_one(found):
    whole, _ = train()
    return all(torch.equal(value, found[name]) for name, value in whole.state_dict().items())


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(checkpoints, "SOON", 0.1)
    monkeypatch.setattr(checkpoints, "MINUTE", 0.2)


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_of_two_processes_one_trains_and_a_killed_one_is_followed(tmp_path):
    """Three at a time; the one that trains is killed, the next goes on, the last loads."""
    processes = [start(tmp_path, "0")]
    wait_for(lambda: has_checkpoint(tmp_path))
    processes += [start(tmp_path, "1"), start(tmp_path, "2")]
    wait_for(lambda: all("waiting for its result" in said_by(tmp_path, name) for name in "12"))
    processes[0].kill()
    (tmp_path / "gate").touch()
    assert [process.wait(120) for process in processes] == [-signal.SIGKILL, 0, 0]
    said = [said_by(tmp_path, name) for name in "12"]
    assert sum("going on after step" in lines for lines in said) == 1
    assert sum("loaded, trained on" in lines for lines in said) == 1
    for name in ("1", "2"):
        assert are_those_of_one(weights(tmp_path, name))
    assert not has_checkpoint(tmp_path)


@contextlib.contextmanager
def held_by_another(path):
    """Another thread holds the lock of a path -> an event that ends it."""
    held, done = threading.Event(), threading.Event()

    def hold():
        with files.locked(path):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        yield done
    finally:
        done.set()
        holder.join()


def test_the_second_waits_with_a_line_now_and_then(impatient, capsys):
    path = files.cache_dir() / "fits" / "x.safetensors"
    with held_by_another(path) as done:
        threading.Timer(0.7, done.set).start()
        with checkpoints.turn(path, "x") as waited:
            assert waited
    lines = capsys.readouterr().err.splitlines()
    assert 2 <= len(lines) <= 5
    for line in lines:
        assert line.startswith("x: another process trains this run; waiting for its result, 0 min")
        assert "Ctrl-C" in line
    with checkpoints.turn(path, "x") as waited:
        assert not waited


def path_of(keep):
    """Where the result of a kept run is, from its description."""
    return next((files.cache_dir() / "fits").glob(f"{keep}-*.json")).with_suffix(".safetensors")


def test_what_another_one_has_finished_meanwhile_is_loaded(monkeypatch, capsys):
    """The run is finished by others between the first look and the turn, or while it is waited
    for."""
    whole, _ = train(keep="mean", steps=4)
    path = path_of("mean")
    content = path.read_bytes()
    for waited in (False, True):
        path.unlink()

        def meanwhile(stack, path, label, waited=waited):
            path.write_bytes(content)
            return waited

        monkeypatch.setattr(checkpoints, "_take_turn", meanwhile)
        model, history = train(keep="mean", steps=4)
        assert history.loaded and same(model, whole)
    path.write_bytes(b"damaged")  # and mended by the one that was waited for
    model, history = train(keep="mean", steps=4)
    assert history.loaded
    assert capsys.readouterr().err.count("is damaged") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_waiting_ends_with_ctrl_c(impatient):
    path = files.cache_dir() / "fits" / "x.safetensors"
    with held_by_another(path):
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            with checkpoints.turn(path, "x"):
                pytest.fail("the turn of another")


def test_a_fit_inside_itself_does_not_wait_for_itself():
    depth = []

    def inner(output, batch):
        if batch.step == 2 and len(depth) < 2:
            depth.append(batch.step)
            model, history = train(losses=inner, keep="inside", steps=4)
            assert len(history) == 4
            again, loaded = train(losses=inner, keep="inside", steps=4)
            assert loaded.loaded and same(model, again)
        return both(output, batch)

    train(losses=inner, keep="inside", steps=4)
    assert depth == [2, 2]
    assert train(losses=inner, keep="inside", steps=4)[1].loaded


def test_other_runs_do_not_wait(impatient, capsys):
    def inner(output, batch):
        if batch.step == 1:
            train(keep="x" * 119 + "a", steps=2)
            train(keep="x" * 119 + "b", steps=2)
        return both(output, batch)

    train(losses=inner, keep="x" * 119 + "c", steps=3)
    assert "waiting" not in capsys.readouterr().err


def test_the_turn_is_given_back_after_an_error():
    def breaks(output, batch):
        raise RuntimeError("power cut")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="power cut"):
            train(losses=breaks, keep="breaks", steps=2)


@pytest.mark.parametrize("error", [NotImplementedError("no flock"), OSError(37, "No locks")])
def test_a_disk_without_locks_keeps_all_the_same(monkeypatch, capsys, error):
    def refuse(self, **_):
        raise error

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    first, _ = train(keep="unlocked", steps=3)
    again, history = train(keep="unlocked", steps=3)
    assert history.loaded and same(first, again)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_two_without_locks_do_not_damage_each_other(monkeypatch, capsys):
    """Where there are no locks, a second run of the same call in the middle of the first one."""

    def refuse(self, **_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    whole, _ = train(steps=8)
    asked = []

    def other(output, batch):
        if batch.step == 4 and not asked:
            asked.append(1)
            model, _ = train(losses=other, keep="two", steps=8)
            assert same(model, whole)
        return both(output, batch)

    model, history = train(losses=other, keep="two", steps=8)
    assert same(model, whole) and len(history) == 8
