"""Chapter 11: the committed network on every set of real pictures, others' networks beside it."""

from dataclasses import dataclass

from ...stats import Estimate
from ...teach.recorded import Recorded
from . import results

OURS = "ours, drawn people only"
OURS_PER_CAMERA = "ours, statistics per camera (transductive)"

# Whose each network is, and what it learnt from.
WHOSE = {
    OURS: "ours: 1.2 million parameters, 64x32, no photograph",
    OURS_PER_CAMERA: "ours: the same network",
    "OSNet x0.25, Market-1501": "Zhou et al., 2019: 0.2 million parameters, 256x128",
    "OSNet x0.25, MSMT17": "Zhou et al., 2019: 0.2 million parameters, 256x128",
    "Intel 0288": "person-reidentification-retail-0288 of Intel's Open Model Zoo: 0.18 million "
    "parameters, 256x128, MSMT17 and private data",
    "Intel 0287": "person-reidentification-retail-0287 of Intel's Open Model Zoo: 0.6 million "
    "parameters, 256x128, MSMT17 and private data",
}

# Our measurement of published networks, one code, one pass each, cosine, rectangle AP: rank-1 and
# mAP in % in exams as recipes.reals calls them, each with the same queries and gallery as ours.
# What is not here was not measured.
REFERENCES = {
    "OSNet x0.25, Market-1501": {"pku_report": (41.9, 34.2), "caviar4reid": (8.8, 6.7)},
    "OSNet x0.25, MSMT17": {
        "pku_report": (61.1, 49.5),
        "caviar4reid": (22.2, 13.8),
        "3dpes": (46.5, 33.5),
        "vehicles": (63.7, 72.3),
    },
    "Intel 0288": {
        "pku_report": (83.1, 69.7),
        "caviar4reid": (65.6, 37.3),
        "3dpes": (69.0, 56.7),
        "vehicles": (75.0, 79.8),
    },
    "Intel 0287": {"pku_report": (92.9, 83.3), "caviar4reid": (71.8, 46.0)},
}

# The committed network, measured once with the references, for an exam that no table holds.
MEASURED_ONCE = {"3dpes": (43.4, 31.7)}

# Exams in which references were measured, and what a figure calls them.
EXAMS = {
    "pku_report": "PKU-Reid, report half\n37 people",
    "3dpes": "3DPeS\n193 people",
    "caviar4reid": "CAVIAR4REID\n50 people",
    "vehicles": "vehicles\n567, no people",
}


@dataclass(frozen=True)
class Score:
    """One network in one exam, in %, with intervals over identities where they were taken.

    Args:
        network: its name.
        whose: who made it, and from what.
        rank1: rank-1.
        ap: mAP.
    """

    network: str
    whose: str
    rank1: Estimate
    ap: Estimate


def scores(exam: str, reals: Recorded, models: Recorded) -> list[Score]:
    """The committed network in an exam, then the others that were measured there.

    Args:
        exam: one of EXAMS.
        reals: 11_reals.
        models: 11_models, whose seed 0 is the committed network.
    """
    found = _ours(exam, reals, models)
    for network, measured in REFERENCES.items():
        if exam in measured:
            found.append(_once(network, measured[exam]))
    return found


def _once(network, numbers):
    """A Score of (rank-1, mAP) that were measured once, without intervals."""
    rank1, ap = (Estimate(number, None, None, 1) for number in numbers)
    return Score(network, WHOSE[network], rank1, ap)


def _ours(exam, reals, models):
    """As trained and, where it was measured, per camera: from 11_reals, 11_models or, at last, what
    was measured once.
    """
    rows = reals.where(exam=exam)
    prefix = ""
    if not rows.rows:
        rows = models.where(model="drawn-laptop", SEED=0)
        prefix = f"{exam}_"
    found = []
    for network, way in ((OURS, ""), (OURS_PER_CAMERA, "camera_")):
        columns = [f"{prefix}{way}{score}" for score in ("rank1", "map")]
        if rows.rows and all(rows.rows[0].get(column) for column in columns):
            rank1, ap = (results.over_people(rows, column) for column in columns)
            found.append(Score(network, WHOSE[network], rank1, ap))
    if not found and exam in MEASURED_ONCE:
        found.append(_once(OURS, MEASURED_ONCE[exam]))
    return found


def gap(exam: str, network: str, reals: Recorded, models: Recorded) -> float:
    """By how many points of rank-1 the committed network, as trained, is ahead of another one.

    Args:
        exam: one of EXAMS.
        network: a name of REFERENCES.
        reals: 11_reals.
        models: 11_models.
    Raises:
        KeyError: one of both was not measured there.
    """
    rank1 = {score.network: score.rank1.mean for score in scores(exam, reals, models)}
    return rank1[OURS] - rank1[network]
