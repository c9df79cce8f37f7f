"""The stocks that a run scores, and the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from preprocess.errors import EveningError
from preprocess.market.values import ACTIVE, Stock, is_bse_code
from preprocess.store import Store

_SHOWN = 10


@dataclass(frozen=True)
class Selection:
    """`stocks` are scored, ascending by code; `inactive` were requested, but are not scored.

    `whole` is true if the whole market was requested.
    """

    day: date
    whole: bool
    stocks: Mapping[str, Stock]
    inactive: Sequence[str]


def select(
    store: Store,
    *,
    today: date,
    day: date | None = None,
    codes: Sequence[str] = (),
    limit: int | None = None,
) -> Selection:
    """The active stocks among `codes` (empty: all), at most `limit`, for `day` (None: the newest).

    Raises:
        EveningError: there are no prices, the day is after `today` or before all prices, or a code
            is not known.
    """
    days = store.price_days()
    if days is None:
        raise EveningError("The database has no prices: run `tezi import prices FILE`.")
    day = day or days[1]
    if day > today:
        raise EveningError(f"{day} is in the future: today in Mumbai is {today}.")
    if day < days[0]:
        raise EveningError(f"{day} is before all data: the first price is dated {days[0]}.")
    wanted = {stock.bse_code: stock for stock in store.stocks()}
    if codes:
        wanted = {code: wanted[code] for code in _checked(codes, wanted)}
    active = [code for code, stock in wanted.items() if stock.status == ACTIVE]
    whole = not codes and limit is None
    return Selection(
        day=day,
        whole=whole,
        stocks={code: wanted[code] for code in active[:limit]},
        inactive=sorted(wanted.keys() - set(active)) if whole or codes else [],
    )


def _checked(codes: Sequence[str], known: Mapping[str, Stock]) -> Sequence[str]:
    """The codes in ascending order, without duplicates."""
    codes = sorted(set(codes))
    malformed = [code for code in codes if not is_bse_code(code)]
    if malformed:
        raise EveningError(f"A BSE code has six digits, unlike {listed(malformed)}.")
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise EveningError(f"No stock in the database has the code {listed(unknown)}.")
    return codes


def listed(codes: Sequence[str]) -> str:
    """The first ten codes, and how many more there are."""
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    return ", ".join(codes[:_SHOWN]) + more
