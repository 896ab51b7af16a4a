"""Small HTML tables for notebooks. Pure; every cell is escaped, because names of files may be any text."""

from collections.abc import Iterable, Sequence
from html import escape

ROWS_MAX = 200
"""More rows than people read; the rest is counted."""


def html_table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> str:
    """Return a table of at most ROWS_MAX rows, with the number of those left out."""
    everything = [list(row) for row in rows]
    shown = everything[:ROWS_MAX]
    parts = ["<table>"]
    if title:
        parts.append(f"<caption>{_text(title)}</caption>")
    parts.append("<tr>" + "".join(f"<th>{_text(heading)}</th>" for heading in headings) + "</tr>")
    parts += ["<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in shown]
    if len(everything) > len(shown):
        parts.append(f'<tr><td colspan="{len(headings)}">and {len(everything) - len(shown)} more</td></tr>')
    return "".join([*parts, "</table>"])


def _text(value: object) -> str:
    # A lone surrogate (a byte that is no UTF-8) would break the notebook's own encoding.
    return escape(str(value).encode("utf-8", "backslashreplace").decode())
