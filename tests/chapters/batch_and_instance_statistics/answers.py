"""Wrong answers to this chapter's exercises, each with a word of the verdict that it must get."""


def normalised(result):
    """An answer to exercise 2.1 that returns this, made of x, axes and eps."""
    return f"def f(x, axes, eps=1e-5):\n    return {result}\n"


NORMALISE = [
    (normalised("x - x.mean(axes, keepdim=True)"), "nothing was divided"),
    (
        normalised("(x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + eps).sqrt()"),
        "unbiased",
    ),
    (
        normalised("(x - x.mean()) / (x.var(unbiased=False) + eps).sqrt()"),
        "axes that are asked for",
    ),
    (
        normalised("x / (x.var(axes, keepdim=True, unbiased=False) + eps).sqrt()"),
        "still in",
    ),
    (
        """
def f(x, axes, eps=1e-5):
    var = x.var(axes, keepdim=True, unbiased=False)
    return (x - x.mean(axes, keepdim=True)) / (var + eps)
""",
        "square root",
    ),
    (
        """
def f(x, axes, eps=1e-5):
    var = x.var((0, 2, 3), keepdim=True, unbiased=False)
    return (x - x.mean((0, 2, 3), keepdim=True)) / (var + eps).sqrt()
""",
        "do not fix them",
    ),
    (
        """
def f(x, axes, eps=1e-5):
    var = x.var(axes, keepdim=True, unbiased=False)
    return (x - x.mean(axes, keepdim=True)) / (var.sqrt() + eps)
""",
        "under the root",
    ),
    (
        """
def f(x, axes, eps=1e-5):
    x -= x.mean(axes, keepdim=True)
    return x / (x.var(axes, keepdim=True, unbiased=False) + eps).sqrt()
""",
        "changed the tensor",
    ),
    (normalised("x.mean(axes)"), "shape of x"),
]


def gap_of(result):
    """An answer to exercise 2.2 that returns this, made of y: both pictures after the norm."""
    return f"def f(norm, a, b):\n    y = norm(torch.stack([a, b]))\n    return {result}\n"


TWINS = [
    (
        """
def f(norm, a, b):
    return (norm(a[None]) - norm(b[None])).abs().mean().item()
""",
        "alone",
    ),
    (gap_of("(y[0] - y[1]).abs().mean()"), "float"),
    (
        """
def f(norm, a, b):
    return (a - b).abs().mean().item()
""",
        "norm is missing",
    ),
    (gap_of("(y[0] - y[1]).mean().item()"), "absolute"),
    (gap_of("(y[0] - y[1]).square().mean().item()"), "squared"),
    (gap_of("(y[0] - y[1]).abs().sum().item()"), "added up"),
    (
        """
def f(norm, a, b):
    y = torch.nn.BatchNorm2d(3)(torch.stack([a, b]))
    return (y[0] - y[1]).abs().mean().item()
""",
        "norm that is given",
    ),
]

REPAIR = [
    (
        """
def f(model, images, batch=4):
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(batch)])
""",
        "changed the model",
    ),
    (
        """
def f(model, images, batch=4):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(part) for part in images.split(batch)])
""",
        "left in evaluation mode",
    ),
    (
        """
def f(model, images, batch=4):
    model.eval()
    with torch.no_grad():
        y = torch.cat([model(part) for part in images.split(batch)])
    model.train()
    return y
""",
        "left in training mode",
    ),
    (
        """
def f(model, images, batch=4):
    before = model.training
    model.eval()
    with torch.no_grad():
        y = torch.cat([model(part) for part in images.split(batch)])
    model.train(before)
    return y
""",
        "frozen",
    ),
    (
        """
def f(model, images, batch=4):
    before = model.training
    model.eval()
    y = torch.cat([model(part) for part in images.split(batch)])
    model.train(before)
    return y
""",
        "no_grad",
    ),
    (
        """
def f(model, images, batch=4):
    before = model.training
    model.eval()
    with torch.no_grad():
        y = model(images[:batch])
    model.train(before)
    return y
""",
        "shape",
    ),
    (
        """
def f(model, images, batch=4):
    import copy

    with torch.no_grad():
        other = copy.deepcopy(model).train()
        return torch.cat([other(part) for part in images.split(batch)])
""",
        "depends on the others",
    ),
]

WRONG = {
    "02-normalise": NORMALISE,
    "02-twins": TWINS,
    "02-repair": REPAIR,
}
