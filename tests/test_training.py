"""fit: it learns, says what is wrong, keeps and finds its results, and never returns those of another run."""

import dataclasses
import json
import math
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
from training_case import Net, both, net, people, train

from reidkit import augment, losses, sampling
from reidkit.fingerprints import describe
from reidkit.training import fit, rate_at


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("REIDKIT_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("REIDKIT_CACHE", raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return all(torch.equal(value, other[name]) for name, value in one.items())


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "fits").iterdir())


def test_it_learns_and_leaves_the_callers_random_numbers_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    model, history = train()
    assert torch.equal(torch.rand(1), expected)
    assert len(history) == 60 and not model.training and not history.loaded and history.seconds > 0
    first, last = history[0], history[-1]
    assert set(first) == {"step", "rate", "loss", "identity", "triplet", "pictures_per_second"}
    assert first["loss"] == pytest.approx(first["identity"] + first["triplet"], rel=1e-6)
    assert sum(history.column("identity")[-5:]) < 0.8 * sum(history.column("identity")[:5]) and last["step"] == 59


def test_same_seed_same_weights():
    assert same(train()[0], train()[0])
    assert not same(train()[0], train(seed=1)[0])


def test_the_batch():
    seen = []

    def look(output, batch):
        seen.append(batch)
        return {"zero": output.logits.sum() * 0}
    data = dataclasses.replace(people(), ids=people().ids.where(people().ids > 5, -1))      # the first person becomes junk
    fit(net(), data, look, steps=2, people=4, pictures=3, progress=False)
    batch = seen[1]
    assert batch.step == 1 and batch.index.min() >= 0 and batch.ids.max() < 7 and len(batch.ids.unique()) == 4
    clean = data[data.ids >= 0].relabelled()
    assert torch.equal(batch.ids, clean.ids[batch.index]) and torch.equal(batch.cameras, clean.cameras[batch.index])
    assert torch.equal(batch.masks, clean.masks[batch.index]) and torch.equal(batch.attributes["tone"], clean.attributes["tone"][batch.index])
    torch.testing.assert_close(batch.images, augment.normalise(clean.images[batch.index]))


def test_masks_move_with_their_pictures():
    seen = []

    def look(output, batch):
        seen.append(batch)
        return {"zero": output.logits.sum() * 0}
    fit(net(), people(), look, steps=1, people=4, pictures=3, progress=False, augment=partial(augment.flip, probability=1.0))
    data = people()
    assert torch.equal(seen[0].masks, data.masks[seen[0].index].flip(2)) and seen[0].masks.dtype == torch.uint8
    torch.testing.assert_close(seen[0].images, augment.normalise(data.images[seen[0].index].flip(3)))


def test_schedules():
    rates = [rate_at(step, 120, 1.0, 10, "cosine") for step in range(120)]
    assert rates[0] == pytest.approx(0.1) and rates[5] == pytest.approx(0.55) and rates[10] == 1.0
    assert rates[65] == pytest.approx(0.5) and rates[119] < 0.001
    steps = [rate_at(step, 120, 1.0, 0, "step") for step in (0, 39, 40, 69, 70)]
    assert steps == pytest.approx([1, 1, 0.1, 0.1, 0.01])
    assert rate_at(50, 60, 1.0, 10, "constant") == 1.0
    _, history = train(steps=20, warmup=4)
    assert history.column("rate") == [rate_at(step, 20, 0.01, 4, "cosine") for step in range(20)]


def test_frozen_means_bit_identical_buffers_too_and_then_it_moves():
    before = net()
    assert all(torch.equal(value, dict(train(steps=4, freeze={"trunk": 4})[0].trunk.state_dict())[name])
               for name, value in before.trunk.state_dict().items())
    moved = train(steps=5, freeze={"trunk": 4}, warmup=0)[0]
    assert not torch.equal(moved.trunk[0].weight, before.trunk[0].weight)
    assert not torch.equal(moved.trunk[1].running_mean, before.trunk[1].running_mean)
    assert all(value.requires_grad for value in moved.parameters())


def test_what_needs_no_gradient_is_left_out_and_rates_scale():
    model = net()
    model.head.weight.requires_grad_(False)
    train(model, steps=3, freeze=None)
    assert torch.equal(model.head.weight, net().head.weight) and not model.head.weight.requires_grad
    still = train(steps=3, freeze=None, rates={"trunk": 0.0}, optimiser="sgd")[0]
    assert torch.equal(still.trunk[0].weight, net().trunk[0].weight) and not torch.equal(still.head.weight, net().head.weight)


