"""What the gateway has cached of a stock is forgotten when the stock's data changes."""

import asyncio
import threading
import time
from collections.abc import Callable

import structlog

from gateway.cache.core import Core
from gateway.cache.follower import Follower
from preprocess.errors import StoreError
from preprocess.store import Store

log = structlog.get_logger()

POLL_S = 0.2
# Who has not heard from the database for so long does not know what has been committed.
PATIENCE_S = 2.0


class MarketChanges:
    """Polls the market's change log in a thread of its own: a busy event loop does not delay it."""

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
        self._heard: float | None = None
        self._failing = False
        self._polling = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_current(self) -> bool:
        """Whether everything committed until a moment ago has been taken care of."""
        return self._heard is not None and self._monotonic() - self._heard < PATIENCE_S

    async def start(self) -> None:
        """Forget what has changed while nobody looked, and go on looking."""
        await asyncio.to_thread(self.poll)
        self._thread = threading.Thread(target=self._run, name="market changes", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Let go of the database."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        await asyncio.to_thread(self._close_store)

    def poll(self) -> None:
        """Forget what has changed since the last time."""
        with self._polling:
            self._poll()

    def _poll(self) -> None:
        began = self._monotonic()
        try:
            if self._store is None:
                self._store = self._open_store()
            self._follower.poll(self._store)
        except StoreError as error:
            self._close_store()
            if not self._failing:
                log.warning("changes of the market are not heard of", error=str(error))
            self._failing = True
            return
        if self._failing:
            log.info("changes of the market are heard of again")
        self._failing = False
        self._heard = began

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self.poll()
            except Exception:
                # Nothing cached is answered from now on, until a poll succeeds.
                log.exception("changes of the market cannot be followed")
                self._stopping.wait(PATIENCE_S)

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
