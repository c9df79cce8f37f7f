"""Results as companies file them: XBRL documents, plain or inside a page (inline XBRL).

Elements go by their local names: their prefix has changed before. Of the contexts `OneD` is the
quarter that is reported; others are the year to date, segments and years before.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import BinaryIO
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from preprocess.errors import ImportRefusedError
from preprocess.imports import cells, filings
from preprocess.imports.context import Context
from preprocess.imports.formats import Format
from preprocess.imports.refusal import NotListedError, RowRefusedError
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import Filing, Tally
from preprocess.store import Writer

LARGEST = 64 << 20  # bytes of a document; it is held in memory
QUARTER = "OneD"
CRORE = 10_000_000

_EPS = "BasicEarningsLossPerShareFromContinuing"
_EPS_NAMES = (
    f"{_EPS}AndDiscontinuedOperations",
    "BasicEarningsLossPerShare",
    f"{_EPS}Operations",
    "BasicEarningsLossPerShareAfterExtraordinaryItems",
    "BasicEarningsPerShareAfterExtraordinaryItems",
)


def is_xbrl(head: bytes) -> bool:
    """Whether a file that begins so is an XML document and no web page without XBRL."""
    lowered = head[:4096].lower()
    if not lowered.startswith(b"<"):
        return False
    page = b"<html" in lowered or lowered.startswith(b"<!doctype html")
    return not page or b"inlinexbrl" in lowered or b"xmlns:ix" in lowered


def read(stream: BinaryIO, _form: Format, context: Context) -> Iterator[Filing | None]:
    """The filing that a document is; None of a company that BSE does not list.

    Raises:
        ImportRefusedError: it is no such document, or is contradictory.
    """
    facts = _facts(stream)
    try:
        filing = _filing(facts, context)
    except NotListedError:
        return iter([None])
    except RowRefusedError as refused:
        raise ImportRefusedError(str(refused)) from None
    return iter([filing])


def write(writer: Writer, values: Sequence[Filing], form: Format, context: Context) -> Tally:
    """Keep the filing."""
    return filings.write(writer, values, form, context)


def _facts(stream: BinaryIO) -> dict[str, str | float]:
    """Text or, where inline XBRL scales it, number of each fact of the quarter."""
    facts: dict[str, str | float] = {}
    documents = 0
    try:
        for _, element in iterparse(_Bounded(stream), forbid_dtd=True):
            local = _local(element.tag)
            documents += local in ("xbrl", "header")
            inline = local in ("nonFraction", "nonNumeric")
            if element.get("contextRef") != QUARTER or _is_nil(element):
                continue
            name = _local(element.get("name", "")) if inline else local
            value = _value(element, name) if local == "nonFraction" else _text(element)
            if facts.setdefault(name, value) != value:
                raise ImportRefusedError(f"it says {name} twice, and differently")
    except DefusedXmlException:
        raise ImportRefusedError(
            "it has a document type or entities of its own, which no filing has"
        ) from None
    except ParseError as error:
        raise ImportRefusedError(f"it is not well-formed XML: {error}") from None
    if not documents:
        raise ImportRefusedError("it is no XBRL document")
    if not facts:
        raise ImportRefusedError(f"it has no facts of the quarter (context {QUARTER})")
    return facts


class _Bounded:
    """A stream with an end."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._read = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._read += len(data)
        if self._read > LARGEST:
            raise ImportRefusedError(f"it has more than {LARGEST >> 20} MiB")
        return data


def _local(name: str) -> str:
    return name.rpartition("}")[2].rpartition(":")[2]


def _is_nil(element: Element) -> bool:
    return any(_local(name) == "nil" and value == "true" for name, value in element.items())


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _value(element: Element, name: str) -> float:
    """The number of an inline fact, scaled and signed."""
    form, text = _local(element.get("format", "")), _text(element)
    if "comma" in form and "decimal" in form and not form.endswith("dot-decimal"):
        raise ImportRefusedError(f"{name} is written with decimal commas")
    try:
        value = 0.0 if "zero" in form or "dash" in form else cells.number(text)
        scale = int(element.get("scale") or 0)
    except ValueError:
        raise ImportRefusedError(f"{name} is {text[:60]!r}, which is no number") from None
    if not -20 <= scale <= 20:
        raise ImportRefusedError(f"{name} has the scale {scale}")
    return (-value if element.get("sign") == "-" else value) * 10.0**scale


