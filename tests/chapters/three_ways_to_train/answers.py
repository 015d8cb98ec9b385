"""Wrong answers to the exercises of this chapter, each with a word of the verdict that it must get."""

WRONG = {  # exercise -> [(answer, a word of the verdict)]
    "01b-contrastive": [
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (d - margin).clamp_min(0) ** 2)",
            "far enough",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d, (margin - d).clamp_min(0) ** 2)",
            "0.25",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (1 - d).clamp_min(0) ** 2)",
            "margin of 2",
        ),
        (
            "def f(d, same, margin=1.0): return torch.where(same, d ** 2, (margin - d).clamp_min(0) ** 2).mean()",
            "one value a pair",
        ),
    ],
    "01b-batch-hard": [
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.masked_fill(~same, 1e9).amin(1), d.masked_fill(same, 1e9).amin(1)",
            "anchor itself",
        ),
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.masked_fill(~same, 0).amax(1), d.masked_fill(same, 0).amax(1)",
            "nearest stranger",
        ),
        ("def f(d, ids): return d.amax(1)", "two tensors"),
        (
            "def f(d, ids):\n    same = ids[:, None] == ids[None]\n    return d.amax(1), d.masked_fill(same, 1e9).amin(1)",
            "farthest picture",
        ),
    ],
    "01b-rescue": [
        ("def f(): return {'rate': 0.1}", "keys"),
        (
            "def f():\n    from reidkit.chapters.three_ways_to_train import figures as c01b\n    return dict(figures.COLLAPSED)",
            "at least one",
        ),
        (
            "def f():\n    from reidkit.chapters.three_ways_to_train import figures as c01b\n    return {**figures.COLLAPSED, 'mining': 'soft'}",
            "hard",
        ),
        (
            "def f():\n    from reidkit.chapters.three_ways_to_train import figures as c01b\n    return {**figures.COLLAPSED, 'rate': 0.1}",
            "one point",
        ),
    ],
}
