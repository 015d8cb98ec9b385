"""Numbers that outlive a run: `record` hands them to the rerun tool, `recorded` reads its tables
back.
"""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Sequence
from typing import Any

from .. import files, stats
from .display import emit, number, table
from .messages import say


def plain(value: Any, name: str = "value") -> bool | int | float | str:
    """A value as JSON and CSV hold it; a number that is not finite becomes "nan" or "inf".

    Args:
        value: a one-element tensor, a number, a word or a truth value.
        name: what an error calls it.
    Raises:
        TypeError: the value is something else.
    """
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(say("record value", key=name, kind=type(value).__name__))
    return value


def record(**values: Any) -> None:
    """Hand named numbers (or words) to the rerun tool, which collects them over all runs into one
    table.
    """
    values = {key: plain(value, key) for key, value in values.items()}
    emit(
        say(
            "record", values=", ".join(f"{key} = {number(value)}" for key, value in values.items())
        ),
        record=values,
    )


class Recorded:
    """Rows of a recorded table, each of them one run.

    Args:
        name: of the table in data/results.
        rows: dicts of text, as they stand in the file.
        column: what `claim` speaks of.
    """

    def __init__(self, name: str, rows: list[dict[str, str]], column: str | None = None) -> None:
        self.name = name
        self.rows = rows
        self.column = column

    def where(self, **filters: Any) -> Recorded:
        """The rows whose columns equal the filters, as a table of their own; it may be empty."""
        wanted = {name: str(value) for name, value in filters.items()}
        rows = [row for row in self.rows if wanted.items() <= row.items()]
        return Recorded(self.name, rows, self.column)

    def values(self, column: str | None = None) -> list[float]:
        """The numbers of a column, one per run, in the order of the table."""
        column = self._known(column)
        return [float(row[column]) for row in self.rows if row[column] != ""]

    def by_seed(self, column: str | None = None) -> dict[str, float]:
        """{seed: number} of a column, for differences that are paired by seed (`stats.paired`)."""
        column = self._known(column)
        return {row["SEED"]: float(row[column]) for row in self.rows if row.get(column, "") != ""}

    def estimate(self, column: str | None = None) -> stats.Estimate:
        """Mean and 95 % t interval of a column over the runs -> stats.Estimate."""
        return stats.estimate(self.values(column))

    def differences(self, other: Recorded, column: str | None = None) -> list[float]:
        """This table minus another, run by run of the seeds that both have.

        Args:
            other: the table to subtract.
            column: of both; None is each table's own.
        """
        return stats.paired(self.by_seed(column), other.by_seed(column))

    def change(self, other: Recorded, column: str | None = None) -> stats.Estimate:
        """Mean and 95 % t interval of the differences to another table, paired by seed.

        Args:
            other: the table to subtract.
            column: of both; None is each table's own.
        """
        return stats.estimate(self.differences(other, column))

    def mean(self, column: str | None = None) -> float:
        return statistics.mean(self.values(column))

    def _known(self, column):
        column = column or self.column
        if column not in self.rows[0]:
            known = ", ".join(self.rows[0])
            raise KeyError(say("recorded column", column=column, table=self.name, known=known))
        return column

    @property
    def seeds(self) -> list[int]:
        return sorted({int(row["SEED"]) for row in self.rows if row.get("SEED", "") != ""})

    def provenance(self) -> str:
        """One line: when, at which commit, on what, with which versions, how many seeds."""
        about = {}
        for name in ("date", "commit", "device", "python", "torch"):
            values = sorted({row[name] for row in self.rows if row.get(name)})
            about[name] = " / ".join(values) or "unknown"
        return say("provenance", table=self.name, seeds=len(self.seeds), **about)

    def table(
        self, columns: Sequence[str], by: str | Sequence[str] = (), title: str | None = None
    ) -> None:
        """Show mean and 95 % interval over seeds of each column.

        Args:
            columns: of numbers.
            by: a column or several; each of their values has a line of its own.
            title: above the table.
        """
        by = [by] if isinstance(by, str) else list(by)
        groups = {}
        for row in self.rows:
            groups.setdefault(tuple(row[key] for key in by), []).append(row)
        lines = []
        for key, members in groups.items():
            part = Recorded(self.name, members)
            spreads = [spread(part.estimate(column)) for column in columns]
            lines.append([*key, *spreads, len(part.seeds) or len(members)])
        text, markup = table([*by, *columns, "seeds"], lines, title or "")
        provenance = self.provenance()
        emit(f"{text}\n{provenance}", f"{markup}<p><small>{provenance}</small></p>")


def spread(estimate: stats.Estimate) -> str:
    """ "0.61 [0.58, 0.64]", or the mean alone where one run gives no interval."""
    if estimate.low is None:
        return number(estimate.mean)
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def recorded(name: str, column: str | None = None, **filters: Any) -> Recorded:
    """Read data/results/NAME.csv, keeping finished runs whose columns equal the filters.

    Args:
        name: of the table.
        column: what `claim` speaks of.
        **filters: the value that a column must have.
    Raises:
        FileNotFoundError: there is no such table; the message lists those there are.
        KeyError: a filter names no column.
        ValueError: no row is left.
    """
    path = files.results_dir() / f"{name}.csv"
    if not path.is_file():
        known = (
            ", ".join(sorted(other.stem for other in files.results_dir().glob("*.csv"))) or "none"
        )
        raise FileNotFoundError(say("recorded table", table=name, known=known))
    with open(path, newline="", encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("status", "ok") == "ok"]
    unknown = [key for key in filters if rows and key not in rows[0]]
    if unknown:
        raise KeyError(
            say("recorded column", column=unknown[0], table=name, known=", ".join(rows[0]))
        )
    rows = [row for row in rows if all(row[key] == str(value) for key, value in filters.items())]
    if not rows:
        raise ValueError(say("recorded empty", table=name, filters=filters))
    return Recorded(name, rows, column)
