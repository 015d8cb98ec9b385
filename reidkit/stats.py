"""How sure a number is: t intervals over seeds, differences paired by seed, bootstrap over people.

Two kinds of chance stand behind a score. Another seed gives another network: for that, a t interval
over a few trained networks. Other people give another exam: for that, a bootstrap that draws
identities.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom.
T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % interval; one value gives none: `low` and `high` are None then."""

    mean: float
    low: float | None
    high: float | None
    count: int  # values behind it

    @property
    def lowest(self) -> float:
        """The lower end of the interval; the mean where there is no interval."""
        return self.mean if self.low is None else self.low

    @property
    def highest(self) -> float:
        """The upper end of the interval; the mean where there is no interval."""
        return self.mean if self.high is None else self.high

    @property
    def sign(self) -> int:
        """+1 or -1 where the whole interval lies above or below 0, else 0: nothing is decided."""
        if self.low is None or self.high is None:
            return 0
        return (self.low > 0) - (self.high < 0)

    @property
    def whiskers(self) -> list[list[float]] | None:
        """What matplotlib's `errorbar` takes as xerr or yerr: [[down], [up]]; None without an
        interval.
        """
        if self.low is None or self.high is None:
            return None
        return [[self.mean - self.low], [self.high - self.mean]]

    def text(self, form: str = "{:+.1f}") -> str:
        """ "+2.1 [+0.8, +3.4]", or the mean alone without an interval; `form` is how one number is
        written.
        """
        if self.low is None or self.high is None:
            return form.format(self.mean)
        return f"{form.format(self.mean)} [{form.format(self.low)}, {form.format(self.high)}]"


def t_point(degrees: int) -> float:
    """The two-sided 95 % point of Student's t; beyond 30 degrees of freedom right to 0.002."""
    if degrees <= len(T95):
        return T95[degrees - 1]
    return 1.96 + 2.5 / degrees


def t_interval(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % t interval of the mean of some values.

    Args:
        values: one value per run.
    Returns:
        (low, high), or (None, None) for fewer than two values.
    """
    if len(values) < 2:
        return None, None
    middle = statistics.mean(values)
    half = t_point(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return middle - half, middle + half


def estimate(values: Sequence[float]) -> Estimate:
    """Mean and 95 % t interval of some values.

    Args:
        values: one of each run, at least one.
    Raises:
        ValueError: there is no value.
    """
    if len(values) == 0:
        raise ValueError("there is no value to take a mean of; expected one of each run")
    low, high = t_interval(values)
    return Estimate(statistics.mean(values), low, high, len(values))


def paired(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    """Differences first - second, run by run.

    Runs of one seed share people, batches and first weights, so their difference scatters less than
    either score.

    Args:
        first: {seed: score}.
        second: {seed: score} of what it is compared with.
    Returns:
        One difference per seed that both have, in the order of `first`.
    """
    return [score - second[seed] for seed, score in first.items() if seed in second]


def bootstrap(
    values: torch.Tensor, groups: torch.Tensor, *, seed: int = 0, rounds: int = 1000
) -> list[tuple[float, float]]:
    """How far means would move with other people: 95 % intervals over draws of whole groups.

    Groups are drawn with replacement, all values of a group together: queries of one person are not
    independent, so drawing single queries would promise too much (Efron and Tibshirani 1993,
    chapter 8).

    Args:
        values: (M, K) K numbers for each of M queries.
        groups: (M,) whom a query shows.
        seed: of the draws.
        rounds: how many draws.
    Returns:
        K intervals (low, high) of the mean of each number.
    """
    people, person = torch.unique(groups, return_inverse=True)
    table = torch.cat(
        [torch.ones(len(values), 1), values], dim=1
    ).double()  # (M, 1 + K) with a count
    sums = torch.zeros(len(people), table.shape[1], dtype=torch.float64)
    sums.index_add_(0, person, table)  # of each person
    draws = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(people), (rounds, len(people)), generator=draws)
    totals = sums[drawn].sum(1)  # (rounds, people, 1 + K) -> (rounds, 1 + K)
    means = totals[:, 1:] / totals[:, :1]
    ends = torch.quantile(means, torch.tensor([0.025, 0.975]).double(), dim=0)  # (2, K)
    return [tuple(pair) for pair in ends.T.tolist()]
