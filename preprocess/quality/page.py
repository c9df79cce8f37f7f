"""The data report as one page: no script, nothing from elsewhere."""

from base64 import b64encode
from html import escape
from io import BytesIO

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from preprocess.market.columns import Indices
from preprocess.quality.bars import Bars
from preprocess.quality.checks import DEAD_AFTER, LARGEST_MOVE, Check
from preprocess.quality.report import DataReport

_BLUE, _ORANGE = "#1f5fa8", "#d9731a"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid #8886; padding: .4rem .5rem; text-align: left; }
td { vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
tr.look td:first-child { border-left: 4px solid #d9731a; }
figure { margin: 2rem 0; }
img { background: #fff; max-width: 100%; }
div { overflow-x: auto; }
"""


def html_page(report: DataReport, bars: Bars) -> str:
    """The page of a report; everything that comes from the data is escaped."""
    rows = "\n".join(map(_row, sorted(report.checks, key=lambda check: not check.look)))
    plots = "\n".join(_figure(alt, draw(bars)) for alt, draw in _PLOTS.items())
    title = f"Market data up to {report.day}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
<p>{escape(report.verdict)}</p>
<p>{report.stocks:,} stocks with {report.bars:,} daily bars of {report.sessions:,} sessions since
{report.first_day}, {report.results:,} quarterly results.</p>
<div><table>
<thead><tr><th>check</th><th>found</th><th>of</th><th>share</th><th>examples</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{plots}
</body>
</html>
"""


def _row(check: Check) -> str:
    examples = "<br>".join(map(escape, check.examples))
    return (
        f"<tr{' class=look' if check.look else ''}><td>{escape(check.title)}</td>"
        f'<td class="number">{check.found:,}</td>'
        f'<td class="number">{check.of:,} {escape(check.unit)}</td>'
        f'<td class="number">{check.share:.2%}</td><td>{examples}</td></tr>'
    )


def _figure(alt: str, plot: Figure) -> str:
    image = BytesIO()
    # The same report is the same file: no date, and no random names of parts.
    with rc_context({"svg.hashsalt": "tezi"}):
        plot.savefig(image, format="svg", metadata={"Date": None})
    data = b64encode(image.getvalue()).decode()
    return (
        f'<figure><img alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'
        f"<figcaption>{escape(alt)}</figcaption></figure>"
    )


def _axes(x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y)
    axes.grid(visible=True, alpha=0.25)
    return figure, axes


def _by_session(bars: Bars, chosen: NDArray[np.bool_] | None = None) -> Indices:
    """How many of the bars, or of the chosen ones [n], each session has, [sessions]."""
    of = bars.session if chosen is None else bars.session[chosen]
    counts: Indices = np.bincount(of, minlength=len(bars.sessions) + 1)[1:]
    return counts


def _traded(bars: Bars) -> Figure:
    figure, axes = _axes("session", "stocks with a price")
    axes.plot(bars.sessions.astype("datetime64[D]"), _by_session(bars))
    axes.set_ylim(bottom=0)
    return figure


def _without_volume(bars: Bars) -> Figure:
    figure, axes = _axes("session", "share of the bars, %")
    share = 100.0 * _by_session(bars, bars.volume == 0) / _by_session(bars)
    axes.plot(bars.sessions.astype("datetime64[D]"), share, color=_ORANGE)
    axes.set_ylim(0, max(1.0, 1.05 * float(share.max(initial=0.0))))
    return figure


def _moves(bars: Bars) -> Figure:
    figure, axes = _axes("change of the close since the bar before, %", "bars")
    moves = 100.0 * np.expm1(bars.move[np.isfinite(bars.move)])
    axes.hist(np.clip(moves, -60, 100), bins=160, color=_BLUE)
    for bound in (-LARGEST_MOVE, LARGEST_MOVE):
        axes.axvline(100.0 * np.expm1(bound), color=_ORANGE, linestyle="--")
    axes.set_yscale("log")
    return figure


def _ages(bars: Bars) -> Figure:
    figure, axes = _axes("sessions since a stock's newest price", "stocks")
    ages = len(bars.sessions) - bars.session[bars.newest]
    axes.hist(ages, bins=60, color=_BLUE)
    axes.axvline(DEAD_AFTER, color=_ORANGE, linestyle="--")
    axes.set_yscale("log")
    return figure


_PLOTS = {
    "Stocks with a price on each session": _traded,
    "Share of the bars of each session without volume": _without_volume,
    "How often the close moved by how much, splits and bonuses taken out; no price band allows "
    "moves beyond the dashed lines": _moves,
    "How old the newest prices of the stocks are; beyond the dashed line a name has gone": _ages,
}
