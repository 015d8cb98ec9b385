"""Runs chapters: the gallery into notebooks/, with `--course` the whole course into build/course.

`python -m reidkit.teach.build` rebuilds what is stale, with numbers (01 02) these chapters. Where
only words changed, they enter the notebook without a run. A built notebook holds what a reader sees
and nothing of the machine or the moment: no times, no widget state, no Python version, no paths.
"""

from __future__ import annotations

import argparse
import base64
import copy
import html
import pathlib
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import files
from ..console import command
from . import source
from .execute import (
    claims,
    dump,
    execute,
    gallery_folder,
    surroundings,
)
from .parameters import Refused, declared, grid

if TYPE_CHECKING:
    from nbformat import NotebookNode

PNG_LIMIT = 60_000  # bytes of one picture
NOTEBOOK_LIMIT = 1_000_000  # bytes
LINES_OF_AN_ERROR = 25  # the last ones, where a chapter could not be built


# ---- what must not be in a built notebook


def problems(notebook: NotebookNode) -> list[str]:
    """What must not stand in a committed notebook, as sentences that name the cell."""
    sentences = []
    if "widgets" in notebook.metadata:
        sentences.append("the notebook keeps widget state")
    size = len(dump(notebook).encode())
    if size > NOTEBOOK_LIMIT:
        sentences.append(f"the notebook has {size:,} bytes; at most {NOTEBOOK_LIMIT:,}")
    local_place = _pattern_of_local_places()
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            sentences += [f"{cell.id}: {fault}" for fault in _faults(output, local_place)]
    for key, claim in claims(notebook):
        if claim["state"] == "not held":
            measured = f"{claim.get('measured')} {claim.get('unit', '')}".rstrip()
            sentence = claim.get("sentence", "")
            sentences.append(f"{key}: a claim does not hold: {sentence} (measured: {measured})")
    return sentences


def _pattern_of_local_places():
    """A regular expression for what only this machine or this moment has: folders, addresses."""
    folders = {
        str(pathlib.Path.home()),
        str(files.project_root()),
        tempfile.gettempdir(),
        sys.prefix,
    }
    folders.discard("/")
    patterns = [re.escape(folder) for folder in sorted(folders)]
    patterns.append(r"/(?:home|Users|tmp)/\w")
    patterns.append(r"\bat 0x[0-9a-f]{6,}")
    patterns.append(r"[A-Z]:\\\\?Users")
    return re.compile("|".join(patterns))


def _faults(output, local_place):
    """What is wrong with one output, a sentence each."""
    for size in _picture_sizes(output):
        if size > PNG_LIMIT:
            yield f"a picture of {size:,} bytes; at most {PNG_LIMIT:,}"
    for match in local_place.finditer(_text_of(output)):
        yield f"its output names a place on this machine: {match.group()!r}"
    if output.output_type == "error":
        yield f"it raised {output.ename}: {output.evalue}"


def _picture_sizes(output):
    """Bytes of each PNG of an output: the output itself, or pictures within its HTML."""
    data = output.get("data", {})
    if "image/png" in data:
        pictures = [data["image/png"]]
    else:
        pictures = re.findall(r"data:image/png;base64,([\w+/=\s]+)", str(data))
    return [len(base64.b64decode(picture)) for picture in pictures]


def _text_of(output):
    """All that an output says, without its pictures."""
    parts = [output.get("text", "")]
    for kind, value in output.get("data", {}).items():
        if kind != "image/png":
            parts.append(str(value))
    return re.sub(r"base64,[\w+/=]+", "", "\n".join(parts))


# ---- the gallery


def state(chapter: source.Chapter) -> str:
    """How the committed notebook stands to the sources that lie there now.

    Returns:
        "current"; "reworded": of this very code, but with other text or comments; "stale": there is
        none, or one of other code, so that it must run.
    """
    import nbformat

    if not _path_of(chapter).is_file():
        return "stale"
    try:
        about = nbformat.read(_path_of(chapter), as_version=4).metadata.get("reidkit", {})
    except Exception:  # nbformat raises many kinds: whatever is damaged is built again
        return "stale"
    if about.get("stamp") != chapter.stamp:
        return "stale"
    return "current" if about.get("words") == chapter.words else "reworded"


def stale(chapter: source.Chapter) -> bool:
    """Whether the chapter must run, since the committed notebook is of other code or not there."""
    return state(chapter) == "stale"


def _path_of(chapter):
    return gallery_folder() / f"{chapter.name}.ipynb"


def build(chapter: source.Chapter, progress: bool = True) -> list[str]:
    """Run a chapter's gallery form and write it into notebooks/.

    Args:
        chapter: as it is written.
        progress: show a bar that counts the cells.
    Returns:
        Its problems; the notebook is written all the same, to look at.
    """
    with surroundings():
        notebook = execute(source.notebook(chapter), chapter.name, progress=progress)
    files.write_atomic(_path_of(chapter), dump(notebook))
    return problems(notebook)


def refresh(chapter: source.Chapter) -> list[str]:
    """Put new words into the committed notebook of a "reworded" chapter; nothing is run.

    Returns:
        The notebook's problems, as `build` does.
    """
    import nbformat

    committed = nbformat.read(_path_of(chapter), as_version=4)
    executed_cells = {cell.id: cell for cell in committed.cells}
    notebook = source.notebook(chapter)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            executed = executed_cells[cell.id]  # there: the stamp covers keys and code
            cell.outputs = executed.outputs
            cell.execution_count = executed.execution_count
    files.write_atomic(_path_of(chapter), dump(notebook))
    return problems(notebook)


# ---- the whole course


