"""Chapter 03, what it measures: rows of the recorded table, where a network has instance norms, the
tone exam with another wall or border, and the papers' numbers.
"""

import copy
from dataclasses import replace

import torch
from torch import nn

from ...layers.norms import IBN, InstanceNorm
from ...layers.residual import NormedSum
from ...recipes import norms as recipe
from ...record import ReIDData
from ...stats import Estimate
from ...teach.claims import claim
from ...teach.recorded import Recorded

# What `make tables` records for this chapter.
TABLES = (
    # Every placement of instance norm, some of them without the feature norm too, over three seeds.
    "reidkit.recipes places --seeds 0 1 2 --jobs 2 --threads 1 --out data/results/03_places.csv",
)

# How far instance norms reach into our trunk, the ladder of the chapter.
PLACES = ("none", "stem", "early", "early and middle", "everywhere")
OTHERS = ("the rule for ResNets", "IBN-a", "IBN-b")
WITHOUT = ", no feature norm"
STAGES = {
    "bn1": "stem",
    "layer1": "stage 1",
    "layer2": "stage 2",
    "layer3": "stage 3",
    "layer4": "stage 4",
}
EXAMS = {
    "home": "new people, places of training",
    "away": "new people, unseen places",
    "tone": "tone exam",
}
# The score that the chapter's pictures show of each exam.
COLUMNS = {"home": "home_rank1", "away": "away_rank1", "tone": "tone_map"}

# ---- recorded rows


def split_rows(table: Recorded) -> dict[str, Recorded]:
    """The recorded runs of each placement: {name of the row: its runs}, in the recipe's order.

    Args:
        table: the recorded table of placements; it need not hold all of them.
    """
    rows = {name: table.where(row=name) for name in recipe.TABLES["places"]}
    return {name: runs for name, runs in rows.items() if runs.rows}


def estimate_over(runs: Recorded, column: str, over: str = "seeds") -> Estimate:
    """Mean and 95 % interval of a score.

    Args:
        runs: of one row of the table.
        column: the score's.
        over: "seeds" for the t interval over the runs; "people" for the bootstrap interval over
            people, whose ends are means over the runs.
    """
    if over == "people":
        low = runs.mean(f"{column}_low")
        high = runs.mean(f"{column}_high")
        return Estimate(runs.mean(column), low, high, len(runs.rows))
    return runs.estimate(column)


def in_words(change: Estimate) -> str:
    """A change in words: "+2.1 points, 95 % interval -0.3 to +4.5 over 5 seeds"; without an
    interval for one seed.
    """
    interval = ""
    if change.low is not None:
        interval = f", 95 % interval {change.low:+.1f} to {change.high:+.1f}"
    plural = "s" if change.count > 1 else ""
    return f"{change.mean:+.1f} points{interval} over {change.count} seed{plural}"


def claim_rise(rows: dict[str, Recorded], sentence: str, row: str, other: str, column: str) -> None:
    """A claim that one row is better than another, judged by the lower end of the 95 % interval of
    their differences, paired by seed (with one seed, by the difference).

    Args:
        rows: see split_rows.
        sentence: what is claimed.
        row: the better one.
        other: what it is compared with.
        column: the score's.
    """
    change = rows[row].change(rows[other], column)
    claim(sentence, change.lowest, is_positive, "points, lower end of the interval")


def claim_rise_in_every_seed(
    rows: dict[str, Recorded], sentence: str, row: str, other: str, column: str
) -> None:
    """Like claim_rise, judged by the smallest of the differences: a weaker test.

    Args:
        rows: see split_rows.
        sentence: what is claimed.
        row: the better one.
        other: what it is compared with.
        column: the score's.
    """
    differences = rows[row].differences(rows[other], column)
    claim(sentence, min(differences), is_positive, "points, mildest seed")


def is_positive(value: float) -> bool:
    return value > 0


def lead(rows: dict[str, Recorded], row: str, column: str) -> float:
    """How far the mean of a row lies above that of the best other one, in points.

    Args:
        rows: see split_rows.
        row: the one that is compared with all others.
        column: the score's.
    """
    means = {name: runs.mean(column) for name, runs in rows.items()}
    mean = means.pop(row)
    return mean - max(means.values())


# ---- networks


def read_marks(name: str) -> dict[str, str]:
    """Where a row of the table has instance norm, read from its network.

    Args:
        name: of the row.
    Returns:
        A mark for each of STAGES, "replaced", "behind the sum", "half" or "" for none, and "norm"
        or "" for "feature".
    """
    with torch.device("meta"):  # the structure is enough
        model = recipe.make_network(recipe.TABLES["places"][name], 2)
    marks = {stage: _mark_of(model.trunk.get_submodule(stage)) for stage in STAGES}
    marks["feature"] = "" if model.neck is None else "norm"
    return marks


