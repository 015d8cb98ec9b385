"""embed takes models of any type and output, on any device here, or says what it expects."""

from collections import namedtuple
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from test_retrieval_embed import Model, people
from torch import nn

from reidkit import console
from reidkit.record import Exam
from reidkit.retrieval import embed, embed_by_camera, evaluate_exam
from reidkit.retrieval.embed import outputs


class Plain(nn.Module):
    """Plain layers; `wrap` makes the model's output of its features. Keeps what types went in."""

    def __init__(self, wrap=lambda feature: feature):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.last = nn.Linear(4 * 6 * 2, 5)
        self.wrap = wrap
        self.types = set()

    def forward(self, images):
        self.types.add(images.dtype)
        maps = self.norm(self.conv(images / 255))
        return self.wrap(self.last(maps.flatten(1)))


def plain(wrap=lambda feature: feature):
    torch.manual_seed(0)
    return Plain(wrap)


WAYS = [embed, embed_by_camera]


# ---- types


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_pictures_go_in_with_the_models_type(dtype, mirror, way):
    expected = way(plain(), people(), mirror=mirror, batch=4)
    model = plain().to(dtype)
    found = way(model, people(), mirror=mirror, batch=4)
    assert model.types == {dtype}
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.norm(dim=1), torch.ones(11))
    assert (found * expected).sum(1).min() > 0.99
    assert all(value.dtype == dtype for value in model.parameters())


def test_an_exam_of_half_precision():
    exam = Exam(people(4), people(11, seed=1))
    found = evaluate_exam(plain().half(), exam, per_camera=True)
    assert found.queries == 4


def test_the_type_is_that_of_the_first_parameter_that_computes():
    counts = nn.Identity()
    counts.seen = nn.Parameter(torch.zeros(2, dtype=torch.int64), requires_grad=False)
    model = plain().double()
    embed(nn.Sequential(counts, model), people())
    assert model.types == {torch.float64}

    class Nothing(nn.Module):
        def forward(self, images):
            assert images.dtype == torch.float32
            return images.mean((2, 3))

    assert embed(Nothing(), people()).shape == (11, 3)


def test_float32_goes_through_as_ever():
    """Bit for bit: pictures as float32, features added, then normalised."""
    model = plain().eval()
    data = people()
    features = []
    for start in (0, 4, 8):
        images = data.images[start : start + 4].float()
        with torch.no_grad():
            features.append(model(images) + model(images.flip(3)))
    assert embed(model, data, mirror=True, batch=4).equal(F.normalize(torch.cat(features), dim=1))


# ---- outputs


Pair = namedtuple("Pair", "feature neck")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda feature: feature,
        lambda feature: SimpleNamespace(feature=feature, neck=None),
        lambda feature: SimpleNamespace(feature=None, neck=feature),
        lambda feature: SimpleNamespace(feature=feature),
        lambda feature: Pair(feature, None),
        lambda feature: Pair(2 * feature, feature),
    ],
)
def test_a_tensor_is_a_feature(wrap, way):
    assert way(plain(wrap), people()).equal(way(plain(), people()))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "wrap, error, message",
    [
        (lambda f: None, TypeError, "the model returned None; expected an Output .with feature"),
        (lambda f: (f, f), TypeError, "a tuple of torch.float32 .11, 5., torch.float32 .11, 5."),
        (lambda f: [f], TypeError, "a list of torch.float32"),
        (lambda f: {"logits": f}, TypeError, "a dict of 'logits'; .*or the features as one tensor"),
        (lambda f: 3.0, TypeError, "the model returned float 3.0"),
        (lambda f: SimpleNamespace(neck=f), TypeError, "expected an Output"),
        (lambda f: Pair(None, None), TypeError, "the model's feature is None; expected a tensor"),
        (lambda f: Pair("f", None), TypeError, "the model's feature is str 'f'"),
        (lambda f: f[:, :, None, None], ValueError, "is torch.float32 .11, 5, 1, 1. for 11 pict"),
        (lambda f: f.flatten(), ValueError, "expected real numbers of shape .11, numbers.: one"),
        (lambda f: f[:1], ValueError, "is torch.float32 .1, 5. for 11 pictures"),
        (lambda f: torch.cat([f, f]), ValueError, "is torch.float32 .22, 5. for 11 pictures"),
        (lambda f: f[:, :0], ValueError, "is torch.float32 .11, 0."),
        (lambda f: f.sum(), ValueError, "is torch.float32 .. for 11 pictures"),
        (lambda f: f.long(), ValueError, "is torch.int64 .11, 5. for 11 pictures; expected real"),
        (lambda f: f.to(torch.complex64), ValueError, "is torch.complex64"),
    ],
)
def test_what_is_no_feature(wrap, error, message, way):
    data = people()
    if way is embed_by_camera:
        data = data[[0] * 11]
    model = plain(wrap).train()
    with pytest.raises(error, match=message):
        way(model, data)
    assert model.training


