"""Wrong answers to the exercises of chapter 02, each with a word of the verdict that it must get."""

WRONG = {
    "02-normalise": [
        ("def f(x, axes, eps=1e-5): return x - x.mean(axes, keepdim=True)", "nothing was divided"),
        (
            "def f(x, axes, eps=1e-5): return (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True) + eps).sqrt()",
            "unbiased",
        ),
        (
            "def f(x, axes, eps=1e-5): return (x - x.mean()) / (x.var(unbiased=False) + eps).sqrt()",
            "axes that are asked for",
        ),
        (
            "def f(x, axes, eps=1e-5): return x / (x.var(axes, keepdim=True, unbiased=False) + eps).sqrt()",
            "still in",
        ),
        (
            "def f(x, axes, eps=1e-5): return (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True, unbiased=False) + eps)",
            "square root",
        ),
        (
            "def f(x, axes, eps=1e-5): return (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, unbiased=False) + eps).sqrt()",
            "do not fix them",
        ),
        (
            "def f(x, axes, eps=1e-5): return (x - x.mean(axes, keepdim=True)) / (x.var(axes, keepdim=True, unbiased=False).sqrt() + eps)",
            "under the root",
        ),
        (
            "def f(x, axes, eps=1e-5):\n    x -= x.mean(axes, keepdim=True)\n    return x / (x.var(axes, keepdim=True, unbiased=False) + eps).sqrt()",
            "changed the tensor",
        ),
        ("def f(x, axes, eps=1e-5): return x.mean(axes)", "shape of x"),
    ],
    "02-twins": [
        ("def f(norm, a, b): return (norm(a[None]) - norm(b[None])).abs().mean().item()", "alone"),
        (
            "def f(norm, a, b):\n    y = norm(torch.stack([a, b]))\n    return (y[0] - y[1]).abs().mean()",
            "float",
        ),
        ("def f(norm, a, b): return (a - b).abs().mean().item()", "norm is missing"),
        (
            "def f(norm, a, b):\n    y = norm(torch.stack([a, b]))\n    return (y[0] - y[1]).mean().item()",
            "absolute",
        ),
        (
            "def f(norm, a, b):\n    y = norm(torch.stack([a, b]))\n    return (y[0] - y[1]).square().mean().item()",
            "squared",
        ),
        (
            "def f(norm, a, b):\n    y = norm(torch.stack([a, b]))\n    return (y[0] - y[1]).abs().sum().item()",
            "added up",
        ),
        (
            "def f(norm, a, b):\n    y = torch.nn.BatchNorm2d(3)(torch.stack([a, b]))\n    return (y[0] - y[1]).abs().mean().item()",
            "norm that is given",
        ),
    ],
    "02-repair": [
        (
            "def f(model, images, batch=4):\n    with torch.no_grad():\n        return torch.cat([model(part) for part in images.split(batch)])",
            "changed the model",
        ),
        (
            "def f(model, images, batch=4):\n    model.eval()\n    with torch.no_grad():\n        return torch.cat([model(part) for part in images.split(batch)])",
            "left in evaluation mode",
        ),
        (
            "def f(model, images, batch=4):\n    model.eval()\n    with torch.no_grad():\n        y = torch.cat([model(part) for part in images.split(batch)])\n"
            "    model.train()\n    return y",
            "left in training mode",
        ),
        (
            "def f(model, images, batch=4):\n    before = model.training\n    model.eval()\n    with torch.no_grad():\n"
            "        y = torch.cat([model(part) for part in images.split(batch)])\n    model.train(before)\n    return y",
            "frozen",
        ),
        (
            "def f(model, images, batch=4):\n    before = model.training\n    model.eval()\n    y = torch.cat([model(part) for part in images.split(batch)])\n"
            "    model.train(before)\n    return y",
            "no_grad",
        ),
        (
            "def f(model, images, batch=4):\n    before = model.training\n    model.eval()\n    with torch.no_grad():\n        y = model(images[:batch])\n"
            "    model.train(before)\n    return y",
            "shape",
        ),
        (
            "def f(model, images, batch=4):\n    import copy\n    with torch.no_grad():\n        other = copy.deepcopy(model).train()\n"
            "        return torch.cat([other(part) for part in images.split(batch)])",
            "depends on the others",
        ),
    ],
}
