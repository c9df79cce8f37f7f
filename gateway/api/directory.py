"""The stocks that can be asked for, kept in memory and read anew when the database changes."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway.api.answers import StockEntry
from gateway.ports import Clock
from preprocess.errors import StoreError
from preprocess.market.values import UNKNOWN_SYMBOL, Listing
from preprocess.store import Store

log = structlog.get_logger()

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class DirectoryState:
    """How the last read of the database went. `checked_at` is None before the first."""

    ok: bool
    detail: str
    checked_at: datetime | None
    latency_ms: float | None


class StockDirectory:
    """Answers from memory. While the database is away it keeps what it read last."""

    def __init__(self, open_store: Callable[[], Store], *, clock: Clock) -> None:
        """`open_store` is called when the database is first needed, and again after it failed."""
        self._open_store = open_store
        self._clock = clock
        self._store: Store | None = None
        self._reading: asyncio.Future[None] | None = None
        self._sequence: int | None = None
        self._entries: tuple[StockEntry, ...] = ()
        self._keys: tuple[tuple[str, str, str], ...] = ()
        self._symbols: dict[str, str] = {}
        self.state = DirectoryState(
            ok=False, detail="not read yet", checked_at=None, latency_ms=None
        )

    def __len__(self) -> int:
        return len(self._entries)

    def symbol(self, bse_code: str) -> str | None:
        """The NSE symbol of a stock, if it is known to have one."""
        return self._symbols.get(bse_code)

    def search(self, text: str) -> Sequence[StockEntry]:
        """Stocks, ascending by code: `text` begins the code or symbol, or is part of the name."""
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
            if self.state.ok or self.state.checked_at is None:
                log.warning("the market database is away", error=str(error))
            self.state = DirectoryState(
                ok=False,
                detail=f"cannot be read; {len(self)} stocks are known from before",
                checked_at=self._clock(),
                latency_ms=None,
            )
            return
        if not self.state.ok:
            log.info("the market database is read", stocks=len(self))
        self.state = DirectoryState(
            ok=True,
            detail=f"{len(self)} stocks",
            checked_at=self._clock(),
            latency_ms=(time.perf_counter() - began) * 1e3,
        )

    async def close(self) -> None:
        """Let go of the database; what is in memory stays."""
        if self._reading is not None:
            # A refresh that was cancelled goes on in its thread, and may yet open the database.
            await asyncio.wait([self._reading])
        store, self._store, self._sequence = self._store, None, None
        if store is not None:
            await asyncio.to_thread(store.close)

    def _read(self) -> None:
        if self._store is None:
            self._store = self._open_store()
        sequence = self._store.sequence()
        if sequence != self._sequence:
            self._take(self._store.listings())
            self._sequence = sequence

    def _take(self, listings: Sequence[Listing]) -> None:
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
