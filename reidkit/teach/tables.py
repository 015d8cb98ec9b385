"""Records everything under data/results and data/weights that the notebooks show: `make tables`.

Each chapter lists what it needs, one command a line, as TABLES in the experiments.py of its room. A
command keeps what it finds finished, so that a run can be stopped and started again.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence

from .. import files
from . import rooms, source


def commands() -> list[list[str]]:
    """The commands of all chapters in reading order: the words behind `python -m`.

    A line that two chapters list stands once.
    """
    lines = []
    for chapter in source.chapters():
        experiments = rooms.load_part(chapter.number, "experiments")
        lines += getattr(experiments, "TABLES", ())
    return [shlex.split(line) for line in dict.fromkeys(lines)]


def main(words: Sequence[str] | None = None) -> int:
    """Run every command, further words behind each; stop at the first that fails."""
    more = sys.argv[1:] if words is None else list(words)
    for command in commands():
        line = [sys.executable, "-m", *command, *more]
        print(" ".join(["python", "-m", *command, *more]), flush=True)
        ended = subprocess.run(line, cwd=files.project_root(), check=False)
        if ended.returncode:
            print(f"this ended with status {ended.returncode}", file=sys.stderr)
            return ended.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