def _filing(facts: Mapping[str, str | float], context: Context) -> Filing:
    start = _day(facts, "DateOfStartOfReportingPeriod", context)
    ended = _day(facts, "DateOfEndOfReportingPeriod", context)
    if ended != FiscalQuarter.of(ended).last_day or not 80 <= (ended - start).days <= 100:
        raise ImportRefusedError(f"it reports {start} to {ended}, which is no quarter")
    approved = ""
    if "DateOfBoardMeetingWhenFinancialResultsWereApproved" in facts:
        day = _day(facts, "DateOfBoardMeetingWhenFinancialResultsWereApproved", context)
        if day <= ended:
            raise ImportRefusedError(f"it was approved on {day}, its quarter ended on {ended}")
        approved = day.isoformat()
    revenue, profit, eps = _revenue(facts), _profit(facts), _eps(facts)
    filing = Filing(
        _code(facts, ended, context),
        ended,
        filings.basis_of(str(facts.get("NatureOfReportStandaloneConsolidated", ""))),
        approved,
        revenue / CRORE,
        profit / CRORE,
        _operating_profit(facts) / CRORE,
        eps,
    )
    if all(map(math.isnan, (revenue, profit, eps))):
        raise ImportRefusedError("it has none of the figures that are wanted")
    return filing


def _code(facts: Mapping[str, str | float], day: date, context: Context) -> str:
    scrip = str(facts.get("ScripCode", ""))
    if scrip and not cells.missing(scrip):
        return cells.bse_code(scrip)
    isin = cells.isin(str(facts.get("ISIN", "")))
    symbol = str(facts.get("Symbol", ""))
    return context.codes.code(isin, "" if cells.missing(symbol) else symbol, day)


def _day(facts: Mapping[str, str | float], name: str, context: Context) -> date:
    return cells.past_day(str(facts.get(name, "")), name, context.today)


def _number(facts: Mapping[str, str | float], *names: str) -> float:
    """The first of some facts that is there; NaN without any."""
    for name in names:
        value = facts.get(name)
        if value is not None:
            figure = value if isinstance(value, float) else cells.figure(value, name)
            if not math.isnan(figure):
                return figure
    return math.nan


def _revenue(facts: Mapping[str, str | float]) -> float:
    return _number(facts, "RevenueFromOperations", "InterestEarned")


def _eps(facts: Mapping[str, str | float]) -> float:
    return _number(facts, *_EPS_NAMES)


def _profit(facts: Mapping[str, str | float]) -> float:
    """The profit; of a group the owners' part, unless the EPS contradicts it."""
    whole = _number(facts, "ProfitLossForPeriod", "ProfitLossForThePeriod")
    owners = _number(facts, "ProfitOrLossAttributableToOwnersOfParent")
    if math.isnan(owners):
        return whole
    if math.isnan(whole):
        return owners
    eps = _eps(facts)
    if math.isnan(eps) or not eps:
        return owners
    shares = _number(facts, "PaidUpValueOfEquityShareCapital") / (
        _number(facts, "FaceValueOfEquityShareCapital") or math.nan
    )
    if math.isnan(shares):
        # Without the number of shares only the sign can contradict; a forgotten part is zero.
        return owners if owners * eps > 0 else whole
    return min(owners, whole, key=lambda profit: abs(profit - eps * shares))


def _operating_profit(facts: Mapping[str, str | float]) -> float:
    """Profit before interest, depreciation and other income; NaN for banks."""
    if "InterestEarned" in facts:
        return math.nan
    before_tax, finance, depreciation, other = (
        _number(facts, name)
        for name in (
            "ProfitBeforeExceptionalItemsAndTax",
            "FinanceCosts",
            "DepreciationDepletionAndAmortisationExpense",
            "OtherIncome",
        )
    )
    return before_tax + finance + depreciation - other
