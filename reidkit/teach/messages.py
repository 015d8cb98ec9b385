"""Every sentence that the teaching wing says, in one table, so that a translation can lay another table over it."""

MESSAGES = {
    # exercises: one line a verdict; the words in brackets are what tests look for
    "not yet": "○ {key} [not yet]  replace the ... and run this cell again",
    "wrong": "✗ {key} [wrong]  {reason}",
    "error": "✗ {key} [error]  {reason}",
    "well done": "✓ {key} [well done]",
    "where": "{what} (line {line} of this cell: {text})",
    "elsewhere": "{what} (raised outside this cell, when your answer was used)",
    "not saved": "(the progress board could not be written: {reason})",
    "no solution": "no exercise is called {key!r}; there are {known}",
    # prompts and the board
    "guess before": "Your guess so far: {guess}",
    "board": "{done} of {total} exercises done",
    "board row": "{sign} {chapter}  {exercise}  {state}",
    # working copies
    "copied": "{name}: a fresh copy lies in {folder}/",
    "updated": "{name}: updated, {kept} of your cells kept; the file as it was: {backup}",
    "replaced": "{name}: replaced by the newer chapter (you had changed nothing)",
    "current": "{name}: up to date",
    "waiting": "{name}: a newer chapter is there; `make update` brings it in and keeps your answers",
    "unreadable": "{name}: no readable notebook; moved to {backup}, a fresh copy lies in its place",
    "course changed": "**The course changed this exercise since you answered it.** Your answer is above; the new stub:",
    "you changed": "**The course changed this cell, and so had you.** The new one is above; yours was:",
    # the set-up cell
    "parameter type": "{parameter} is {value!r}, of type {found}; it takes {expected}, as the comment in the parameters cell shows",
    "parameter preset": "PRESET is {value!r}; it takes one of {known}.{hint}",
    "parameter seed": "SEED is {value}; it takes a whole number from 0 to 2147483647",
    "parameter threads": "THREADS is {value}; it takes 0 (torch's choice) to 1024",
    "parameter data": "DATA is {value!r}; it takes \"world\", \"market1501:PATH\" or \"pku-reid:PATH\".{hint}",
    "parameter folder": "DATA is {value!r}, but {path!r} is no folder; give the folder of the data set, or use \"world\"",
    "start": "chapter {chapter} · preset {preset} · seed {seed} · data {source} · device {device} · {threads} threads · {versions}",
    "start minutes": "expect about {minutes} minutes of computing with the {preset} preset on two cores",
    # pictures
    "figure shape": "a picture of shape {shape} cannot be shown; expected (H, W), (H, W, 3) or (3, H, W)",
    "figure values": "a picture of {dtype} from {low} to {high} cannot be shown; expected uint8, or floats from 0 to 1",
    "figure alt": "the alt text is {alt!r}; write at least 20 characters that tell what the picture shows to one who cannot see it",
    "figure images": "pictures of shape {shape} and {dtype} cannot be laid out; expected uint8 (N, 3, H, W) with N at least 1",
    "figure count": "{pictures} pictures, {labels} labels and {marks} marks do not belong together; give one each",
    # widgets
    "control slider": "the slider {label!r} runs from {min!r} to {max!r} in steps of {step!r} and starts at {value!r}; "
                      "expected numbers with min < max, step > 0 and the value between them",
    "control choice": "the choice {label!r} starts at {value!r}, which is none of {options}",
    "film length": "a filmstrip of {count} states; give 3 to 5",
    "film state": "the filmstrip sets {unknown}, but the controls are {known}",
    "film title": "Filmstrip: {count} positions of the controls",
    "film plain": "(filmstrip: {states})",
    "still title": "The first frame as a plain picture",
    "explore first": "{state}. {text}",
    "explore live": "Run this cell in JupyterLab to move: {names}.",
    "explore error": "{state}: the drawing failed ({kind}: {error})",
    "next example": "Next example",
    # claims and recorded numbers
    "claim": "{sign} {sentence} [{state}]",
    "claim measured": "measured here: {value} {unit}",
    "claim bound": "(tested with the preset {presets} on {data})",
    "claim recorded": "recorded: {spread} {unit} (mean and 95 % interval, {n} runs; {provenance})",
    "claim nothing": "the claim {sentence!r} has nothing to judge; give measured=..., or recorded=teach.recorded(table, column)",
    "paper headers": "what|paper|source|ours|agree?|remark",
    "paper yes": "yes",
    "paper no": "no",
    "paper unclear": "cannot be compared",
    "record": "recorded {values}",
    "record value": "record({key}=...) got a {kind}; expected a number, a word, a truth value or a tensor of one element",
    "recorded table": "no recorded table {table!r} in data/results/; there are: {known}",
    "recorded column": "no column {column!r} in the recorded table {table!r}; there are: {known}",
    "recorded empty": "no finished run of the recorded table {table!r} has {filters}",
    "provenance": "{table}.csv: {seeds} seeds, {date}, commit {commit}, {device}, Python {python}, torch {torch}",
    # source
    "source where": "{path}, lines {first}-{last}",
    "source here": "this notebook",
    # the doctor
    "doctor bare": "✗ stops: {missing} is not installed; run `make setup`, or pip install -e .[course] in this environment",
    "doctor ok": "✓ ok",
    "doctor look": "! look",
    "doctor stops": "✗ stops",
    "doctor verdict ok": "Nothing stops the course.",
    "doctor verdict stops": "{count} problems stop the course; mend them from the top.",
    "doctor python": "use Python 3.11, 3.12 or 3.13: make a new environment with one of them and run `make setup` there",
    "doctor torch": "the course needs torch 2.6 or newer: `make setup`, or pip install -U torch torchvision",
    "doctor torchvision": "it was built for another torch: install the pair that requirements.lock names (`make setup`)",
    "doctor packages": "`make setup`, or pip install -e .[course] in this environment",
    "doctor widgets": "pip install -U ipywidgets jupyterlab in this environment, restart JupyterLab, reload the page; until then "
                      "every widget shows its first frame and filmstrip",
    "doctor server": "start JupyterLab from this environment (`make lab`): sliders need kernel and server to share it",
    "doctor threads": "more threads than cores are slow: set THREADS in the chapter to the number of cores, or to 1",
    "doctor memory": "close other programs; the laptop preset needs about 2 GB, the smoke preset 1 GB",
    "doctor disk": "free some space, or delete data/cache/ (it is made again when needed)",
    "doctor folder": "give yourself the right to write there, or point REIDKIT_CACHE_DIR and REIDKIT_WORK_DIR to folders of yours",
    "doctor slow": "this machine is slow or busy now: close other programs, or start chapters with PRESET = \"smoke\"",
    # the rerun tool
    "rerun chapter": "no chapter {chapter!r}; there are {known}",
    "rerun no parameters": "the chapter has no parameters: tag one cell `parameters` and annotate each, e.g. SEED: int = 0",
    "rerun wish": "-p {wish} names no value; write -p NAME=VALUE or -p NAME=VALUE,VALUE",
    "rerun unknown": "unknown parameter {parameter}; the chapter has {known}.{hint}",
    "rerun twice": "parameter {parameter} is given twice; write all its values behind one -p, with commas",
    "rerun annotate": "parameter {parameter} has no type; annotate it in the parameters cell, e.g. {parameter}: int = 0",
    "rerun type": "{parameter} takes {kind}; {word!r} is none",
    "rerun plan": "{total} runs: {kept} finished before, {missing} to do",
    "rerun failed": "failed: {parameters}: {error}",
    "rerun done": "{ok} runs finished, {failed} failed; table: {table}",
    # lecture copies
    "lecture notes": "Notes for the speaker",
    "lecture made": "{path} is made, the route of {route} minutes; the notes alone: {notes}",
    "lecture open": "open it with: {command}",
}


def say(name, /, **values):
    """The sentence called `name` with its blanks filled in."""
    return MESSAGES[name].format(**values)
