"""A kept fit and what can lie in its cache: nothing there stops a training or changes a number."""

import errno
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from training_case import both, net, own_cache, same, train  # noqa: F401 a fixture

from reidkit import store

STEPS = 6


@pytest.fixture(scope="module")
def whole():
    """The weights that every call of this file must end with."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, _ = train(steps=STEPS)
    torch.set_num_threads(before)
    return model


def call(**changes):
    return train(**{"keep": "kept", "steps": STEPS} | changes)


def stop_after_four(output, batch):
    stop = pathlib.Path(os.environ["REIDKIT_CACHE_DIR"]) / "stop"
    if batch.step == 3 and stop.exists():
        stop.unlink()
        signal.raise_signal(signal.SIGINT)
    return both(output, batch)


def stopped_call(tmp_path):
    """Leave a checkpoint of four steps -> its path."""
    (tmp_path / "stop").touch()
    with pytest.raises(KeyboardInterrupt):
        call(losses=stop_after_four)
    return next((tmp_path / "fits").glob("*.partial.safetensors"))


# ---- a folder that takes nothing


@pytest.mark.parametrize("where", ["", "fits", "deeper/than/that"])
def test_a_file_in_the_way_of_the_cache(tmp_path, monkeypatch, capsys, whole, where):
    cache = tmp_path / "cache"
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(cache / "x" if where.startswith("d") else cache))
    if where == "fits":
        cache.mkdir()
        (cache / "fits").write_text("in the way")
    else:
        cache.write_text("in the way")
    for _ in range(2):  # a loop says it once
        model, history = call()
        assert same(model, whole) and not history.loaded
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "kept: the checkpoint was not kept (" in said[0]
    assert "kept: the result was not kept (" in said[1]
    for line in said:
        assert "a file stands where a folder is expected" in line and "REIDKIT_CACHE_DIR" in line


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_refuses(monkeypatch, capsys, whole, number):
    def refuse(*_, **__):
        raise OSError(number, os.strerror(number), "/cache")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    model, history = call(keep=f"refused-{number}")
    assert same(model, whole) and len(history) == STEPS
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert all(os.strerror(number) in line and "REIDKIT_CACHE_DIR" in line for line in said)


def test_a_folder_that_cannot_be_made(monkeypatch, capsys, whole):
    def refuse(self, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)
    model, _ = call(keep="unmade")
    assert same(model, whole)
    assert "give yourself the right to write there" in capsys.readouterr().err


def test_what_is_kept_is_read_from_a_disk_that_can_only_be_read(monkeypatch, capsys, whole):
    call()

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", "/cache")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    monkeypatch.setattr("filelock.FileLock.acquire", refuse)
    capsys.readouterr()
    model, history = call()
    assert history.loaded and same(model, whole)
    assert len(capsys.readouterr().err.splitlines()) == 1  # that it was loaded


TINY_DISK = """
mount -t tmpfs -o size=SIZEk tmpfs "$1" && exec "$2" "$3" "$4"
"""


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("unshare") or os.name == "nt", reason="needs unshare")
@pytest.mark.parametrize("kilobytes", [4, 16, 24])
def test_a_disk_that_is_full_in_the_middle_of_a_file(tmp_path, kilobytes):
    """A real disk of some kB: the lock fits, half a checkpoint, or a checkpoint and no result."""
    cache = tmp_path / "cache"
    cache.mkdir()
    here = pathlib.Path(__file__).parent
    script = TINY_DISK.replace("SIZE", str(kilobytes))
    program = ["unshare", "-rm", "sh", "-c", script, "sh", str(cache), sys.executable]
    environment = {
        **os.environ,
        "PYTHONPATH": str(here.parent),
        "REIDKIT_CACHE_DIR": str(cache),
        "OMP_NUM_THREADS": "1",
    }
    weights = tmp_path / "weights.pt"
    words = [*program, str(here / "training_case.py"), str(weights)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no small disk can be mounted here")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    assert 1 <= len(said) <= 2
    assert all("was not kept (" in line and "make room on the disk" in line for line in said)
    found = torch.load(weights, weights_only=True)
    expected, _ = train()
    assert all(torch.equal(value, found[name]) for name, value in expected.state_dict().items())


def test_a_cache_named_as_in_a_shell(tmp_path, monkeypatch, whole):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for named in ("~/mine", "relative/../here"):
        monkeypatch.setenv("REIDKIT_CACHE_DIR", named)
        assert not call()[1].loaded
        model, history = call()
        assert history.loaded and same(model, whole)
    assert list((tmp_path / "mine" / "fits").glob("kept-*.json"))
    assert list((tmp_path / "here" / "fits").glob("kept-*.json"))


# ---- a result that is none


def rewritten(path, change):
    """Store a file again with other tensors or notes: sound by its digest."""
    tensors, notes = store.load(path)
    store.save(path, *change(tensors, notes))


def renamed(tensors, notes):
    return {name.replace("trunk", "torso"): value for name, value in tensors.items()}, notes


def reshaped(tensors, notes):
    return {name: value.flatten() for name, value in tensors.items()}, notes


def retyped(tensors, notes):
    return {name: value.double() for name, value in tensors.items()}, notes


def without_tensors(tensors, notes):
    return {}, notes


def with_notes(**changes):
    def change(tensors, notes):
        notes = {name: value for name, value in (notes | changes).items() if value is not None}
        return tensors, notes

    return change


def with_other_notes(notes):
    return lambda tensors, _: (tensors, notes)


RESULTS = [
    (renamed, "of another network (missing: trunk.0.weight"),
    (reshaped, "of another network (of another shape: trunk.0.weight (216,) for (8, 3, 3, 3)"),
    (retyped, "is torch.float64, not torch.float32"),
    (without_tensors, "of another network (missing"),
    (with_notes(date=None), "has the notes of another run"),
    (with_notes(history=None), "has the notes of another run"),
    (with_notes(history=[]), "has the notes of another run"),
    (with_notes(history=[1] * STEPS), "has the notes of another run"),
    (with_notes(history=[{"loss": 1.0}] * STEPS), "has the notes of another run"),
    (with_notes(seconds="3"), "has no time of training (seconds: '3')"),
    (with_notes(seconds=None), "has no time of training"),
    (with_other_notes(None), "has the notes of another run"),
    (with_other_notes([]), "has the notes of another run"),
    (with_other_notes("x"), "has the notes of another run"),
]


@pytest.mark.parametrize("change, words", RESULTS)
def test_a_sound_file_that_is_no_result_of_this_run(tmp_path, capsys, whole, change, words):
    call()
    path = next((tmp_path / "fits").glob("*.safetensors"))
    rewritten(path, change)
    capsys.readouterr()
    given = net()
    model, history = call(model=given)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and words in said[0] and said[0].endswith("training again")
    assert same(model, whole) and not history.loaded
    assert call()[1].loaded  # it is kept in its place


def damaged(path):
    content = path.read_bytes()
    yield content[:-7]
    yield content[: len(content) // 2]
    yield content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
    yield b""
    yield b"\0" * 200
    yield b"version https://git-lfs.github.com/spec/v1\n"


def test_damaged_results(tmp_path, capsys, whole):
    call()
    path = next((tmp_path / "fits").glob("*.safetensors"))
    for content in damaged(path):
        path.write_bytes(content)
        capsys.readouterr()
        model, history = call()
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and "is damaged" in said[0]
        assert same(model, whole) and not history.loaded


def test_a_folder_in_the_place_of_a_result_or_checkpoint(tmp_path, capsys, whole):
    partial = stopped_call(tmp_path)
    result = partial.with_name(partial.name.replace(".partial", ""))
    for path in (result, partial):
        partial.unlink(missing_ok=True)
        path.mkdir()
        capsys.readouterr()
        model, history = call(losses=stop_after_four)
        said = capsys.readouterr().err.splitlines()
        assert same(model, whole) and not history.loaded
        assert f"{path.name} is damaged (it is a folder)" in said[0]
        assert "was not kept (Is a directory" in said[1] and len(said) == 2
        path.rmdir()
        if path == partial:  # the result is kept
            assert call(losses=stop_after_four)[1].loaded


@pytest.mark.skipif(os.name == "nt", reason="links and pipes of POSIX")
def test_a_link_into_nowhere(tmp_path, capsys, whole):
    call()
    path = next((tmp_path / "fits").glob("*.safetensors"))
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    model, history = call()
    assert same(model, whole) and not history.loaded
    assert "is damaged" in capsys.readouterr().err
    assert call()[1].loaded


# ---- a checkpoint that is none


def without(part):
    def change(tensors, notes):
        return {name: value for name, value in tensors.items() if part not in name}, notes

    return change


def foreign_optimizer(tensors, notes):
    return tensors | {"optimizer/other/0/exp_avg": torch.zeros(3)}, notes


def reshaped_optimizer(tensors, notes):
    moments = {name: value[:1] for name, value in tensors.items() if name.endswith("exp_avg")}
    return tensors | moments, notes


CHECKPOINTS = [
    (renamed, "of another network (missing"),
    (retyped, "is torch.float64, not torch.float32"),
    (without("head"), "missing: head.weight, head.bias"),
    (foreign_optimizer, "there is no optimizer's parameter other/0"),
    (reshaped_optimizer, "exp_avg has the shape (1"),
    (with_notes(step=None), "expected a step from 1 to 6"),
    (with_notes(step=7), "(step 7, "),
    (with_notes(step=-1), "(step -1, "),
    (with_notes(step=0), "expected a step from 1 to 6"),
    (with_notes(step=2.0), "expected a step from 1 to 6"),
    (with_notes(step=True), "expected a step from 1 to 6"),
    (with_notes(step="4"), "expected a step from 1 to 6"),
    (with_notes(step=3), "as many rows of history"),
    (with_notes(history=None), "as many rows of history"),
    (with_notes(seconds=None), "has no time of training"),
    (with_notes(seconds=float("nan")), "has no time of training"),
    (with_other_notes([4]), "expected a step from 1 to 6"),
]


@pytest.mark.parametrize("change, words", CHECKPOINTS)
def test_a_sound_file_that_is_no_checkpoint_of_this_run(tmp_path, capsys, whole, change, words):
    rewritten(stopped_call(tmp_path), change)
    capsys.readouterr()
    model, history = call(losses=stop_after_four)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and words in said[0]
    assert said[0].endswith("training from the beginning")
    assert same(model, whole) and len(history) == STEPS


def test_damaged_checkpoints(tmp_path, capsys, whole):
    path = stopped_call(tmp_path)
    contents = list(damaged(path))
    for content in contents:
        path.write_bytes(content)
        capsys.readouterr()
        model, _ = call(losses=stop_after_four)
        assert "is damaged" in capsys.readouterr().err
        assert same(model, whole)
        shutil.rmtree(tmp_path / "fits")
        path.parent.mkdir()


def test_a_memory_that_does_not_take_its_state_back(tmp_path, capsys):
    import contract_case

    _, expected, _ = contract_case.run("adaptation", steps=4)
    contract_case.run("adaptation", keep="memory", steps=4)
    path = next((tmp_path / "fits").glob("*.safetensors"))
    rewritten(path, without("age"))
    capsys.readouterr()
    method, model, history = contract_case.run("adaptation", keep="memory", steps=4)
    said = capsys.readouterr().err
    assert "holds no memory of this method (KeyError" in said
    assert same(model, expected) and not history.loaded and method.age.sum() == 40


def test_the_description_is_never_read(tmp_path):
    call()
    path = next((tmp_path / "fits").glob("*.json"))
    assert json.loads(path.read_text())["settings"]["steps"] == STEPS
    path.write_text("{")
    assert call()[1].loaded
