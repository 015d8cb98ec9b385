"""Wrong answers to the exercises of this chapter, each with a word of the verdict that it must get."""

WRONG = {  # exercise -> [(answer, a word of the verdict)]
    "01-keep": [
        ("def keep(i, c, ids, cams): return ids != -1", "junk rule"),
        (
            "def keep(i, c, ids, cams): return (cams != c) & (ids != -1)",
            "stranger in the query's camera",
        ),
        ("def keep(i, c, ids, cams): return ~((ids == i) & (cams == c))", "-1"),
        (
            "def keep(i, c, ids, cams): return ~((ids <= 0) | ((ids == i) & (cams == c)))",
            "distractor",
        ),
        ("def keep(i, c, ids, cams): return (ids == -1) | ((ids == i) & (cams == c))", "junk rule"),
        ("def keep(i, c, ids, cams): return [True] * len(ids)", "tensor"),
        (
            "def keep(i, c, ids, cams): return ~((ids == -1) | ((ids == 1) & (cams == 0)))",
            "query_id",
        ),
    ],
    "01-average-precision": [
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1))[right].sum().item() / len(right)",
            "number of right answers",
        ),
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1))[right].mean()",
            "float",
        ),
        (
            "def ap(right): return (right.cumsum(0) / torch.arange(1, len(right) + 1)).mean().item()",
            "at the top",
        ),
        (
            "def ap(right):\n    r = torch.nonzero(right).squeeze(1).tolist()\n"
            "    return sum(((i + 1) / (k + 1) + (1 if k == 0 else i / k)) / 2 for i, k in enumerate(r)) / len(r)",
            "trapezoid",
        ),
    ],
    "01-first-rank": [
        ("def f(s, right): return 1 + (s > s[right].max()).sum().item() + 0", "constant"),
        ("def f(s, right): return (s >= s[right].max()).sum().item()", "push each other"),
        ("def f(s, right): return 1 + (s[~right] >= s[right].max()).sum()", "Python int"),
        (
            "def f(s, right): return 1 + (s[~right] >= s[right].min()).sum().item()",
            "worst right answer",
        ),
        ("def f(s, right): return 1 + (s[~right] <= s[right].max()).sum().item()", "rank is 3"),
    ],
}
