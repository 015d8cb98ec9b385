"""What a sampler and an augmentation give is looked at; pictures have the type of the model."""

import functools
from dataclasses import replace

import numpy
import pytest
import torch
from contract_case import source_and_target
from training_case import both, net, own_cache, people, same, train  # noqa: F401 a fixture

from reidkit import augment, sampling
from reidkit.methods import baseline
from reidkit.training import Method, Plan, fit

PLAN = Plan(steps=3, people=4, pictures=3)


def run(losses=both, data=None, model=None, plan=PLAN, **parts):
    """fit of three steps with a method of these parts."""
    method = Method(losses=losses, **parts)
    data = people() if data is None else data
    model = net() if model is None else model
    return fit(method, data, plan, model=model, progress=False)


def gives(values):
    def step(model, batches, optimizers, progress):
        return values

    return step


# ---- the sampler


def yields(*drawn):
    def sampler(data, people, pictures, seed, start):
        yield from drawn[start:]

    return sampler


GOOD = torch.arange(6)


@pytest.mark.parametrize(
    "drawn, words",
    [
        ([0, 1, 2], "a list with an entry that is 0 as 'train'; expected int64 indices"),
        ((GOOD, GOOD), "an object of type tuple"),
        (None, "None as 'train'"),
        (3, "3 as 'train'"),
        ("012", "'012' as 'train'"),
        (numpy.arange(6), "of type ndarray.*torch.tensor"),
        (GOOD.float(), r"shape \(6,\) and type torch.float32"),
        (GOOD > 2, r"torch.bool .*mask.nonzero\(\).flatten"),
        (GOOD.to(torch.uint8), "torch.uint8"),
        (GOOD.reshape(2, 3), r"shape \(2, 3\)"),
        (torch.tensor(3), r"shape \(\)"),
        ([GOOD, GOOD.tolist()], "a list with an entry that is an object of type list"),
        ({"train": [GOOD, None]}, "an entry that is None as 'train'"),
        (GOOD[:0], "no picture at all"),
        ([], "no picture at all"),
        ({}, "no picture at all"),
        ({"a": [], "b": GOOD[:0]}, "no picture at all"),
        (GOOD + 43, "index 48, but the record 'train' has 48 pictures; expected 0..47"),
        (GOOD - 1, "index -1, but the record"),
        ({"a": GOOD, "b": [GOOD + 100]}, "index 100"),
    ],
)
def test_what_a_sampler_yields_is_named(drawn, words):
    for place in (0, 2):
        before = [GOOD] * place
        with pytest.raises(ValueError, match=f"step {place}: the sampler yields .*{words}"):
            run(losses=None, step=gives({}), sampler=yields(*before, drawn, GOOD, GOOD))


def test_indices_count_in_their_own_record_and_sets_have_its_name():
    data = source_and_target()
    words = "index 30, but the record 'target' has 30 pictures; expected 0..29"
    with pytest.raises(ValueError, match=words):
        drawn = {"source": torch.tensor([47]), "target.near": torch.tensor([0, 30])}
        run(losses=None, step=gives({}), data=data, sampler=yields(drawn))
    for name in ("meta", 3, "targets"):
        with pytest.raises(ValueError, match=f"yields a set {name!r}; expected .*source, target"):
            run(losses=None, step=gives({}), data=data, sampler=yields({name: GOOD}))


def test_some_empty_sets_and_other_whole_numbers_hold():
    seen = []

    def step(model, batches, optimizers, progress):
        seen.append({name: len(batch) for name, batch in batches.items()})
        return {}

    drawn = {"source": GOOD.to(torch.int32), "source.hard": GOOD[:0], "target": []}
    run(losses=None, step=step, data=source_and_target(), sampler=yields(*[drawn] * 3))
    assert seen == [{"source": 6, "source.hard": 0, "target": 0}] * 3


def test_a_sampler_that_ends_names_the_step():
    with pytest.raises(ValueError, match="ended before step 2 of 3; .*while True.*lower steps="):
        run(sampler=yields(GOOD, GOOD))
    with pytest.raises(ValueError, match="ended before step 0 of 3"):
        run(sampler=yields())


def test_batch_norm_takes_no_single_picture():
    with pytest.raises(ValueError, match="step 0: batch norm takes no statistics of one picture"):
        run(sampler=yields(*[torch.tensor([0])] * 3), model=baseline.make(8, trunk="tiny"))


@pytest.mark.parametrize("returned", [None, [GOOD], GOOD, {"train": GOOD}, 5])
def test_a_sampler_that_is_no_stream(returned):
    def sampler(data, people, pictures, seed, start):
        return returned

    with pytest.raises(ValueError, match="the sampler returns .*expected an iterator .*yield"):
        run(sampler=sampler)


def test_losses_are_for_one_batch():
    with pytest.raises(ValueError, match="a list of 2 batches; losses.* are for one"):
        run(sampler=yields([GOOD, GOOD]))


# ---- the augmentation


@pytest.mark.parametrize(
    "wrong",
    [
        lambda images, generator: None,
        lambda images, generator: images[0],
        lambda images, generator: images[:, :3],  # the mask is lost
        lambda images, generator: images[:2],
        lambda images, generator: images.byte(),
        lambda images, generator: list(images),
    ],
)
def test_what_an_augmentation_gives_is_named(wrong):
    with pytest.raises(ValueError, match="augment gives .*expected 12 pictures of 4 channels, the"):
        run(plan=replace(PLAN, augment=wrong))


# ---- the type of the parameters


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_pictures_have_the_type_of_the_model(dtype, optimizer):
    seen = set()

    def parts(output, batch):
        seen.add(batch.images.dtype)
        return both(output, batch)

    plan = replace(PLAN, steps=8, optimizer=optimizer, augment=augment.standard, lr=1e-3)
    model, history = run(parts, model=net().to(dtype), plan=plan)
    assert seen == {dtype}
    assert all(value.dtype == dtype for value in model.parameters())
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_a_kept_run_of_another_type_is_loaded_and_resumed(capsys):
    plan = {"steps": 4, "freeze": {}}
    for dtype in (torch.float64, torch.bfloat16):
        call = functools.partial(train, keep=f"type-{str(dtype)[6:]}", **plan)
        first, history = call(net().to(dtype))
        again, loaded = call(net().to(dtype))
        assert loaded.loaded and not history.loaded and same(first, again)
        assert next(again.parameters()).dtype == dtype


def test_normalize_follows_the_type_of_the_pictures():
    images = torch.randint(0, 256, (2, 3, 4, 4), generator=sampling.generator(0)).float()
    plain = augment.normalize(images)
    assert plain.dtype == torch.float32 == augment.normalize(images.byte()).dtype
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        normal = augment.normalize(images.to(dtype))
        assert normal.dtype == dtype
        torch.testing.assert_close(normal.float(), plain, atol=2e-2, rtol=0)
    torch.testing.assert_close(augment.normalize(images.double()).float(), plain)
