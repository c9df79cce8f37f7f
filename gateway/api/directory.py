"""The stocks that can be predicted, kept in memory and reloaded when the database changes."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date

import structlog

from gateway.api.answers import Component, Condition, StockEntry
from gateway.ports import Clock
from preprocess.errors import StoreError
from preprocess.market.announcements import Announcements, EarningsCalendar, Event
from preprocess.market.sessions import Sessions
from preprocess.market.values import UNKNOWN_SYMBOL, Listing, Mark
from preprocess.store import Store
from preprocess.store.sessions import read_sessions

log = structlog.get_logger()

POLL_S = 1.0


class StockDirectory:
    """Answers from memory. While the database is unreachable it keeps the last state it read.

    `state` says how the last read of the database went; its `checked_at` is None before the first.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        clock: Clock,
        named_days: Mapping[date, bool] | None = None,
    ) -> None:
        """`open_store` is called for the first read, and again after a read that failed.

        `named_days` are sessions, or days without, that somebody entered.
        """
        self._open_store = open_store
        self._clock = clock
        self._store: Store | None = None
        self._reading: asyncio.Future[None] | None = None
        self._mark: Mark | None = None
        self._entries: tuple[StockEntry, ...] = ()
        self._keys: tuple[tuple[str, str, str], ...] = ()
        self._symbols: dict[str, str] = {}
        self._named_days = named_days or {}
        self._earnings = EarningsCalendar(Announcements(), Sessions())
        self.state = Component(Condition.DEGRADED, "not read yet")

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def mark(self) -> Mark:
        """The state of the market that was read last."""
        return self._mark or Mark()

    @property
    def codes(self) -> Sequence[str]:
        """The stocks that can be predicted, ascending."""
        return [entry.bse_code for entry in self._entries]

    @property
    def newest_day(self) -> str | None:
        """The newest ISO day of any price."""
        return max((entry.newest_price_date for entry in self._entries), default=None)

    def symbol(self, bse_code: str) -> str | None:
        """The NSE symbol of a stock, or None if it has no known symbol."""
        return self._symbols.get(bse_code)

    def event(self, bse_code: str, as_of: str, day: str) -> Event:
        """What a prediction for `day` from prices up to `as_of` is about."""
        return self._earnings.event(bse_code, as_of, day)

    @property
    def announcements(self) -> Announcements:
        """The days on which stocks announced results."""
        return self._earnings.announcements

    def search(self, text: str) -> Sequence[StockEntry]:
        """Stocks whose code or symbol starts with `text`, or whose name contains it, by code."""
        wanted = text.strip().casefold()
        if not wanted:
            return self._entries
        return [
            entry
            for entry, (code, symbol, name) in zip(self._entries, self._keys, strict=True)
            if code.startswith(wanted) or symbol.startswith(wanted) or wanted in name
        ]

    async def refresh(self) -> None:
        """Read the database if it has changed since it was last read."""
        began = time.perf_counter()
        try:
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._read))
            await asyncio.shield(self._reading)
        except StoreError as error:
            await self.close()
            if self._is_readable or self.state.checked_at is None:
                log.warning("the market database cannot be read", error=str(error))
            self.state = Component(
                Condition.DEGRADED,
                f"cannot be read; {len(self)} stocks are known from before",
                checked_at=self._clock(),
            )
            return
        if not self._is_readable:
            log.info("the market database can be read", stocks=len(self))
        self.state = Component(
            Condition.HEALTHY,
            f"{len(self)} stocks",
            latency_ms=(time.perf_counter() - began) * 1e3,
            checked_at=self._clock(),
        )

    @property
    def _is_readable(self) -> bool:
        return self.state.status is Condition.HEALTHY

    async def close(self) -> None:
        """Close the database; what is in memory stays."""
        if self._reading is not None:
            # A cancelled refresh continues in its thread, and may still open the database.
            await asyncio.wait([self._reading])
        store, self._store, self._mark = self._store, None, None
        if store is not None:
            await asyncio.to_thread(store.close)

    def _read(self) -> None:
        if self._store is None:
            self._store = self._open_store()
        mark = self._store.mark()
        if mark != self._mark:
            listings = self._store.listings()
            sessions = read_sessions(self._store, self._named_days, listings)
            self._earnings = EarningsCalendar(self._store.announcements(), sessions)
            self._replace_entries(listings)
            self._mark = mark

    def _replace_entries(self, listings: Sequence[Listing]) -> None:
        entries = tuple(map(_entry, listings))
        symbols = {
            listing.stock.bse_code: listing.stock.nse_symbol
            for listing in listings
            if listing.stock.nse_symbol
        }
        keys = tuple(
            (
                entry.bse_code,
                symbols.get(entry.bse_code, "").casefold(),
                (entry.company_name or "").casefold(),
            )
            for entry in entries
        )
        self._entries, self._keys, self._symbols = entries, keys, symbols


def _entry(listing: Listing) -> StockEntry:
    stock = listing.stock
    return StockEntry(
        bse_code=stock.bse_code,
        nse_symbol=stock.nse_symbol or UNKNOWN_SYMBOL,
        company_name=stock.company_name,
        newest_price_date=listing.newest_price.isoformat(),
    )
