"""The data report: every check of a market as of a day, as JSON and for people."""

from collections.abc import Mapping
from datetime import date

import msgspec

from preprocess.errors import StoreError
from preprocess.market.sessions import Sessions, seen_days
from preprocess.market.values import ACTIVE, CorporateAction, PriceBand
from preprocess.quality import checks
from preprocess.quality.bars import Bars, bars_until
from preprocess.quality.checks import Check, Refused
from preprocess.store import Store
from preprocess.store.tables import ACTIONS, BANDS, RESULTS

_ALL = "000000", "999999"


class DataReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in the data up to `day`; counts are of stocks that have a bar, and of rows."""

    day: date
    first_day: date
    stocks: int
    bars: int
    sessions: int
    results: int
    checks: list[Check]

    @property
    def to_look_at(self) -> list[Check]:
        """The checks that somebody should look at."""
        return [check for check in self.checks if check.look]

    @property
    def verdict(self) -> str:
        """What there is to look at, in one sentence."""
        if not self.to_look_at:
            return f"None of {len(self.checks)} checks found anything to look at."
        found = ", ".join(f"{check.name} {check.found:,}" for check in self.to_look_at)
        return f"{len(self.to_look_at)} of {len(self.checks)} checks are to be looked at: {found}."

    def to_json(self) -> bytes:
        """The report as an indented JSON document."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def data_report(
    store: Store,
    day: date | None = None,
    *,
    max_age_sessions: int,
    named: Mapping[date, bool],
    refused: Refused | None = None,
) -> tuple[DataReport, Bars]:
    """Check the data up to `day` (None: the newest with prices); the bars are for plots.

    Raises:
        StoreError: there are no prices on or before the day, or the database cannot be read.
    """
    columns = store.columns()
    newest = store.price_days()
    day = day or (newest[1] if newest else date.max)
    if newest is None or day < newest[0]:
        raise StoreError(f"There are no prices up to {day}: import some with `tezi import`.")
    sessions = Sessions(
        [each for each in seen_days(columns) if each <= day], store.exchange_calendar()[1], named
    )
    bars = bars_until(
        columns,
        day,
        sessions=sessions.up_to(day),
        actions=[
            (code, CorporateAction(date.fromisoformat(ex_date), kind, ratio))
            for code, ex_date, kind, ratio, *_ in store.rows_between(ACTIONS, *_ALL)
        ],
    )
    limit = day.isoformat()
    results = [
        (code, f"{quarter} of {fiscal_year}", announced is not None)
        for code, fiscal_year, quarter, end, announced, *_ in store.rows_between(RESULTS, *_ALL)
        if (announced or end) <= limit
    ]
    bands = [
        PriceBand(code, date.fromisoformat(on), percent, source)
        for code, on, percent, source in store.rows_between(BANDS, *_ALL)
        if on <= limit
    ]
    active = [stock.bse_code for stock in store.stocks() if stock.status == ACTIVE]
    found = [
        checks.stale(bars, active=active, max_age_sessions=max_age_sessions),
        checks.jumps(bars),
        checks.band_violations(bars, bands),
        checks.gaps(bars),
        checks.zero_volumes(bars),
        checks.undated(results),
        checks.without_results(bars, results),
        checks.dead_names(bars),
        checks.calendar(sessions.disagreements(), len(bars.sessions)),
        checks.refused(refused),
    ]
    report = DataReport(
        day=day,
        first_day=newest[0],
        stocks=len(bars.newest),
        bars=len(bars),
        sessions=len(bars.sessions),
        results=len(results),
        checks=found,
    )
    return report, bars
