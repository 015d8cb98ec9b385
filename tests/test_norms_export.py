"""torch.export with a free batch, torch.compile and torch.jit.trace of layers and models."""

import io

import pytest
import torch
from torch import nn
from torch.export import Dim, export

from reidkit import losses
from reidkit.augment import normalize
from reidkit.layers import pooling
from reidkit.layers.heads import BNNeck, Classifier, CosineClassifier
from reidkit.layers.norms import IBN, BatchInstanceNorm, FeatureNorm, InstanceNorm
from reidkit.layers.whitening import WhiteningNeck
from reidkit.methods import baseline, dualnorm, ibn, metabin, three_ways

LAYOUTS = [torch.contiguous_format, torch.channels_last]
NORMS = {
    "IN": lambda: InstanceNorm(6),
    "BIN": lambda: BatchInstanceNorm(6, gate=0.3),
    "BIN of the batch": lambda: BatchInstanceNorm(6, track_running_stats=False),
    "IBN": lambda: IBN(6),
    "IBN, batch first": lambda: IBN(6, batch_first=True),
    "feature norm": lambda: FeatureNorm(6),
    "GeM": pooling.GeM,
    "stripes": lambda: pooling.Stripes(3),
}
NECKS = {
    "BNNeck": lambda: BNNeck(6),
    "feature norm": lambda: FeatureNorm(6),
    "whitening": lambda: WhiteningNeck(6, 3),
    "classifier": lambda: Classifier(6, 3),
    "cosines": lambda: CosineClassifier(6, 3),
}
MODELS = {
    "baseline": lambda: baseline.make(4),
    "baseline, cosines": lambda: baseline.Baseline(4, cosine=True, neck=False, pool=pooling.GeM()),
    "stripes": lambda: baseline.make(4, stripes=2),
    "instance norm": lambda: baseline.make(4, norm="in", levels=("layer3", "layer4")),
    "DualNorm": lambda: dualnorm.make(4),
    "DualNorm, MobileNet": lambda: dualnorm.make(4, "mobilenet_v2"),
    "IBN-a": lambda: ibn.make(4),
    "IBN-b": lambda: ibn.make(4, form="b"),
    "MetaBIN": lambda: metabin.make(4, gate=0.5),
    "three ways": lambda: three_ways.ThreeWays(4, {"hat": 2}),
}
PICTURES = torch.randint(
    0, 256, (9, 3, 64, 32), generator=torch.Generator().manual_seed(1), dtype=torch.uint8
)


def drawn(*shape, layout=torch.contiguous_format, seed=0):
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
    return x.contiguous(memory_format=layout) if x.ndim == 4 else x


def filled(layer):
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for value in (*layer.parameters(), *layer.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=draw) + 0.2)
    return layer.eval()


def exported(module, x, strict):
    """The program of a module for any number of pictures."""
    return export(module, (x,), dynamic_shapes=({0: Dim("pictures")},), strict=strict)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", NORMS)
