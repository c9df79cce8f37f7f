"""Corporate actions: ex-dates with their kind and the exchange's words for them."""

import math
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from preprocess.imports import cells
from preprocess.imports.context import Context
from preprocess.imports.formats import NSE, Format
from preprocess.imports.prices import NSE_SERIES
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.subjects import UnreadableError, actions_in
from preprocess.imports.table import CsvTable
from preprocess.market.values import CorporateAction, Tally
from preprocess.store import Writer

KINDS = ("bonus", "split", "rights", "demerger")

# Ex-dates are published ahead, but never by this much: a later date is a typing error.
ANNOUNCED_AHEAD = timedelta(days=366)

# A notice of the same kind and ratio this close to another is the same action, moved. Without a
# ratio (a demerger, rights) it is so only if it says so.
MOVED_WITHIN = timedelta(days=90)
REVISED_WITHIN = timedelta(days=30)

StockAction = tuple[str, CorporateAction]


def read(
    table: CsvTable, form: Format, context: Context
) -> Iterator[list[StockAction] | Refusal | None]:
    """The actions of each row: a bonus and a split when its subject has both; None for a dividend
    and the like. A column `ratio` takes precedence over the subject.
    """
    pick = table.picked(*form.names("code", "symbol", "series", "day", "kind", "subject", "ratio"))
    stated: set[tuple[str, date, str]] = set()
    ratios: dict[tuple[str, date, str], float | None] = {}

    def actions(row: list[str]) -> list[StockAction] | None:
        code, symbol, series, day, kind, subject, ratio = pick(row)
        if form.exchange == NSE and series not in NSE_SERIES:
            return None
        kind = "" if form.exchange else _kind(kind)
        found = _ratios(kind, subject, ratio)
        if not found:
            return None
        ex_date = cells.past_day(day, "ex_date", context.today + ANNOUNCED_AHEAD)
        if form.exchange == NSE:
            code = context.codes.code(None, symbol, ex_date)
        code = cells.bse_code(code)
        for each, value in found.items():
            before = ratios.get((code, ex_date, each), value)
            if before != value:
                raise RowRefusedError(
                    Rule.DUPLICATE,
                    f"{code}, {each} on {ex_date}: ratio {value}, a row above says {before}",
                )
        if kind and (code, ex_date, kind) in stated:
            raise RowRefusedError(
                Rule.DUPLICATE, f"{code}, {kind} on {ex_date}; the first row stays"
            )
        stated.add((code, ex_date, kind))
        ratios.update({(code, ex_date, each): value for each, value in found.items()})
        return [
            (code, CorporateAction(ex_date, each, value, subject)) for each, value in found.items()
        ]

    return table.parsed(actions)


def write(
    writer: Writer, values: Sequence[list[StockAction]], _form: Format, _context: Context
) -> Tally:
    """Put actions into the store. Of two notices of one action the revised one stays, or else the
    one with the later ex-date, in whichever order they come.
    """
    tally = Tally()
    kept: dict[tuple[str, str, date], CorporateAction] = {}
    for code, action in (each for row in values for each in row):
        rivals = [
            other
            for other in (
                *writer.actions_of(code),
                *(each for key, each in kept.items() if key[0] == code),
            )
            if _is_same(other, action)
        ]
        if any(_rank(other) > _rank(action) for other in rivals):
            tally.unchanged += 1
            continue
        for other in rivals:
            if other.ex_date != action.ex_date:
                writer.drop_action(code, other.ex_date, other.kind)
                kept.pop((code, other.kind, other.ex_date), None)
        kept[code, action.kind, action.ex_date] = action
    tally += writer.put_actions([(code, action) for (code, _, _), action in kept.items()])
    return tally


def _is_same(one: CorporateAction, other: CorporateAction) -> bool:
    if (one.kind, one.ratio) != (other.kind, other.ratio):
        return False
    apart = abs(one.ex_date - other.ex_date)
    if one.ratio is not None:
        return apart <= MOVED_WITHIN
    return not apart or (apart <= REVISED_WITHIN and (_is_revised(one) or _is_revised(other)))


def _is_revised(action: CorporateAction) -> bool:
    return "revised" in action.subject.lower()


def _rank(action: CorporateAction) -> tuple[bool, date, str]:
    # By their words at last: both exchanges tell of an action, each in its own.
    return _is_revised(action), action.ex_date, action.subject


def _kind(text: str) -> str:
    kind = text.lower()
    if kind not in KINDS:
        raise RowRefusedError(Rule.KIND, f"kind is {shown(text)}, not one of {', '.join(KINDS)}")
    return kind


def _ratios(kind: str, subject: str, stated: str) -> dict[str, float | None]:
    """Ratio of the row's own kind, and of a bonus or split that its subject names as well."""
    try:
        found = actions_in(subject)
    except UnreadableError as error:
        if not stated or error.kind != kind:
            raise RowRefusedError(Rule.RATIO, f"{error.kind}: {shown(subject)}") from None
        found = error.others
    if not kind:
        return found
    adjusting = {each: value for each, value in found.items() if each in ("bonus", "split")}
    ratio = adjusting.pop(kind, None)
    if stated:
        given = _stated_ratio(stated)
        if ratio is not None and not math.isclose(given, ratio, rel_tol=1e-6):
            raise RowRefusedError(
                Rule.RATIO, f"ratio is {given:g}, by the subject {ratio:g}: {shown(subject)}"
            )
        ratio = given
    elif kind in ("bonus", "split") and kind not in found:
        raise RowRefusedError(Rule.RATIO, f"{kind}: {shown(subject)}")
    return {kind: ratio} | adjusting


def _stated_ratio(text: str) -> float:
    try:
        ratio = cells.number(text)
    except ValueError:
        ratio = 0.0
    if ratio <= 0:
        raise RowRefusedError(Rule.NUMBER, f"ratio is {shown(text)}")
    return ratio
