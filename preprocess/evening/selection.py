"""Which stocks a run scores, and as of which day."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from preprocess.errors import EveningError
from preprocess.evening.outcome import Reason, Skipped
from preprocess.market import ACTIVE, Mark, Stock, is_bse_code
from preprocess.store import Store

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Wish:
    """What a run was asked for: a day (None: the newest), some codes (empty: all), a limit."""

    day: date | None = None
    codes: tuple[str, ...] = ()
    limit: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it is the whole market that is asked for."""
        return not self.codes and self.limit is None


@dataclass(frozen=True)
class Selection:
    """`stocks` are to be scored, ascending by code; `left_out` were asked for and are not.

    `mark` is the newest change of the market before the stocks were read; `priced` are the codes
    that have any price.
    """

    day: date
    whole: bool
    stocks: Mapping[str, Stock]
    left_out: tuple[Skipped, ...]
    priced: frozenset[str]
    mark: Mark

    @property
    def codes(self) -> list[str]:
        """The codes to be scored."""
        return list(self.stocks)

    @property
    def fingerprint(self) -> str:
        """What tells this list of stocks from any other."""
        return hashlib.sha256(" ".join(self.stocks).encode()).hexdigest()[:16]


def select(store: Store, wish: Wish, *, today: date) -> Selection:
    """The active stocks that are asked for.

    Raises:
        EveningError: there are no prices, the day lies after `today` or before all prices, or a
            code is not known.
    """
    mark = store.mark()
    listings = store.listings()
    if not listings:
        raise EveningError("The database has no prices: run `tezi import prices FILE`.")
    day = wish.day or max(listing.newest_price for listing in listings)
    if day > today:
        raise EveningError(f"{day} is in the future: today in Mumbai is {today}.")
    days = store.price_days() if wish.day else None
    if days and day < days[0]:
        raise EveningError(f"{day} is before all data: the first price is dated {days[0]}.")
    known = {stock.bse_code: stock for stock in store.stocks()}
    wanted = known if not wish.codes else {code: known[code] for code in _checked(wish, known)}
    active = [code for code, stock in wanted.items() if stock.status == ACTIVE]
    return Selection(
        day=day,
        whole=wish.whole,
        stocks={code: wanted[code] for code in active[: wish.limit]},
        left_out=tuple(
            Skipped(code, Reason.NOT_ACTIVE)
            for code, stock in wanted.items()
            if wish.codes and stock.status != ACTIVE
        ),
        priced=frozenset(listing.stock.bse_code for listing in listings),
        mark=mark,
    )


def _checked(wish: Wish, known: Mapping[str, Stock]) -> Sequence[str]:
    """The codes of the wish, ascending, each once."""
    codes = sorted(set(wish.codes))
    malformed = [code for code in codes if not is_bse_code(code)]
    if malformed:
        raise EveningError(f"A BSE code has six digits; not so {_listed(malformed)}.")
    unknown = [code for code in codes if code not in known]
    if unknown:
        raise EveningError(f"No stock of the database has the code {_listed(unknown)}.")
    return codes


def _listed(codes: Sequence[str]) -> str:
    more = f" and {len(codes) - _SHOWN} more" if len(codes) > _SHOWN else ""
    return ", ".join(repr(code) for code in codes[:_SHOWN]) + more
