"""What fit keeps: found again, never that of another run; a killed run ends with the same bits."""

import errno
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
import training_case
from training_case import Net, both, net, own_cache, same, train  # noqa: F401 a fixture

from reidkit import augment, files, losses, sampling, store, tensor_files
from reidkit.fingerprints import describe
from reidkit.training import Method, Plan, batches, checkpoints, loop


def kept(tmp_path):
    """Names of what is there, without locks."""
    names = (path.name for path in (tmp_path / "fits").iterdir())
    return sorted(name for name in names if not name.endswith(".lock"))


def test_second_call_loads(tmp_path, capsys):
    first, history = train(keep="kept")
    assert len(kept(tmp_path)) == 2 and all(
        name.startswith("kept-") for name in kept(tmp_path)
    )  # no partial one is left
    again, loaded = train(keep="kept")
    assert (
        loaded.loaded
        and same(first, again)
        and list(loaded) == list(history)
        and not again.training
    )
    assert "kept: loaded, trained on" in capsys.readouterr().err
    assert (
        json.loads(next((tmp_path / "fits").glob("*.json")).read_text())["settings"]["steps"] == 60
    )
    train(keep="other-name")
    assert len(kept(tmp_path)) == 4


def test_cache_off_trains_afresh_and_keeps_nothing(tmp_path, monkeypatch):
    train(keep="off", steps=2)
    monkeypatch.setenv("REIDKIT_CACHE", "off")
    before = kept(tmp_path)
    assert not train(keep="off", steps=2)[1].loaded and not train(keep="off2", steps=2)[1].loaded
    assert kept(tmp_path) == before


def scaled(factor):
    def weighed(output, batch):
        return {"identity": factor * losses.cross_entropy(output.logits, batch.ids).mean()}

    return weighed


SCALE = 1.0


def names_a_global(output, batch):
    return {"identity": SCALE * losses.cross_entropy(output.logits, batch.ids).mean()}


def test_never_a_stale_result(monkeypatch):
    def loaded(losses=both, model=None, **changes):
        return train(model, losses, keep="stale", **{"steps": 2} | changes)[1].loaded

    assert not loaded() and loaded()
    for changes in (
        {"steps": 3},
        {"lr": 0.02},
        {"seed": 1},
        {"augment": augment.flip},
        {"schedule": "step"},
        {"freeze": {}},
        {"augment": partial(augment.flip, probability=0.1)},
        {"sampler": sampling.by_domain},
        {"weight_decay": 0.0},
        {"model": net(1)},
        {"losses": scaled(1.0)},
        {"losses": scaled(2.0)},
        {"losses": names_a_global},
    ):
        assert not loaded(**changes), changes
    assert loaded(losses=scaled(2.0)) and loaded(losses=names_a_global)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert not loaded(losses=names_a_global)
    wet = net()
    wet.trunk[3].p = 0.5  # no weight differs, the model does
    assert not loaded(model=wet)
    torch.set_num_threads(2)
    assert not loaded()
    torch.set_num_threads(1)
    assert loaded()


def test_describe_is_the_same_in_every_process():
    program = (
        "import sys; sys.path.insert(0, 'tests'); from training_case import Net, net, both; from "
        "functools import partial;"
        "from reidkit import fingerprints as f; from reidkit.files import digest;"
        "print(digest(f.describe([both, Net, net(), partial(both, x={'a', 'b', 'c'}), lambda v: v "
        "in {'a', 'b', 'c'}])))"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    }
    assert len(seen) == 1


