"""Which stock a row is of: NSE's rows by ISIN, then by symbol, to the BSE code.

A split changes a stock's ISIN, a company its symbol, and another may take that symbol later. So
what a stock was called is kept with the day from which that held.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from operator import attrgetter

from preprocess.imports.refusal import NotListedError, RowRefusedError, Rule, shown
from preprocess.market.values import ACTIVE, Identity, Stock

_ISSUE = 9  # characters of an ISIN: the issuer and its equity. A split changes those after them
_FROM = attrgetter("valid_from")


class Codes:
    """The stocks of the store, and what this import has learned of them."""

    def __init__(
        self,
        stocks: Iterable[Stock] = (),
        identities: Iterable[Identity] = (),
        *,
        today: date = date.max,
    ) -> None:
        """`identities` ascend by day; one without any has always been what `stocks` say."""
        self._today = today
        self._stocks: dict[str, Stock] = {}
        self._issues: dict[str, set[str]] = {}
        self._symbols: dict[str, set[str]] = {}
        self._identities: dict[str, list[Identity]] = {}
        self._learned: dict[str, Stock] = {}
        self._renamed: set[str] = set()
        self.elsewhere = 0  # rows of stocks that BSE does not list
        for identity in identities:
            self._identities.setdefault(identity.bse_code, []).append(identity)
            self._know(identity)
        for stock in stocks:
            self._stocks[stock.bse_code] = stock
            if stock.bse_code not in self._identities and (stock.isin or stock.nse_symbol):
                identity = Identity(stock.bse_code, date.min, stock.isin, stock.nse_symbol)
                self._identities[stock.bse_code] = [identity]
                self._know(identity)

    def add(self, stock: Stock) -> None:
        """Know a stock of a list of today; a missing field does not erase a known one."""
        known = self.known(stock.bse_code)
        self._stocks[stock.bse_code] = replace(
            stock,
            nse_symbol=stock.nse_symbol or known.nse_symbol,
            company_name=stock.company_name or known.company_name,
            isin=stock.isin or known.isin,
            industry=stock.industry or known.industry,
            status=stock.status or known.status,
            price_exchange=stock.price_exchange or known.price_exchange,
        )
        self._observe(Identity(stock.bse_code, self._today, stock.isin, stock.nse_symbol))

    def code(self, isin: str | None, symbol: str | None, day: date) -> str:
        """The BSE code of what was NSE's stock on a day.

        Raises:
            NotListedError: no stock is known by either, though others are: NSE lists it alone.
            RowRefusedError: no stocks are known yet, or by the symbol another company or several.
        """
        found = self._issues.get(isin[:_ISSUE], set()) if isin else set()
        if len(found) > 1:
            found = {code for code in found if self._called(code, day).isin == isin} or found
        named = self._symbols.get(symbol or "", set())
        if not found:
            found = {
                code
                for code in named
                if (called := self._called(code, day)).nse_symbol == symbol
                and not (isin and called.isin)
            }
        if len(found) > 1:
            found = {code for code in found if self.known(code).status == ACTIVE}
        if len(found) == 1:
            return found.pop()
        names = " and ".join(shown(name) for name in (isin, symbol) if name) or "no ISIN"
        if not named and (self._issues if isin else self._symbols and symbol):
            self.elsewhere += 1
            raise NotListedError(Rule.STOCK, f"{names}: no BSE code known")
        raise RowRefusedError(
            Rule.STOCK,
            f"{names}: {'several BSE codes' if found else 'no BSE code'} known"
            f"{f' that was called so on {day}' if named else ''}; "
            "import BSE's list of securities (Equity.csv) and NSE's (EQUITY_L.csv)",
        )

    def learn(
        self,
        identity: Identity,
        *,
        name: str | None = None,
        price_exchange: str | None = None,
    ) -> None:
        """Take in what a row of prices says: what the stock was called, and of whom its prices are.

        A name is filled in where there is none: price files cut names, and lists are better.
        """
        self._observe(identity)
        known = self.known(identity.bse_code)
        exchange = price_exchange or known.price_exchange
        if known.company_name and exchange == known.price_exchange:
            return
        filled = replace(known, company_name=known.company_name or name, price_exchange=exchange)
        if filled != known:
            self._stocks[known.bse_code] = self._learned[known.bse_code] = filled

    def learned(self) -> tuple[list[Stock], list[Identity]]:
        """The stocks filled in since the last call, and all identities of those with a new one."""
        stocks = list(self._learned.values())
        identities = [each for code in sorted(self._renamed) for each in self._identities[code]]
        self._learned, self._renamed = {}, set()
        return stocks, identities

    def known(self, code: str) -> Stock:
        """What is known of a stock."""
        return self._stocks.get(code) or Stock(code)

    def _called(self, code: str, day: date) -> Identity:
        """What a stock was called on a day; before the first known day, what it was called then."""
        rows = self._identities[code]
        return rows[max(0, bisect_right(rows, day, key=_FROM) - 1)]

    def _observe(self, seen: Identity) -> None:
        rows = self._identities.setdefault(seen.bse_code, [])
        at = bisect_right(rows, seen.valid_from, key=_FROM)
        before, after = rows[at - 1] if at else None, rows[at] if at < len(rows) else None
        if not (seen.isin or seen.nse_symbol) or (before and _same(before, seen, exactly=True)):
            return
        if before and _same(before, seen):
            rows[at - 1] = _merged(before, seen, before.valid_from)
        elif before and before.valid_from == seen.valid_from:
            return  # two files of a day contradict each other; the first stays
        elif after and _same(after, seen):
            rows[at] = _merged(after, seen, seen.valid_from)
        else:
            rows.insert(at, _merged(seen, before or after or seen, seen.valid_from))
        self._renamed.add(seen.bse_code)
        self._know(seen)
        newest, known = rows[-1], self.known(seen.bse_code)
        called = replace(known, isin=newest.isin, nse_symbol=newest.nse_symbol)
        if called != known:
            self._stocks[known.bse_code] = self._learned[known.bse_code] = called

    def _know(self, identity: Identity) -> None:
        if identity.isin:
            self._issues.setdefault(identity.isin[:_ISSUE], set()).add(identity.bse_code)
        if identity.nse_symbol:
            self._symbols.setdefault(identity.nse_symbol, set()).add(identity.bse_code)


def _same(one: Identity, other: Identity, *, exactly: bool = False) -> bool:
    """Whether nothing of one contradicts the other; exactly: and the other says nothing new."""
    missing = () if exactly else (None,)
    return all(
        theirs in (None, ours) or ours in missing
        for ours, theirs in ((one.isin, other.isin), (one.nse_symbol, other.nse_symbol))
    )


def _merged(one: Identity, other: Identity, valid_from: date) -> Identity:
    return Identity(
        one.bse_code, valid_from, one.isin or other.isin, one.nse_symbol or other.nse_symbol
    )
