"""New entries of the market's change log become invalidations."""

from collections.abc import Sequence
from typing import Protocol

from preprocess.cache.core import Core
from preprocess.cache.invalidation import Invalidation
from preprocess.cache.keys import STOCK_KINDS
from preprocess.market import Change, Mark

# Above so many stocks at once, all of them are cheaper to name.
MANY_STOCKS = 5_000


class ChangeLog(Protocol):
    """What is needed of a store."""

    def mark(self) -> Mark: ...

    def has_mark(self, mark: Mark) -> bool: ...

    def changes_since(self, sequence: int) -> Sequence[Change]: ...


class Follower:
    """Forgets features and predictions of stocks whose data has changed, in every replica.

    Every process that caches has one and polls it a few times a second; entries that another
    replica has taken care of in Redis still leave this process. What was missed while no replica
    ran is made up for: the place reached stands in Redis, beside the values.
    """

    def __init__(self, log: ChangeLog, core: Core) -> None:
        """Nothing is asked yet."""
        self._log = log
        self._core = core
        self._seen: Mark | None = None

    def poll(self) -> int:
        """Take care of what is new; how many stocks there were. Blocks: a few ms, at most seconds.

        Raises:
            StoreError: the database cannot be read; what is cached stays until the next poll.
        """
        if self._seen is None:
            self._seen = self._reached()
        newest = self._log.mark()
        if newest == self._seen:
            return 0
        if self._seen is None or not self._log.has_mark(self._seen):
            stocks = None
        else:
            changes = self._log.changes_since(self._seen.sequence)
            stocks = sorted({change.bse_code for change in changes})
        if stocks is None or len(stocks) > MANY_STOCKS:
            invalidation = Invalidation(fences=STOCK_KINDS)
        else:
            invalidation = Invalidation.of(stocks=stocks)
        if self._core.watch is not None and self._core.watch.followed() == _written(newest):
            self._core.forget(invalidation)
        else:
            self._core.invalidate(invalidation, followed=_written(newest))
        self._seen = newest
        return 0 if stocks is None else len(stocks)

    def _reached(self) -> Mark | None:
        """The place that replicas have reached in Redis; without Redis, here and now."""
        if self._core.watch is None:
            return self._log.mark()
        written = self._core.watch.followed()
        if written is None:
            return None
        sequence, _, token = written.partition(" ")
        return Mark(int(sequence), token) if sequence.isdigit() else None


def _written(mark: Mark) -> str:
    return f"{mark.sequence} {mark.token}"
