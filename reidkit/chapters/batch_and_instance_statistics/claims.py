"""Chapter 02: what it claims, the numbers behind each sentence, and what papers measured."""

from dataclasses import dataclass

import torch

from ... import stats
from ...teach.claims import claim
from ...teach.start import Run
from .experiments import recorded

TABLE = "02_chapter"
AS_TRAINED = "as trained"
ADABN = "per place (AdaBN)"
CBN = "per camera (CBN)"

# {(where, way): {gallery: (rank-1, mAP) in %}}: "home" or "new places", one of the ways above, and
# the galleries of `experiments.score_exam`.
Ways = dict[tuple[str, str], dict[str, tuple[float, float]]]

EVERYWHERE = (("smoke", "laptop", "gpu"), ("world", "market1501", "pku-reid"))


@dataclass(frozen=True)
class Claim:
    """A sentence and what decides it."""

    sentence: str
    unit: str  # of the number
    above: float = 0.0  # the sentence holds for a number above this one,
    below: float | None = None  # or, where there is one, for a number below this one
    everywhere: bool = False  # judged at every preset and data source; needs no recorded seeds

    def holds(self, number: float) -> bool:
        """Whether the sentence is true of this number."""
        if self.below is not None:
            return number < self.below
        return number > self.above


CLAIMS = {
    "at_large_rate": Claim(
        "At a rate of 0.3 and first weights as usual, every net with BN ends below half of what "
        "guessing costs, every net without above it",
        "of loss between that line and the nearest net",
    ),
    "any_scale": Claim(
        "With BN the net learns better than without at every size of the first weights, "
        "each at its best rate",
        "of loss, worst case",
    ),
    "camera_falls": Claim(
        "In the stem, more of the variance between pictures is camera than in the last stage",
        "points",
    ),
    "person_lost": Claim(
        "What IN deletes in the stem is to more than a tenth person",
        "% of the variance between pictures",
        above=10,
    ),
    "style_falls": Claim(
        "From pixels to the last stage, the divergence by style falls to less than a tenth",
        "times",
        above=10,
    ),
    "content_growth": Claim(
        "Content is smaller in the last stage than in pixels",
        "times",
        below=1,
    ),
    "person_batches": Claim(
        "A forgotten eval with one batch a person costs more than ten points of mAP",
        "points of mAP",
        above=10,
    ),
    "per_camera_gain": Claim(
        "In new places, statistics per camera win more than five points of mAP",
        "points of mAP",
        above=5,
    ),
    "beyond_adabn": Claim(
        "They win more than one statistic for each place does",
        "points of mAP",
    ),
    "home_gain": Claim(
        "They win at home too, with one gallery a place",
        "points of mAP",
    ),
    "pooled_loss": Claim(
        "At home they win less, or lose, in one gallery of all places",
        "points of mAP",
    ),
    "one_formula": Claim(
        "The three layers are the one formula",
        "largest difference",
        below=1e-5,
        everywhere=True,
    ),
    "grey_twins": Claim(
        "IN cannot tell mid-grey from light grey before black, BN can",
        "deviations",
        above=0.1,
        everywhere=True,
    ),
}


def judge(name: str, measured: float, run: Run) -> None:
    """Show one of CLAIMS with its number; recorded seeds stand beside it where there are some.

    Args:
        name: of the claim, and of its column in the recorded table.
        measured: in this run.
        run: from teach.start.
    """
    this = CLAIMS[name]
    if this.everywhere:
        claim(this.sentence, measured, this.holds, this.unit, run, at=EVERYWHERE)
    else:
        claim(this.sentence, measured, this.holds, this.unit, run, recorded(TABLE, name))


# ---- the numbers behind the sentences


def loss_gaps(plain: dict, normed: dict, scale: int, rate: int) -> dict[str, float]:
    """How far nets with batch norm end below those without; a loss that is not a number counts 99.

    Args:
        plain: result of `train_deep_nets` without batch norm.
        normed: the same with it.
        scale: which of the scales is the usual one.
        rate: which of the rates is the large one.
    Returns:
        "at_large_rate": at this scale and rate, from half of what guessing among 24 people costs to
        the nearest net; "any_scale": the least gap, each at its best rate.
    """
    half = torch.log(torch.tensor(24.0)) / 2
    plain_losses = plain["loss"].nan_to_num(99)  # (scales, rates, seeds)
    normed_losses = normed["loss"].nan_to_num(99)
    above = (plain_losses[scale, rate] - half).min()  # over seeds
    below = (half - normed_losses[scale, rate]).min()
    best_plain = plain_losses.amin(1)  # (scales, seeds)
    best_normed = normed_losses.amin(1)
    return {
        "at_large_rate": float(min(above, below)),
        "any_scale": float((best_plain - best_normed).min()),
    }


