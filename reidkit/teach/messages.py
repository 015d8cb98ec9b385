"""Every sentence that the teaching wing says, in one table (messages.toml), so that a translation can lay another over it."""

import pathlib
import tomllib

MESSAGES = tomllib.loads(pathlib.Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))


def say(name, /, **values):
    """The sentence called `name` with its blanks filled in."""
    return MESSAGES[name].format(**values)