def test_a_method_with_its_own_step():
    def step(model, batch, optimiser, progress):
        optimiser.zero_grad()
        loss = losses.cross_entropy(model(batch.images).logits, batch.ids).mean()
        (2 * loss).backward()
        optimiser.step()
        return {"own": loss, "progress": progress}
    _, history = train(functions=(), step=step, steps=4)
    assert history.column("progress") == [0, 0.25, 0.5, 0.75] and history[0]["loss"] == history[0]["own"] + history[0]["progress"]


def test_bfloat16_runs_and_losses_stay_float32():
    kinds = set()

    def look(output, batch):
        kinds.add(losses.cross_entropy(output.logits, batch.ids).dtype)
        return both(output, batch)
    _, history = train(functions=(look,), steps=4, precision="bfloat16")
    assert kinds == {torch.float32} and all(math.isfinite(value) for value in history.column("loss"))


@pytest.mark.parametrize("changes, words", [
    ({"steps": 0}, "steps is 0"), ({"optimiser": "lion"}, "lion"), ({"schedule": "flat"}, "flat"), ({"precision": "half"}, "half"),
    ({"people": 9}, "P=9 .* have 8"), ({"device": "abacus"}, "abacus"), ({"step": both}, "not both")])
def test_wrong_arguments_are_named(changes, words):
    with pytest.raises(ValueError, match=words):
        train(**changes)
    with pytest.raises(AttributeError, match="torso"):
        train(rates={"torso": 0.1})


def test_a_loss_that_is_not_finite_names_step_and_part(tmp_path):
    def breaks(output, batch):
        return {"fine": output.logits.mean(), "broken": output.logits.sum() * (math.nan if batch.step == 3 else 0)}
    model = net()
    with pytest.raises(FloatingPointError, match="step 3: loss part 'broken'.*lower rate"):
        train(model, functions=(breaks,), cache="breaks")
    assert same(model, net()) and all(value.requires_grad for value in model.parameters())


# cache

def test_second_call_loads(tmp_path, capsys):
    first, history = train(cache="kept")
    assert len(kept(tmp_path)) == 2 and all(name.startswith("kept-") for name in kept(tmp_path))       # no partial one is left
    again, loaded = train(cache="kept")
    assert loaded.loaded and same(first, again) and list(loaded) == list(history) and not again.training
    assert "kept: loaded, trained on" in capsys.readouterr().err
    assert json.loads(next((tmp_path / "fits").glob("*.json")).read_text())["settings"]["steps"] == 60
    train(cache="other name")
    assert len(kept(tmp_path)) == 4


def test_cache_off_trains_afresh_and_keeps_nothing(tmp_path, monkeypatch):
    train(cache="off", steps=2)
    monkeypatch.setenv("REIDKIT_CACHE", "off")
    before = kept(tmp_path)
    assert not train(cache="off", steps=2)[1].loaded and not train(cache="off2", steps=2)[1].loaded
    assert kept(tmp_path) == before


def scaled(factor):
    def weighed(output, batch):
        return {"identity": factor * losses.cross_entropy(output.logits, batch.ids).mean()}
    return weighed


SCALE = 1.0


def names_a_global(output, batch):
    return {"identity": SCALE * losses.cross_entropy(output.logits, batch.ids).mean()}


def test_never_a_stale_result(monkeypatch):
    def loaded(functions=(both,), model=None, **changes):
        return train(model, functions, cache="stale", **{"steps": 2} | changes)[1].loaded
    assert not loaded() and loaded()
    for changes in ({"steps": 3}, {"rate": 0.02}, {"seed": 1}, {"augment": augment.flip}, {"schedule": "step"}, {"freeze": None},
                    {"augment": partial(augment.flip, probability=0.1)}, {"sampler": sampling.by_domain}, {"weight_decay": 0.0},
                    {"model": net(1)}, {"functions": (scaled(1.0),)}, {"functions": (scaled(2.0),)}, {"functions": (names_a_global,)}):
        assert not loaded(**changes), changes
    assert loaded(functions=(scaled(2.0),)) and loaded(functions=(names_a_global,))
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    assert not loaded(functions=(names_a_global,))
    wet = net()
    wet.trunk[3].p = 0.5                                    # no weight differs, the model does
    assert not loaded(model=wet)
    torch.set_num_threads(2)
    assert not loaded()
    torch.set_num_threads(1)
    assert loaded()


