"""The files that can be imported, by the columns that tell one from another.

A new format is a row of the table below: `columns` must all be in the header, `optional` ones may
be. A column's names are alternatives. The fields are those that the reader of the kind asks for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import shown
from preprocess.imports.units import without_unit

Names = tuple[str, ...]

BSE, NSE = "BSE", "NSE"

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Format:
    """One form of file."""

    name: str
    kind: str
    columns: Mapping[str, Names] = field(default_factory=dict)
    optional: Mapping[str, Names] = field(default_factory=dict)
    exchange: str | None = None
    dated: str | None = None  # the file's name, with the groups day, month and year
    units: bool = False  # column names may carry a unit of money

    def names(self, *fields: str) -> list[Names | None]:
        """The header's names of fields; None for a field that this format does not have."""
        return [self.columns.get(each) or self.optional.get(each) for each in fields]

    def day_of(self, file_name: str) -> date | None:
        """The day in a file's name; None where it has none."""
        match = self.dated and re.search(self.dated, file_name, re.IGNORECASE | re.ASCII)
        if not match:
            return None
        day, month, year = match["day"], match["month"].upper(), int(match["year"])
        try:
            number = _MONTHS.index(month) + 1 if month in _MONTHS else int(month)
            return date(year if year > 99 else 2000 + year, number, int(day))
        except ValueError:
            return None


_EQ_DD_MM_YY = r"(?<![a-z])EQ(?:_ISINCODE_)?(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d\d)(?!\d)"
_DD_MM_YYYY = r"(?P<day>\d\d)(?P<month>\d\d)(?P<year>\d{4})"


def _format(
    name: str,
    kind: str,
    columns: str,
    optional: str = "",
    *,
    exchange: str | None = None,
    dated: str | None = None,
    units: bool = False,
) -> Format:
    """A format from its columns, written `field: name | another name; field: name`."""

    def parsed(text: str) -> dict[str, Names]:
        pairs = (each.split(": ") for each in text.split("; ") if each)
        return {field: tuple(names.split(" | ")) for field, names in pairs}

    given = parsed(columns), parsed(optional)
    return Format(name, kind, *given, exchange, dated, units)


XBRL = Format("results in XBRL", "xbrl")