def test_layers_of_maps_for_any_batch(kind, layout, strict):
    layer = filled(NORMS[kind]())
    program = exported(layer, drawn(4, 6, 8, 5, layout=layout), strict).module()
    for pictures in (1, 2, 4, 7):
        for given in LAYOUTS:  # the graph takes the other layout too
            x = drawn(pictures, 6, 8, 5, layout=given, seed=3)
            torch.testing.assert_close(program(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("kind", NECKS)
def test_layers_of_features_for_any_batch(kind, strict):
    layer = filled(NECKS[kind]())
    program = exported(layer, drawn(4, 6), strict).module()
    for pictures in (1, 2, 7):
        x = drawn(pictures, 6, seed=3)
        torch.testing.assert_close(program(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("strict", [False, True])
def test_maps_of_any_size(strict):
    for make in (NORMS["IN"], NORMS["BIN"], NORMS["IBN"]):
        layer = filled(make())
        free = {0: Dim("pictures"), 2: Dim("height", min=2), 3: Dim("width", min=2)}
        program = export(layer, (drawn(4, 6, 8, 5),), dynamic_shapes=(free,), strict=strict)
        x = drawn(2, 6, 5, 9)
        torch.testing.assert_close(program.module()(x), layer(x), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_models_for_any_batch(kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    program = exported(model, PICTURES[:4], strict=False)
    file = io.BytesIO()
    torch.export.save(program, file)
    file.seek(0)
    again = torch.export.load(file).module()
    for pictures in (1, 2, 9):
        expected = model(PICTURES[:pictures])
        for found in (program.module()(PICTURES[:pictures]), again(PICTURES[:pictures])):
            for name in ("feature", "logits", "neck"):
                value = getattr(found, name)
                wanted = getattr(expected, name)
                if wanted is not None or value is not None:
                    torch.testing.assert_close(value, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DualNorm", "MetaBIN", "three ways"])
def test_models_export_by_tracing_of_bytecode_too(kind):
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    program = exported(model, PICTURES[:4], strict=True).module()
    expected = model(PICTURES).feature
    torch.testing.assert_close(program(PICTURES).feature, expected, rtol=1e-5, atol=1e-5)


def test_an_export_leaves_nothing_behind():
    """The colours that pictures are normalised with are kept; those of a trace are no tensors."""

    class Pictures(nn.Module):
        def forward(self, images):
            return normalize(images, (0.1, 0.2, 0.3), (0.4, 0.5, 0.6))

    program = export(Pictures(), (PICTURES[:2],))
    made = Pictures()(PICTURES[:2])
    assert type(made) is torch.Tensor
    torch.testing.assert_close(program.module()(PICTURES[:2]), made)


def test_what_cannot_be_exported_is_still_refused():
    layer = InstanceNorm(6)
    with pytest.raises(ValueError, match="expected"):
        export(layer, (drawn(4, 5, 8, 5),))
    program = exported(layer.eval(), drawn(4, 6, 8, 5), False).module()
    with pytest.raises(Exception, match=r"shape|Guard|guard"):
        program(drawn(4, 6, 1, 1))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["IN", "BIN", "IBN"])
def test_compiled_in_one_graph(kind, layout, training):
    """On channels_last, the one pass could not be traced."""
    torch._dynamo.reset()
    made = []
    for compiled in (False, True):
        layer = filled(NORMS[kind]()).train(training)
        form = torch.compile(layer, backend="aot_eager", fullgraph=True) if compiled else layer
        x = drawn(4, 6, 8, 5, layout=layout).requires_grad_()
        y = form(x)
        y.pow(3).mean().backward()
        grads = [x.grad, *(value.grad for value in layer.parameters())]
        made.append((y, *grads, *layer.buffers()))
    for found, wanted in zip(*made):
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DualNorm", "MetaBIN", "three ways"])
def test_compiled_models_train(kind):
    torch._dynamo.reset()
    ids = torch.arange(8) % 4
    made = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = MODELS[kind]().train()
        form = torch.compile(model, backend="aot_eager") if compiled else model
        output = form(PICTURES[:8])
        loss = losses.cross_entropy(output.logits, ids).mean()
        loss = loss + losses.batch_hard_triplet(output.feature, ids).mean()
        loss.backward()
        made.append((loss, model.trunk.conv1.weight.grad))
    for found, wanted in zip(*made):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_compiled_losses_are_one_graph():
    """There, ids are not looked at: a graph does not depend on numbers."""
    torch._dynamo.reset()
    ids = torch.tensor([0, 0, 1, 1])
    features = drawn(4, 6)
    for loss in (losses.cross_entropy, losses.batch_hard_triplet, losses.arcface_logits):
        compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
        torch.testing.assert_close(compiled(features.sigmoid(), ids), loss(features.sigmoid(), ids))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["IN", "BIN", "IBN"])
def test_traced_by_torch_jit(kind, layout):
    layer = filled(NORMS[kind]())
    x = drawn(4, 6, 8, 5, layout=layout)
    traced = torch.jit.trace(layer, x)
    torch.testing.assert_close(traced(x), layer(x), rtol=1e-5, atol=1e-5)
    torch.jit.save(traced, io.BytesIO())  # has no piece of Python in it