def test_describe_sees_what_matters():
    def made(body):
        space = {"__name__": "notebook"}
        exec(body, space)
        return describe(space["f"])

    assert made("def f(x):\n    return x + 1") == made("def f(x):\n    # why\n    return x + 1")
    assert made("def f(x):\n    return x + 1") != made("def f(x):\n    return x + 2")
    assert made("k = 1\ndef f(x):\n    return (lambda y: y + k)(x)") != made(
        "k = 2\ndef f(x):\n    return (lambda y: y + k)(x)"
    )

    for wrap in (
        "functools.lru_cache",
        "functools.cache",
        "functools.partial",
        "numpy.vectorize",
        "staticmethod",
        "functools.cached_property",
        "functools.partialmethod",
        "(lambda g: functools.cache(functools.cache(g)))",
    ):
        imports = "import functools, numpy\n"
        helper = (
            f"{imports}@{wrap}\ndef helper(x=0):\n    return %s\ndef f(x):\n    return helper(x)"
        )
        assert made(helper % 1.0) == made(helper % 1.0) != made(helper % 5.0), wrap
        member = f"{imports}class f:\n    @{wrap}\n    def helper(self):\n        return %s"
        assert made(member % 1.0) == made(member % 1.0) != made(member % 5.0), wrap

    class Other(Net):
        margin = 0.3

    first = describe(Other)
    Other.margin = 0.4
    assert describe(Other) != first != describe(Net)
    loop = []
    loop.append(loop)
    assert describe(loop) == ["again"]


def test_a_damaged_result_is_named_and_trained_again(tmp_path, capsys):
    first, _ = train(keep="hurt", steps=3)
    path = next((tmp_path / "fits").glob("*.safetensors"))
    whole = path.read_bytes()
    for damage in (whole[:-40], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b""):
        path.write_bytes(damage)
        again, history = train(keep="hurt", steps=3)
        assert not history.loaded and same(first, again) and "is damaged" in capsys.readouterr().err
        assert train(keep="hurt", steps=3)[1].loaded


def test_leftovers_are_removed_when_they_are_old(tmp_path):
    (tmp_path / "fits").mkdir()
    names = (".x.safetensors.1.reidkit.part", "y-1.partial.safetensors", ".y-1.safetensors.lock")
    weeks = 15 * 86400
    for age, there in ((7200, [False, True, True]), (weeks, [False, False, False])):
        paths = [tmp_path / "fits" / name for name in names]
        for path in paths:
            path.write_bytes(b"x")
            os.utime(path, (time.time() - age,) * 2)
        train(keep=f"z-{age}", steps=1)
        assert [path.exists() for path in paths] == there


class Full:
    """A disk that takes no file whose name ends like this."""

    def __init__(self, monkeypatch, ending):
        self.put, self.ending = tensor_files.write, ending
        monkeypatch.setattr(tensor_files, "write", self)

    def __call__(self, path, tensors, header):
        if self.ending in path.name:
            with files.atomic_path(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        self.put(path, tensors, header)


def test_a_full_disk_costs_no_training(tmp_path, monkeypatch, capsys):
    whole, _ = train(steps=5)
    Full(monkeypatch, ".safetensors")
    model, history = train(keep="full", steps=5)
    said = capsys.readouterr().err.splitlines()
    assert same(model, whole) and len(history) == 5 and not history.loaded and not model.training
    assert len(said) == 2  # one for all checkpoints, one for the result
    assert all("No space left on device" in line and "make room" in line for line in said)
    assert all("REIDKIT_CACHE_DIR can name a folder that takes it" in line for line in said)
    assert "full: the checkpoint was not kept" in said[0] and "training goes on" in said[0]
    assert "full: the result was not kept" in said[1] and "the model is trained" in said[1]
    assert kept(tmp_path) == [] and not list(tmp_path.rglob("*.part"))


def test_a_disk_error_of_the_system_is_caught_too(monkeypatch, capsys):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints.files, "write_atomic", full)
    whole, _ = train(steps=2)
    assert same(train(keep="full", steps=2)[0], whole)
    said = capsys.readouterr().err
    assert "full: the description beside the result was not kept (No space left on device" in said
    assert train(keep="full", steps=2)[1].loaded  # the result itself is there


