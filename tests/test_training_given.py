"""What the functions of a method give in a step is looked at, and named where it is wrong."""

import itertools
from dataclasses import dataclass, replace

import numpy
import pytest
import torch
from torch import nn
from training_case import Net, both, net, own_cache, people, same, train  # noqa: F401 a fixture

from reidkit import losses
from reidkit.layers.heads import Output
from reidkit.methods.baseline import Baseline, baseline_losses
from reidkit.methods.metabin import MetaBIN
from reidkit.methods.metabin import make as make_metabin
from reidkit.training import Method, Plan, fit

PLAN = Plan(steps=3, people=4, pictures=3)


def run(losses=both, data=None, model=None, plan=PLAN, **parts):
    """fit of three steps with a method of these parts."""
    method = Method(losses=losses, **parts)
    data = people() if data is None else data
    model = net() if model is None else model
    return fit(method, data, plan, model=model, progress=False)


# ---- losses


def cross_entropy(output, batch):
    return losses.cross_entropy(output.logits, batch.ids)


LOSSES = [
    (lambda output, batch: cross_entropy(output, batch).mean(), "gives a tensor of shape .*dict"),
    (lambda output, batch: None, "losses gives None; expected a dict of scalars"),
    (lambda output, batch: [cross_entropy(output, batch).mean()], "gives an object of type list"),
    (lambda output, batch: 0.5, "gives 0.5; expected a dict"),
    (lambda output, batch: {}, "gives an empty dict; expected a dict of scalars, such as"),
    (
        lambda output, batch: {"identity": cross_entropy(output, batch)},
        r"shape \(12,\) and type torch.float32 as 'identity'; expected one number, take .*mean..$",
    ),
    (
        lambda output, batch: {"a": cross_entropy(output, batch)[:, None], "b": 1.0},
        r"shape \(12, 1\).*\.mean\(\)",
    ),
    (lambda output, batch: {"a": output.logits[:0]}, r"shape \(0, 8\).*expected one number$"),
    (lambda output, batch: {"a": "0.5"}, "gives '0.5' as 'a'; expected one number$"),
    (lambda output, batch: {"a": None}, "gives None as 'a'; expected one number$"),
    (lambda output, batch: {"a": [1.0]}, "gives an object of type list as 'a'"),
    (lambda output, batch: {"a": numpy.ones(4)}, "of type ndarray as 'a'.*mean"),
    (
        lambda output, batch: {"a": cross_entropy(output, batch).mean().detach()},
        "none of the losses a has a gradient; expected .* without .detach..",
    ),
    (
        lambda output, batch: {"a": cross_entropy(output, batch).mean().item(), "b": 0},
        "none of the losses a, b has a gradient",
    ),
    (
        lambda output, batch: {"loss": output.logits.mean(), "a": output.logits.mean()},
        "a part called 'loss' among others; .*leave their sum out",
    ),
    (lambda output, batch: {"lr": output.logits.mean()}, "called 'lr'; expected a word other"),
    (lambda output, batch: {0: output.logits.mean()}, "called 0; expected a word"),
]


@pytest.mark.parametrize("wrong, words", LOSSES)
def test_what_losses_give_is_named(wrong, words):
    with pytest.raises(ValueError, match=f"^step 0: .*{words}"):
        run(wrong)


@pytest.mark.parametrize("wrong, words", LOSSES)
def test_later_steps_are_looked_at_too(wrong, words):
    def later(output, batch):
        parts = wrong if batch.step == 2 else both
        return parts(output, batch)

    with pytest.raises(ValueError, match=f"^step 2: .*{words}"):
        run(later)


def test_what_was_right_stays_right(capsys):
    """One number in a tensor of any shape, plain numbers, and a part called loss alone."""

    def parts(output, batch):
        loss = cross_entropy(output, batch).mean()
        return {"a": loss[None], "b": 0.0, "c": numpy.float32(0.0), "d": torch.zeros(())}

    _, history = run(parts)
    _, alone = run(lambda output, batch: {"loss": cross_entropy(output, batch).mean()})
    assert history.column("a") == alone.column("loss") == history.column("loss")
    assert capsys.readouterr().err == ""


def test_a_part_without_gradient_beside_others_costs_a_line(capsys):
    def parts(output, batch):
        loss = cross_entropy(output, batch).mean()
        return {"identity": loss, "followed": loss.detach(), "number": 0.5}

    run(parts)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2  # of the first step
    assert "part 'followed' has no gradient" in said[0] and "trains nothing" in said[0]
    assert "part 'number'" in said[1]


def test_a_network_that_is_wholly_frozen():
    with pytest.raises(ValueError, match="step 0: none of the losses .*wholly frozen .freeze=."):
        run(plan=replace(PLAN, freeze={"trunk": 2, "head": 2}))


# ---- the model


class Gives(nn.Module):
    """A network whose output is made of logits (B, classes) by a function."""

    def __init__(self, gives, classes=8):
        super().__init__()
        self.net = Net(classes)
        self.gives = gives

    def forward(self, images):
        return self.gives(self.net(images).logits)


