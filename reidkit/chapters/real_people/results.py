"""Chapter 11: what its recorded tables say of real people, and others' numbers beside ours."""

from collections.abc import Mapping

import torch
from torch import Tensor

from ... import files, stats, store
from ...recipes import study
from ...stats import Estimate
from ...teach.recorded import Recorded

# Our measurement of published networks, one code, 256x128, cosine, rectangle AP: rank-1 and mAP in
# % on a half of PKU-Reid, camera 1 searched in camera 2; _camera: batch norm statistics
# re-estimated per camera.
PUBLISHED = {
    "random MobileNetV1": {"development": (0.7, 3.4), "report": (1.0, 3.7)},
    "MobileNetV1, ImageNet": {"development": (20.9, 14.3), "report": (20.9, 13.5)},
    "OSNet x0.25, Market-1501": {
        "development": (38.2, 31.1),
        "report": (41.9, 34.2),
        "development_camera": (69.6, 58.3),
        "report_camera": (74.3, 55.7),
    },
    "OSNet x0.25, MSMT17": {
        "development": (62.8, 46.7),
        "report": (61.1, 49.5),
        "development_camera": (76.7, 61.4),
        "report_camera": (74.3, 60.1),
    },
}
ZHUANG = "Zhuang et al., ECCV 2020 (reported)"

# What makes the drawn world rich, one knob at a time: (knob, its value when it is off).
RICHNESS = (
    ("degradation", "0"),
    ("texture", "0"),
    ("clutter", "0"),
    ("occlusion", "0"),
    ("crop error", "0"),
    ("variety of dress", "0"),
    ("views", "0"),
)
PLAIN = ("whole world", "plain")  # all of them off at once

# {(knob, value): differences to the usual recipe, one per seed}
Changes = dict[tuple[str, str], list[float]]

# ---- recorded numbers


def recorded_features() -> dict[str, Tensor]:
    """What was recorded on the development half (592 pictures).

    Returns:
        "bn", "bn_camera", "bin", "bin_camera" (592, 256): features of two networks on their
        strongest axes; "ids", "cameras" (592,); "style_pku" (592, 6); "outline" (64, 32).
    """
    values = {}
    for name in ("11_features", "11_outline"):
        tensors, _ = store.load_checked(files.results_dir() / f"{name}.safetensors")
        for key, value in tensors.items():
            values[key] = value.float() if value.is_floating_point() else value
    return values


def usual(table: Recorded) -> Recorded:
    """Recorded rows of the usual recipe."""
    return table.where(knob="usual")


def over_people(runs: Recorded, column: str) -> Estimate:
    """Mean of a column over the runs, and the mean of their bootstrap intervals over people.

    Args:
        runs: whose mean is taken.
        column: the score's; the table has its interval in COLUMN_low and COLUMN_high.
    """
    low = runs.mean(f"{column}_low")
    high = runs.mean(f"{column}_high")
    return Estimate(runs.mean(column), low, high, len(runs.rows))


def groups(table: Recorded) -> dict[str, dict[str, Recorded]]:
    """{knob: {value: its rows}} in the study's order, of the knobs that were turned.

    The usual recipe stands in every group, under its value there.

    Args:
        table: 11_study.
    """
    groups_of_knobs = {}
    for knob, values in study.STUDY.items():
        cells = {}
        for value, differs in values.items():
            cell = table.where(knob=knob, value=value) if differs else usual(table)
            if cell.rows:
                cells[value] = cell
        if any(values[value] for value in cells):  # one that differs from the usual
            groups_of_knobs[knob] = cells
    return groups_of_knobs


def changes(table: Recorded, column: str) -> Changes:
    """What every value that is not usual changes, paired by seed.

    Args:
        table: 11_study.
        column: whose differences to the usual recipe are taken.
    """
    before = usual(table)
    changes_of_values = {}
    for knob, cells in groups(table).items():
        for value, cell in cells.items():
            if not study.STUDY[knob][value]:
                continue
            differences = cell.differences(before, column)
            if differences:
                changes_of_values[knob, value] = differences
    return changes_of_values


def agreement(table: Recorded, column: str = "map") -> float:
    """Rank correlation (Spearman) between what a change does to drawn and to real people: 1 same
    order, 0 none.

    Args:
        table: 11_study.
        column: "map" or "rank1".
    """
    real = changes(table, f"pku_development_{column}")
    drawn = changes(table, f"validation_{column}")
    in_both = [key for key in real if key in drawn]
    means = []
    for side in (real, drawn):
        means.append([stats.estimate(side[key]).mean for key in in_both])
    ranks = torch.tensor(means).argsort(1).argsort(1)  # (2, changes)
    return torch.corrcoef(ranks.float())[0, 1].item()


def beyond_the_sum(real_changes: Changes) -> list[float]:
    """By how much a plain world changes more than its knobs one at a time, seed by seed."""
    alone = [real_changes[key] for key in RICHNESS]
    together = real_changes[PLAIN]
    return [plain - sum(ones) for plain, *ones in zip(together, *alone)]


def camera_gains(norm: Mapping[str, Recorded]) -> list[float]:
    """Points of mAP that statistics per camera win on real people, for each norm and seed.

    Args:
        norm: {name: rows of the study}.
    """
    gains = []
    for cell in norm.values():
        before = cell.values("pku_development_map")
        after = cell.values("pku_development_camera_map")
        gains += [per_camera - plain for plain, per_camera in zip(before, after)]
    return gains


# ---- papers


def paper_steps(norm: Mapping[str, Recorded], final: Recorded) -> list[tuple]:
    """Statistics per camera in Zhuang et al. and in our recorded seeds: rows of
    `teach.compare_with_paper`.

    Args:
        norm: {name: rows of the study}.
        final: rows of the final network.
    """
    smallest = min(camera_gains(norm))
    on_market = "BN, trained on Duke, on Market's cameras"
    adabn = "one statistic for all cameras (AdaBN)"
    ours = "our final drawn-only network, all 74 people"
    return [
        (
            on_market,
            "53.2/25.1 -> 72.7/43.0",
            ZHUANG,
            _step(norm["BN"], "pku_development"),
            smallest > 0,
            "real to real there; drawn to real here, two cameras, 37 people",
        ),
        (
            adabn,
            "53.2/25.1 -> 55.8/28.1",
            ZHUANG,
            "not measured",
            None,
            "in their table most of the gain needs the cameras apart",
        ),
        (
            ours,
            "none",
            "",
            _step(final, "pku"),
            None,
            "twice the gallery of a half; later chapters join here",
        ),
    ]


def _step(recorded, exam):
    """ "rank-1/mAP -> rank-1/mAP": as trained, then per camera."""
    marks = []
    for name in (exam, f"{exam}_camera"):
        rank1 = recorded.mean(f"{name}_rank1")
        ap = recorded.mean(f"{name}_map")
        marks.append(f"{rank1:.1f}/{ap:.1f}")
    return " -> ".join(marks)