def _mark_of(stage):
    if isinstance(stage, InstanceNorm):
        return "replaced"
    layers = list(stage.modules())
    if any(isinstance(layer, NormedSum) for layer in layers):
        return "behind the sum"
    if any(isinstance(layer, IBN) for layer in layers):
        return "half"
    return ""


def repeated_border(model: nn.Module) -> nn.Module:
    """A copy of the model, in evaluation, whose first convolution sees the edge pixels repeated
    beyond the border instead of zeros.
    """
    model = copy.deepcopy(model).eval()
    model.trunk.conv1.padding_mode = "replicate"
    return model


# ---- the tone exam


def before_wall(data: ReIDData, grey: int) -> ReIDData:
    """The same people before a wall of this grey level instead of the black one.

    Args:
        data: with masks.
        grey: 0 .. 255.
    """
    person = data.masks[:, None] > 0  # (N, 1, H, W)
    wall = torch.tensor(grey, dtype=torch.uint8)
    return replace(data, images=torch.where(person, data.images, wall))


# ---- what papers measured

JIA = "Jia et al., BMVC 2019, abstract"
CHOI = "Choi et al., CVPR 2021, table 5 (reported)"
ZHUANG = "Zhuang et al., ECCV 2020 (reported)"


def paper_rows(rows: dict[str, Recorded], gain_per_camera: float) -> list[tuple]:
    """The papers' numbers beside ours, for `teach.compare_with_paper`.

    Args:
        rows: see split_rows.
        gain_per_camera: points of mAP in unseen places that statistics per camera won for the live
            network without instance norm.
    """
    return [*_dualnorm_rows(rows), *_neighbour_rows(rows, gain_per_camera)]


def _scores(runs, exam):
    """ "53.2/25.1": rank-1 and mAP."""
    rank1 = runs.mean(f"{exam}_rank1")
    mean_precision = runs.mean(f"{exam}_map")
    return f"{rank1:.1f}/{mean_precision:.1f}"


def _dualnorm_rows(rows):
    rule = rows["the rule for ResNets"]
    gained = rule.change(rows["none"], "away_rank1").mean
    yield (
        "gain in rank-1 on VIPeR, PRID, GRID, i-LIDS",
        "+11.8, +33.2, +12.8, +8.5",
        JIA,
        f"{gained:+.1f}",
        gained > 0,
        "ours: rule for ResNets against none",
    )
    yield (
        "mean of the four, MobileNetV2, trapezoid mAP",
        "57.6/61.8",
        CHOI,
        _scores(rule, "away"),
        None,
        "less the mean gain: a baseline of 41.0",
    )
    yield (
        "a later plain baseline with BN",
        "50.9/59.5",
        CHOI,
        _scores(rows["none"], "away"),
        None,
        "rectangle mAP; other losses, wider, stride 1",
    )
    ladder = [rows[name] for name in ("none", "early", "everywhere")]
    plain = rows["none"].mean("home_map")
    everywhere = rows["everywhere"].mean("home_map")
    yield (
        "source domain: BN -> its DualNorm -> IN",
        "87.2/67.9 -> 82.6/57.2 -> 71.9/46.1",
        CHOI,
        " -> ".join(_scores(runs, "home") for runs in ladder),
        plain > everywhere,
        "the ends; our first step is within scatter, and theirs is another network",
    )


def _neighbour_rows(rows, gain_per_camera):
    plain = rows["none"]
    ibn = rows["IBN-a"]
    change_at_home = ibn.change(plain, "home_rank1")
    change_away = ibn.change(plain, "away_rank1")
    yield (
        "IBN for BN, Duke itself",
        "81.5/66.6 -> 77.6/57.0",
        ZHUANG,
        f"{_scores(plain, 'home')} -> {_scores(ibn, 'home')}",
        change_at_home.mean < 0,
        "FastReID's models gain at home with IBN (Market 86.1 to 87.6 mAP)",
    )
    yield (
        "IBN for BN, Duke to Market",
        "53.2/25.1 -> 61.7/29.5",
        ZHUANG,
        f"{_scores(plain, 'away')} -> {_scores(ibn, 'away')}",
        change_away.mean > 0,
        "",
    )
    yield (
        "statistics per camera, Duke to Market",
        "53.2/25.1 -> 72.7/43.0",
        ZHUANG,
        f"{gain_per_camera:+.1f} mAP",
        gain_per_camera > 0,
        "ours: short live network, exchanged at test only; another game",
    )
