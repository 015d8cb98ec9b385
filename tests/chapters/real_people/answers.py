"""Wrong answers to this chapter's exercises, each with a word of the verdict that it must get."""

PER_CAMERA = [
    (
        """
def f(features, cameras):
    for c in cameras.unique():
        features[cameras == c] -= features[cameras == c].mean(0)
    return torch.nn.functional.normalize(features, dim=1)
""",
        "changed the features",
    ),
    (
        """
def f(features, cameras):
    return torch.nn.functional.normalize(features - features.mean(0), dim=1)
""",
        "mean of all pictures",
    ),
    (
        """
def f(features, cameras):
    return torch.nn.functional.normalize(features, dim=1)
""",
        "only the lengths",
    ),
    (
        """
def f(features, cameras):
    made = features.clone()
    for c in cameras.unique():
        made[cameras == c] -= features[cameras == c].mean(0)
    return made
""",
        "renormalise",
    ),
    (
        """
def f(features, cameras):
    made = torch.nn.functional.normalize(features, dim=1)
    for c in cameras.unique():
        made[cameras == c] -= made[cameras == c].mean(0)
    return made
""",
        "other way round",
    ),
    (
        """
def f(features, cameras):
    return 2 * features
""",
        "length 1",
    ),
    (
        """
def f(features, cameras):
    centred = features - features.mean(1, keepdim=True)
    return torch.nn.functional.normalize(centred, dim=1)
""",
        "direction",
    ),
    (
        """
def f(features, cameras):
    parts = [features[cameras == c] for c in (5, 0)]
    centred = torch.cat([part - part.mean(0) for part in parts])
    return torch.nn.functional.normalize(centred, dim=1)
""",
        "mixed",
    ),
    (
        """
def f(features, cameras):
    return features.mean(0)
""",
        "shape",
    ),
]

MOST_ALIKE = [
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    return s.argsort(descending=True, stable=True)[1 : count + 1]
""",
        "leaving out",
    ),
    (
        """
def f(features, query, count):
    s = features @ features[query]
    s[query] = -torch.inf
    return s.topk(count).indices
""",
        "lengths",
    ),
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    return s.argsort()[:count]
""",
        "least alike",
    ),
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    s[query] = 0
    return s.topk(count).indices
""",
        "minus infinity",
    ),
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    s[query] = -torch.inf
    return s.topk(count).values
""",
        "picture numbers",
    ),
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    s[query] = -torch.inf
    return s.argsort(descending=True)
""",
        "asked for 2",
    ),
    (
        """
def f(features, query, count):
    s = torch.nn.functional.cosine_similarity(features, features[[query]])
    s[query] = -torch.inf
    return s.topk(count).indices.flip(0)
""",
        "first",
    ),
]

# Exercise -> its wrong answers, each (code, a word of the verdict).
WRONG = {"11-per-camera": PER_CAMERA, "11-most-alike": MOST_ALIKE}
