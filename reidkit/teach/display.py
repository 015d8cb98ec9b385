"""What every visible thing of a notebook goes through: plain text always, HTML and data where they
help.
"""

import html
from collections.abc import Iterable, Sequence
from typing import Any

from ..console import take_every_glyph


def emit(
    plain: str, markup: str | None = None, metadata: dict[str, Any] | None = None, **mimes: Any
) -> None:
    """Display one output.

    In a plain Python process the text alone is printed.

    Args:
        plain: text for terminals, tests and screen readers.
        markup: the same in HTML.
        metadata: of the output, such as the alt text of a picture.
        **mimes: further forms by name: png=bytes, markdown=text; any other name holds data for
            JSON.
    """
    if not in_a_notebook():
        line(plain)
        return
    from IPython.display import display

    names = {"png": "image/png", "markdown": "text/markdown"}
    bundle = {"text/plain": plain} | ({} if markup is None else {"text/html": markup})
    bundle |= {
        names.get(name, f"application/x-reidkit-{name}+json"): content
        for name, content in mimes.items()
    }
    display(bundle, raw=True, metadata=metadata or {})


def in_a_notebook() -> bool:
    """Whether there is something that shows more than text."""
    try:
        from IPython import get_ipython
    except ImportError:  # the doctor speaks without it, too
        return False
    return get_ipython() is not None


def line(text: str) -> None:
    """Print a text, wherever to: a pipe on Windows knows Latin letters only."""
    take_every_glyph()
    print(text)


def in_words(widget: Any, words: str) -> Any:
    """Let a widget be `words` wherever no widget shows.

    Its own plain text is the beginning of a listing of its parts.

    Args:
        widget: of ipywidgets; changed in place and returned.
        words: what it says in plain text.
    """
    bundle = widget._repr_mimebundle_() | {"text/plain": words}
    widget._repr_mimebundle_ = lambda **_: bundle  # where IPython asks first
    return widget


def table(
    headers: Sequence[str], rows: Iterable[Iterable[Any]], title: str = ""
) -> tuple[str, str]:
    """The same table twice, as plain text and as HTML.

    Args:
        headers: of the columns.
        rows: as many cells each; a cell is shown as its str.
        title: above the table; "" leaves it out.
    Returns:
        (plain text, HTML): columns padded with blanks, and an escaped <table>.
    """
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *rows)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [headers, *rows]
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    caption = f"<caption>{html.escape(title)}</caption>" if title else ""
    text = "\n".join([title] * bool(title) + lines)
    return text, f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def in_markdown(text: str) -> str:
    """A text as markdown shows it: no tag and no link in it takes effect, emphasis and code do.

    Args:
        text: such as a caption into which a file's name was filled.
    """
    return text.replace("<", "&lt;").replace("](", "]&#40;")


def number(value: Any, digits: int = 3) -> str:
    """A number as a reader wants it.

    Whole numbers stay whole, others get three significant digits, words stay as they are.

    Args:
        value: a number, or anything else that str turns into words.
        digits: significant ones of a number below 1000 that is not whole.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 1000:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}"