def test_describe_is_the_same_in_every_process():
    program = ("import sys; sys.path.insert(0, 'tests'); from training_case import Net, net, both; from functools import partial;"
               "from reidkit import fingerprints as f; from reidkit.files import digest;"
               "print(digest(f.describe([both, Net, net(), partial(both, x={'a', 'b', 'c'}), lambda v: v in {'a', 'b', 'c'}])))")
    seen = {subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONHASHSEED": str(seed)}, check=True,
                           capture_output=True, text=True).stdout for seed in (1, 2)}
    assert len(seen) == 1


def test_describe_sees_what_matters():
    def made(body):
        space = {}
        exec(body, space)
        return describe(space["f"])
    assert made("def f(x):\n    return x + 1") == made("def f(x):\n    # why\n    return x + 1")
    assert made("def f(x):\n    return x + 1") != made("def f(x):\n    return x + 2")
    assert made("k = 1\ndef f(x):\n    return (lambda y: y + k)(x)") != made("k = 2\ndef f(x):\n    return (lambda y: y + k)(x)")

    class Other(Net):
        margin = 0.3
    first = describe(Other)
    Other.margin = 0.4
    assert describe(Other) != first != describe(Net)
    loop = []
    loop.append(loop)
    assert describe(loop) == ["again"]


def test_a_damaged_result_is_named_and_trained_again(tmp_path, capsys):
    first, _ = train(cache="hurt", steps=3)
    path = next((tmp_path / "fits").glob("*.safetensors"))
    whole = path.read_bytes()
    for damage in (whole[:-40], whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], b""):
        path.write_bytes(damage)
        again, history = train(cache="hurt", steps=3)
        assert not history.loaded and same(first, again) and "is damaged" in capsys.readouterr().err
        assert train(cache="hurt", steps=3)[1].loaded


def test_leftovers_are_removed_when_they_are_old(tmp_path):
    (tmp_path / "fits").mkdir()
    old, new = tmp_path / "fits" / ".x.safetensors.1.part", tmp_path / "fits" / "y-1.partial.safetensors"
    for path in (old, new):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 7200,) * 2)
    train(cache="z", steps=1)
    assert not old.exists() and new.exists()


# resume

def stoppable(output, batch):
    stop = pathlib.Path(os.environ["STOP_FILE"])
    if batch.step == 10 and stop.exists():
        stop.unlink()
        os.kill(os.getpid(), signal.SIGINT)                 # what Ctrl-C and Jupyter's stop button send
    return both(output, batch)


@pytest.mark.parametrize("cache", ["stopped", None])
def test_interrupt_keeps_a_checkpoint_and_the_same_call_goes_on(tmp_path, monkeypatch, capsys, cache):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP_FILE", str(stop))
    call = partial(train, functions=(stoppable,), steps=30, cache=cache, checkpoint_every=1e9)
    whole, _ = train(functions=(stoppable,), steps=30)
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
    _, history = call(model)                                # the very same object, as when a notebook's cell runs again
    assert "going on after step 11 of 30" in capsys.readouterr().err
    assert same(model, whole) and history.column("step") == list(range(30))
    assert not [name for name in kept(tmp_path) if "partial" in name]


def test_a_damaged_checkpoint_is_named_and_costs_only_time(tmp_path, monkeypatch, capsys):
    stop = tmp_path / "stop"
    monkeypatch.setenv("STOP_FILE", str(stop))
    whole, _ = train(functions=(stoppable,), steps=20)
    stop.touch()
    with pytest.raises(KeyboardInterrupt):
        train(functions=(stoppable,), steps=20, cache="c")
    path = next((tmp_path / "fits").glob("*.partial.safetensors"))
    path.write_bytes(path.read_bytes()[:-8])
    assert same(train(functions=(stoppable,), steps=20, cache="c")[0], whole)
    assert "is damaged" in capsys.readouterr().err


def test_killed_at_random_moments_ends_with_the_same_bits(tmp_path):
    """SIGKILL, twice, at whatever it is doing; each process after it runs the same call."""
    program = [sys.executable, str(pathlib.Path(__file__).with_name("training_case.py")), str(tmp_path / "weights.pt")]
    environment = {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[1])}
    dice, kills = random.Random(), 0
    for _ in range(2):
        with subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL) as process:
            seen = None
            while process.poll() is None and (seen is None or time.monotonic() < seen):
                if seen is None and list((tmp_path / "fits").glob("*.partial.safetensors")):
                    seen = time.monotonic() + (dice.uniform(0, 0.4) if not kills else dice.uniform(1.5, 3))
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
