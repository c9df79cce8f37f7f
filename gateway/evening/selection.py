"""The stocks that a run scores, and the day."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from preprocess.errors import EveningError
from preprocess.market.sessions import Sessions
from preprocess.market.values import ACTIVE, Stock, is_bse_code
from preprocess.store import Store
from preprocess.store.sessions import read_sessions

_SHOWN = 10


@dataclass(frozen=True)
class Selection:
    """`stocks` are scored, ascending by code; `inactive` were requested, but are not scored.

    `whole` is true if the whole market was requested. A stock whose newest price is from before
    `oldest` is skipped.
    """

    day: date
    oldest: date
    whole: bool
    stocks: Mapping[str, Stock]
    inactive: Sequence[str]
    sessions: Sessions


def select(
    store: Store,
    *,
    today: date,
    day: date | None = None,
    codes: Sequence[str] = (),
    limit: int | None = None,
    max_age_sessions: int,
    named_days: Mapping[date, bool] | None = None,
) -> Selection:
    """The active stocks among `codes` (empty: all), at most `limit`, for `day` (None: the newest).

    Prices may be `max_age_sessions` sessions old; `named_days` are sessions that were entered.

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
    sessions = read_sessions(store, named_days or {})
    return Selection(
        day=day,
        oldest=_oldest(sessions, day, max_age_sessions),
        whole=whole,
        stocks={code: wanted[code] for code in active[:limit]},
        inactive=sorted(wanted.keys() - set(active)) if whole or codes else [],
        sessions=sessions,
    )


def _oldest(sessions: Sessions, day: date, count: int) -> date:
    """The day of the price from which `count` sessions have passed until `day`."""
    days = sessions.up_to(day)
    return days[-count - 1] if len(days) > count else date.min


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
