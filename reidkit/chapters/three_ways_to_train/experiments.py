"""Chapter 01b: the collapse lab, what the chapter looks up in its tables, and a paper's numbers."""

from collections.abc import Sequence

from ... import losses, stats, world
from ...methods.baseline import Baseline
from ...recipes.ways import ALL_WAYS
from ...teach.recorded import Recorded
from ...teach.start import Run
from ...training import Method, Plan, fit

# The lines of `make tables` for this chapter.
TABLES = (
    # One network trained in each way, over three seeds.
    "reidkit.recipes ways --seeds 0 1 2 --threads 2 --out data/results/01b_ways.csv",
    # What the page itself records, over three seeds.
    "reidkit.teach.rerun 01b -p SEED=0,1,2 --jobs 2 --threads 1 "
    "--out build/rerun/01b --record 01b_chapter",
)

# ---- the collapse lab

MARGIN = 0.3
PEOPLE = 8  # in a batch
PICTURES = 4  # of each
STEPS = 100
COLLAPSED = {"rate": 0.05, "warmup": 0, "mining": "hard", "identity": False}
COLLAPSE_ROWS = {
    "collapsed": COLLAPSED,
    "small rate": {**COLLAPSED, "rate": 0.0007},
    "warm-up": {**COLLAPSED, "warmup": 60},
    "weighted mining": {**COLLAPSED, "mining": "weighted"},
    "with identity loss": {**COLLAPSED, "identity": True},
}
REPAIRS = ("small rate", "warm-up", "weighted mining")

# Of each step: {"loss": the triplet loss, "distance": mean distance between pictures of its batch}.
Curves = dict[str, list[float]]


def collapse_lab(run: Run | None, rate: float, warmup: int, mining: str, identity: bool) -> Curves:
    """Train a tiny network on a few drawn people with the triplet loss.

    Args:
        run: the chapter's Run, or None for seed 0 on the CPU. The smoke preset takes a tenth of the
            steps, too few to collapse.
        rate: Adam's learning rate.
        warmup: steps until it is reached.
        mining: "hard" or "weighted".
        identity: whether to add cross-entropy.
    """
    seed = run.seed if run else 0
    device = run.device if run else "cpu"
    is_short = run is not None and run.preset.name == "smoke"
    steps = STEPS // 10 if is_short else STEPS
    data = world.sample([("train", 0)], people=24, cameras=3, pictures=2, size=(64, 32), seed=seed)
    mined = losses.batch_hard_triplet if mining == "hard" else losses.weighted_triplet
    distances = []

    def parts(output, batch):
        distance = losses.pairwise_distance(output.feature.detach())  # (B, B)
        distances.append(distance.mean().item())
        triplet = mined(output.feature, batch.ids, margin=MARGIN)  # (B,)
        if not identity:
            return {"triplet": triplet.mean()}
        cross_entropy = losses.cross_entropy(output.logits, batch.ids)  # (B,)
        return {"triplet": triplet.mean(), "identity": cross_entropy.mean()}

    method = Method(losses=parts, make=Baseline)
    plan = Plan(steps=steps, people=PEOPLE, pictures=PICTURES, lr=rate, warmup=warmup, seed=seed)
    _, history = fit(method, data, plan, device=device, progress=False)
    return {"loss": history.column("triplet"), "distance": distances}


def ends_of(lab: dict[str, Curves]) -> dict[str, dict[str, float]]:
    """Where each run of the lab ends: the means of its last ten steps."""
    ends = {}
    for name, curves in lab.items():
        ends[name] = {key: sum(values[-10:]) / 10 for key, values in curves.items()}
    return ends


# ---- recorded tables


def recorded_ways(table: Recorded) -> list[str]:
    """The ways that a table of ways has, in the course's order."""
    return [way for way in ALL_WAYS if f"{way}_home_rank1" in table.rows[0]]


def mean_rank1(table: Recorded, way: str, exam: str = "home") -> float:
    """Mean rank-1 in % of one way over the recorded seeds.

    Args:
        table: 01b_ways.
        way: a name that `recorded_ways` gives.
        exam: "home" or "away".
    """
    return table.mean(f"{way}_{exam}_rank1")


def smallest_gain(table: Recorded, way: str, others: Sequence[str], exam: str) -> float:
    """By how many points of rank-1 a way beats others in its worst recorded seed.

    Args:
        table: 01b_ways.
        way: the one.
        others: what it is compared with.
        exam: "home" or "away".
    """
    scores = table.by_seed(f"{way}_{exam}_rank1")
    gains = []
    for other in others:
        gains += stats.paired(scores, table.by_seed(f"{other}_{exam}_rank1"))
    return min(gains)


def paper_together(table: Recorded) -> list[tuple]:
    """Identification and verification together, in Zheng et al. and in our recorded seeds: rows of
    `teach.compare_with_paper`.

    Args:
        table: 01b_ways.
    """
    alone = mean_rank1(table, "identity")
    together = mean_rank1(table, "identity+verification")
    gain = together - alone
    source = "Zheng et al., ICCV 2017 (LSRO), Market-1501"
    sizes = "other people, other sizes"
    reason = "a possible reason: their strangers share one place, most of ours do not"
    first = "rank-1, identification alone"
    second = "rank-1, identification + verification"
    third = "gain by adding verification"
    return [
        (first, 73.69, source, round(alone, 1), None, sizes),
        (second, 79.51, "the same table", round(together, 1), None, sizes),
        (third, 5.82, "difference of the two", round(gain, 1), gain > 0, reason),
    ]
