"""Planted wrong answers of chapter 4, each with a word of its verdict; see ../test_answers.py."""

ONE_CENTRE = """\
def f(features, domains):
    import torch.nn.functional as F
    u = F.normalize(features, dim=1)
    return F.cosine_similarity(u, u.mean(0, keepdim=True)).mean()
"""

TURNED_SIGN = """\
def f(features, domains):
    import torch.nn.functional as F
    u = F.normalize(features, dim=1)
    means = []
    for d in domains.unique():
        own = u[domains == d]
        means.append(F.cosine_similarity(own, own.mean(0, keepdim=True)).mean())
    return -torch.stack(means).mean()
"""

OVER_PICTURES = """\
def f(features, domains):
    import torch.nn.functional as F
    u = F.normalize(features, dim=1)
    cosines = []
    for d in domains.unique():
        own = u[domains == d]
        cosines.append(F.cosine_similarity(own, own.mean(0, keepdim=True)))
    return torch.cat(cosines).mean()
"""

OF_ANY_LENGTH = """\
def f(features, domains):
    import torch.nn.functional as F
    means = []
    for d in domains.unique():
        own = features[domains == d]
        means.append(F.cosine_similarity(own, own.mean(0, keepdim=True)).mean())
    return torch.stack(means).mean()
"""

DOT_PRODUCT = """\
def f(features, domains):
    import torch.nn.functional as F
    u = F.normalize(features, dim=1)
    means = []
    for d in domains.unique():
        own = u[domains == d]
        means.append((own @ own.mean(0)).mean())
    return torch.stack(means).mean()
"""

ONE_A_PLACE = """\
def f(features, domains):
    import torch.nn.functional as F
    u = F.normalize(features, dim=1)
    means = []
    for d in domains.unique():
        own = u[domains == d]
        means.append(F.cosine_similarity(own, own.mean(0, keepdim=True)).mean())
    return torch.stack(means)
"""

# What wrong shuffle losses begin with.
SHUFFLE = """\
def f(d, ids, domains):
    import torch.nn.functional as F
    home = domains[:, None] == domains[None]
    stranger = ids[:, None] != ids[None]
    far = d.masked_fill(home, 0).amax(1)
    near = d.masked_fill(~(home & stranger), 1e9).amin(1)
"""

ANY_STRANGER = """\
    anywhere = d.masked_fill(~stranger, 1e9).amin(1)
    return F.softplus(far - anywhere)
"""

NEAREST_ELSEWHERE = """\
    elsewhere = d.masked_fill(home, 1e9).amin(1)
    return F.softplus(elsewhere - near)
"""

NEAREST_AT_HOME = """\
    at_home = d.masked_fill(~home, 1e9).amin(1)
    return F.softplus(far - at_home)
"""

GRADIENT_AT_GATES = """\
def f(gates, moved, loss, rate):
    here = gates.clone().requires_grad_()
    return (gates - rate * torch.autograd.grad(loss(here), here)[0]).clamp(0, 1)
"""

# What other wrong outer steps begin with.
OUTER = """\
def f(gates, moved, loss, rate):
    there = moved.clone().requires_grad_()
    grad = torch.autograd.grad(loss(there), there)[0]
"""

NO_GRADIENT_ON_THE_CLAMP = """\
    grad = grad.masked_fill((moved == 0) | (moved == 1), 0)
    return (gates - rate * grad).clamp(0, 1)
"""

IN_PLACE = """\
    gates -= rate * grad
    return gates.clamp_(0, 1)
"""

WRONG = {
    "04-scatter": [
        (ONE_CENTRE, "centre of its own"),
        (TURNED_SIGN, "sign"),
        (OVER_PICTURES, "over pictures"),
        (OF_ANY_LENGTH, "length 1 first"),
        (DOT_PRODUCT, "dot product"),
        (ONE_A_PLACE, "one number"),
        ("def f(features, domains): return 0.8759379", "return a tensor"),
        ("def f(features, domains): return torch.tensor(0.8759379)", "cut off"),
        ("def f(features, domains): return features.var(0).mean()", "3 and 2 pictures"),
    ],
    "04-shuffle": [
        (SHUFFLE + "    return F.softplus(near - far)", "sign"),
        (SHUFFLE + ANY_STRANGER, "any place"),
        (SHUFFLE + NEAREST_ELSEWHERE, "you took the nearest"),
        (SHUFFLE + NEAREST_AT_HOME, "another person"),
        (SHUFFLE + "    return far - near", "softplus is gone"),
        (SHUFFLE + "    return F.softplus(far - near).mean()", "one value a picture"),
        ("def f(d, ids, domains): return d.amax(1)", "first picture"),
    ],
    "04-outer-step": [
        (GRADIENT_AT_GATES, "where we stand"),
        (OUTER + "    return (moved - rate * grad).clamp(0, 1)", "thrown away"),
        (OUTER + "    return gates - rate * grad", "clamp the result"),
        (OUTER + "    return (gates + rate * grad).clamp(0, 1)", "uphill"),
        (OUTER + NO_GRADIENT_ON_THE_CLAMP, "not the gradient"),
        (OUTER + "    return (gates - grad).clamp(0, 1)", "rate is missing"),
        (OUTER + IN_PLACE, "changed its inputs"),
        ("def f(gates, moved, loss, rate): return moved", "expected"),
        ("def f(gates, moved, loss, rate): return loss(moved)", "one gate a channel"),
    ],
}
