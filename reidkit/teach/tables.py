"""Records everything under data/results and data/weights that the notebooks show: `make tables`.

Each chapter lists what it needs, one command a line, as TABLES in the experiments.py of its room. A
command keeps what it finds finished, so that a run can be stopped and started again.
"""

import argparse
import shlex
import subprocess
import sys
from collections.abc import Sequence

from .. import files
from ..console import command
from . import rooms


def commands() -> list[list[str]]:
    """The commands of all chapters in reading order: the words behind `python -m`.

    A line that two chapters list stands once.
    """
    lines = []
    for path in sorted(rooms.source_folder().glob("[0-9]*.py")):
        experiments = rooms.load_part(path.stem.partition("_")[0], "experiments")
        lines += getattr(experiments, "TABLES", ())
    return [shlex.split(line) for line in dict.fromkeys(lines)]


def command_of(name: str) -> str:
    """The command that records a table, as a user types it; "" where no chapter lists one.

    Args:
        name: of the table, such as "01_baseline".
    """
    outputs = (name, f"data/results/{name}.csv")  # of `rerun --record`, and of `recipes --out`
    for words in commands():
        if any(output in words for output in outputs):
            return f"python -m {shlex.join(words)}"
    return ""


@command
def main(words: Sequence[str] | None = None) -> int:
    """Run every command, further words behind each; stop at the first that fails."""
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.teach.tables",
        description=__doc__,
        epilog="Further words, such as --redo, are put behind each command.",
    )
    _, more = parser.parse_known_args(words)
    for known in commands():
        line = [sys.executable, "-m", *known, *more]
        print(" ".join(["python", "-m", *known, *more]), flush=True)
        ended = subprocess.run(line, cwd=files.project_root(), check=False)
        if ended.returncode:
            print(f"this ended with status {ended.returncode}", file=sys.stderr)
            return ended.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
