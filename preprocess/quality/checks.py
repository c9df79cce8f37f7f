"""What is looked for in the market data. Each check says how much it found, of how much."""

from collections.abc import Iterable, Sequence
from datetime import date

import msgspec
import numpy as np

from preprocess.market.calendar import day_number, from_day_number
from preprocess.market.values import PriceBand
from preprocess.quality.bars import Bars

SHOWN = 10
LONGEST_GAP = 10
"""Sessions without a trade: illiquid stocks have such gaps, longer ones are missing files."""
LARGEST_MOVE = 0.25
"""No band of the exchange is wider than 20 %, a fall by which is 0.223 as a logarithm."""
SMALLEST_STEP = 0.10
"""Rupees: below this, a move is a few ticks of a penny stock, however large its share."""
DEAD_AFTER = 20
"""A stock without a price in so many sessions has left, or was suspended."""
_YEAR = 250  # sessions
_BAND_ERROR = 0.05  # rupees: limits are rounded to a tick


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """`found` of `of` things, which `unit` names in the plural; examples, the worst first.

    `look` says whether somebody should look: for most checks, whether anything was found.
    """

    name: str
    title: str
    unit: str
    found: int
    of: int
    look: bool
    examples: list[str]

    @property
    def share(self) -> float:
        """`found` as a fraction of `of`; 0 of nothing is 0."""
        return self.found / self.of if self.of else 0.0


class Refused(msgspec.Struct, frozen=True):
    """What the newest import up to the day refused: `first` are the first of all, as text."""

    rows: int
    total: int
    first: list[str]


def gaps(bars: Bars) -> Check:
    """Gaps of more than LONGEST_GAP sessions between two bars of a stock."""
    long = np.flatnonzero(bars.missed > LONGEST_GAP)
    worst = long[np.argsort(-bars.missed[long], kind="stable")]
    return _check(
        "gaps",
        f"Gaps of more than {LONGEST_GAP} sessions in a stock's prices",
        "pairs of neighbouring bars",
        (len(long), len(bars) - len(bars.newest)),
        (f"{_bar(bars, i)}: {bars.missed[i]:,} sessions before it" for i in worst[:SHOWN].tolist()),
    )


def stale(bars: Bars, *, active: Iterable[str], max_age_sessions: int) -> Check:
    """Active stocks whose newest price is too old to be scored."""
    listed = set(active)
    newest = [i for i in bars.newest.tolist() if bars.codes[bars.stock[i]] in listed]
    ages = {i: len(bars.sessions) - int(bars.session[i]) for i in newest}
    old = sorted((i for i in newest if ages[i] > max_age_sessions), key=lambda i: -ages[i])
    return _check(
        "stale",
        f"Active stocks without a price for more than {max_age_sessions} sessions",
        "active stocks with prices",
        (len(old), len(newest)),
        (f"{_bar(bars, i)}, {ages[i]:,} sessions ago" for i in old[:SHOWN]),
    )


def jumps(bars: Bars) -> Check:
    """Moves that no price band allows and no corporate action explains.

    A move is larger than LARGEST_MOVE for each session since the bar before. Splits and bonuses
    are taken out first; rights, demergers and the like explain any move on their ex-date.
    """
    with np.errstate(invalid="ignore"):
        step = np.abs(bars.close * -np.expm1(-bars.move))
        far = np.abs(bars.move) > LARGEST_MOVE * (bars.missed + 1)
    jumped = np.flatnonzero(far & (step > SMALLEST_STEP) & ~bars.explained)
    worst = jumped[np.argsort(-np.abs(bars.move[jumped]), kind="stable")]
    return _check(
        "jumps",
        "Jumps of the close that no band allows and no corporate action explains",
        "bars with one before",
        (len(jumped), int(np.isfinite(bars.move).sum())),
        (f"{_bar(bars, i)}: {np.expm1(bars.move[i]):+.0%}" for i in worst[:SHOWN].tolist()),
    )


def zero_volumes(bars: Bars) -> Check:
    """Bars of days on which nothing was traded."""
    zero = np.flatnonzero(bars.volume == 0)
    return _check(
        "zero_volumes",
        "Bars without volume",
        "bars",
        (len(zero), len(bars)),
        (_bar(bars, i) for i in zero[::-1][:SHOWN].tolist()),
    )


