"""The contract of methods: named batches, unlabelled pictures, several optimizers, memories; killed
runs resume bit for bit.
"""

import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace

import contract_case
import pytest
import torch
from contract_case import source_and_target
from training_case import both, net, own_cache, people, same  # noqa: F401 a fixture

from reidkit import augment, sampling
from reidkit.training import Method, Plan, fit


def look_at(data, sampler, steps=1, **plan):
    """The batches that a step gets."""
    seen = []

    def step(model, batches, optimizers, progress):
        seen.append(batches)
        return {"nothing": 0.0}

    method = Method(step=step, sampler=sampler)
    fit(method, data, Plan(steps=steps, people=4, pictures=3, **plan), model=net(), progress=False)
    return seen


def fixed(named):
    """A sampler that yields the same each time."""

    def sampler(data, people, pictures, seed, start):
        while True:
            yield named

    return sampler


def index(*numbers):
    return torch.tensor(numbers)


def test_sets_of_one_record_are_augmented_in_one_call_and_split():
    calls = []

    def noise(images, generator):
        calls.append(len(images))
        return images + torch.rand(len(images), 1, 1, 1, generator=generator)

    named = {"base": [index(0, 1), index(2)], "meta": index(3, 4, 5)}
    batches = look_at(people(), fixed(named), augment=noise)[0]
    (whole,) = look_at(people(), fixed(index(0, 1, 2, 3, 4, 5)), augment=noise)
    assert calls == [6, 6] and list(batches) == ["base", "meta"]
    parts = [*batches["base"], batches["meta"]]
    assert [len(part) for part in parts] == [2, 1, 3]
    assert torch.equal(torch.cat([part.images for part in parts]), whole["train"].images)
    assert torch.equal(torch.cat([part.index for part in parts]), whole["train"].index)


def test_an_unlabelled_record_stays_whole_and_index_counts_within_its_record():
    data = source_and_target()
    junk = torch.arange(len(data["source"])) % 5 == 0
    data["source"] = replace(data["source"], ids=data["source"].ids.masked_fill(junk, -1))
    named = {"source": index(0, 1), "target.near": index(29, 3), "target.far": index(7)}
    batches = look_at(data, fixed(named))[0]
    assert batches["source"].index.tolist() == [
        1,
        2,
    ]  # 0 is junk: positions in the record as it was
    assert (batches["source"].ids >= 0).all()
    near = batches["target.near"]
    assert near.index.tolist() == [29, 3] and near.ids.tolist() == [-1, -1]
    assert torch.equal(near.images, data["target"].images[[29, 3]].float())
    assert torch.equal(near.attributes["truth"], people(6, 5).ids[[29, 3]])
    assert len(batches["target.far"]) == 1


def test_a_single_unlabelled_record_is_trained_on():
    batches = look_at(people().unlabelled(), fixed(index(4, 40)))[0]
    assert batches["train"].index.tolist() == [4, 40]


def test_a_set_of_no_record_is_named():
    with pytest.raises(ValueError, match="yields a set 'meta'.*source, target"):
        look_at(source_and_target(), fixed({"source": index(0), "meta": index(1)}))


def test_losses_are_for_one_unnamed_batch():
    sampler = fixed({"base": index(0, 1), "meta": index(2)})
    with pytest.raises(ValueError, match="sets base, meta.*write a step"):
        fit(Method(both, sampler=sampler), people(), Plan(steps=1), model=net(), progress=False)


def test_a_method_without_network_or_losses_is_named():
    with pytest.raises(ValueError, match="make"):
        fit(Method(both), people(), Plan(steps=1))
    with pytest.raises(ValueError, match="losses"):
        fit(Method(), people(), Plan(steps=1), model=net())


def test_an_augmentation_may_see_labels_and_draw_from_its_batch():
    """By camera (camera style), and a patch of a neighbour in the batch (random patch); a plain one
    goes between them.
    """

    def by_camera(images, generator, labels):
        return images + labels.cameras[:, None, None, None]

    def patched(images, generator):
        images = images.clone()
        images[:, :, 0] = images.roll(1, 0)[:, :, 0]
        return images

    steps = augment.compose(by_camera, patched)
    batch = look_at(people(masks=False), fixed(index(0, 1, 2)), augment=steps)[0]["train"]
    plain = people().images[:3].float() + batch.cameras[:, None, None, None]
    assert torch.equal(batch.images[:, :, 1:], plain[:, :, 1:])
    assert torch.equal(batch.images[:, :, 0], plain.roll(1, 0)[:, :, 0])


