"""Results as filed: the exchanges' lists of filings with their times, and what follows of both.

Every filing is kept. A quarter is announced when the exchange broadcast its first filing, or else
on the day that the board approved it; other figures filed later are a state of their own.
"""

import math
import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

import numpy as np

from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.formats import Format
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule
from preprocess.imports.table import CsvTable
from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import FIGURES, Filing, QuarterResult, Tally
from preprocess.store import Writer

CONSOLIDATED, STANDALONE, UNSAID = "consolidated", "standalone", ""

# A broadcast belongs to the board's meeting if it follows within these days.
BROADCAST_WITHIN = timedelta(days=3)

_ENDED = re.compile(
    r"(?:period|quarter|year)\b.{0,30}?\bended\s+(?:on\s+)?"
    r"(?:(\d\d?)(?:st|nd|rd|th)?[-., ]+([a-z]{3,9}|\d\d)|([a-z]{3,9}) (\d\d?)(?:st|nd|rd|th)?)"
    r"[-., ]+(\d{4})",
    re.IGNORECASE,
)


def read(table: CsvTable, form: Format, context: Context) -> Iterator[Filing | Refusal | None]:
    """The filings of a list, without figures; None for an announcement of anything else."""
    if "announced" not in form.columns:
        context.note("it tells of meetings to come, which are not kept")
        return table.parsed(lambda _row: None)
    pick = table.picked(
        *form.names("code", "isin", "symbol", "day", "basis", "announced", "subject", "details")
    )
    announces = "subject" in form.columns

    def filing(row: list[str]) -> Filing | None:
        code, isin, symbol, day, basis, announced, subject, details = pick(row)
        if announces:
            ended = _period_in(details) if "result" in subject.lower() else None
            if ended is None:
                return None
        else:
            ended = cells.past_day(day, "period ended", context.today)
        known, clock = cells.past_moment(announced, "broadcast", context.today)
        if ended != FiscalQuarter.of(ended).last_day or known <= ended:
            raise RowRefusedError(Rule.PERIOD, f"the period ended {ended}, broadcast on {known}")
        if not code:
            code = context.codes.code(cells.isin(isin), symbol, known)
        code = cells.bse_code(code)
        when = f"{known}T{clock}" if clock else f"{known}"
        return Filing(code, ended, basis_of(basis), when)

    return table.parsed(filing)


def basis_of(text: str) -> str:
    """The basis that a filing names."""
    lowered = text.lower()
    if "standalone" in lowered or "non-consolidated" in lowered or "non consolidated" in lowered:
        return STANDALONE
    return CONSOLIDATED if "consolidated" in lowered else UNSAID


def _period_in(details: str) -> date | None:
    match = _ENDED.search(details)
    if match is None:
        return None
    text = f"{int(match[1] or match[4]):02}-{match[2] or match[3]}-{match[5]}"
    try:
        return cells.moment(text, "period ended")[0]
    except RowRefusedError:
        return None


def write(writer: Writer, values: Sequence[Filing], _form: Format, context: Context) -> Tally:
    """Keep filings, and remember their quarters for `settle`."""
    context.quarters |= {(each.bse_code, each.period_end) for each in values}
    return writer.put_filings(values)


def settle(writer: Writer, context: Context) -> None:
    """Bring the results of every quarter with a new filing up to date with all of its filings."""
    for code, ended in sorted(context.quarters):
        writer.put_result_states(code, _states(ended, writer.filings_of(code, ended)))
    context.quarters.clear()


def _states(ended: date, filings: Sequence[Filing]) -> list[QuarterResult]:
    """What was known of a quarter, a state for each day on which its figures changed.

    Of the documents of a day, and of those before it, a consolidated one goes before a standalone
    one, and a revision before what it revises.
    """
    listed = sorted(date.fromisoformat(each.filed_at[:10]) for each in filings if _is_listed(each))
    documents = [each for each in filings if _has_figures(each)]
    announced = _announced(listed, documents)
    if not documents:
        return [_result(Filing("", ended, UNSAID, ""), announced)]
    documents.sort(key=lambda each: (each.basis == CONSOLIDATED, each.filed_at))
    states: list[QuarterResult] = []
    for day in sorted({_known_on(each, listed) for each in documents}):
        newest = [each for each in documents if _known_on(each, listed) <= day][-1]
        state = _result(newest, day if states else announced)
        if not states or not np.array_equal(FIGURES(state), FIGURES(states[-1]), equal_nan=True):
            states.append(state)
    return states


def _result(filing: Filing, announced: date | None) -> QuarterResult:
    # As filed: later splits restate no EPS.
    stated = None if math.isnan(filing.eps) else announced
    quarter = FiscalQuarter.of(filing.period_end)
    return QuarterResult(quarter, filing.period_end, announced, *FIGURES(filing), stated)


def _known_on(document: Filing, listed: Sequence[date]) -> date:
    """When a document's figures became known: its broadcast, or the day of the board's approval."""
    if not document.filed_at:
        return date.min
    approved = date.fromisoformat(document.filed_at)
    until = approved + BROADCAST_WITHIN
    return next((day for day in listed if approved <= day <= until), approved)


def _announced(listed: Sequence[date], documents: Sequence[Filing]) -> date | None:
    boards = sorted(date.fromisoformat(each.filed_at) for each in documents if each.filed_at)
    if not boards:
        return listed[0] if listed else None
    following = [day for day in listed if day <= boards[0] + BROADCAST_WITHIN]
    return following[0] if following else boards[0]


def _is_listed(filing: Filing) -> bool:
    return not _has_figures(filing)


def _has_figures(filing: Filing) -> bool:
    return not all(map(math.isnan, FIGURES(filing)))
