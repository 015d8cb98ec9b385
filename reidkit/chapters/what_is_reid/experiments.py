"""Chapter 01: its recorded tables, what it looks up in them, and papers' numbers beside ours."""

import torch
from torch import Tensor

from ...teach.recorded import Recorded

# The lines of `make tables` for this chapter.
TABLES = (
    # The baseline over five seeds, examined at home, in unseen places and on real people.
    "reidkit.recipes baseline --seeds 0 1 2 3 4 --threads 2 --out data/results/01_baseline.csv",
    # What the page itself records, over three seeds.
    "reidkit.teach.rerun 01 -p SEED=0,1,2 --jobs 2 --threads 1 "
    "--out build/rerun/01 --record 01_chapter",
)

# A row of `teach.compare_with_paper`: what, paper, source, ours, agree?, remark.
Row = tuple[str, str, str, str, None, str]

LUO = "Luo et al., CVPRW 2019, tables 1 and 3"
MEASURED = "measured once, 256x128, cosine, rectangle AP"


def shares_kept(table: Recorded) -> list[float]:
    """How many percent of its rank-1 at home each recorded network kept in unseen places."""
    home = table.values("home_rank1")
    away = table.values("away_rank1")
    return [100 * score / at_home for score, at_home in zip(away, home)]


def tens_of_people(ids: Tensor) -> tuple[Tensor, ...]:
    """The people of a gallery in random groups of ten; the last one may be smaller.

    Args:
        ids: (G,) of the gallery's pictures.
    Returns:
        Groups of identities, (10,) each.
    """
    people = ids.unique()
    draws = torch.Generator().manual_seed(0)
    order = torch.randperm(len(people), generator=draws)
    return people[order].split(10)


def paper_falls(home: float, away: float) -> list[Row]:
    """The fall between data sets that Luo et al. measured, beside this run's.

    Args:
        home: rank-1 of this run at home, in %.
        away: in unseen places.
    """
    ours = f"{home:.1f} -> {away:.1f}"
    remark = "both fall" if home > away else "ours does not fall"
    first = "rank-1, Market-1501, then DukeMTMC-reID"
    second = "rank-1, DukeMTMC-reID, then Market-1501"
    plain = "the same two abroad without random erasing"
    return [
        (first, "94.5 -> 27.5", LUO, ours, None, remark),
        (second, "86.4 -> 47.4", LUO, ours, None, remark),
        (plain, "41.4 and 54.3", LUO, "no erasing here", None, "chapter 12"),
    ]


def networks_on_real_people(table: Recorded) -> list[Row]:
    """Rank-1 and mAP of known networks on PKU-Reid, beside our recorded ones.

    Args:
        table: 01_baseline.
    """
    ours = f"{table.mean('pku_rank1'):.1f} / {table.mean('pku_map'):.1f}"
    about_ours = "ours: drawn people only, 64x32, mean of five seeds"
    imagenet = "ImageNet MobileNetV1, no re-ID training"
    osnet = "OSNet x0.25, trained on Market-1501's real people"
    return [
        ("a random network", "0.7 / 1.8", MEASURED, ours, None, about_ours),
        (imagenet, "14.7 / 9.1", MEASURED, ours, None, ""),
        (osnet, "30.9 / 24.9", MEASURED, ours, None, "on these 74 people, about level"),
    ]