def test_other_outputs_are_picked_and_checked():
    model = plain(lambda feature: {"deep": feature})
    found = outputs(model, people(), lambda output: output["deep"])
    assert F.normalize(found, dim=1).equal(embed(plain(), people()))
    with pytest.raises(ValueError, match="the model's feature is torch.float32 .5, 11. for 11"):
        outputs(model, people(), lambda output: output["deep"].T)


# ---- arguments


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("batch", [0, -1, 2.0, "256", None, True, [4], float("nan")])
def test_batches_that_are_none(way, batch):
    with pytest.raises(ValueError, match="batches of .*expected a whole number from 1 up"):
        way(Model(), people(), batch=batch)


@pytest.mark.parametrize("way", WAYS)
def test_models_and_records_that_are_none(way):
    for model in (None, "resnet50", Model, lambda images: images):
        with pytest.raises(TypeError, match="model is .*; expected a torch.nn.Module"):
            way(model, people())
    for data in (None, people().images, [1, 2], Exam(people(), people())):
        with pytest.raises(TypeError, match="data is .*; expected a record of pictures, ReIDData"):
            way(Model(), data)
    with pytest.raises(ValueError, match="cannot embed 0 pictures"):
        way(Model(), people()[:0])


def test_exams_and_options_are_looked_at_before_the_work():
    exam = Exam(people(4), people(11, seed=1))
    for wrong in (None, people(), (people(), people())):
        with pytest.raises(TypeError, match="exam is .*; expected an Exam"):
            evaluate_exam(Model(), wrong)
    model = Model()
    for options, message in ((dict(ap="mean"), "ap is 'mean'"), (dict(ranks=5), "ranks are 5")):
        with pytest.raises(ValueError, match=message):
            evaluate_exam(model, exam, **options)
    assert model.sizes == []


# ---- devices


@pytest.mark.parametrize("way", WAYS)
def test_devices(way):
    expected = way(plain(), people(), device="cpu")
    for device in ("auto", torch.device("cpu"), "cpu:0"):
        found = way(plain(), people(), device=device)
        torch.testing.assert_close(found.cpu(), expected, rtol=1e-3, atol=1e-3)
    for device in ("mps", "tpu", "cuda:99", 3, ["cpu"], torch.device("meta")):
        with pytest.raises(ValueError, match="cannot be used here.*: use 'auto' or 'cpu'"):
            way(plain(), people(), device=device)


def test_devices_of_an_exam():
    exam = Exam(people(4), people(11, seed=1))
    for per_camera in (False, True):
        assert evaluate_exam(plain(), exam, device="auto", per_camera=per_camera).queries == 4
        with pytest.raises(ValueError, match="device 'mps' cannot be used here"):
            evaluate_exam(plain(), exam, device="mps", per_camera=per_camera)


# ---- bars


@pytest.mark.parametrize("way", WAYS)
def test_bars_only_where_somebody_watches(way, monkeypatch, capsys):
    monkeypatch.setattr(console, "is_watched", lambda: False)
    way(plain(), people(), progress=True)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(console, "is_watched", lambda: True)
    way(plain(), people(), progress=False)
    assert capsys.readouterr().err == ""
    way(plain(), people(), progress=True)
    assert "embed unnamed" in capsys.readouterr().err
