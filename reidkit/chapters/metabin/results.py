"""Chapter 04, MetaBIN: what its recorded tables say, seed by seed, and the paper's numbers beside
ours.
"""

from ... import stats, teach
from ...teach.recorded import Recorded

# Reported by a third party from the paper's tables 5, 3 and 4: rank-1, mean of VIPeR, PRID, GRID
# and i-LIDS (none trained on) and, for the norms, trained and examined on Market-1501.
PAPER_AWAY = {"BN": 50.9, "IN": 54.9, "half and half": 56.5, "BIN": 54.8, "MetaBIN": 64.7}
PAPER_HOME = {"BN": 87.2, "IN": 71.9, "half and half": 79.5, "BIN": 87.5, "MetaBIN": 87.9}
PAPER_LADDER = {
    "BN": 50.9,
    "BIN": 54.8,
    "CE only": 60.6,
    "triplet": 62.8,
    "triplet + scatter": 63.0,
    "triplet + shuffle": 63.1,
    "all, fixed step": 63.5,
    "MetaBIN": 64.7,
}
PAPER_SOURCE = "Choi et al. 2021, table 5 (reported)"
PAPER_PAIRS = (
    ("IN", "BN"),
    ("half and half", "BN"),
    ("BIN", "BN"),
    ("MetaBIN", "BN"),
    ("MetaBIN", "IN"),
    ("MetaBIN", "BIN"),
)

# A rung of the ladder -> the rung that it adds to.
STEPS = {
    "BIN": "BN",
    "CE only": "BIN",
    "triplet": "CE only",
    "triplet + scatter": "triplet",
    "triplet + shuffle": "triplet",
    "all, fixed step": "triplet",
    "MetaBIN": "all, fixed step",
}


# ---- recorded tables


def runs_by_row(table: Recorded) -> dict[str, Recorded]:
    """{name of a row: its runs, one per seed} of a table of norms, in the order of the table."""
    names = dict.fromkeys(row["row"] for row in table.rows)
    return {name: table.where(row=name) for name in names}


def runs_by_travel(table: Recorded) -> dict[tuple[float, float], Recorded]:
    """{(travel, length): runs} of the table 04_gates, whose rows are called
    "travel 1000, length 0.5".
    """
    runs = {}
    for name, runs_of_row in runs_by_row(table).items():
        travel, length = name.removeprefix("travel ").split(", length ")
        runs[float(travel), float(length)] = runs_of_row
    return runs


def ladder(parts: Recorded, norms: Recorded) -> dict[str, Recorded]:
    """From BN over MetaBIN's ingredients to MetaBIN, each rung over the seeds that every rung has.

    Args:
        parts: table of MetaBIN's ingredients, 04_losses.
        norms: table 04_norms, which has the first two rungs and the last.
    Returns:
        {rung: its runs}, in the order of PAPER_LADDER.
    """
    rungs = {}
    for name in PAPER_LADDER:
        table = norms if name in ("BN", "BIN", "MetaBIN") else parts
        rungs[name] = table.where(row=name)
    shared_seeds = set.intersection(*(set(runs.seeds) for runs in rungs.values()))
    shared = {}
    for name, runs in rungs.items():
        rows = [row for row in runs.rows if int(row["SEED"]) in shared_seeds]
        shared[name] = Recorded(runs.name, rows)
    return shared


def claim_lead(
    runs: dict[str, Recorded], sentence: str, ahead: str, behind: str, column: str
) -> None:
    """Claim that a row is ahead of another one: all of the paired interval must lie above 0.

    Args:
        runs: {row: its runs}, see `runs_by_row`.
        sentence: that is claimed.
        ahead: the row that is said to be ahead.
        behind: the row that it is compared with.
        column: what is compared.
    """
    lowest = runs[ahead].change(runs[behind], column).lowest
    unit = "points, lower end over seeds"
    teach.claim(sentence, measured=lowest, holds=lambda points: points > 0, unit=unit)


# ---- beside the paper


def agreement(change: stats.Estimate, theirs: float) -> tuple[bool | None, str]:
    """Does a difference of ours bear out the paper's?

    Args:
        change: ours, with its interval over seeds.
        theirs: the paper's difference, one number.
    Returns:
        (True, False or None, remark): None where we cannot say.
    """
    if abs(theirs) <= 1:
        return None, "a difference of at most one point there"
    # The ends of our interval, counted in the direction of the paper's difference.
    if theirs > 0:
        least = change.lowest
        most = change.highest
    else:
        least = -change.highest
        most = -change.lowest
    if least > 0:
        return True, ""
    if most < 0:
        return False, ""
    if most < abs(theirs):  # all of our interval
        return None, "no sign of ours decided, but smaller than theirs"
    return None, "ours undecided"


def paper_rows(runs: dict[str, Recorded]) -> list[tuple]:
    """Rows for `teach.compare_with_paper`: the paper's differences between norms beside ours.

    Args:
        runs: {row: its runs} of the table 04_norms, see `runs_by_row`.
    """
    rows = []
    for exam, place, paper in (
        ("away", "unseen", PAPER_AWAY),
        ("home", "at home", PAPER_HOME),
    ):
        for name, base in PAPER_PAIRS:
            change = runs[name].change(runs[base], f"{exam}_rank1")
            theirs = paper[name] - paper[base]
            agree, remark = agreement(change, theirs)
            what = f"{name} minus {base}, {place}"
            rows.append((what, f"{theirs:+.1f}", PAPER_SOURCE, change.text(), agree, remark))
    return rows + _rows_about_dualnorm(runs)


def _rows_about_dualnorm(runs):
    """Rank-1, and mAP, which cannot be compared."""
    change = runs["MetaBIN"].change(runs["DualNorm"], "away_rank1")
    agree, remark = agreement(change, 7.1)
    if remark:
        remark = f"({remark})"
    about = f"rank-1 57.6 there, 64.7 for MetaBIN {remark}"
    what = "MetaBIN minus DualNorm, unseen"
    rank1 = (what, "+7.1", PAPER_SOURCE, change.text(), agree, about)
    never = "never: 61.8 is a trapezoid AP, 72.3 a rectangle AP (chapter 1)"
    mean_ap = ("the same, mAP", "61.8 and 72.3", PAPER_SOURCE, "-", None, never)
    return [rank1, mean_ap]


def percentages(scores: dict[str, dict]) -> dict[str, float]:
    """{"BN_home_rank1": ..., "BN_home_map": ...} in %, of {network: {exam: retrieval.Metrics}}."""
    percent = {}
    for name, metrics_by_exam in scores.items():
        for exam, metrics in metrics_by_exam.items():
            percent[f"{name}_{exam}_rank1"] = 100 * metrics.cmc[1]
            percent[f"{name}_{exam}_map"] = 100 * metrics.map
    return percent
