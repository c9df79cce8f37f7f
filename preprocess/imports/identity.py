"""Which stock a row is of: NSE's rows by ISIN, then by symbol, to the BSE code."""

from collections.abc import Iterable
from dataclasses import replace

from preprocess.imports.refusal import NotListedError, RowRefusedError, Rule, shown
from preprocess.market.values import ACTIVE, Stock

_ISSUER = 7  # characters of an ISIN that a split keeps; those after it change


class Codes:
    """The stocks of the store, and what this import has learned of them."""

    def __init__(self, stocks: Iterable[Stock]) -> None:
        self._stocks: dict[str, Stock] = {}
        self._isins: dict[str, str] = {}
        self._symbols: dict[str, set[str]] = {}
        self._learned: dict[str, Stock] = {}
        self.elsewhere = 0  # rows of stocks that BSE does not list
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
                price_exchange=stock.price_exchange or known.price_exchange,
            )
        self._stocks[stock.bse_code] = stock
        if stock.isin:
            self._isins[stock.isin] = stock.bse_code
        if stock.nse_symbol:
            self._symbols.setdefault(stock.nse_symbol, set()).add(stock.bse_code)

    def code(self, isin: str | None, symbol: str | None) -> str:
        """The BSE code of NSE's stock.

        Raises:
            NotListedError: no stock is known by either, though others are: NSE lists it alone.
            RowRefusedError: no stocks are known yet, or by the symbol another company or several.
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
        if len(found) == 1:
            return found.pop()
        names = " and ".join(shown(name) for name in (isin, symbol) if name) or "no ISIN"
        if symbol not in self._symbols and (self._isins if isin else self._symbols and symbol):
            self.elsewhere += 1
            raise NotListedError(Rule.STOCK, f"{names}: no BSE code known")
        raise RowRefusedError(
            Rule.STOCK,
            f"{names}: {'several BSE codes' if found else 'no BSE code'} known; "
            "import BSE's list of securities (Equity.csv) and NSE's (EQUITY_L.csv)",
        )

    def learn(
        self,
        code: str,
        *,
        name: str | None = None,
        isin: str | None = None,
        symbol: str | None = None,
        price_exchange: str | None = None,
    ) -> None:
        """Fill in what is not known of a stock: price files cut names, and lists are better.

        The exchange is that of its newest price.
        """
        known = self.known(code)
        turned = price_exchange not in (None, known.price_exchange)
        if (
            not turned
            and known.company_name
            and (known.isin or not isin)
            and (known.nse_symbol or not symbol)
        ):
            return
        filled = replace(
            known,
            company_name=known.company_name or name,
            isin=known.isin or isin,
            nse_symbol=known.nse_symbol or symbol,
            price_exchange=price_exchange or known.price_exchange,
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
