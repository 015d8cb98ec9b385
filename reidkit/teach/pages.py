"""Pages of the package's public modules, made from their docstrings by pdoc: `make docs`.

    python -m reidkit.teach.pages FOLDER

What one chapter alone needs, its room, has no page.
"""

import argparse
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from .. import console

ROOT = pathlib.Path(__file__).resolve().parents[2]


def modules() -> list[str]:
    """Names of all modules of the package, a package's own first."""
    names = []
    for path in sorted((ROOT / "reidkit").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        names.append(".".join(parts).removesuffix(".__init__"))
    return [name for name in names if not name.endswith(".__main__")]


@console.command
def main(words: Sequence[str] | None = None) -> int:
    """Write the pages; returns an exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m reidkit.teach.pages", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", help="where the pages go")
    asked, more = parser.parse_known_args(words)
    # Two warnings that are none: reidkit.teach fetches its names when they are first used (they
    # have their pages in the modules that they come from), and a module is named twice below.
    quiet = ["-W", "ignore:Found", "-W", "ignore:The module specification"]
    pdoc = [sys.executable, *quiet, "-m", "pdoc", "--docformat", "google"]
    # A package's __all__ hides its modules from pdoc, so that each is named here.
    hidden = [r"!reidkit\.chapters\.", r"!.*\._"]
    command = [*pdoc, "--output-directory", asked.folder, *modules(), *hidden, *more]
    status = subprocess.run(command, cwd=ROOT, check=False).returncode
    if status == 0:
        print(f"open {pathlib.Path(asked.folder) / 'index.html'}")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
