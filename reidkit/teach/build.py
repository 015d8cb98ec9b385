"""Runs chapters: the gallery in notebooks/ (`python -m reidkit.teach.build`), the whole course into build/course (`--course`).

A built notebook holds what a reader sees and nothing of the machine or the moment: no times, widget state, Python version, paths.
"""

import argparse
import base64
import contextlib
import copy
import os
import pathlib
import re
import sys
import tempfile
import time
from unittest import mock

from .. import files
from . import rerun, source
from .messages import say

CLAIM, WIDGET = "application/x-reidkit-claim+json", "application/vnd.jupyter.widget-view+json"
PNG_LIMIT, NOTEBOOK_LIMIT = 60_000, 1_000_000  # bytes
NOISE = re.compile(r"Kernel is running over TCP|it/s|s/it|\r|^\s*$|%\|")


def gallery_folder():
    return files.project_root() / "notebooks"


@contextlib.contextmanager
def surroundings(fresh=True):
    """The environment of a run that must come out the same again: one thread unless the chapter says otherwise, no student
    progress, plain pictures for widgets, and (fresh) an empty cache, so that training is live."""
    with tempfile.TemporaryDirectory(prefix="reidkit-", ignore_cleanup_errors=True) as cache:
        wanted = {
            "REIDKIT_PROGRESS": "off",
            "REIDKIT_STATIC": "1",
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "JUPYTER_PREFER_ENV_PATH": "1",
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(files.project_root()), os.environ.get("PYTHONPATH")])
            ),
        }
        wanted |= {"REIDKIT_CACHE_DIR": cache} if fresh else {}
        with mock.patch.dict(os.environ, wanted):
            yield


def execute(notebook, label="", timeout=900, progress=True, allow_errors=False):
    """Run a notebook from notebooks/ in a kernel of this Python; returns the executed copy, stripped of transient output."""
    import nbclient
    from tqdm import tqdm

    notebook = copy.deepcopy(notebook)
    with tqdm(
        total=len(notebook.cells), desc=label, unit="cell", leave=False, disable=not progress
    ) as bar:
        client = nbclient.NotebookClient(
            notebook,
            timeout=timeout,
            kernel_name="python3",
            allow_errors=allow_errors,
            coalesce_streams=True,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": str(gallery_folder())}},
            on_cell_complete=lambda **_: bar.update(),
        )
        client.execute()
    broken = widget_errors(notebook)
    if broken and not allow_errors:
        raise RuntimeError(f"{label}: a widget's callback failed: {broken[0]}")
    return strip(notebook)


def widget_errors(notebook):
    """Errors inside widgets, which a headless run swallows: they stand in the widget state only."""
    states = (
        notebook.metadata.get("widgets", {})
        .get("application/vnd.jupyter.widget-state+json", {})
        .get("state", {})
    )
    return [
        f"{output['ename']}: {output['evalue']}"
        for model in states.values()
        for output in model["state"].get("outputs", [])
        if isinstance(output, dict) and output.get("output_type") == "error"
    ]


def strip(notebook):
    """Take out what would differ tomorrow or elsewhere; the rest stays as the kernel gave it. A cell tagged `local` shows what
    holds for one machine and moment only: a sentence stands for its output."""
    import nbformat

    notebook.metadata.pop("widgets", None)
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            for output in cell.outputs:
                if output.get("name") == "stderr" and not all(
                    NOISE.search(line) for line in output.text.splitlines()
                ):
                    print(
                        f"  {cell.id} wrote to stderr (left out): {output.text.strip()[:300]}",
                        file=sys.stderr,
                    )
            cell.outputs = [
                output
                for output in cell.outputs
                if output.get("name") != "stderr" and WIDGET not in output.get("data", {})
            ]
            if "local" in source.tags(cell):  # what the doctor finds differs from hour to hour
                cell.outputs = [
                    nbformat.v4.new_output("stream", name="stdout", text=say("local output") + "\n")
                ]
    return notebook


def problems(notebook):
    """What must not stand in a committed notebook, as a list of sentences that name the cell."""
    found = ["the notebook keeps widget state"] if "widgets" in notebook.metadata else []
    size = len(dump(notebook).encode())
    if size > NOTEBOOK_LIMIT:
        found.append(f"the notebook has {size:,} bytes; at most {NOTEBOOK_LIMIT:,}")
    homes = {
        str(pathlib.Path.home()),
        str(files.project_root()),
        tempfile.gettempdir(),
        sys.prefix,
    } - {"/"}
    places = re.compile(
        "|".join(
            [
                *map(re.escape, sorted(homes)),
                r"/(?:home|Users|tmp)/\w",
                r"\bat 0x[0-9a-f]{6,}",
                r"[A-Z]:\\\\?Users",
            ]
        )
    )
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            pictures = (
                [data["image/png"]]
                if "image/png" in data
                else re.findall(r"data:image/png;base64,([\w+/=\s]+)", str(data))
            )
            for size in (len(base64.b64decode(picture)) for picture in pictures):
                if size > PNG_LIMIT:
                    found.append(f"{cell.id}: a picture of {size:,} bytes; at most {PNG_LIMIT:,}")
            text = "\n".join(
                [
                    output.get("text", ""),
                    *(str(value) for kind, value in data.items() if kind != "image/png"),
                ]
            )
            text = re.sub(r"base64,[\w+/=]+", "", text)
            found += [
                f"{cell.id}: its output names a place on this machine: {match.group()!r}"
                for match in places.finditer(text)
            ]
            if output.output_type == "error":
                found.append(f"{cell.id}: it raised {output.ename}: {output.evalue}")
    return found + [
        f"{key}: a claim does not hold: {claim.get('sentence', '')}"
        for key, claim in claims(notebook)
        if claim["state"] == "not held"
    ]


