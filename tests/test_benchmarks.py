"""The benchmarks run, and their common clock takes the best of each way."""

import pkgutil

import pytest
import torch

import benchmarks
from benchmarks import metabin, timing, training, world
from benchmarks.__main__ import NAMES, main
from reidkit.layers.norms import gates

HELPERS = {"__main__", "timing", "gpu_rows"}


def test_every_benchmark_is_listed(capsys):
    modules = {module.name for module in pkgutil.iter_modules(benchmarks.__path__)}
    assert modules - HELPERS == set(NAMES)
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"python -m benchmarks {name} " in printed for name in NAMES)


def test_an_unknown_name_is_answered_with_the_list(capsys):
    assert main(["speed"]) == 2
    assert "no benchmark 'speed'; there are evaluate, gpu" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
def test_each_tells_its_options(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m benchmarks {name}" in capsys.readouterr().out


def test_the_fastest_run_of_each_way(monkeypatch):
    seconds = iter([3, 1, 5, 7, 4, 2, 9, 6])
    monkeypatch.setattr(timing, "timed", lambda run, device: (run(), 0.0))
    runs = {"a": lambda: next(seconds), "b": lambda: next(seconds)}
    assert timing.fastest(runs, 0.0, "cpu", repeats=2) == {"a": 1e6, "b": 5e6}


@pytest.mark.slow
def test_world(capsys):
    assert main(["world", "--seconds", "0", "--threads", "1"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("64x32 on cpu, 1 threads: ") and "(goal 3,000; best of 3)" in first
    assert second.startswith("128x64 on cpu, 1 threads: ") and "(goal 800; best of 3)" in second


def test_pictures_are_counted_by_the_second():
    speed, by_core, goes = world.rate((64, 32), "cpu", 0.0, 8)
    assert speed > 0
    assert by_core > 0
    assert goes == 3


def test_training(capsys):
    assert main(["training", "--threads", "1", "--batch", "8", "--seconds", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny at 64 x 32, 8 pictures a step, ")
    ways = [line.split()[1:3] for line in lines[2:]]
    assert ways == [
        ["contiguous", "float32"],
        ["contiguous", "bfloat16"],
        ["channels_last", "float32"],
        ["channels_last", "bfloat16"],
    ]


def test_a_training_step_trains():
    step = training.make_step("tiny", (64, 32), 8, torch.device("cpu"), "channels_last", "float32")
    model = step.__closure__[step.__code__.co_freevars.index("model")].cell_contents
    before = model.classifier.weight.detach().clone()
    step()
    assert not torch.equal(model.classifier.weight, before)


def test_metabin(capsys):
    words = ["metabin", "--threads", "1", "--people", "4", "--pictures", "2", "--seconds", "0"]
    assert main(words) == 0
    title, head, line = capsys.readouterr().out.splitlines()
    assert title.startswith("tiny at 64 x 32, 4 x 2 pictures, ")
    assert "MetaBIN/BIN" in head
    assert len(line.split()) == 7


def test_ways_of_metabin_are_steps_of_the_methods():
    ways = metabin.make_ways("tiny", (64, 32), people=4, pictures=2, device=torch.device("cpu"))
    step = ways["meta"]
    model = step.__closure__[step.__code__.co_freevars.index("bin_model")].cell_contents
    gate = gates(model)["trunk.bn1.gate"]
    weight = model.trunk.conv1.weight
    weight_before = weight.detach().clone()
    ways["bin"]()
    assert (gate == 0.5).all()  # a base step leaves gates alone
    assert not torch.equal(weight, weight_before)
    step()
    assert not (gate == 0.5).all()


def test_a_batch_of_metabin_has_people_of_four_domains():
    batch = metabin.make_batch(people=8, pictures=2, size=(64, 32), device="cpu")
    assert batch.images.shape == (16, 3, 64, 32)
    assert batch.images.min() >= 0
    assert 200 < batch.images.max() <= 255
    assert batch.ids.bincount().tolist() == [2] * 8
    assert batch.domains.bincount().tolist() == [4] * 4


@pytest.mark.slow
def test_norms(capsys):
    assert main(["norms", "--threads", "1", "--batch", "2", "--seconds", "0"]) == 0
    printed = capsys.readouterr().out
    assert "tiny norms" in printed
    assert "resnet18, whole" in printed