def test_an_interrupt_without_its_checkpoint_promises_none(tmp_path, monkeypatch, capsys):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP_FILE", str(stop))
    stop.touch()
    Full(monkeypatch, ".partial.")
    with pytest.raises(KeyboardInterrupt):
        train(losses=stoppable, steps=20, keep="c", checkpoint_every=1e9)
    assert (
        "stopped after step 11 of 20; an older checkpoint is kept, if there is one"
        in capsys.readouterr().err
    )


@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="what is mapped is read from /proc"
)
def test_nothing_restored_looks_into_the_file(tmp_path):
    tensors = {"optimizer/0/step": torch.tensor(3.0), "model/weight": torch.zeros(5)}
    store.save(tmp_path / "mapped.safetensors", tensors, {})
    restored, _ = store.load(tmp_path / "mapped.safetensors")
    assert "mapped.safetensors" not in pathlib.Path("/proc/self/maps").read_text()
    assert all(torch.equal(value, restored[name]) for name, value in tensors.items())


def test_the_kind_of_device_is_in_the_key():
    prepared = batches.prepare(training_case.people())
    plan = Plan(steps=1)
    one, again, other = (
        loop._result_path("x", Method(both), prepared, plan, net(), torch.device(kind))
        for kind in ("cpu", "cpu", "mps")
    )
    assert one == again != other


# resume


def stoppable(output, batch):
    stop = pathlib.Path(os.environ["STOP_FILE"])
    if batch.step == 10 and stop.exists():
        stop.unlink()
        signal.raise_signal(signal.SIGINT)  # what Ctrl-C and Jupyter's stop button send
    return both(output, batch)


@pytest.mark.parametrize("cache", ["stopped", None])
def test_interrupt_keeps_a_checkpoint_and_the_same_call_goes_on(
    tmp_path, monkeypatch, capsys, cache
):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP_FILE", str(stop))
    call = partial(train, losses=stoppable, steps=30, keep=cache, checkpoint_every=1e9)
    whole, _ = train(losses=stoppable, steps=30)
    stop.touch()
    model, before = net(), signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        call(model)
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err
    if cache is None:
        assert "stopped after step 11 of 30; nothing is kept" in said
        return
    assert "stopped after step 11 of 30; the same call goes on" in said and same(model, net())
    assert [name for name in kept(tmp_path) if "partial" in name]
    _, history = call(model)  # the very same object, as when a notebook's cell runs again
    assert "going on after step 11 of 30" in capsys.readouterr().err
    assert same(model, whole) and history.column("step") == list(range(30))
    assert not [name for name in kept(tmp_path) if "partial" in name]


def test_a_damaged_checkpoint_is_named_and_costs_only_time(tmp_path, monkeypatch, capsys):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP_FILE", str(stop))
    whole, _ = train(losses=stoppable, steps=20)
    stop.touch()
    with pytest.raises(KeyboardInterrupt):
        train(losses=stoppable, steps=20, keep="c")
    path = next((tmp_path / "fits").glob("*.partial.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    assert same(train(losses=stoppable, steps=20, keep="c")[0], whole)
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    """SIGKILL, twice, at whatever it is doing; each process after it runs the same call."""
    program = [
        sys.executable,
        str(pathlib.Path(__file__).with_name("training_case.py")),
        str(tmp_path / "weights.pt"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    dice, kills = random.Random(), 0
    for _ in range(2):
        with subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL) as process:
            seen = None
            while process.poll() is None and (seen is None or time.monotonic() < seen):
                if seen is None and list((tmp_path / "fits").glob("*.partial.safetensors")):
                    seen = time.monotonic() + (
                        dice.uniform(0, 0.4) if not kills else dice.uniform(1.5, 3)
                    )
                time.sleep(0.003)
            process.kill()
        kills += process.returncode == -signal.SIGKILL
        if process.returncode == 0:
            break
    assert kills >= 1
    done = subprocess.run(program, env=environment, check=True, capture_output=True, text=True)
    assert "going on after step" in done.stderr or "loaded" in done.stderr
    whole, _ = train()
    found = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(value, found[name]) for name, value in whole.state_dict().items())
