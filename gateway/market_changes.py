"""What the gateway has cached of a stock is forgotten when the stock's data changes."""

import asyncio
import time
from collections.abc import Callable

import structlog

from preprocess.cache.core import Core
from preprocess.cache.follower import Follower
from preprocess.errors import StoreError
from preprocess.store import Store

log = structlog.get_logger()

POLL_S = 0.2
# Who has not heard from the database for so long does not know what has been committed.
PATIENCE_S = 2.0


class MarketChanges:
    """Polls the market's change log. `refresh` is a chore of the gateway."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        core: Core,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_store` is called when the log is first asked, and again after it failed."""
        self._open_store = open_store
        self._follower = Follower(core)
        self._monotonic = monotonic
        self._store: Store | None = None
        self._polling: asyncio.Future[int] | None = None
        self._heard: float | None = None
        self._failing = False

    @property
    def is_current(self) -> bool:
        """Whether everything committed until a moment ago has been taken care of."""
        return self._heard is not None and self._monotonic() - self._heard < PATIENCE_S

    async def refresh(self) -> None:
        """Forget what has changed since the last time."""
        began = self._monotonic()
        try:
            self._polling = asyncio.ensure_future(asyncio.to_thread(self._poll))
            await asyncio.shield(self._polling)
        except StoreError as error:
            await self.close()
            if not self._failing:
                log.warning("changes of the market are not heard of", error=str(error))
            self._failing = True
            return
        if self._failing:
            log.info("changes of the market are heard of again")
        self._failing = False
        self._heard = began

    async def close(self) -> None:
        """Let go of the database; where it was reached is remembered."""
        if self._polling is not None:
            # A refresh that was cancelled goes on in its thread, and may yet open the database.
            await asyncio.wait([self._polling])
        store, self._store = self._store, None
        if store is not None:
            await asyncio.to_thread(store.close)

    def _poll(self) -> int:
        if self._store is None:
            self._store = self._open_store()
        return self._follower.poll(self._store)
