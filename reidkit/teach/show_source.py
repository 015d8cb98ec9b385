"""Show the very source that a chapter imports, so that what you imported is what you saw."""

import html
import inspect
import pathlib
import sys

from .display import emit
from .messages import say

FOLD = 15  # longer listings wait folded


def where(thing, first, count):
    """ "reidkit/losses.py, lines 10-24": relative to the folder that holds the package, never a path of this machine."""
    module = inspect.getmodule(thing)
    top = sys.modules.get((getattr(module, "__name__", "") or "").partition(".")[0])
    if getattr(top, "__file__", None) is None or top.__name__ == "__main__":
        return say("source here")
    home = pathlib.Path(
        top.__file__
    ).parent  # the package's folder, or the folder of a single module
    home = home.parent if hasattr(top, "__path__") else home
    path = pathlib.Path(module.__file__).relative_to(home).as_posix()
    return say("source where", path=path, first=first, last=first + count - 1)


def show_source(thing):
    """Show the highlighted source of a function or class with file and lines, folded above 15 lines."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    thing = inspect.unwrap(thing)
    lines, first = inspect.getsourcelines(thing)
    code, place = inspect.cleandoc("\n" + "".join(lines)), where(thing, first, len(lines))
    style = "background: #f8f8f8; color: #1a1a1a; padding: 0.6em; overflow-x: auto"  # opaque, for dark themes
    listing = highlight(code, PythonLexer(), HtmlFormatter(noclasses=True, cssstyles=style))
    title = f"<code>{html.escape(thing.__name__)}</code> <small>{html.escape(place)}</small>"
    folded = f"<details><summary>{title}</summary>{listing}</details>"
    emit(f"# {place}\n{code}", folded if len(lines) > FOLD else f"<div>{title}</div>{listing}")
