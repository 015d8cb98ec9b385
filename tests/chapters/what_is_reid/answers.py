"""Wrong answers to this chapter's exercises, each with a word of the verdict that it must get."""

KEEP = [
    (
        """
def keep(i, c, ids, cams):
    return ids != -1
""",
        "junk rule",
    ),
    (
        """
def keep(i, c, ids, cams):
    return (cams != c) & (ids != -1)
""",
        "stranger in the query's camera",
    ),
    (
        """
def keep(i, c, ids, cams):
    return ~((ids == i) & (cams == c))
""",
        "-1",
    ),
    (
        """
def keep(i, c, ids, cams):
    return ~((ids <= 0) | ((ids == i) & (cams == c)))
""",
        "distractor",
    ),
    (
        """
def keep(i, c, ids, cams):
    return (ids == -1) | ((ids == i) & (cams == c))
""",
        "junk rule",
    ),
    (
        """
def keep(i, c, ids, cams):
    return [True] * len(ids)
""",
        "tensor",
    ),
    (
        """
def keep(i, c, ids, cams):
    return ~((ids == -1) | ((ids == 1) & (cams == 0)))
""",
        "query_id",
    ),
]

AVERAGE_PRECISION = [
    (
        """
def ap(right):
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return precision[right].sum().item() / len(right)
""",
        "number of right answers",
    ),
    (
        """
def ap(right):
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return precision[right].mean()
""",
        "float",
    ),
    (
        """
def ap(right):
    precision = right.cumsum(0) / torch.arange(1, len(right) + 1)
    return precision.mean().item()
""",
        "at the top",
    ),
    (
        """
def ap(right):
    r = torch.nonzero(right).squeeze(1).tolist()
    total = 0
    for i, k in enumerate(r):
        before = 1 if k == 0 else i / k
        total += ((i + 1) / (k + 1) + before) / 2
    return total / len(r)
""",
        "trapezoid",
    ),
]

FIRST_RANK = [
    (
        """
def f(s, right):
    return 1 + (s > s[right].max()).sum().item() + 0
""",
        "constant",
    ),
    (
        """
def f(s, right):
    return (s >= s[right].max()).sum().item()
""",
        "push each other",
    ),
    (
        """
def f(s, right):
    return 1 + (s[~right] >= s[right].max()).sum()
""",
        "Python int",
    ),
    (
        """
def f(s, right):
    return 1 + (s[~right] >= s[right].min()).sum().item()
""",
        "worst right answer",
    ),
    (
        """
def f(s, right):
    return 1 + (s[~right] <= s[right].max()).sum().item()
""",
        "rank is 3",
    ),
]

# Exercise -> its wrong answers, each (code, a word of the verdict).
WRONG = {
    "01-keep": KEEP,
    "01-average-precision": AVERAGE_PRECISION,
    "01-first-rank": FIRST_RANK,
}