def claims(notebook):
    """[(cell id, {"state": "held" | "not held" | "not tested here", ...})] of every claim that the notebook made."""
    return [
        (cell.id, output["data"][CLAIM])
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if CLAIM in output.get("data", {})
    ]


def dump(notebook):
    """The notebook's bytes, the same on every system: one order of keys, one kind of line end."""
    import nbformat

    notebook = copy.deepcopy(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def stale(chapter):
    """Whether the committed notebook was made from other sources than those that lie there now."""
    import nbformat

    path = gallery_folder() / f"{chapter.name}.ipynb"
    return (
        not path.is_file()
        or nbformat.read(path, as_version=4).metadata.get("reidkit", {}).get("stamp")
        != chapter.stamp
    )


def build(chapter, progress=True):
    """Run the gallery form and write it; returns its problems (the notebook is written all the same, to look at)."""
    with surroundings():
        made = execute(source.notebook(chapter), chapter.name, progress=progress)
    files.write_atomic(gallery_folder() / f"{chapter.name}.ipynb", dump(made))
    return problems(made)


def to_html(notebook):
    """One page of HTML. nbconvert's template drops the alt text of pictures, so they go in as <img alt=...> of their own."""
    import html

    import nbconvert

    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and "text/html" not in data:
                alt = html.escape(
                    output.get("metadata", {})
                    .get("image/png", {})
                    .get("alt", "picture without description"),
                    quote=True,
                )
                data["text/html"] = (
                    f'<img alt="{alt}" src="data:image/png;base64,{"".join(data["image/png"].split())}">'
                )
    return nbconvert.HTMLExporter().from_notebook_node(notebook)[0]


def _lines(error):
    """What an error says, without a terminal's colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines() or [type(error).__name__]


def course(wishes=()):
    """Run every chapter into build/course/ (notebook and HTML) and tell seconds and claims; 1 where one failed.

    wishes: ["PRESET=smoke"], parameters that every chapter has. Raises rerun.Refused before anything runs.
    """
    out = files.project_root() / "build" / "course"
    todo = [(chapter, source.notebook(chapter)) for chapter in source.chapters()]
    asked = [
        rerun.grid(wishes, rerun.declared(notebook), separator="\n")[0] if wishes else {}
        for _, notebook in todo
    ]
    rows, failed = [], False
    for (chapter, notebook), parameters in zip(todo, asked):
        begin = time.perf_counter()
        cell = next(cell for cell in notebook.cells if "parameters" in source.tags(cell))
        cell.source = "\n".join(
            [cell.source, *(f"{name} = {value!r}" for name, value in parameters.items())]
        )
        try:
            with surroundings(fresh=False):
                made = execute(notebook, chapter.name)
        except Exception as error:  # the other chapters still run; nbclient's text names the cell
            rows.append((chapter.name, "failed", _lines(error)[-1]))
            failed = True
            continue
        files.write_atomic(out / f"{chapter.name}.ipynb", dump(made))
        files.write_atomic(out / f"{chapter.name}.html", to_html(made))
        states = [claim["state"] for _, claim in claims(made)]
        rows.append(
            (
                chapter.name,
                f"{time.perf_counter() - begin:.0f}",
                *(states.count(state) for state in ("held", "not held", "not tested here")),
            )
        )
        failed = failed or "not held" in states
    print(f"{'chapter':<28}{'seconds':>8}{'held':>8}{'not held':>10}{'not tested':>12}")
    for name, seconds, *rest in rows:
        print(
            f"{name:<28}{seconds:>8}"
            + (f"  {rest[0]}" if seconds == "failed" else f"{rest[0]:>8}{rest[1]:>10}{rest[2]:>12}")
        )
    return int(failed)


def main(words=None):
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
        help="with --course: a parameter, e.g. PRESET=smoke",
    )
    asked = parser.parse_args(words)
    if asked.course:
        try:
            return course(asked.p)
        except rerun.Refused as refusal:
            parser.error(str(refusal))
    every = source.chapters()
    unknown = set(asked.chapters) - {chapter.number for chapter in every}
    if unknown:
        parser.error(
            f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(chapter.number for chapter in every)}"
        )
    todo = [
        chapter
        for chapter in every
        if chapter.number in asked.chapters
        or (not asked.chapters and (asked.all or stale(chapter)))
    ]
    if asked.check:
        print(
            "\n".join(f"stale: {chapter.name}; run `make notebooks`" for chapter in todo)
            or "every notebook is up to date"
        )
        return int(bool(todo))
    bad = 0
    for chapter in todo:
        begin = time.perf_counter()
        try:
            found = build(chapter)
        except Exception as error:  # the other chapters still get built
            found = ["not built", *_lines(error)[-25:]]
        print(
            "\n".join(
                [
                    f"{chapter.name}: {time.perf_counter() - begin:.0f} s",
                    *(f"  ! {line}" for line in found),
                ]
            )
        )
        bad += bool(found)
    print(f"{len(todo)} of {len(every)} chapters run; {bad} with problems")
    return int(bool(bad))


if __name__ == "__main__":
    raise SystemExit(main())
