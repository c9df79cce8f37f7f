"""What is stored with the market's data: labels and monthly stamps, and the exchange's calendar.

It runs inside the transaction that changes the data, so no reader sees one without the other.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta

from preprocess.features.labels import circuit_labels
from preprocess.features.stamps import eve_of, extended_sector_codes, market_cap_cr, month_stamps
from preprocess.market.announcements import LONGEST_PAUSE_DAYS
from preprocess.market.calendar import first_day_of, from_day_number, month_of, months_between
from preprocess.market.sessions import calendar_days, calendar_release
from preprocess.store import Writer


def refresh_derived(writer: Writer, *, circuit_pct: float) -> None:
    """Recompute the labels of every changed stock and the stamps of every affected month."""
    release = calendar_release()
    if writer.exchange_calendar()[0] != release:
        writer.put_exchange_calendar(release, calendar_days())
    touched = dict(writer.touched)
    label(writer, _to_label(writer, touched), circuit_pct=circuit_pct)
    if touched:
        stamp_months(writer, _affected_months(writer, min(touched.values())))


def label(writer: Writer, bse_codes: Iterable[str], *, circuit_pct: float) -> None:
    """Write the labels of some stocks."""
    for code in bse_codes:
        history = writer.history(code)
        if history is not None:
            bands = writer.bands_of(code)
            labels = circuit_labels(history, bands, circuit_pct=circuit_pct)
            writer.replace_labels(code, labels)


def stamp_months(writer: Writer, months: list[str]) -> None:
    """Write the static features for `months`, for each stock from the month of its first price.

    A month keeps the sector that it was stamped with: another industry counts from the first month
    that has no stamp yet.
    """
    if not months:
        return
    stocks = writer.stocks()
    sector_codes = extended_sector_codes(writer.sector_codes(), stocks)
    writer.put_sectors(sector_codes)
    listed: dict[str, list[tuple[str, str | None, float | None]]] = {month: [] for month in months}
    for stock in stocks:
        history = writer.history(stock.bse_code)
        if history is None or not len(history.prices):
            continue
        first = month_of(from_day_number(int(history.prices.days[0])))
        stamped = {stamp.month: stamp.sector for stamp in history.statics}
        for month in months:
            if month >= first:
                sector = stamped.get(month) or stock.industry
                cap = market_cap_cr(history, eve_of(month))
                listed[month].append((stock.bse_code, sector, cap))
    for month, members in listed.items():
        writer.put_statics(month_stamps(month, members, sector_codes))


def _to_label(writer: Writer, touched: Mapping[str, date]) -> list[str]:
    """Changed stocks whose labels may differ: few, when one day of the whole market is imported.

    A label depends on the bars and bands until the session after its announcement, which is at most
    LONGEST_PAUSE_DAYS later.
    """
    repriced = writer.only_repriced
    pause = timedelta(days=LONGEST_PAUSE_DAYS)
    return [
        code
        for code, first in sorted(touched.items())
        if code not in repriced
        or writer.label_may_change(code, max(first, date.min + pause) - pause, first)
    ]


def _affected_months(writer: Writer, first_touched: date) -> list[str]:
    """Months with prices that have no stamp yet, or whose stamp depends on changed data."""
    days = writer.price_days()
    if days is None:
        return []
    stamped = writer.stamped_months()
    return [
        month
        for month in months_between(*days)
        if month not in stamped or first_day_of(month) > first_touched
    ]