def test_a_model_that_returns_nothing():
    with pytest.raises(ValueError, match="the model returns None; .*without return"):
        run(model=Gives(lambda logits: None))


@pytest.mark.parametrize("gives", [lambda logits: logits, lambda logits: (logits, logits)])
def test_losses_that_ask_a_tensor_for_parts(gives):
    with pytest.raises(ValueError, match="losses ask for .logits of .* return reidkit.*Output"):
        run(model=Gives(gives))


def test_an_error_of_the_losses_themselves_stays_as_it_is():
    def broken(output, batch):
        return batch.name

    with pytest.raises(AttributeError, match="no attribute 'name'"):
        run(broken)
    with pytest.raises(IndexError):
        run(lambda output, batch: {"a": output.logits[100]})


def test_any_output_will_do_that_the_losses_understand():
    def of_tensor(output, batch):
        return {"identity": losses.cross_entropy(output, batch.ids).mean()}

    assert len(run(of_tensor, model=Gives(lambda logits: logits))[1]) == 3


# ---- as many logits as people


def test_a_network_for_fewer_people_is_refused_before_a_step():
    asked = []

    def parts(output, batch):
        asked.append(batch.step)
        return both(output, batch)

    for classes in (7, 1):
        model = Net(classes)
        before = {name: value.clone() for name, value in model.named_parameters()}
        words = f"logits for {classes} people, but the data have 8; make the network for 8 people"
        with pytest.raises(ValueError, match=words):
            run(parts, model=model)
        assert all(torch.equal(before[name], value) for name, value in model.named_parameters())
    with pytest.raises(ValueError, match="logits for 7 people"):
        run(parts, model=Gives(lambda logits: {"logits": logits}, 7))
    assert asked == []
    for classes in (8, 9):
        run(parts, model=Net(classes))


def test_a_made_network_for_fewer_people():
    method = Method(baseline_losses, make=lambda classes: Baseline(classes - 1))
    data = replace(people(), ids=people().ids.where(people().ids > 5, -1))  # 7 people are left
    with pytest.raises(ValueError, match="for 6 people, but the data have 7"):
        fit(method, data, PLAN, progress=False)


def test_a_method_with_its_own_step_is_asked_too():
    data = people(masks=False)
    data = replace(data, domains=data.ids % 2)
    model = make_metabin(7)
    with pytest.raises(ValueError, match="logits for 7 people, but the data have 8"):
        fit(MetaBIN(gate_lr=1.0), data, PLAN, model=model, progress=False)
    assert not model._forward_hooks


def test_where_no_id_or_no_logits_are_nothing_is_asked():
    def step(model, batches, optimizers, progress):
        model(batches["train"].images)
        return {"nothing": 0.0}

    def whole(data, people, pictures, seed, start):
        return itertools.repeat(torch.arange(6))

    run(step=step, sampler=whole, data=people().unlabelled(), model=Net(2))

    def triplet(output, batch):
        return {"triplet": losses.batch_hard_triplet(output.feature, batch.ids).mean()}

    run(triplet, model=Gives(Output))


def test_a_tensor_with_too_few_columns_is_named_when_the_losses_fail():
    def plain(output, batch):
        return {"identity": nn.functional.cross_entropy(output, batch.ids)}

    with pytest.raises(ValueError, match="gives 3 numbers for a picture, .*network for all people"):
        run(plain, model=Gives(lambda logits: logits, 3))


# ---- the step


def gives(values):
    def step(model, batches, optimizers, progress):
        return values

    return step


@pytest.mark.parametrize(
    "values, words",
    [
        (None, "step gives None; expected a dict of numbers.*without return"),
        (0.5, "step gives 0.5"),
        ([("a", 1.0)], "step gives an object of type list"),
        (torch.tensor(1.0), "step gives a tensor of shape"),
        ({"a": torch.ones(3)}, r"shape \(3,\).* as 'a'; expected one number, take their mean"),
        ({"a": "low"}, "gives 'low' as 'a'"),
        ({"a": None}, "gives None as 'a'"),
        ({"a": 1j}, "gives an object of type complex as 'a'"),
        ({"step": 1}, "called 'step'; expected a word other than step, lr, pictures_per_second"),
        ({1: 1}, "called 1"),
    ],
)
def test_what_a_step_gives_is_named(values, words):
    with pytest.raises(ValueError, match=f"^step 0: the method's {words}|^step 0: .*{words}"):
        run(losses=None, step=gives(values))


def test_numbers_of_every_kind_are_numbers():
    values = {"a": 1, "b": True, "c": numpy.float64(2), "d": torch.ones(1, 1), "e": numpy.ones(1)}
    _, history = run(losses=None, step=gives(values))
    assert history[0]["loss"] == 6
    assert run(losses=None, step=gives({}))[1].column("loss") == [0, 0, 0]


@dataclass
class Counting:
    """A method whose functions count how often fit asks for what it has looked at once."""

    calls: int = 0

    def losses(self, output, batch):
        self.calls += 1
        return both(output, batch)


def test_nothing_is_called_twice():
    method = Counting()
    fit(method, people(), PLAN, model=net(), progress=False)
    assert method.calls == 3
