"""What fit refuses before the first step: plans, data, networks and methods that do not fit."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy
import pytest
import torch
from contract_case import source_and_target
from torch import nn
from training_case import both, net, own_cache, people, same, train  # noqa: F401 a fixture

from reidkit import sampling
from reidkit.record import Exam
from reidkit.training import Method, Plan, fit

PLAN = Plan(steps=2, people=4, pictures=3)


def run(method=None, data=None, plan=PLAN, model="net", **rest):
    """fit of a few steps; each part may be replaced."""
    method = Method(both) if method is None else method
    data = people() if data is None else data
    model = net() if model == "net" else model
    return fit(method, data, plan, model=model, progress=False, **rest)


# ---- the plan

WHOLE = "a whole number of at least 1"
WORDS = "a dict from a submodule's name to"


@pytest.mark.parametrize(
    "field, values, expected",
    [
        ("steps", [0, -1, 2.0, True, "5", None, math.nan, numpy.int64(3)], WHOLE),
        ("people", [0, True, 4.0, "4"], WHOLE),
        ("pictures", [0, False, 2.5, None], WHOLE),
        ("lr", [-1e-3, math.nan, math.inf, "0.1", None, True], "a number from 0, which is finite"),
        ("lr", [torch.tensor(0.1), numpy.float32(0.1), 1j], "a number from 0, which is finite"),
        ("weight_decay", [-1, math.nan, "1", None], "a number from 0, which is finite"),
        ("warmup", [-1, 2.0, True, "3", math.nan], "steps from 0, or None"),
        ("seed", [1.0, "0", None, True, 2**64, -(2**63) - 1], "from -2.63 to 2.64"),
        ("checkpoint_every", [-1, math.nan, -math.inf, "20", None], "seconds from 0, or math.inf"),
        ("optimizer", ["lion", None, ["adam"], numpy.array(["adam", "sgd"])], "'adam', 'sgd'"),
        ("schedule", ["flat", 1, ("cosine",)], "'cosine', 'step', 'constant'"),
        ("precision", ["half", torch.bfloat16, None], "'auto', 'float32', 'bfloat16'"),
        ("undecayed", ["gate", [1], [""], None, 3], "such as .'gate',"),
        ("augment", ["flip", 3, [sampling.by_identity]], "augment.images, generator."),
        ("lr_factors", [["trunk"], "trunk", None, {1: 0.1}, {"": 0.1}], WORDS),
        (
            "lr_factors",
            [{"trunk": -1}, {"trunk": "a"}, {"trunk": math.nan}],
            "numbers from 0, such as",
        ),
        ("freeze", [["trunk"], "head", None, {1: 3}, {"": 5}], WORDS),
        (
            "freeze",
            [{"head": -1}, {"head": 2.5}, {"head": True}, {"head": None}],
            "whole numbers of steps from 0",
        ),
    ],
)
def test_every_field_of_a_plan_is_checked(field, values, expected):
    for value in values:
        with pytest.raises(ValueError, match=f"^{field}.* is .*expected .*{expected}"):
            Plan(**{"steps": 5, field: value})


def test_plans_at_the_edge_hold():
    Plan(steps=1, lr=0, weight_decay=0, warmup=0, seed=-5, checkpoint_every=math.inf)
    Plan(steps=10, warmup=60, seed=2**64 - 1, undecayed={"gate"}, freeze={"trunk": 0}, lr=1)
    _, history = train(steps=2, lr=0.0)
    assert history.column("lr") == [0, 0]


@pytest.mark.parametrize("plan", [None, {"steps": 3}, Plan, 5])
def test_a_plan_is_a_plan(plan):
    with pytest.raises(ValueError, match="plan is .*expected a Plan.steps=...."):
        run(plan=plan)


def test_an_unknown_submodule_is_named_with_those_that_there_are():
    for field in ("freeze", "lr_factors"):
        with pytest.raises(AttributeError, match=f"{field} names 'torso'.*trunk, head"):
            train(**{field: {"torso": 1}})

    def own(model, plan):
        return {"main": torch.optim.SGD(model.parameters(), 0.1)}

    plan = replace(PLAN, freeze={"head.weight": 1})
    with pytest.raises(AttributeError, match="freeze names 'head.weight'.*expected a submodule"):
        run(Method(both, optimizers=own), plan=plan)


# ---- the data


def test_data_without_pictures_or_names_are_refused():
    data = people()
    nobody = data[[]]
    two = source_and_target()
    for wrong, words in (
        ([data], "data is an object of type list; expected a ReIDData, or"),
        (None, "data is None"),
        (Exam(data, data), "data is an object of type Exam"),
        ({}, "data is an object of type dict without entries"),
        (nobody, "'colours' has no pictures"),
        (two | {"target": nobody}, "'target' has no pictures.*expected at least one"),
        (
            two | {"target": data.images},
            "data.'target'. is a tensor of shape .*expected a ReIDData",
        ),
        (two | {"target": None}, "data.'target'. is None"),
        ({"source.near": data}, "called 'source.near'; expected a word without a dot"),
        ({3: data}, "called 3"),
    ):
        with pytest.raises(ValueError, match=words):
            fit(Method(both), wrong, PLAN, model=net(), progress=False)


def test_too_few_people_junk_alone_and_several_records():
    data = people()
    with pytest.raises(ValueError, match="needs P=4 identities, the data have 1; lower P"):
        run(data=data[:6])
    junk = replace(data, ids=torch.full_like(data.ids, -3))
    with pytest.raises(ValueError, match="data have 0: none of their 48 ids .*bring people"):
        run(data=junk)
    for sampler, name in ((sampling.by_identity, "identity"), (sampling.by_domain, "domain")):
        method = Method(both, sampler=sampler)
        with pytest.raises(ValueError, match=f"by_{name} is for one record, the data are 2: sou"):
            run(method, data=source_and_target())
    model, history = run(data=data[:6], plan=replace(PLAN, people=1))  # one person will do
    assert len(history) == 2


def test_a_record_that_is_junk_in_part_counts_from_its_own_pictures():
    data = people()
    ids = data.ids.clone()
    ids[::3] = -7  # any number below 0
    model, history = run(data=replace(data, ids=ids))
    assert len(history) == 2


# ---- keep, device, method, model


@pytest.mark.parametrize(
    "keep", ["../x", "a/b", "a b", "", ".", "a+b", "x" * 121, True, 3, b"x", ["a"]]
)
def test_keep_is_a_name_before_anything_is_done(tmp_path, keep):
    def make(classes):
        pytest.fail("a network was made")

    method = Method(both, make=make)
    with pytest.raises(ValueError, match="keep is .*expected a name of letters"):
        fit(method, people(), PLAN, keep=keep, progress=False)
    assert not list(tmp_path.iterdir())


def test_every_kind_of_device_goes_through_one_place():
    for device in ("auto", torch.device("cpu")):
        model, _ = run(device=device)
        assert next(model.parameters()).device.type in ("cpu", "cuda")
    assert same(run(device=torch.device("cpu"))[0], run(device="cpu")[0])
    for device in ("mps", "gpu", torch.device("meta"), None, 0):
        with pytest.raises(ValueError, match="expected 'auto', 'cpu', 'cuda' or 'cuda:NUMBER'"):
            run(device=device)


class WithoutSampler:
    losses = staticmethod(both)


def test_a_method_without_a_sampler_has_the_usual_one():
    usual, _ = run()
    without, _ = run(WithoutSampler())
    none, _ = run(Method(both, sampler=None, optimizers=None))
    assert same(usual, without) and same(usual, none)


@pytest.mark.parametrize(
    "method, words",
    [
        (WithoutSampler, "method is the class WithoutSampler; give fit one of its objects"),
        (both, "needs losses.* the given one is an object of type function: Method.losses=...."),
        (None, "the given one is None"),
        (Method("cross_entropy"), "method's losses is 'cross_entropy'; expected a function"),
        (Method(both, sampler=3), "method's sampler is 3"),
        (Method(both, step={}), "method's step is an object of type dict"),
        (Method(both, optimizers="adam"), "method's optimizers is 'adam'"),
    ],
)
def test_a_method_is_looked_at(method, words):
    with pytest.raises(ValueError, match=words):
        fit(method, people(), PLAN, model=net(), progress=False)


@pytest.mark.parametrize(
    "parts, words",
    [
        (
            {"losses": lambda output: {}},
            r"losses has the parameters \(output\); .*losses\(output, ",
        ),
        ({"losses": lambda: {}}, r"the parameters \(\)"),
        (
            {"losses": None, "step": both},
            r"step\(model, batches, optimizers, progress\) .*too many",
        ),
        ({"sampler": lambda data: None}, r"sampler\(data, people, pictures, seed, start\)"),
        (
            {"optimizers": torch.optim.Adam},
            "is the class Adam; expected a fun.*Plan.optimizer=....",
        ),
        ({"optimizers": lambda model: {}}, r"optimizers\(model, plan\)"),
    ],
)
def test_functions_of_other_parameters_are_named(parts, words):
    with pytest.raises(ValueError, match=f"^the method's .*{words}"):
        run(Method(**{"losses": both} | parts))


def test_other_parameters_of_make_and_augment():
    with pytest.raises(ValueError, match=r"make has the parameters \(\); .*make\(classes\)"):
        fit(Method(both, make=lambda: net()), people(), PLAN, progress=False)
    run(Method(both, make=lambda: net()))  # a given network: make is not called
    with pytest.raises(ValueError, match=r"augment has the parameters \(images\); expected a fun"):
        run(plan=replace(PLAN, augment=lambda images: images))
    with pytest.raises(ValueError, match=r"called as augment\(images, generator, labels=...\)"):
        run(plan=replace(PLAN, augment=lambda images, labels: images))
    run(plan=replace(PLAN, augment=lambda images, generator, *, labels: images))
    run(plan=replace(PLAN, augment=lambda *given: given[0]))


def test_networks_that_nothing_can_train_and_those_that_take_no_hooks():
    with torch.inference_mode():
        fixed = net()
    with pytest.raises(ValueError, match="model was made under torch.inference_mode.*outside"):
        run(model=fixed)
    model = net()
    for around in (torch.no_grad, torch.inference_mode):
        with around(), pytest.raises(ValueError, match="none of the losses .*inference_mode"):
            run(model=model)

    def plain(output, batch):
        return {"identity": nn.functional.cross_entropy(output, batch.ids)}

    scripted = torch.jit.script(nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 8, 8)))
    assert len(run(Method(plain), model=scripted)[1]) == 2


@pytest.mark.parametrize(
    "made, words",
    [
        (None, r"make\(8\) gives is None; expected a torch.nn.Module"),
        (nn.Linear, "is the class Linear"),
        ({"head": 1}, "of type dict"),
        (nn.LazyLinear(3), "does not know the size of 'weight' yet; call it on one batch"),
    ],
)
def test_what_is_no_network_is_refused(made, words):
    with pytest.raises(ValueError, match=words):
        fit(Method(both, make=lambda classes: made), people(), PLAN, progress=False)
    if made is not None:
        with pytest.raises(ValueError, match=f"^model .*{words[:12]}"):
            run(model=made)


def test_a_network_without_parameters_to_train():
    with pytest.raises(ValueError, match="ReLU has no parameter to train: it has none"):
        run(model=nn.ReLU())
    still = net().requires_grad_(False)
    with pytest.raises(ValueError, match="none of its 6 parameters has requires_grad"):
        run(model=still)


@pytest.mark.parametrize(
    "gives, words",
    [
        (
            lambda model: torch.optim.SGD(model.parameters(), 0.1),
            "gives an object of type SGD; expected .name",
        ),
        (lambda model: None, "gives None; expected .name: optimizer"),
        (lambda model: {"main": model}, "gives an object of type Net as 'main'"),
        (lambda model: {}, "gives none; a method with losses needs one called 'main'"),
        (lambda model: {"a": torch.optim.SGD(model.parameters(), 0.1)}, "gives 'a'; a method"),
    ],
)
def test_optimizers_are_looked_at(gives, words):
    with pytest.raises(ValueError, match=f"the method's optimizers {words}"):
        run(Method(both, optimizers=lambda model, plan: gives(model)))


def test_only_tensors_can_be_kept():
    class Noted(nn.Linear):
        def get_extra_state(self):
            return {"version": 3}

        def set_extra_state(self, state):
            pass

    model = net()
    model.head = Noted(8, 8)
    assert len(run(model=model)[1]) == 2
    with pytest.raises(ValueError, match="state holds 'model/head._extra_state'.*keep=None"):
        run(model=model, keep="noted")


def test_any_object_with_the_attributes_is_a_method():
    method = SimpleNamespace(losses=both, make=lambda classes: net())
    model, history = fit(method, people(), PLAN, progress=False)
    assert len(history) == 2
