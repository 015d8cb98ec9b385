"""Wrong answers to the exercises of this chapter, each with a word of the verdict that it must get."""

WRONG = {  # exercise -> [(answer, a word of the verdict)]
    "11-per-camera": [
        (
            "def f(features, cameras):\n    for c in cameras.unique():\n        features[cameras == c] -= features[cameras == c].mean(0)\n"
            "    return torch.nn.functional.normalize(features, dim=1)",
            "changed the features",
        ),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features - features.mean(0), dim=1)",
            "mean of all pictures",
        ),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features, dim=1)",
            "only the lengths",
        ),
        (
            "def f(features, cameras):\n    made = features.clone()\n    for c in cameras.unique():\n        made[cameras == c] -= features[cameras == c].mean(0)\n"
            "    return made",
            "renormalise",
        ),
        (
            "def f(features, cameras):\n    made = torch.nn.functional.normalize(features, dim=1)\n    for c in cameras.unique():\n"
            "        made[cameras == c] -= made[cameras == c].mean(0)\n    return made",
            "other way round",
        ),
        ("def f(features, cameras): return 2 * features", "length 1"),
        (
            "def f(features, cameras): return torch.nn.functional.normalize(features - features.mean(1, keepdim=True), dim=1)",
            "direction",
        ),
        (
            "def f(features, cameras):\n    parts = [features[cameras == c] for c in (5, 0)]\n"
            "    return torch.nn.functional.normalize(torch.cat([part - part.mean(0) for part in parts]), dim=1)",
            "mixed",
        ),
        ("def f(features, cameras): return features.mean(0)", "shape"),
    ],
    "11-most-alike": [
        (
            "def f(features, query, count): return torch.nn.functional.cosine_similarity(features, features[[query]]).argsort(descending=True, stable=True)[1:count + 1]",
            "leaving out",
        ),
        (
            "def f(features, query, count):\n    s = features @ features[query]\n    s[query] = -torch.inf\n    return s.topk(count).indices",
            "lengths",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    return s.argsort()[:count]",
            "least alike",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = 0\n"
            "    return s.topk(count).indices",
            "minus infinity",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.topk(count).values",
            "picture numbers",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.argsort(descending=True)",
            "asked for 2",
        ),
        (
            "def f(features, query, count):\n    s = torch.nn.functional.cosine_similarity(features, features[[query]])\n    s[query] = -torch.inf\n"
            "    return s.topk(count).indices.flip(0)",
            "first",
        ),
    ],
}
