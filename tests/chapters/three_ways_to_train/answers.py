"""Wrong answers to this chapter's exercises, each with a word of the verdict that it must get."""

CONTRASTIVE = [
    (
        """
def f(d, same, margin=1.0):
    return torch.where(same, d**2, (d - margin).clamp_min(0) ** 2)
""",
        "far enough",
    ),
    (
        """
def f(d, same, margin=1.0):
    return torch.where(same, d, (margin - d).clamp_min(0) ** 2)
""",
        "0.25",
    ),
    (
        """
def f(d, same, margin=1.0):
    return torch.where(same, d**2, (1 - d).clamp_min(0) ** 2)
""",
        "margin of 2",
    ),
    (
        """
def f(d, same, margin=1.0):
    return torch.where(same, d**2, (margin - d).clamp_min(0) ** 2).mean()
""",
        "one value a pair",
    ),
]

BATCH_HARD = [
    (
        """
def f(d, ids):
    same = ids[:, None] == ids[None]
    return d.masked_fill(~same, 1e9).amin(1), d.masked_fill(same, 1e9).amin(1)
""",
        "anchor itself",
    ),
    (
        """
def f(d, ids):
    same = ids[:, None] == ids[None]
    return d.masked_fill(~same, 0).amax(1), d.masked_fill(same, 0).amax(1)
""",
        "nearest stranger",
    ),
    (
        """
def f(d, ids):
    return d.amax(1)
""",
        "two tensors",
    ),
    (
        """
def f(d, ids):
    same = ids[:, None] == ids[None]
    return d.amax(1), d.masked_fill(same, 1e9).amin(1)
""",
        "farthest picture",
    ),
]

RESCUE = [
    (
        """
def f():
    return {"rate": 0.1}
""",
        "keys",
    ),
    (
        """
def f():
    return dict(experiments.COLLAPSED)
""",
        "at least one",
    ),
    (
        """
def f():
    return {**experiments.COLLAPSED, "mining": "soft"}
""",
        "hard",
    ),
    (
        """
def f():
    return {**experiments.COLLAPSED, "rate": 0.1}
""",
        "one point",
    ),
]

# Exercise -> its wrong answers, each (code, a word of the verdict).
WRONG = {
    "01b-contrastive": CONTRASTIVE,
    "01b-batch-hard": BATCH_HARD,
    "01b-rescue": RESCUE,
}
