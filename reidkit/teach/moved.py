"""Mends the environment of a course whose folder was renamed, moved or copied with it.

An environment holds full paths: of the folder whose reidkit it imports, and, in the first line of
each of its scripts, of its own Python. `python course.py setup` runs this file by its path, with
the environment's Python and nothing but the standard library.
"""

import importlib.util
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE, BROKEN, ELSEWHERE = 0, 1, 3  # exit statuses
LONGEST_START = 120  # bytes of a script's first line that every system reads


def main(words: list[str]) -> int:
    """Install the reidkit of this folder anew and mend the scripts.

    Args:
        words: ["--check"] only looks.
    Returns:
        An exit status: HERE, ELSEWHERE where the environment finds no reidkit or another folder's,
        or BROKEN where it has no pip.
    """
    if importlib.util.find_spec("pip") is None:
        return BROKEN
    if "--check" in words:
        return place()
    install = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet"]
    install += ["--no-deps", "-e", str(ROOT)]
    # The setuptools that is there builds it without a network; else pip fetches one.
    if subprocess.run([*install, "--no-build-isolation"], check=False).returncode:
        subprocess.run(install, check=False)
    mend_scripts(pathlib.Path(sys.prefix))
    look = [sys.executable, "-I", __file__, "--check"]  # anew: this process knows the old place
    return subprocess.run(look, check=False).returncode


def place() -> int:
    """HERE or ELSEWHERE: whose reidkit this Python finds, started with -I."""
    found = importlib.util.find_spec("reidkit")
    package = ROOT / "reidkit" / "__init__.py"
    if found is None or found.origin is None:
        return ELSEWHERE
    is_here = os.path.normcase(os.path.realpath(found.origin)) == os.path.normcase(package)
    return HERE if is_here else ELSEWHERE


def mend_scripts(environment: pathlib.Path) -> list[str]:
    """Let the scripts of an environment (jupyter, pip, activate) name the place where it is now.

    Those of Windows are programs, and stay as they are: the course calls none of them.

    Args:
        environment: its folder.
    Returns:
        The names of the scripts that were changed.
    """
    old = place_in_config(environment)
    folder = environment / "bin"
    if old is None or old == str(environment) or not folder.is_dir():
        return []
    mended = []
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or not path.is_file():
            continue
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError:  # a program
            continue
        changed = with_start(text.replace(old, str(environment)), str(environment))
        if changed != text:
            path.write_bytes(changed.encode("utf-8"))
            mended.append(path.name)
    config = environment / "pyvenv.cfg"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace(old, str(environment)), encoding="utf-8")
    return mended


def place_in_config(environment: pathlib.Path) -> str | None:
    """Where an environment was made, as its pyvenv.cfg tells; None where it does not."""
    try:
        text = (environment / "pyvenv.cfg").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    command = re.search(r"(?m)^command = .* -m venv (?:--\S+ )*(.+)$", text)
    return command[1].strip() if command else None


def with_start(text: str, environment: str) -> str:
    """A script with a first line that a system can read.

    Of a path with blanks, or of a long one, a system would read a part: there the shell starts
    Python, which takes the shell's line for a text.

    Args:
        text: of the script.
        environment: the folder of the Python in its first line; others stay.
    """
    first, _, rest = text.partition("\n")
    if not first.startswith(f"#!{environment}"):
        return text
    if " " not in first and len(first.encode()) <= LONGEST_START:
        return text
    return f"#!/bin/sh\n'''exec' \"{first[2:]}\" \"$0\" \"$@\"\n' '''\n{rest}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