def test_each_optimizer_follows_the_schedule_in_its_own_proportion():
    rates = []

    class Watched(contract_case.ToyGan):
        def step(self, model, batches, optimizers, progress):
            rates.append([optimizers[name].param_groups[0]["lr"] for name in ("painter", "judge")])
            return super().step(model, batches, optimizers, progress)

    plan = Plan(steps=10, people=4, pictures=3, lr=0.01, warmup=2)
    _, history = fit(Watched(), people(), plan, progress=False)
    for (painter, judge), row in zip(rates, history):
        assert painter == pytest.approx(row["lr"]) and judge == pytest.approx(4 * row["lr"])
    assert rates[0][0] < rates[2][0] > rates[9][0]


def test_a_made_network_is_that_of_the_seed_and_of_the_people():
    def make(classes):
        assert classes == 8
        return net(int(torch.randint(1000, ())))

    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    plan = Plan(steps=1, people=4, pictures=3, seed=5)
    first, _ = fit(Method(both, make=make), people(), plan, progress=False)
    assert torch.equal(torch.rand(1), expected)
    again, _ = fit(Method(both, make=make), people(), plan, progress=False)
    other, _ = fit(Method(both, make=make), people(), replace(plan, seed=6), progress=False)
    assert same(first, again) and not same(first, other)


def test_a_memory_is_kept_with_the_result():
    method, model, history = contract_case.run("adaptation", keep="memory", steps=6)
    again, loaded, loaded_history = contract_case.run("adaptation", keep="memory", steps=6)
    assert loaded_history.loaded and not history.loaded and same(model, loaded)
    assert torch.equal(method.memory, again.memory) and torch.equal(method.age, again.age)
    assert method.age.sum() == 60 and (method.age <= 3).all()


def test_a_failed_run_gives_model_and_memory_their_first_state_back():
    class Breaks(contract_case.ToyAdaptation):
        def step(self, model, batches, optimizers, progress):
            values = super().step(model, batches, optimizers, progress)
            return values | {"broken": float("nan") if progress > 0.5 else 0.0}

    method, model = Breaks(), net()
    plan = Plan(steps=8, people=4, pictures=3)
    with pytest.raises(FloatingPointError, match="'broken'"):
        fit(method, source_and_target(), plan, model=model, keep="breaks", progress=False)
    assert same(model, net()) and not method.memory.any()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("name", ["gan", "adaptation"])
def test_killed_toys_end_with_the_same_bits(name, tmp_path):
    """SIGKILL at a random moment; the same call in another process ends as one that was never
    killed.
    """
    method, whole, _ = contract_case.run(name)
    here = pathlib.Path(__file__).with_name("contract_case.py")
    program = [sys.executable, str(here), name, str(tmp_path / "weights.pt")]
    environment = {**os.environ, "PYTHONPATH": str(here.parents[1])}
    with subprocess.Popen(program, env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not list((tmp_path / "fits").glob("*.partial.*")):
            time.sleep(0.003)
        time.sleep(random.uniform(0, 0.5))
        process.kill()
    assert process.returncode == -signal.SIGKILL
    done = subprocess.run(program, env=environment, check=True, capture_output=True, text=True)
    assert "going on after step" in done.stderr
    tensors = torch.load(tmp_path / "weights.pt", weights_only=True)
    expected = dict(whole.state_dict())
    if name == "adaptation":
        expected |= method.state_dict()
    assert set(tensors) == set(expected)
    assert all(torch.equal(value, tensors[key]) for key, value in expected.items())


def test_a_sampler_may_keep_state_of_its_own():
    class Counting:
        """Yields as many pictures as it was asked before."""

        def __init__(self):
            self.asked = torch.tensor(0)

        def state_dict(self):
            return {"asked": self.asked}

        def load_state_dict(self, state):
            self.asked = state["asked"].clone()

        def __call__(self, data, people, pictures, seed, start):
            base = sampling.pk_batches(data.ids, people, pictures, seed, start)
            for batch in base:
                self.asked = self.asked + 1
                yield batch[: 4 + self.asked]

    sampler = Counting()
    plan = Plan(steps=6, people=4, pictures=3, checkpoint_every=1e9)

    def losses(output, batch):
        os.environ["TEST_SIZES"] = os.environ.get("TEST_SIZES", "") + f" {len(batch)}"
        if batch.step == 2 and not stops_file.exists():
            stops_file.touch()
            signal.raise_signal(signal.SIGINT)
        return both(output, batch)

    stops_file = pathlib.Path(os.environ["REIDKIT_CACHE_DIR"]) / "stopped"
    os.environ.pop("TEST_SIZES", None)
    with pytest.raises(KeyboardInterrupt):
        fit(Method(losses, sampler=sampler), people(), plan, model=net(), keep="s", progress=False)
    assert sampler.asked == 0  # as before the call
    fit(Method(losses, sampler=sampler), people(), plan, model=net(), keep="s", progress=False)
    assert os.environ.pop("TEST_SIZES").split() == ["5", "6", "7", "8", "9", "10"]
