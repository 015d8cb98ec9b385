"""Planted wrong answers of chapter 4; see test_chapters.py."""

_F = "    import torch.nn.functional as F\n"

WRONG = {
    "04-scatter": [
        (
            "def f(features, domains):\n" + _F + "    u = F.normalize(features, dim=1)\n"
            "    return F.cosine_similarity(u, u.mean(0, keepdim=True)).mean()",
            "centre of its own",
        ),
        (
            "def f(features, domains):\n" + _F + "    u = F.normalize(features, dim=1)\n"
            "    return -torch.stack([F.cosine_similarity(u[domains == d], u[domains == d].mean(0, keepdim=True)).mean() for d in domains.unique()]).mean()",
            "sign",
        ),
        (
            "def f(features, domains):\n" + _F + "    u = F.normalize(features, dim=1)\n"
            "    return torch.cat([F.cosine_similarity(u[domains == d], u[domains == d].mean(0, keepdim=True)) for d in domains.unique()]).mean()",
            "over pictures",
        ),
        (
            "def f(features, domains):\n"
            + _F
            + "    return torch.stack([F.cosine_similarity(features[domains == d], features[domains == d].mean(0, keepdim=True)).mean() for d in domains.unique()]).mean()",
            "length 1 first",
        ),
        (
            "def f(features, domains):\n" + _F + "    u = F.normalize(features, dim=1)\n"
            "    return torch.stack([(u[domains == d] @ u[domains == d].mean(0)).mean() for d in domains.unique()]).mean()",
            "dot product",
        ),
        (
            "def f(features, domains):\n" + _F + "    u = F.normalize(features, dim=1)\n"
            "    return torch.stack([F.cosine_similarity(u[domains == d], u[domains == d].mean(0, keepdim=True)).mean() for d in domains.unique()])",
            "one number",
        ),
        ("def f(features, domains): return 0.8759379", "return a tensor"),
        ("def f(features, domains): return torch.tensor(0.8759379)", "cut off"),
        ("def f(features, domains): return features.var(0).mean()", "3 and 2 pictures"),
    ],
    "04-shuffle": [
        (
            "def f(d, ids, domains):\n"
            + _F
            + "    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]\n"
            "    return F.softplus(d.masked_fill(~(home & other), 1e9).amin(1) - d.masked_fill(home, 0).amax(1))",
            "sign",
        ),
        (
            "def f(d, ids, domains):\n"
            + _F
            + "    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]\n"
            "    return F.softplus(d.masked_fill(home, 0).amax(1) - d.masked_fill(~other, 1e9).amin(1))",
            "any place",
        ),
        (
            "def f(d, ids, domains):\n"
            + _F
            + "    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]\n"
            "    return F.softplus(d.masked_fill(home, 1e9).amin(1) - d.masked_fill(~(home & other), 1e9).amin(1))",
            "you took the nearest",
        ),
        (
            "def f(d, ids, domains):\n" + _F + "    home = domains[:, None] == domains[None]\n"
            "    return F.softplus(d.masked_fill(home, 0).amax(1) - d.masked_fill(~home, 1e9).amin(1))",
            "another person",
        ),
        (
            "def f(d, ids, domains):\n    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]\n"
            "    return d.masked_fill(home, 0).amax(1) - d.masked_fill(~(home & other), 1e9).amin(1)",
            "softplus is gone",
        ),
        (
            "def f(d, ids, domains):\n"
            + _F
            + "    home, other = domains[:, None] == domains[None], ids[:, None] != ids[None]\n"
            "    return F.softplus(d.masked_fill(home, 0).amax(1) - d.masked_fill(~(home & other), 1e9).amin(1)).mean()",
            "one value a picture",
        ),
        ("def f(d, ids, domains): return d.amax(1)", "first picture"),
    ],
    "04-outer-step": [
        (
            "def f(gates, moved, loss, rate):\n    here = gates.clone().requires_grad_()\n"
            "    return (gates - rate * torch.autograd.grad(loss(here), here)[0]).clamp(0, 1)",
            "where we stand",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    return (moved - rate * torch.autograd.grad(loss(there), there)[0]).clamp(0, 1)",
            "thrown away",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    return gates - rate * torch.autograd.grad(loss(there), there)[0]",
            "clamp the result",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    return (gates + rate * torch.autograd.grad(loss(there), there)[0]).clamp(0, 1)",
            "uphill",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    slope = torch.autograd.grad(loss(there), there)[0].masked_fill((moved == 0) | (moved == 1), 0)\n"
            "    return (gates - rate * slope).clamp(0, 1)",
            "not the gradient",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    return (gates - torch.autograd.grad(loss(there), there)[0]).clamp(0, 1)",
            "rate is missing",
        ),
        (
            "def f(gates, moved, loss, rate):\n    there = moved.clone().requires_grad_()\n"
            "    gates -= rate * torch.autograd.grad(loss(there), there)[0]\n    return gates.clamp_(0, 1)",
            "changed its inputs",
        ),
        ("def f(gates, moved, loss, rate): return moved", "expected"),
        ("def f(gates, moved, loss, rate): return loss(moved)", "one gate a channel"),
    ],
}
