"""Which stock a row is of: NSE's rows by ISIN, then by symbol, to the BSE code."""

from collections.abc import Iterable
from dataclasses import replace

from preprocess.imports.refusal import RowRefusedError, Rule, shown
from preprocess.market.values import ACTIVE, Stock

_ISSUER = 7  # characters of an ISIN that a split keeps; those after it change


class Codes:
    """The stocks of the store, and what this import has learned of them."""

    def __init__(self, stocks: Iterable[Stock]) -> None:
        self._stocks: dict[str, Stock] = {}
        self._isins: dict[str, str] = {}
        self._symbols: dict[str, set[str]] = {}
        self._learned: dict[str, Stock] = {}
        for stock in stocks:
            self.add(stock)

    def add(self, stock: Stock) -> None:
        """Know a stock; a missing field does not erase a known one."""
        known = self._stocks.get(stock.bse_code)
        if known is not None:
            stock = replace(
                stock,
                nse_symbol=stock.nse_symbol or known.nse_symbol,
                company_name=stock.company_name or known.company_name,
                isin=stock.isin or known.isin,
                industry=stock.industry or known.industry,
                status=stock.status or known.status,
            )
        self._stocks[stock.bse_code] = stock
        if stock.isin:
            self._isins[stock.isin] = stock.bse_code
        if stock.nse_symbol:
            self._symbols.setdefault(stock.nse_symbol, set()).add(stock.bse_code)

    def code(self, isin: str | None, symbol: str | None) -> str:
        """The BSE code of NSE's stock.

        Raises:
            RowRefusedError: no stock is known by either, or more than one by the symbol.
        """
        if isin in self._isins:
            return self._isins[isin]
        found = {
            code
            for code in self._symbols.get(symbol or "", ())
            if isin is None or (self._stocks[code].isin or isin)[:_ISSUER] == isin[:_ISSUER]
        }
        if len(found) > 1:
            found = {code for code in found if self._stocks[code].status == ACTIVE}
        if len(found) != 1:
            names = " and ".join(shown(name) for name in (isin, symbol) if name) or "no ISIN"
            raise RowRefusedError(
                Rule.STOCK,
                f"{names}: {'several BSE codes' if found else 'no BSE code'} known; "
                "import BSE's list of securities (Equity.csv) and NSE's (EQUITY_L.csv)",
            )
        return found.pop()

    def learn(
        self,
        code: str,
        *,
        name: str | None = None,
        isin: str | None = None,
        symbol: str | None = None,
    ) -> None:
        """Fill in what is not known of a stock: price files cut names, and lists are better."""
        known = self.known(code)
        if known.company_name and (known.isin or not isin) and (known.nse_symbol or not symbol):
            return
        filled = replace(
            known,
            company_name=known.company_name or name,
            isin=known.isin or isin,
            nse_symbol=known.nse_symbol or symbol,
        )
        if filled != known:
            self.add(filled)
            self._learned[code] = filled

    def learned(self) -> list[Stock]:
        """The stocks filled in since the last call."""
        stocks, self._learned = list(self._learned.values()), {}
        return stocks

    def known(self, code: str) -> Stock:
        """What is known of a stock."""
        return self._stocks.get(code) or Stock(code)