def undated(results: Sequence[tuple[str, str, bool]]) -> Check:
    """Results without a date of announcement: they count from the filing limit, as no event.

    `results` are codes, quarters and whether a date is known.
    """
    without = [(code, quarter) for code, quarter, dated in results if not dated]
    return _check(
        "undated_results",
        "Results without a date of announcement",
        "results",
        (len(without), len(results)),
        (f"{code} {quarter}" for code, quarter in without[::-1][:SHOWN]),
    )


def without_results(bars: Bars, results: Sequence[tuple[str, str, bool]]) -> Check:
    """Stocks that trade, and of which no results are known."""
    known = {code for code, _, _ in results}
    traded = [bars.codes[i] for i in bars.stock[bars.newest].tolist()]
    lacking = [code for code in traded if code not in known]
    return _check(
        "no_results",
        "Stocks with prices and no results",
        "stocks with prices",
        (len(lacking), len(traded)),
        lacking[:SHOWN],
    )


def band_violations(bars: Bars, bands: Sequence[PriceBand]) -> Check:
    """Closes outside of the band that the exchange published for their session.

    A band counts for the first bar after its day, if that is of the next session.
    """
    index = {code: number for number, code in enumerate(bars.codes)}
    known = [b for b in bands if b.percent is not None and b.bse_code in index]
    stock = np.array([index[band.bse_code] for band in known], dtype=np.int64)
    day = np.array([day_number(band.day) for band in known], dtype=np.int64)
    bar = bars.following(stock, day)
    # Of several bands before a bar the newest counts, which comes last.
    limits = {
        i: band.percent or 0.0 for i, band in zip(bar.tolist(), known, strict=True) if i < len(bars)
    }
    checked = [
        i
        for i in limits
        if bars.missed[i] == 0 and np.isfinite(bars.move[i]) and not bars.explained[i]
    ]
    outside = []
    for i in checked:
        base = bars.close[i] / np.exp(bars.move[i])
        if abs(bars.close[i] - base) > base * limits[i] / 100.0 + _BAND_ERROR:
            outside.append(i)
    return _check(
        "band_violations",
        "Closes outside of the exchange's price band",
        "closes with a known band",
        (len(outside), len(checked)),
        (
            f"{_bar(bars, i)}: {np.expm1(bars.move[i]):+.1%} in a band of {limits[i]:g} %"
            for i in outside[:SHOWN]
        ),
    )


def dead_names(bars: Bars) -> Check:
    """Names without a price in the last DEAD_AFTER sessions: bought by others, broke, suspended.

    A long history in which none has left holds survivors alone, and what is learned from it is too
    good: that is what somebody should look at.
    """
    ages = len(bars.sessions) - bars.session[bars.newest]
    dead = bars.newest[ages > DEAD_AFTER]
    years: dict[int, int] = {}
    for day in bars.day[dead].tolist():
        year = from_day_number(day).year
        years[year] = years.get(year, 0) + 1
    return _check(
        "dead_names",
        f"Names without a price for more than {DEAD_AFTER} sessions (survivorship)",
        "stocks with prices",
        (len(dead), len(bars.newest)),
        (f"{year}: {years[year]:,} left" for year in sorted(years, reverse=True)[:SHOWN]),
        look=not len(dead) and len(bars.sessions) > _YEAR,
    )


def calendar(disagreements: Sequence[tuple[date, bool]], sessions: int) -> Check:
    """Days on which the data and the exchange's calendar disagree."""
    words = {True: "prices on a holiday", False: "no prices on a session"}
    return _check(
        "calendar",
        "Days on which the data and the exchange's calendar disagree",
        "sessions",
        (len(disagreements), sessions),
        (f"{day}: {words[seen]}" for day, seen in disagreements[::-1][:SHOWN]),
    )


def refused(newest: Refused | None) -> Check:
    """Rows and files that the evening's import refused."""
    newest = newest or Refused(0, 0, [])
    return _check(
        "refused",
        "Rows and files that the newest evening's import refused",
        "rows read",
        (newest.total, newest.rows),
        newest.first[:SHOWN],
    )


def _check(
    name: str,
    title: str,
    unit: str,
    counts: tuple[int, int],
    examples: Iterable[str],
    *,
    look: bool | None = None,
) -> Check:
    found, of = counts
    return Check(
        name=name,
        title=title,
        unit=unit,
        found=found,
        of=of,
        look=found > 0 if look is None else look,
        examples=list(examples),
    )


def _bar(bars: Bars, index: int) -> str:
    return f"{bars.codes[bars.stock[index]]} on {from_day_number(bars.day[index])}"