def to_html(notebook: NotebookNode) -> str:
    """One page of HTML.

    nbconvert's template drops the alt text of pictures, so they go in as <img alt=...> of their
    own.
    """
    import nbconvert

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and "text/html" not in data:
                data["text/html"] = _image_tag(output)
    page, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    return page


def _image_tag(output):
    about = output.get("metadata", {}).get("image/png", {})
    alt = html.escape(about.get("alt", "picture without description"), quote=True)
    picture = "".join(output["data"]["image/png"].split())  # base64, in one line
    return f'<img alt="{alt}" src="data:image/png;base64,{picture}">'


def course(wishes: Sequence[str] = ()) -> int:
    """Run every chapter into build/course/ (notebook and HTML) and tell seconds and claims.

    Args:
        wishes: parameters that every chapter has, one value each: ["PRESET=smoke"].
    Returns:
        An exit status: 1 where a chapter failed or a claim did not hold.
    Raises:
        Refused: a parameter or value that a chapter does not take; before anything runs.
    """
    notebooks = {}
    for chapter in source.chapters():
        notebook = source.notebook(chapter)
        notebooks[chapter.name] = notebook
        if wishes:
            _set_parameters(notebook, grid(wishes, declared(notebook), several=False)[0])
    status = 0
    lines = [f"{'chapter':<28}{'seconds':>8}{'held':>8}{'not held':>10}{'not tested':>12}"]
    for name, notebook in notebooks.items():
        begin = time.perf_counter()
        try:
            with surroundings(fresh=False):
                executed = execute(notebook, name)
        except Exception as error:  # the other chapters still run; nbclient's text names the cell
            lines.append(f"{name:<28}{'failed':>8}  {_lines_of(error)[-1]}")
            status = 1
            continue
        _write_course_files(name, executed)
        seconds = time.perf_counter() - begin
        states = [claim["state"] for _, claim in claims(executed)]
        held = states.count("held")
        not_held = states.count("not held")
        not_tested = states.count("not tested here")
        lines.append(f"{name:<28}{seconds:>8.0f}{held:>8}{not_held:>10}{not_tested:>12}")
        if not_held:
            status = 1
    print("\n".join(lines))
    return status


def _set_parameters(notebook, parameters):
    """Assign other values below those of the parameters cell."""
    cell = next(cell for cell in notebook.cells if "parameters" in source.tags(cell))
    assignments = [f"{name} = {value!r}" for name, value in parameters.items()]
    cell.source = "\n".join([cell.source, *assignments])


def _write_course_files(name, notebook):
    folder = files.project_root() / "build" / "course"
    files.write_atomic(folder / f"{name}.ipynb", dump(notebook))
    files.write_atomic(folder / f"{name}.html", to_html(notebook))


def _lines_of(error):
    """What an error says, without a terminal's colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    return text.strip().splitlines() or [type(error).__name__]


# ---- the command line


@command
def main(words: Sequence[str] | None = None) -> int:
    """Do what the words of a command line (default: this process's) ask; returns an exit status."""
    parser = _parser()
    asked = parser.parse_args(words)
    if asked.p and not asked.course:
        parser.error("-p belongs to --course; with other parameters, run reidkit.teach.rerun")
    if asked.course:
        try:
            return course(asked.p)
        except Refused as refusal:
            parser.error(str(refusal))
    chapters = source.chapters()
    numbers = [chapter.number for chapter in chapters]
    unknown = set(asked.chapters) - set(numbers)
    if unknown:
        parser.error(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(numbers)}")
    to_refresh = []
    if asked.chapters:
        to_run = [chapter for chapter in chapters if chapter.number in asked.chapters]
    elif asked.all:
        to_run = chapters
    else:
        states = [state(chapter) for chapter in chapters]
        to_run = [chapter for chapter, word in zip(chapters, states) if word == "stale"]
        to_refresh = [chapter for chapter, word in zip(chapters, states) if word == "reworded"]
    if asked.check:
        for chapter in [*to_run, *to_refresh]:
            print(f"stale: {chapter.name}; run `make notebooks`")
        if not to_run and not to_refresh:
            print("every notebook is up to date")
        return int(bool(to_run or to_refresh))
    bad = sum(_do_and_tell(refresh, chapter) for chapter in to_refresh)
    bad += sum(_do_and_tell(build, chapter) for chapter in to_run)
    reworded_only = f" ({len(to_refresh)} got new words only)" if to_refresh else ""
    print(f"{len(to_run)} of {len(chapters)} chapters run; {bad} with problems{reworded_only}")
    return int(bool(bad))


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.teach.build", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "chapters", nargs="*", help="chapter numbers, e.g. 01; without any: all that are stale"
    )
    parser.add_argument(
        "--all", action="store_true", help="rebuild chapters that are not stale too"
    )
    parser.add_argument(
        "--check", action="store_true", help="build nothing; fail where a chapter is stale"
    )
    parser.add_argument(
        "--course", action="store_true", help="run every chapter into build/course/"
    )
    parser.add_argument(
        "-p",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="with --course: a parameter, e.g. PRESET=smoke; a list of JSON quotes a value",
    )
    return parser


def _do_and_tell(action, chapter):
    """`build` or `refresh` a chapter and print its seconds and problems; whether it has any."""
    begin = time.perf_counter()
    try:
        sentences = action(chapter)
    except Exception as error:  # the other chapters still get built
        sentences = ["not built", *_lines_of(error)[-LINES_OF_AN_ERROR:]]
    print(f"{chapter.name}: {time.perf_counter() - begin:.0f} s")
    for sentence in sentences:
        print(f"  ! {sentence}")
    return bool(sentences)


if __name__ == "__main__":
    raise SystemExit(main())
