"""New entries of the market's change log become invalidations."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from gateway.cache.core import Core
from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import STOCK_KINDS
from gateway.cache.local import Clock
from preprocess.market.values import Change, Mark

# Above so many stocks at once, all of them are cheaper to name.
MANY_STOCKS = 5_000
# Beside the time by which other readers of the database may be behind.
_MARGIN_S = 0.05


class ChangeLog(Protocol):
    """What is needed of a store. Readers of its market may be `poll_interval_s` behind."""

    @property
    def poll_interval_s(self) -> float: ...

    def mark(self) -> Mark: ...

    def has_mark(self, mark: Mark) -> bool: ...

    def changes_since(self, sequence: int) -> Sequence[Change]: ...


class Follower:
    """Forgets features and predictions of stocks whose data has changed, in every replica.

    Every process that caches has one and polls it a few times a second; entries that another
    replica has taken care of in Redis still leave this process. What was missed while no replica
    ran is made up for: the place reached stands in Redis, beside the values.

    Where those who compute may themselves hear of a commit later, the same is forgotten once more
    when they have: until then they made values of old data that count as new.
    """

    def __init__(self, core: Core, *, clock: Clock = time.monotonic) -> None:
        """Nothing is asked yet."""
        self._core = core
        self._clock = clock
        self._seen: Mark | None = None
        self._again: deque[tuple[float, Invalidation]] = deque()

    def poll(self, log: ChangeLog) -> int:
        """Take care of what is new; how many stocks there were. Blocks: a few ms, at most seconds.

        Raises:
            StoreError: the database cannot be read; what is cached stays until the next poll.
        """
        while self._again and self._again[0][0] <= self._clock():
            self._core.invalidate(self._again[0][1])
            self._again.popleft()
        if self._seen is None:
            self._seen = self._reached(log)
        newest = log.mark()
        if newest == self._seen:
            return 0
        if self._seen is None or not log.has_mark(self._seen):
            stocks = None
        else:
            changes = log.changes_since(self._seen.sequence)
            stocks = sorted({change.bse_code for change in changes})
        if stocks is None or len(stocks) > MANY_STOCKS:
            invalidation = Invalidation(fences=STOCK_KINDS)
        else:
            invalidation = Invalidation.of(stocks=stocks)
        if self._core.watch is not None and self._core.watch.followed() == _written(newest):
            self._core.forget(invalidation)
        else:
            self._core.invalidate(invalidation, followed=_written(newest))
        if log.poll_interval_s > 0:
            self._again.append((self._clock() + log.poll_interval_s + _MARGIN_S, invalidation))
        self._seen = newest
        return 0 if stocks is None else len(stocks)

    def _reached(self, log: ChangeLog) -> Mark | None:
        """The place that replicas have reached in Redis; without Redis, here and now."""
        if self._core.watch is None:
            return log.mark()
        written = self._core.watch.followed()
        if written is None:
            return None
        sequence, _, token = written.partition(" ")
        return Mark(int(sequence), token) if sequence.isdigit() else None


def _written(mark: Mark) -> str:
    return f"{mark.sequence} {mark.token}"