def parted(trained: dict[str, list[float]], untrained: dict[str, list[float]]) -> float:
    """How many times more style is left for each bit of content in the last stage of the untrained
    network than in that of the trained one.

    Args:
        trained: curves of `experiments.style_and_content`.
        untrained: the same of the untrained network.
    """
    left = trained["style"][-1] / trained["content"][-1]
    left_untrained = untrained["style"][-1] / untrained["content"][-1]
    return left_untrained / left


def gain(ways: Ways, where: str, way: str, gallery: str = "by place") -> float:
    """Points of mAP that other statistics win over the network as trained.

    Args:
        ways: scores of this run, in %.
        where: "home" or "new places".
        way: ADABN or CBN, the other statistics.
        gallery: of `experiments.score_exam`, "by place" or "pooled".
    """
    _, mean_ap = ways[where, way][gallery]
    _, mean_ap_as_trained = ways[where, AS_TRAINED][gallery]
    return mean_ap - mean_ap_as_trained


def gains(ways: Ways) -> dict[str, float]:
    """The gains that the chapter's sentences speak of, in points of mAP."""
    per_camera = gain(ways, "new places", CBN)
    at_home = gain(ways, "home", CBN)
    at_home_pooled = gain(ways, "home", CBN, "pooled")
    return {
        "per_camera_gain": per_camera,
        "home_gain": at_home,
        "pooled_loss": at_home - at_home_pooled,
        "beyond_adabn": per_camera - gain(ways, "new places", ADABN),
    }


def name_scores(ways: Ways) -> dict[str, float]:
    """mAP under the names of the recorded table, such as new_places_per_camera_cbn_by_place."""
    scores = {}
    for (where, way), galleries in ways.items():
        for gallery, (_, mean_ap) in galleries.items():
            name = f"{where} {way} {gallery}".lower()
            scores[name.replace(" ", "_").replace("(", "").replace(")", "")] = mean_ap
    return scores


# ---- beside the papers


def paper_rows(ways: Ways, trained: dict[str, list[float]]) -> list[tuple]:
    """Rows for `teach.compare_with_paper`.

    Args:
        ways: scores of this run.
        trained: the curves of `experiments.style_and_content`, of the trained network.
    """
    zhuang = "Zhuang et al., ECCV 2020 (reported)"
    pan = "Pan et al., ECCV 2018, figure (reported)"
    style_first, *_, style_last = trained["style"]
    content_first, *_, content_last = trained["content"]
    return [
        (
            "new place, one statistic for it (AdaBN), rank-1/mAP",
            "53.2/25.1 -> 55.8/28.1",
            zhuang,
            _step(ways, "new places", ADABN),
            gain(ways, "new places", ADABN) > 0,
            f"in recorded seeds, mAP by {_recorded_steps()}",
        ),
        (
            "new place, per camera (CBN)",
            "53.2/25.1 -> 72.7/43.0",
            zhuang,
            _step(ways, "new places", CBN),
            gain(ways, "new places", CBN) > 0,
            "one gallery a place, as there",
        ),
        (
            "at home (Duke), per camera",
            "81.5/66.6 -> 82.5/67.3",
            zhuang,
            _step(ways, "home", CBN),
            gain(ways, "home", CBN) > 0,
            "same sign, far larger here: our network is hardly trained",
        ),
        (
            "divergence by style, shallow to deep",
            "falls",
            pan,
            f"{style_first:.1f} -> {style_last:.1f}",
            style_first > style_last,
        ),
        (
            "divergence by content, shallow to deep",
            "grows",
            pan,
            f"{content_first:.2f} -> {content_last:.2f}",
            content_first < content_last,
            "kinds of objects there, colour of clothes here",
        ),
    ]


def _step(ways, where, way):
    """ "rank-1/mAP -> rank-1/mAP", from the network as trained to this way."""
    rank1_before, map_before = ways[where, AS_TRAINED]["by place"]
    rank1, mean_ap = ways[where, way]["by place"]
    return f"{rank1_before:.1f}/{map_before:.1f} -> {rank1:.1f}/{mean_ap:.1f}"


def _recorded_steps():
    """What AdaBN changes in new places, seed by seed, in words."""
    table = recorded(TABLE)
    if table is None:
        return "(no table)"
    before = table.by_seed("new_places_as_trained_by_place")
    after = table.by_seed("new_places_per_place_adabn_by_place")
    return ", ".join(f"{points:+.1f}" for points in stats.paired(after, before)) or "(no table)"
