"""Numbers that outlive a run: `record` hands them to the rerun tool, `recorded` reads its tables back."""

import csv
import math
import statistics

from .. import files
from .display import emit, number, table
from .messages import say

# Two-sided 95 % points of Student's t for 1 to 30 degrees of freedom; beyond, 1.96 + 2.5 / df is right to 0.002.
T95 = (
    12.706,
    4.303,
    3.182,
    2.776,
    2.571,
    2.447,
    2.365,
    2.306,
    2.262,
    2.228,
    2.201,
    2.179,
    2.160,
    2.145,
    2.131,
    2.120,
    2.110,
    2.101,
    2.093,
    2.086,
    2.080,
    2.074,
    2.069,
    2.064,
    2.060,
    2.056,
    2.052,
    2.048,
    2.045,
    2.042,
)


def plain(value, name="value"):
    """A one-element tensor, number, word or truth value -> what JSON and CSV hold; not finite: "nan", "inf"."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if not isinstance(value, (bool, int, float, str)):
        raise TypeError(say("record value", key=name, kind=type(value).__name__))
    return value


def record(**values):
    """Hand named numbers (or words) to the rerun tool, which collects them over all runs into one table."""
    values = {key: plain(value, key) for key, value in values.items()}
    emit(
        say(
            "record", values=", ".join(f"{key} = {number(value)}" for key, value in values.items())
        ),
        record=values,
    )


def t_interval(values):
    """95 % t interval of the mean -> (low, high), or (None, None) for fewer than two values."""
    if len(values) < 2:
        return None, None
    df = len(values) - 1
    half = (
        (T95[df - 1] if df <= 30 else 1.96 + 2.5 / df)
        * statistics.stdev(values)
        / math.sqrt(len(values))
    )
    return statistics.mean(values) - half, statistics.mean(values) + half


class Recorded:
    """Rows of a recorded table; each row is one run. `column` is what `claim` speaks of."""

    def __init__(self, name, rows, column=None):
        self.name, self.rows, self.column = name, rows, column

    def values(self, column=None):
        """The numbers of a column, one a run, in the order of the table."""
        column = column or self.column
        if column not in self.rows[0]:
            raise KeyError(
                say(
                    "recorded column", column=column, table=self.name, known=", ".join(self.rows[0])
                )
            )
        return [float(row[column]) for row in self.rows if row[column] != ""]

    def mean(self, column=None):
        return statistics.mean(self.values(column))

    def interval(self, column=None):
        """95 % t interval over the runs -> (low, high); (None, None) with one run."""
        return t_interval(self.values(column))

    @property
    def seeds(self):
        return sorted({int(row["SEED"]) for row in self.rows if row.get("SEED", "") != ""})

    def provenance(self):
        """One line: when, at which commit, on what, with which versions, how many seeds."""

        def one(column):
            return (
                " / ".join(sorted({row[column] for row in self.rows if row.get(column)}))
                or "unknown"
            )

        about = {name: one(name) for name in ("date", "commit", "device", "python", "torch")}
        return say("provenance", table=self.name, seeds=len(self.seeds), **about)

    def summary(self, column=None):
        """{"mean", "low", "high", "n"} of a column, for a claim."""
        low, high = self.interval(column)
        return {"mean": self.mean(column), "low": low, "high": high, "n": len(self.values(column))}

    def table(self, columns, by=(), title=None):
        """Show mean and 95 % interval over seeds of each column, one line for each value of the `by` columns."""
        by = [by] if isinstance(by, str) else list(by)
        groups = {}
        for row in self.rows:
            groups.setdefault(tuple(row[key] for key in by), []).append(row)
        rows = []
        for key, members in groups.items():
            part = Recorded(self.name, members)
            spreads = [spread(part.summary(column)) for column in columns]
            rows.append([*key, *spreads, len(part.seeds) or len(members)])
        text, markup = table([*by, *columns, "seeds"], rows, title or "")
        emit(f"{text}\n{self.provenance()}", f"{markup}<p><small>{self.provenance()}</small></p>")


def spread(summary):
    """ "0.61 [0.58, 0.64]", or the mean alone where one run gives no interval."""
    if summary["low"] is None:
        return number(summary["mean"])
    return f"{number(summary['mean'])} [{number(summary['low'])}, {number(summary['high'])}]"


def recorded(name, column=None, **filters):
    """Read data/results/NAME.csv -> Recorded, keeping finished runs whose columns equal the filters.

    Raises FileNotFoundError with the tables there are, KeyError for an unknown filter, ValueError where no row is left.
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
