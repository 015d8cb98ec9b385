"""What every visible thing of a notebook goes through: plain text always, HTML and data where they
help.
"""

import html


def emit(plain, markup=None, metadata=None, **mimes):
    """Display one output. plain: text for terminals, tests and screen readers; markup: HTML; mimes:
    e.g. png=bytes.

    In a plain Python process the text alone is printed.
    """
    from IPython import get_ipython
    from IPython.display import display

    if get_ipython() is None:
        print(plain)
        return
    names = {"png": "image/png", "markdown": "text/markdown"}
    bundle = {"text/plain": plain} | ({} if markup is None else {"text/html": markup})
    bundle |= {
        names.get(name, f"application/x-reidkit-{name}+json"): content
        for name, content in mimes.items()
    }
    display(bundle, raw=True, metadata=metadata or {})


def table(headers, rows, title=""):
    """The same table twice -> (plain text, HTML): columns padded with blanks, and an escaped
    <table>.
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


def number(value, digits=3):
    """A number as a reader wants it: whole numbers whole, others with three significant digits,
    words as they are.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if abs(value) < 1000:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}"
