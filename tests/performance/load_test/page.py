"""A load test's report as one HTML page that needs nothing beside it."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from tests.performance.report_grid import Grid

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
       color: #1c2733; background: #fff; }
table { border-collapse: collapse; font-size: 13px; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #d8dee4; padding: .25rem .6rem; text-align: right; }
th:first-child, td:first-child { text-align: left; }
td.PASS { color: #176b3a; font-weight: 600; } td.FAIL { color: #b3261e; font-weight: 600; }
img { max-width: 100%; height: auto; } h2 { margin-top: 2rem; }
@media (prefers-color-scheme: dark) {
  body { color: #dfe6ec; background: #14191f; } th, td { border-color: #38424c; }
  td.PASS { color: #5fd38d; } td.FAIL { color: #ff8a80; } img { background: #fff; }
}
"""


def page(
    title: str,
    facts: Sequence[str],
    findings: Sequence[str],
    grids: Sequence[Grid],
    pictures: Iterable[tuple[str, bytes]],
) -> str:
    """The page: what was measured on, the assessment, tables, pictures."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(fact)}</p>" for fact in facts),
        "<h2>Assessment</h2>",
        "<ul>" + "".join(f"<li>{escape(finding)}</li>" for finding in findings) + "</ul>",
        *(_table(grid) for grid in grids),
        *(_picture(name, png) for name, png in pictures),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _table(grid: Grid) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in grid.heads)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in grid.rows)
    return (
        f"<h2>{escape(grid.title)}</h2>\n<table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{lines}</tbody></table>"
    )


def _cell(text: Any) -> str:
    verdict = f' class="{text}"' if text in ("PASS", "FAIL") else ""
    return f"<td{verdict}>{escape(str(text))}</td>"


def _picture(name: str, png: bytes) -> str:
    data = base64.b64encode(png).decode("ascii")
    return f'<h2>{escape(name)}</h2>\n<img alt="{escape(name)}" src="data:image/png;base64,{data}">'
