"""Daily prices: the exchanges' files of a day, and CSV files of our own columns."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.duplicates import SeenDays
from preprocess.imports.formats import BSE, NSE, Format
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule
from preprocess.imports.table import CsvTable
from preprocess.market.values import Bar, Identity, Tally
from preprocess.store import Writer

FIELDS = (
    *("code", "isin", "symbol", "series", "segment", "type", "exchange", "name", "day"),
    *("open", "high", "low", "close", "volume", "previous"),
)
NSE_SERIES = frozenset({"EQ", "BE", "BZ", "SM", "ST"})
# Groups of BSE's shares, for a row without an ISIN; F and G are debt, E is funds.
BSE_GROUPS = frozenset({"A", "B", "X", "XT", "T", "TS", "Z", "ZP", "M", "MT", "MS", "P"})
NOT_SHARES = frozenset({"E", "F", "FC", "G", "GC"})

# Neighbouring float32 numbers differ by up to this part of themselves: what a source rounded
# twice may put a high that much below the close.
ROUNDING = 2.0**-23


def read(table: CsvTable, form: Format, context: Context) -> Iterator[Bar | Refusal | None]:
    """Bars of a file; None for debt, derivatives, funds and the like."""
    pick = table.picked(*form.names(*FIELDS))
    own = form.exchange is None and "isin" not in form.columns
    fixed = None if "day" in form.columns else context.day_in_name(form, "EQddmmyy.CSV")
    day_of = _day_reader(context, form.day_of(context.file_name))
    seen = SeenDays()
    codes = context.codes

    def bar(row: list[str]) -> Bar | None:
        code, isin, symbol, series, segment, kind, source, name, day, *figures = pick(row)
        exchange = form.exchange or ("" if own else _exchange(source, series))
        number = None
        if exchange:
            number = cells.isin(isin)
            if not _is_share(exchange, kind, segment, series, number):
                return None
        on = fixed or day_of(day)
        if exchange == NSE:
            code = codes.code(number, symbol, on)
        checked = checked_bar(seen, cells.bse_code(code), on, figures, adjusted=context.adjusted)
        if not exchange:
            return checked
        taken = context.takes_prices(code, exchange)
        codes.learn(
            Identity(code, on, number, symbol or None if exchange == NSE else None),
            name=name or None,
            price_exchange=exchange if taken else None,
        )
        return checked if taken else None

    return table.parsed(bar)


def write(writer: Writer, values: Sequence[Bar], form: Format, context: Context) -> Tally:
    """Put bars into the store, and what an exchange's file tells of stocks that lack it.

    The first bar of a stock from the exchange that is not preferred does not replace a known one.

    Raises:
        ImportRefusedError: the file is a copy of the session before.
    """
    if form.dated and values:
        _refuse_copy(writer, values)
    if context.second:
        known = {
            (bar.bse_code, bar.day): bar
            for day in {bar.day for bar in values}
            for bar in writer.bars_on(day, context.second)
        }
        ours = [
            bar
            for bar in values
            if bar.bse_code not in context.second
            or _figures(known.get((bar.bse_code, bar.day), bar)) == _figures(bar)
        ]
        if len(ours) < len(values):
            context.note(
                f"{len(values) - len(ours):,} prices are left out: another price of that stock and"
                " day is known, and those of the other exchange are preferred"
            )
        values = ours
    context.days |= {bar.day for bar in values}
    tally = writer.put_prices(values)
    context.keep_learned(writer)
    return tally


def _refuse_copy(writer: Writer, values: Sequence[Bar]) -> None:
    """On holidays an exchange serves the file of the session before under the day's name."""
    days = {bar.day for bar in values}
    if len(days) > 1:
        return
    before = None
    for bar in values:  # a genuine day differs in its first rows
        known = writer.bar_before(bar.bse_code, bar.day)
        if known is None or _figures(known) != _figures(bar):
            return
        before = known.day
    raise ImportRefusedError(
        f"every row equals that of {before}: it is that session's file under the name of"
        f" {values[0].day}, as exchanges serve it on holidays"
    )


def _figures(bar: Bar) -> tuple[float | None, ...]:
    return bar.open, bar.high, bar.low, bar.close, bar.volume


def _exchange(source: str, series: str) -> str:
    if not source:
        return NSE if series in NSE_SERIES else BSE
    if source.upper() not in (BSE, NSE):
        raise RowRefusedError(Rule.KIND, f"Src is {source!r}, neither BSE nor NSE")
    return source.upper()


def _is_share(exchange: str, kind: str, segment: str, series: str, isin: str | None) -> bool:
    if segment not in ("", "CM") or kind not in ("", "STK", "Q"):
        return False
    if exchange == NSE and series not in NSE_SERIES:
        return False
    if isin is not None:
        # Characters 8 and 9 are the type of security; 01 is equity.
        return isin.startswith("INE") and isin[7:9] == "01" and series not in NOT_SHARES
    return exchange == NSE or kind == "Q" or series in BSE_GROUPS


def checked_bar(
    seen: SeenDays, code: str, day: date, figures: Sequence[str], *, adjusted: bool = False
) -> Bar:
    """A bar from its cells; `figures` are open, high, low, close, volume and previous close.

    Raises:
        RowRefusedError: it breaks a rule, or `seen` has its key.
    """
    opening = cells.price(figures[0], "open")
    high = cells.price(figures[1], "high")
    low = cells.price(figures[2], "low")
    close = cells.price(figures[3], "close")
    # A close outside the day's range is a close of some other day: 1 of 134,599 rows of the
    # exchange's own files of early 2015, a share whose close stayed at the day before's.
    if not low <= opening <= high or not low <= close <= high:
        top, bottom = max(opening, close, high), min(opening, close, low)
        if top > high * (1 + ROUNDING) or bottom < low * (1 - ROUNDING) or low > high:
            raise RowRefusedError(
                Rule.RANGE, f"open {opening}, high {high}, low {low}, close {close}"
            )
        high, low = top, bottom
    shares = cells.volume(figures[4])
    before = cells.previous_close(figures[5])
    if not seen.add(code, day):
        raise RowRefusedError(Rule.DUPLICATE, f"{code} on {day}; the first row stays")
    return Bar(code, day, opening, high, low, close, shares, before, adjusted)


def _day_reader(context: Context, named: date | None) -> Callable[[str], date]:
    # A file has few days and many rows; a day has few spellings.
    known: dict[str, date] = {}

    def day_of(text: str) -> date:
        day = known.get(text)
        if day is None:
            day = cells.past_day(text, "date", context.today)
            if len(known) < 100_000:
                known[text] = day
            if named not in (None, day):
                context.note(f"its rows are of {day}, its name says {named}: the rows count")
        return day

    return day_of
