"""The thread that keeps a replica's view of Redis: hears the news, renews the lease, comes back."""

import threading
import time
from collections.abc import Callable, Iterable

from gateway.cache.codec import Stamp
from gateway.cache.invalidation import Invalidation, Notice
from gateway.cache.local import Clock
from gateway.cache.plan import Plan
from gateway.cache.redis.availability import FAILURES_IN_A_ROW, Availability
from gateway.cache.redis.client import FAILURES
from gateway.cache.redis.shared_fences import SharedFences

THREAD_NAME = "tezi-cache-watch"
_ROUNDS = 5
_BREATH_S = 0.02


class Watch:
    """One replica's lease on the fences in Redis. Started by the first question to Redis."""

    def __init__(
        self,
        plan: Plan,
        replica: str,
        availability: Availability,
        apply: Callable[[Iterable[Notice] | None], None],
        *,
        clock: Clock = time.monotonic,
    ) -> None:
        """`replica`: this one's name. `apply` forgets what notices say; None: everything.

        Raises:
            SettingsError: the address of Redis is malformed.
        """
        self._plan = plan
        self._availability = availability
        self._apply = apply
        self._clock = clock
        self._replica = replica
        self._fences = SharedFences(plan, replica)
        self._starting = threading.Lock()
        self._renewing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._lease_until = float("-inf")
        # Redis's clock less this process's, in ms: at least, at most.
        self._offset = (0.0, 0.0)
        self.known: Stamp | None = None

    @property
    def is_current(self) -> bool:
        """Whether everything was heard of lately, or Redis is away and nothing can be."""
        return not self._availability.is_up or self._clock() < self._lease_until

    @property
    def is_started(self) -> bool:
        """Whether Redis was asked for the first time."""
        return self._thread is not None

    def start(self) -> None:
        """Hear the news from now on. Takes a few time-outs at most."""
        if self._thread is not None:
            return
        with self._starting:
            if self._thread is None and not self._closing:
                self._reach()
                thread = threading.Thread(target=self._run, name=THREAD_NAME, daemon=True)
                thread.start()
                self._thread = thread

    def left(self, ends_ms: int, now: float) -> float:
        """Seconds from `now` for which Redis holds a value, at the least."""
        return ends_ms / 1000.0 - (now + self._offset[1] / 1000.0)

    def redis_ms(self, now: float) -> int:
        """Redis's clock at `now`, at the earliest."""
        return int(now * 1000.0 + self._offset[0])

    def invalidate(self, notice: Notice, followed: str) -> Stamp | None:
        """Raise the fences in Redis; None: it will be told before it is asked again."""
        self.start()
        invalidation = notice.invalidation
        if self._availability.may_be_asked:
            try:
                stamp = self._fences.invalidate(notice, followed=followed)
                self._renew()
            except FAILURES as error:
                self._availability.failed(error, at_once=True)
            else:
                return stamp
        if not invalidation.is_empty:
            self._availability.owe(invalidation)
        return None

    def wait_until_heard(self, stamp: Stamp) -> None:
        """Return when every other replica has forgotten, or its lease is over."""
        end = time.monotonic() + self._plan.lease_s
        try:
            self._fences.wait_until_heard(stamp)
        except FAILURES as error:
            self._availability.failed(error)
            time.sleep(max(0.0, end - time.monotonic()))

    def sweep(self, invalidation: Invalidation) -> int:
        """Free what an invalidation has made useless; how many values that were."""
        freed = 0
        for pattern in invalidation.patterns:
            if self._availability.may_be_asked:
                try:
                    freed += self._fences.sweep(pattern)
                except FAILURES as error:
                    self._availability.failed(error)
        return freed

    def followed(self) -> str | None:
        """The place in the change log that is taken care of; None if Redis does not say."""
        self.start()
        if not self._availability.may_be_asked:
            return None
        try:
            return self._fences.followed()
        except FAILURES as error:
            self._availability.failed(error)
            return None

    def close(self) -> None:
        """End the thread."""
        with self._starting:
            self._closing = True
            thread, self._thread = self._thread, None
        self._availability.wake.set()
        if thread is not None:
            if self._availability.is_up:
                try:
                    self._fences.ring()
                except FAILURES as error:
                    self._availability.failed(error)
            thread.join()
        self._fences.close()

    def _run(self) -> None:
        while not self._closing:
            if self._availability.may_be_asked:
                self._keep_up()
            else:
                if not self._availability.is_up:
                    self._availability.wake.wait(self._plan.retry_s)
                self._availability.wake.clear()
                if not self._closing:
                    self._reach()

    def _keep_up(self) -> None:
        try:
            self._fences.listen(self._plan.renew_s)
            if not self._closing:
                self._renew()
        except FAILURES as error:
            self._availability.failed(error)
            time.sleep(_BREATH_S)

    def _reach(self) -> None:
        """Find Redis, in a few attempts: one alone may meet a hiccup."""
        for attempt in range(FAILURES_IN_A_ROW):
            if attempt and not self._closing:
                time.sleep(_BREATH_S)
            if self._come_back(is_last=attempt == FAILURES_IN_A_ROW - 1):
                return

    def _come_back(self, *, is_last: bool) -> bool:
        """Tell Redis what it missed, and hear what this replica did."""
        self._fences.deaf()
        try:
            self._fences.listen(0.0)
            while (owed := self._availability.owed) is not None:
                notice = Notice(self._replica, owed)
                self._fences.invalidate(notice)
                self._availability.paid(owed)
            self._renew()
        except FAILURES as error:
            self._availability.failed(error, at_once=is_last)
            return False
        self._availability.came_back()
        return True

    def _renew(self) -> None:
        """Forget what has to be, say so, and answer out of memory for another lease."""
        with self._renewing:
            for _ in range(_ROUNDS):
                sent = self._clock()
                renewal = self._fences.renew(self.known)
                received = self._clock()
                self._apply(renewal.notices)
                self.known = renewal.stamp
                self._offset = (
                    renewal.now_ms - received * 1000.0,
                    renewal.now_ms - sent * 1000.0,
                )
                self._lease_until = sent + self._plan.lease_s
                if not renewal.is_news:
                    return
