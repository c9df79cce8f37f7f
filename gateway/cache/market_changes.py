"""What the gateway has cached for a stock is forgotten when the stock's data changes."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from gateway.cache.core import Core
from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import STOCK_KINDS
from gateway.cache.local import Clock
from preprocess.errors import StoreError
from preprocess.market.values import Change, Mark
from preprocess.store import Store

log = structlog.get_logger()

POLL_S = 0.2
# After so long without an answer from the database, the gateway does not know what was committed.
PATIENCE_S = 2.0
# Added to the time by which other readers of the database may lag.
_MARGIN_S = 0.05


class ChangeLog(Protocol):
    """What is needed of a store. Readers of its market may lag by `poll_interval_s`."""

    @property
    def poll_interval_s(self) -> float: ...

    def mark(self) -> Mark: ...

    def has_mark(self, mark: Mark) -> bool: ...

    def changes_since(self, sequence: int) -> Sequence[Change]: ...


class Follower:
    """Invalidates features and predictions of the stocks whose data has changed.

    Every process that caches them has a follower; what another replica has already told Redis is
    forgotten in this process alone. The position reached is stored in Redis next to the values, so
    that a commit while no replica ran is caught up with.

    Where the processes that compute may see a commit later themselves, the same is invalidated
    again when they have: until then they computed values from old data that count as new.
    """

    def __init__(self, core: Core, *, clock: Clock = time.monotonic) -> None:
        """Nothing is read yet."""
        self._core = core
        self._clock = clock
        self._seen: Mark | None = None
        self._again: deque[tuple[float, Invalidation, str]] = deque()

    def poll(self, log: ChangeLog) -> int:
        """Take care of what is new; how many stocks there were. Blocks for a few ms.

        Raises:
            StoreError: the database cannot be read; what is cached stays until the next poll.
        """
        while self._again and self._again[0][0] <= self._clock():
            self._core.follow(*self._again.popleft()[1:])
        if self._seen is None:
            self._seen = self._reached(log)
        newest = log.mark()
        if newest == self._seen:
            return 0
        stocks: list[str] | None = None
        if self._seen is not None and log.has_mark(self._seen):
            changes = log.changes_since(self._seen.sequence)
            stocks = sorted({change.bse_code for change in changes})
        invalidation = (
            Invalidation(scopes=STOCK_KINDS) if stocks is None else Invalidation.of(stocks=stocks)
        )
        self._core.follow(invalidation, _written(newest))
        if log.poll_interval_s > 0:
            due = self._clock() + log.poll_interval_s + _MARGIN_S
            self._again.append((due, invalidation, f"{_written(newest)} again"))
        self._seen = newest
        return len(stocks or ())

    def _reached(self, log: ChangeLog) -> Mark | None:
        """The position that replicas have reached, from Redis; without Redis, the newest."""
        if self._core.watch is None:
            return log.mark()
        written = (self._core.watch.followed() or "").split(" ")
        if len(written) < 2 or not written[0].isdigit():
            return None
        return Mark(int(written[0]), written[1])


def _written(mark: Mark) -> str:
    return f"{mark.sequence} {mark.token}"


class MarketChanges:
    """Polls the market's change log in its own thread: a busy event loop does not delay it."""

    def __init__(
        self,
        open_store: Callable[[], Store],
        core: Core,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`open_store` is called for the first poll, and again after a failure."""
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
        """Whether all commits until a moment ago have been taken care of."""
        return self._heard is not None and self._monotonic() - self._heard < PATIENCE_S

    async def start(self) -> None:
        """Forget what has changed since the last run, and start polling."""
        await asyncio.to_thread(self.poll)
        self._thread = threading.Thread(target=self._run, name="market changes", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Stop polling and close the database."""
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
                log.warning("market changes cannot be read", error=str(error))
            self._failing = True
            return
        if self._failing:
            log.info("market changes can be read again")
        self._failing = False
        self._heard = began

    def _run(self) -> None:
        while not self._stopping.wait(POLL_S):
            try:
                self.poll()
            except Exception:
                # The cache is not used until a poll succeeds.
                log.exception("market changes cannot be followed")
                self._stopping.wait(PATIENCE_S)

    def _close_store(self) -> None:
        store, self._store = self._store, None
        if store is not None:
            store.close()
