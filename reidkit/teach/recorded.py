"""Numbers that outlive a run: `record` hands them to the rerun tool, `recorded` reads its tables
back.
"""

from __future__ import annotations

import html
import math
import statistics
from collections.abc import Sequence
from typing import Any

from .. import files, stats, table_files
from .display import emit, number, table
from .messages import say
from .tables import command_of


def plain(value: Any, what: str = "the value") -> bool | int | float | str:
    """A value as JSON and CSV hold it; a number that is not finite becomes "nan" or "inf".

    Args:
        value: a one-element tensor or array, a number, a word or a truth value.
        what: what an error calls it, such as "record(share=...)".
    Raises:
        TypeError: the value is something else.
    """
    kind = type(value).__name__
    shape = getattr(value, "shape", None)
    if shape is not None and hasattr(value, "item"):  # a tensor, an array, a number of numpy
        if math.prod(shape) != 1:
            raise TypeError(say("record shape", what=what, kind=kind, shape=tuple(shape)))
        try:
            value = value.item()
        except (RuntimeError, TypeError, ValueError):  # of torch's meta device
            raise TypeError(say("record value", what=what, kind=kind)) from None
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(say("record value", what=what, kind=kind))
    return value


def record(**values: Any) -> None:
    """Hand named numbers (or words) to the rerun tool, which collects them over all runs into one
    table.

    Args:
        **values: one number, word or truth value each; a tensor or array may have one element.
    Raises:
        TypeError: a value is something else.
    """
    values = {key: plain(value, f"record({key}=...)") for key, value in values.items()}
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
        numbers: of the rows in the file, for errors; None counts them from 1.
    """

    def __init__(
        self,
        name: str,
        rows: list[dict[str, str]],
        column: str | None = None,
        numbers: Sequence[int] | None = None,
    ) -> None:
        self.name = name
        self.rows = rows
        self.column = column
        self.numbers = list(range(1, len(rows) + 1)) if numbers is None else list(numbers)

    def where(self, **filters: Any) -> Recorded:
        """The rows whose columns equal the filters, as a table of their own; it may be empty."""
        wanted = {name: str(value) for name, value in filters.items()}
        places = [at for at, row in enumerate(self.rows) if wanted.items() <= row.items()]
        return self._part(places)

    def _part(self, places):
        rows = [self.rows[at] for at in places]
        return Recorded(self.name, rows, self.column, [self.numbers[at] for at in places])

    def values(self, column: str | None = None) -> list[float]:
        """The numbers of a column, one per run, in the order of the table.

        Args:
            column: None is the table's own.
        Raises:
            KeyError: there is no such column.
            ValueError: a row holds no finite number there.
        """
        column = self._known(column)
        return [self._number(at, column) for at in self._filled(column)]

    def by_seed(self, column: str | None = None) -> dict[str, float]:
        """{seed: number} of a column, for differences that are paired by seed (`stats.paired`).

        Args:
            column: None is the table's own.
        Raises:
            KeyError: there is no such column.
            ValueError: a row holds no finite number there, or two rows are of one seed.
        """
        column = self._known(column)
        places = self._filled(column)
        self._check_seeds(places)
        return {self.rows[at]["SEED"]: self._number(at, column) for at in places}

    def estimate(self, column: str | None = None) -> stats.Estimate:
        """Mean and 95 % t interval of a column over the runs.

        Args:
            column: None is the table's own.
        Raises:
            KeyError: there is no such column.
            ValueError: no row holds a number there, one holds something else, or two rows are of
                one seed: counted twice, it would narrow the interval.
        """
        column = self._known(column)
        self._check_seeds(self._filled(column))
        return stats.estimate(self._some(column))

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
        """Mean of a column over the runs; errors as `estimate`, but for the seeds."""
        return statistics.mean(self._some(self._known(column)))

    def _known(self, column):
        column = column or self.column
        if not self.rows:
            raise ValueError(say("recorded none", column=column, table=self.name))
        if column not in self.rows[0]:
            known = ", ".join(self.rows[0])
            raise KeyError(say("recorded column", column=column, table=self.name, known=known))
        return column

    def _filled(self, column):
        """Places of the rows that have something in a column."""
        return [at for at, row in enumerate(self.rows) if row[column] != ""]

    def _some(self, column):
        values = self.values(column)
        if not values:
            raise ValueError(say("recorded none", column=column, table=self.name))
        return values

    def _number(self, at, column):
        text = self.rows[at][column]
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            row = table_files.name_row(self.numbers[at], list(self.rows[at].values()))
            command = command_of(self.name) or say("recorded command")
            about = {"row": row, "column": column, "value": text, "table": self.name}
            raise ValueError(say("recorded number", command=command, **about))
        return value

    def _check_seeds(self, places):
        first = {}
        for at in places:
            seed = self.rows[at].get("SEED", "")
            if seed != "" and seed in first:
                rows = [self.numbers[first[seed]], self.numbers[at]]
                raise ValueError(say("recorded seeds", rows=rows, seed=seed, table=self.name))
            first[seed] = at

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
        for key in by:
            self._known(key)
        for at, row in enumerate(self.rows):
            groups.setdefault(tuple(row[key] for key in by), []).append(at)
        lines = []
        for key, places in groups.items():
            part = self._part(places)
            spreads = [spread(part.estimate(column)) for column in columns]
            lines.append([*key, *spreads, len(part.seeds) or len(places)])
        text, markup = table([*by, *columns, "seeds"], lines, title or "")
        provenance = self.provenance()
        small = f"<p><small>{html.escape(provenance)}</small></p>"
        emit(f"{text}\n{provenance}", markup + small)


def spread(estimate: stats.Estimate) -> str:
    """ "0.61 [0.58, 0.64]", or the mean alone where one run gives no interval."""
    if estimate.low is None:
        return number(estimate.mean)
    return f"{number(estimate.mean)} [{number(estimate.low)}, {number(estimate.high)}]"


def recorded(name: str, column: str | None = None, **filters: Any) -> Recorded:
    """Read data/results/NAME.csv, keeping finished runs whose columns equal the filters.

    The file is compared with what was recorded first, see `table_files`.

    Args:
        name: of the table.
        column: what `claim` speaks of.
        **filters: the value that a column must have.
    Raises:
        FileNotFoundError: there is no such table; the message lists those there are.
        KeyError: a filter names no column.
        ValueError: the name is none, the file is not as it was recorded, or no row is left.
    """
    path = files.results_dir() / f"{files.check_name(name, 'the name of a recorded table')}.csv"
    if not path.is_file():
        names = sorted(other.stem for other in files.results_dir().glob("*.csv"))
        known = ", ".join(names) or "none"
        command = command_of(name)
        hint = say("recorded missing", command=command) if command else ""
        raise FileNotFoundError(say("recorded table", table=name, known=known) + hint)
    found = table_files.read_table(path, command_of)
    unknown = [key for key in filters if found and key not in found[0]]
    if unknown:
        raise KeyError(
            say("recorded column", column=unknown[0], table=name, known=", ".join(found[0]))
        )
    rows = []
    numbers = []
    for place, row in enumerate(found, 1):
        wanted = all(row[key] == str(value) for key, value in filters.items())
        if row.get("status", "ok") == "ok" and wanted:
            rows.append(row)
            numbers.append(place)
    if not rows:
        raise ValueError(say("recorded empty", table=name, filters=filters))
    return Recorded(name, rows, column, numbers)
