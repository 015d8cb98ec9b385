"""What editors, merges and disks make of a student's copy: name -> the damage of its bytes."""

import json

import jupytext
import nbformat

ANSWER = 'def add_one(x):\n    """One more."""\n    return 1 + x  # ä\n\ncheck.add_one(add_one)'


def edited(edit):
    """A damage of the notebook's JSON."""

    def damage(content):
        notebook = json.loads(content)
        changed = edit(notebook)
        return json.dumps(changed or notebook, indent=1).encode()

    return damage


def without_metadata(value):
    return edited(lambda notebook: notebook.update(metadata=value))


def with_about(value):
    return edited(lambda notebook: notebook["metadata"].update(reidkit=value))


def with_cells(value):
    return edited(lambda notebook: notebook["metadata"]["reidkit"].update(cells=value))


def each_cell(change):
    def edit(notebook):
        for place, one in enumerate(notebook["cells"]):
            change(one, place)

    return edited(edit)


def in_minor(minor):
    def edit(notebook):
        notebook["nbformat_minor"] = minor
        for one in notebook["cells"]:
            one.pop("id")
        notebook["metadata"] = {}

    return edited(edit)


def in_format_3(content):
    old = nbformat.convert(nbformat.reads(content.decode(), as_version=4), 3)
    old.metadata = {}
    return json.dumps(old).encode()


def through_jupytext(form):
    def damage(content):
        notebook = nbformat.reads(content.decode(), as_version=4)
        back = jupytext.reads(jupytext.writes(notebook, fmt=form), fmt=form)
        return nbformat.writes(back).encode()

    return damage


def split_stub(notebook):
    place = next(n for n, one in enumerate(notebook["cells"]) if one["id"] == "add-one-stub")
    second = json.loads(json.dumps(notebook["cells"][place]))
    second["id"] = "new"
    lines = ANSWER.splitlines(keepends=True)
    notebook["cells"][place]["source"] = lines[:3]
    second["source"] = lines[4:]
    notebook["cells"].insert(place + 1, second)
    notebook["metadata"] = {}


def reversed_cells(notebook):
    notebook["cells"].reverse()
    notebook["metadata"] = {}
    for one in notebook["cells"]:
        one.pop("id")


def twice(notebook):
    notebook["cells"] += json.loads(json.dumps(notebook["cells"]))
    notebook["cells"][5]["source"] = "another thought"


def stripped(one, _):
    one["source"] = [line.rstrip() + "  \n" for line in "".join(one["source"]).split("\n")]


# Files that JupyterLab opens.
OPEN = {
    "no metadata": without_metadata({}),
    "no reidkit": with_about(None),
    "reidkit a list": with_about([1]),
    "reidkit a text": with_about("x"),
    "no cells in it": with_about({}),
    "cells null": with_cells(None),
    "cells a list": with_cells(["a"]),
    "cells empty": with_cells({}),
    "hashes null": with_cells({"title": None, "add-one-stub": None}),
    "hashes numbers": with_cells({"title": 1, "add-one-stub": [2], "parameters": {}}),
    "stamps of other types": with_about({"stamp": [1], "words": {}, "cells": 7}),
    "no ids": in_minor(4),
    "format 4.0": in_minor(0),
    "format 4.2": in_minor(2),
    "other ids": each_cell(lambda one, place: one.update(id=f"a1b2c3-{place}")),
    "other ids, no metadata": lambda content: without_metadata({})(
        each_cell(lambda one, place: one.update(id=f"x{place}"))(content)
    ),
    "Colab": lambda content: without_metadata({"colab": {"provenance": []}})(
        each_cell(lambda one, place: one["metadata"].update(id=f"Q{place}", outputId="y"))(content)
    ),
    "equal ids": each_cell(lambda one, place: one.update(id="same")),
    "every cell twice": edited(twice),
    "CRLF in cells": each_cell(
        lambda one, _: one.update(source=[line.replace("\n", "\r\n") for line in one["source"]])
    ),
    "CRLF in the file": lambda content: content.replace(b"\n", b"\r\n"),
    "sources as texts": each_cell(lambda one, _: one.update(source="".join(one["source"]))),
    "blanks at line ends": lambda content: without_metadata({})(each_cell(stripped)(content)),
    "reversed": edited(reversed_cells),
    "a split stub": edited(split_stub),
    "percent script and back": through_jupytext("py:percent"),
    "light script and back": through_jupytext("py:light"),
    "markdown and back": through_jupytext("md"),
    "MyST and back": through_jupytext("md:myst"),
    "format 3": in_format_3,
}


# Files that it does not open.
def conflict(content):
    """Marks of git round one line of the answer: two versions of it, then the rest of the cell."""
    lines = content.decode().splitlines(keepends=True)
    place = next(at for at, line in enumerate(lines) if "return 1 + x" in line)
    other = lines[place].replace("1 + x", "x + 1")
    marks = ["<<<<<<< HEAD\n", lines[place], "=======\n", other, ">>>>>>> b\n"]
    return "".join([*lines[:place], *marks, *lines[place + 1 :]]).encode()


SHUT = {
    "byte order mark": lambda content: b"\xef\xbb\xbf" + content,
    "mark, no metadata": lambda content: b"\xef\xbb\xbf" + without_metadata({})(content),
    "UTF-16": lambda content: content.decode().encode("utf-16"),
    "Windows' Latin": lambda content: content.decode().encode("cp1252"),
    "trailing garbage": lambda content: content + b"}}\n",
    "trailing zeros": lambda content: content + bytes(512),
    "metadata null": without_metadata(None),
    "metadata a list": without_metadata([]),
    "no format": edited(lambda notebook: notebook.pop("nbformat") and None),
    "format a text": edited(lambda notebook: notebook.update(nbformat="4")),
    "cells without metadata": each_cell(lambda one, _: one.pop("metadata")),
    "odd outputs": each_cell(lambda one, _: one.update(outputs={"a": 1})),
    "no outputs": each_cell(lambda one, _: one.pop("outputs", None)),
    "odd cells": edited(lambda notebook: notebook["cells"].extend([None, 1, "x", [], {}])),
    "lines of other types": each_cell(lambda one, _: one["source"].append(None)),
    "unknown kinds": each_cell(lambda one, _: one.update(cell_type="sql")),
    "half a letter": edited(lambda notebook: notebook["cells"][0]["source"].append("\ud800")),
    "in a list": lambda content: b"[" + content + b"]",
    "the end is missing": lambda content: content.rstrip()[:-1],
    "cut in the metadata": lambda content: content[: content.index(b'"kernelspec"')],
    "cut behind the answer": lambda content: content[: content.index(b'"add-one-hints"')],
    "a comma too much": lambda content: content.replace(b"\n ],", b",\n ],", 1),
    "a broken first cell": lambda content: content.replace(b'"id": "title"', b'"id" "title"'),
    "a broken answer": lambda content: content.replace(b'   "id": "add-one-stub"', b'"id" "add'),
    "a conflict": lambda content: content.replace(
        b'   "cell_type"', b'<<<<<<< HEAD\n=======\n>>>>>>> b\n   "cell_type"', 1
    ),
    "a conflict inside the answer": lambda content: conflict(content),
    "a script": lambda content: jupytext.writes(
        nbformat.reads(content.decode(), as_version=4), fmt="py:percent"
    ).encode(),
}
