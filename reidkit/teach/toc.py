"""The table of chapters in the README, made from the headers of the chapters' sources.

`python -m reidkit.teach.toc` prints it, `--write` puts it into README.md between two marks. The
minutes in docs/TEACHING.md are written by the same command, and chapter 0 draws its map from the
same headers.
"""

import argparse
import pathlib
import re
from dataclasses import dataclass

from .. import files
from ..console import command
from .display import in_markdown
from .messages import say
from .rooms import source_folder

BEGIN = "<!-- chapters: made by `python -m reidkit.teach.toc --write` -->"
END = "<!-- end of chapters -->"
HEAD = "| | chapter | what it is about | minutes of study |\n|---|---|---|---|"
# The rows of chapter 0's map, from the top.
ROWS = (
    "the task",
    "normalisation",
    "adaptation",
    "parts",
    "neighbours",
    "the real world",
)
MINUTES_HEAD = "| | chapter | minutes of study | of these computing |\n|---|---|---|---|"
FIELDS = ("chapter", "title", "about", "minutes_study", "minutes_compute", "row", "map")
LINK = r"\]\(\.\./notebooks/(\w+)\.ipynb\)"  # to a chapter, in a row of a plan


@dataclass(frozen=True)
class Entry:
    """What the header of a chapter's source says of it."""

    name: str  # of the source and the notebook, "01_what_is_reid"
    number: str  # "01"
    title: str
    about: str  # one sentence for the table in the README
    minutes: float  # of study
    computing: float  # minutes of these
    row: str  # title of its row on the map of chapter 0
    map: str  # the words in its box there


def read_entries(folder: pathlib.Path | None = None) -> list[Entry]:
    """All chapters in reading order, from their headers alone.

    Args:
        folder: of the sources; without it, this course's.
    Raises:
        ValueError: a header lacks a field, or names a row that the map does not have.
    """
    paths = (folder or source_folder()).glob("[0-9]*.py")
    return [_read_entry(path) for path in sorted(paths)]


def _read_entry(path: pathlib.Path) -> Entry:
    header = _read_header(path)
    for field in FIELDS:
        if not header.get(field):
            raise ValueError(say("header field", file=path.name, field=field))
    if header["row"] not in ROWS:
        known = ", ".join(ROWS)
        raise ValueError(say("header row", file=path.name, row=header["row"], known=known))
    return Entry(
        name=path.stem,
        number=header["chapter"],
        title=header["title"],
        about=header["about"],
        minutes=header["minutes_study"],
        computing=header["minutes_compute"],
        row=header["row"],
        map=header["map"],
    )


def _read_header(path: pathlib.Path) -> dict:
    """The fields below `reidkit:` at the top of a source, whose cells are not parsed."""
    import jupytext  # 1.5 s: only builders and chapter 0 need it

    try:
        top = re.match(r"# ---\n(#.*\n)+?# ---\n", path.read_text(encoding="utf-8"))
        header = jupytext.reads(top[0], fmt="py:percent").metadata if top else {}
    except OSError:
        raise
    except Exception as error:  # of YAML, of which there are many, or bytes that are no text
        reason = str(error).strip().splitlines()[0]
        raise ValueError(say("header form", file=path.name, reason=reason)) from error
    fields = header.get("reidkit", {})
    return fields if isinstance(fields, dict) else {}


def make_table(folder: pathlib.Path | None = None) -> str:
    """The table of chapters in markdown: number with a link, title, what it is about, minutes.

    Args:
        folder: of the sources; without it, this course's.
    """
    lines = [HEAD]
    for entry in read_entries(folder):
        link = f"[{entry.number}](notebooks/{entry.name}.ipynb)"
        title = _as_cell(entry.title)
        about = _as_cell(entry.about)
        lines.append(f"| {link} | {title} | {about} | {entry.minutes:g} |")
    return "\n".join(lines)


def make_minutes(entries: list[Entry]) -> str:
    """The table of minutes of docs/TEACHING.md, in markdown.

    Args:
        entries: of the chapters, in reading order.
    """
    lines = [MINUTES_HEAD]
    for entry in entries:
        link = f"[{entry.number}](../notebooks/{entry.name}.ipynb)"
        title = _as_cell(entry.title)
        lines.append(f"| {link} | {title} | {entry.minutes:g} | {entry.computing:g} |")
    return "\n".join(lines)


def with_minutes(text: str, entries: list[Entry]) -> str:
    """The page for lecturers with today's minutes: its table, and the last cell of each week.

    Args:
        text: of the page, which holds the marks.
        entries: of the chapters.
    Raises:
        ValueError: the text lacks the marks.
        KeyError: a week links to a chapter that is not there.
    """
    minutes = {entry.name: entry.minutes for entry in entries}

    def summed(row):
        total = sum(minutes[name] for name in re.findall(LINK, row[1]))
        return f"{row[1]}| {total:g} |"

    text = re.sub(rf"(?m)^(\|.*{LINK}.*)\| [\d.]+ \|$", summed, text)
    return with_table(text, make_minutes(entries))


def _as_cell(text):
    return in_markdown(str(text)).replace("|", r"\|")


def with_table(text: str, table: str) -> str:
    """A text with another table between the marks BEGIN and END.

    Args:
        text: that holds the marks.
        table: in markdown.
    Raises:
        ValueError: the text lacks the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(say("no marks", begin=BEGIN, end=END))
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


@command
def main(words: list[str] | None = None) -> None:
    """Print the table, or write it into the README, and the minutes into docs/TEACHING.md."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser(prog="python -m reidkit.teach.toc", description=about)
    parser.add_argument("--write", action="store_true", help="replace the tables in the pages")
    asked = parser.parse_args(words)
    table = make_table()
    if not asked.write:
        print(table)
        return
    readme = files.project_root() / "README.md"
    text = readme.read_text(encoding="utf-8")
    files.write_atomic(readme, with_table(text, table))
    page = files.project_root() / "docs" / "TEACHING.md"
    if page.is_file():
        text = page.read_text(encoding="utf-8")
        files.write_atomic(page, with_minutes(text, read_entries()))


if __name__ == "__main__":
    raise SystemExit(main())
