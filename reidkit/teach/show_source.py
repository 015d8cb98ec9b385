"""Show the very source that a chapter imports, so that what you imported is what you saw."""

import html
import inspect
import pathlib
import sys

from .display import emit
from .messages import say

FOLD = 15  # lines; longer listings wait folded
# Opaque, for dark themes.
STYLE = "background: #f8f8f8; color: #1a1a1a; padding: 0.6em; overflow-x: auto"


def where(thing: object, first: int, count: int) -> str:
    """ "reidkit/losses.py, lines 10-24": relative to the folder that holds the package.

    A path of this machine is never in it.

    Args:
        thing: a function or class.
        first: its first line.
        count: how many lines it has.
    """
    module = inspect.getmodule(thing)
    name = getattr(module, "__name__", "") or ""
    package = sys.modules.get(name.partition(".")[0])
    if getattr(package, "__file__", None) is None or package.__name__ == "__main__":
        return say("source here")
    home = pathlib.Path(package.__file__).parent  # of the package's files, or of a single module
    if hasattr(package, "__path__"):
        home = home.parent
    path = pathlib.Path(module.__file__).relative_to(home).as_posix()
    return say("source where", path=path, first=first, last=first + count - 1)


def show_source(thing: object) -> None:
    """Show the highlighted source of a function or class with file and lines.

    It is folded above 15 lines.

    Args:
        thing: a function or class; of a decorated one, what the decorator wraps.
    """
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    thing = inspect.unwrap(thing)
    lines, first = inspect.getsourcelines(thing)
    code = inspect.cleandoc("\n" + "".join(lines))
    place = where(thing, first, len(lines))
    listing = highlight(code, PythonLexer(), HtmlFormatter(noclasses=True, cssstyles=STYLE))
    title = f"<code>{html.escape(thing.__name__)}</code> <small>{html.escape(place)}</small>"
    if len(lines) > FOLD:
        markup = f"<details><summary>{title}</summary>{listing}</details>"
    else:
        markup = f"<div>{title}</div>{listing}"
    emit(f"# {place}\n{code}", markup)
