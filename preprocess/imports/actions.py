"""Corporate actions: ex-dates with their kind and the exchange's words for them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from operator import itemgetter

from preprocess.imports import cells
from preprocess.imports.refusal import Refusal, RowRefusedError, Rule, shown
from preprocess.imports.subjects import bonus_ratio, is_of_other_securities, mentions, split_ratio
from preprocess.imports.table import CsvTable
from preprocess.market.values import CorporateAction, Tally
from preprocess.store import Writer

COLUMNS = ("bse_code", "ex_date", "kind", "subject")
KINDS = ("bonus", "split", "rights", "demerger")

# Ex-dates are published ahead, but never by this much: a later date is a typing error.
ANNOUNCED_AHEAD = timedelta(days=366)

StockAction = tuple[str, CorporateAction]
_READERS = {"bonus": bonus_ratio, "split": split_ratio}


@dataclass(frozen=True, slots=True)
class ActionImporter:
    """Files of corporate actions. An optional column `ratio` takes precedence over the subject."""

    today: date
    kind: str = "actions"

    def read(self, table: CsvTable) -> Iterator[list[StockAction] | Refusal | None]:
        """The actions of each row: a bonus and a split when its subject has both."""
        pick = itemgetter(*table.indices(*COLUMNS))
        ratio = table.index("ratio")
        stated: set[tuple[str, date, str]] = set()
        ratios: dict[tuple[str, date, str], float | None] = {}

        def actions(row: list[str]) -> list[StockAction]:
            code, day, kind, subject = pick(row)
            code, ex_date, kind = cells.bse_code(code), self._ex_date(day), _kind(kind)
            found = _ratios(kind, subject, "" if ratio is None else row[ratio])
            if (code, ex_date, kind) in stated:
                raise RowRefusedError(
                    Rule.DUPLICATE, f"{code}, {kind} on {ex_date}; the first row stays"
                )
            for each, value in found.items():
                before = ratios.get((code, ex_date, each), value)
                if before != value:
                    raise RowRefusedError(
                        Rule.DUPLICATE,
                        f"{code}, {each} on {ex_date}: ratio {value}, a row above says {before}",
                    )
            stated.add((code, ex_date, kind))
            ratios.update({(code, ex_date, each): value for each, value in found.items()})
            return [
                (code, CorporateAction(ex_date, each, value, subject))
                for each, value in found.items()
            ]

        return table.parsed(actions)

    def _ex_date(self, text: str) -> date:
        return cells.past_day(text, "ex_date", self.today + ANNOUNCED_AHEAD)

    def write(self, writer: Writer, values: Sequence[list[StockAction]]) -> Tally:
        """Put actions into the store."""
        return writer.put_actions([action for row in values for action in row])


def _kind(text: str) -> str:
    kind = text.lower()
    if kind not in KINDS:
        raise RowRefusedError(Rule.KIND, f"kind is {shown(text)}, not one of {', '.join(KINDS)}")
    return kind


def _ratios(kind: str, subject: str, stated: str) -> dict[str, float | None]:
    """Ratio of the row's own kind, and of a bonus or split that its subject names as well."""
    found: dict[str, float | None] = {}
    for each, reader in _READERS.items():
        ratio = reader(subject)
        other_securities = each == "bonus" and is_of_other_securities(subject)
        wanted = each == kind or mentions(each, subject)
        if ratio is not None:
            found[each] = ratio
        elif wanted and not other_securities and not (each == kind and stated):
            raise RowRefusedError(Rule.RATIO, f"{each}: {shown(subject)}")
    ratio = found.get(kind)
    if stated:
        given = _stated_ratio(stated)
        if ratio is not None and not math.isclose(given, ratio, rel_tol=1e-6):
            raise RowRefusedError(
                Rule.RATIO, f"ratio is {given:g}, by the subject {ratio:g}: {shown(subject)}"
            )
        ratio = given
    return {kind: ratio} | {each: value for each, value in found.items() if each != kind}


def _stated_ratio(text: str) -> float:
    try:
        ratio = cells.number(text)
    except ValueError:
        ratio = 0.0
    if ratio <= 0:
        raise RowRefusedError(Rule.NUMBER, f"ratio is {shown(text)}")
    return ratio
