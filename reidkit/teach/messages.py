"""Every sentence that the teaching wing says, in one table, messages.toml.

A translation can lay another table over it.
"""

import pathlib
import tomllib

MESSAGES = tomllib.loads(pathlib.Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def say(name: str, /, **values: object) -> str:
    """The sentence called `name` with its blanks filled in."""
    return MESSAGES[name].format(**values)