# In the order of an import: who is who first, then what needs it.
FORMATS: tuple[Format, ...] = (
    _format(
        *("stocks", "stocks"),
        "code: bse_code",
        "symbol: nse_symbol; name: company_name | name; isin: isin | isin_2020; industry: "
        "industry; status: status",
    ),
    _format(
        *("BSE list of securities", "stocks"),
        "code: security code; isin: isin no; status: status",
        "name: issuer name | security name; industry: industry new name | industry; "
        "instrument: instrument",
        exchange=BSE,
    ),
    _format(
        *("BSE and NSE daily prices (UDiFF)", "prices"),
        "day: traddt; code: fininstrmid; isin: isin; series: sctysrs; open: opnpric; high: "
        "hghpric; low: lwpric; close: clspric; volume: ttltradgvol",
        "segment: sgmt; exchange: src; type: fininstrmtp; symbol: tckrsymb; name: "
        "fininstrmnm; previous: prvsclsgpric",
        dated=r"_(?P<year>20\d\d)(?P<month>\d\d)(?P<day>\d\d)_",
    ),
    _format(
        *("BSE daily prices with ISIN (EQ_ISINCODE)", "prices"),
        "code: sc_code; name: sc_name; type: sc_type; open: open; high: high; low: low; "
        "close: close; previous: prevclose; volume: no_of_shrs; isin: isin_code; day: "
        "trading_date",
        exchange=BSE,
        dated=_EQ_DD_MM_YY,
    ),
    _format(
        *("BSE daily prices (EQ)", "prices"),
        "code: sc_code; name: sc_name; type: sc_type; open: open; high: high; low: low; "
        "close: close; previous: prevclose; volume: no_of_shrs",
        exchange=BSE,
        dated=_EQ_DD_MM_YY,
    ),
    _format(
        *("NSE list of securities", "stocks"),
        "symbol: symbol; name: name of company; isin: isin number",
        exchange=NSE,
    ),
    _format(
        *("NSE daily prices (bhav)", "prices"),
        "symbol: symbol; series: series; isin: isin; day: timestamp; open: open; high: high; "
        "low: low; close: close; previous: prevclose; volume: tottrdqty",
        exchange=NSE,
        dated=r"cm(?P<day>\d\d)(?P<month>[a-z]{3})(?P<year>\d{4})bhav",
    ),
    _format(
        *("NSE daily prices (sec_bhavdata_full)", "prices"),
        "symbol: symbol; series: series; day: date1; open: open_price; high: high_price; low: "
        "low_price; close: close_price; previous: prev_close; volume: ttl_trd_qnty",
        exchange=NSE,
        dated=_DD_MM_YYYY,
    ),
    _format(
        *("prices", "prices"),
        "code: bse_code; day: date; open: open; high: high; low: low; close: close; volume: volume",
        "previous: prev_close",
    ),
    _format(
        *("NSE price bands", "bands"),
        "symbol: symbol; series: series; band: band | to",
        exchange=NSE,
        dated=_DD_MM_YYYY,
    ),
    _format(
        *("actions", "actions"),
        "code: bse_code; day: ex_date; kind: kind; subject: subject",
        "ratio: ratio",
    ),
    _format(
        *("BSE corporate actions", "actions"),
        "code: security code; day: ex date; subject: purpose",
        exchange=BSE,
    ),
    _format(
        *("NSE corporate actions", "actions"),
        "symbol: symbol; series: series; day: ex-date; subject: purpose",
        exchange=NSE,
    ),
    _format(
        *("results", "financials"),
        "day: period_end | period ended | period end | quarter ended",
        "code: bse_code | security code | scrip code; isin: isin; symbol: nse_symbol | "
        "symbol; year: fiscal_year; quarter: quarter; label: label; revenue: revenue | "
        "revenue from operations | sales | net sales; pat: pat | net profit | profit after "
        "tax; operating_profit: operating_profit | operating profit; eps: eps | basic eps; "
        "announced: announced_on | announce_date_proxy | broadcast date/time; unit: unit",
        units=True,
    ),
    _format(
        *("list of results filed", "filings"),
        "day: period ended | period end | to date | quarter ended; basis: consolidated / "
        "non-consolidated | consolidated/non-consolidated; announced: broadcast date/time | "
        "broadcast date | exchange dissemination time | exchange received time",
        "code: security code | scrip code; symbol: symbol; isin: isin",
    ),
    _format(
        *("NSE announcements", "filings"),
        "symbol: symbol; subject: subject; details: details; announced: broadcast date/time | "
        "broadcast date",
    ),
    _format(
        *("NSE board meetings", "filings"),
        "symbol: symbol; day: meeting date",
    ),
    _format(
        *("BSE results calendar", "filings"),
        "code: security code; day: result date",
    ),
    XBRL,
)


def recognised(names: Sequence[str], formats: Sequence[Format] = FORMATS) -> Format:
    """The format of a file with this header: of those whose columns it has, the one with most.

    Raises:
        ImportRefusedError: it is of none of `formats`; says what the nearest one lacks.
    """
    nearest: tuple[int, Format, list[str]] | None = None
    best: tuple[int, Format] | None = None
    for each in formats:
        header = set(map(without_unit, names)) | set(names) if each.units else set(names)
        lacks = [" or ".join(names) for names in each.columns.values() if not _has(header, names)]
        found = len(each.columns) - len(lacks)
        if not lacks:
            score = found + sum(_has(header, names) for names in each.optional.values())
            if score > (best[0] if best else 1):
                best = score, each
        elif nearest is None or found - len(lacks) > nearest[0]:
            nearest = found - len(lacks), each, lacks
    if best is not None:
        return best[1]
    wanted = f" For {nearest[1].name}, missing columns: {', '.join(nearest[2])}." if nearest else ""
    written = shown(",".join(names))
    raise ImportRefusedError(f"its header is of no known kind.{wanted} The header is {written}")


def _has(header: set[str], names: Names) -> bool:
    return any(name in header for name in names)
