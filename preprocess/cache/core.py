"""What both fronts of the cache share: the memory of the process, and how news reach it."""

import logging
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from preprocess.cache.availability import Availability
from preprocess.cache.codec import Stamp, decode, encode, seal
from preprocess.cache.invalidation import Invalidation, Notice
from preprocess.cache.keys import scope_of
from preprocess.cache.local import Clock
from preprocess.cache.memory import Memory
from preprocess.cache.notices import NoticeFile
from preprocess.cache.outcome import Landed, Uncached
from preprocess.cache.plan import Plan
from preprocess.cache.reading import Reading
from preprocess.cache.statistics import Statistics, Tier
from preprocess.cache.watch import Watch

log = logging.getLogger("tezi.cache")

# Whether what is held under a key, as bytes, is good enough for the one who asks.
Accepts = Callable[[str, bytes], bool]
# What is to be written to Redis: the envelope, and for how many ms.
Envelopes = dict[str, tuple[bytes, int]]

_EVERYTHING = Invalidation(everything=True)


@dataclass(frozen=True, slots=True)
class Moment:
    """When a computation began, by the fences in the process and, if known, by those in Redis."""

    local: int
    shared: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is held of some keys, as bytes; what is not, and the moment at which that was so."""

    bodies: Mapping[str, bytes]
    missing: tuple[str, ...]
    moment: Moment

    @property
    def values(self) -> dict[str, object]:
        """What is held, as copies."""
        return {key: decode(key, body) for key, body in self.bodies.items()}

    def without(self, keys: Sequence[str]) -> "Lookup":
        """The same with some of the keys missing."""
        if not keys:
            return self
        chosen = frozenset(keys)
        bodies = {key: body for key, body in self.bodies.items() if key not in chosen}
        return Lookup(bodies, (*self.missing, *keys), self.moment)


class Core:
    """Two tiers without the asking: fronts ask Redis, synchronously or not. Shared by threads."""

    def __init__(self, plan: Plan, *, clock: Clock = time.monotonic) -> None:
        """Nothing is sent to Redis yet.

        Raises:
            SettingsError: the address of Redis is malformed.
            CacheError: the folder cannot be written to.
        """
        self.plan = plan
        self.statistics = Statistics(clock=clock)
        self.availability = Availability(plan.retry_s)
        self.watch: Watch | None = None
        self._clock = clock
        self._replica = secrets.token_hex(8)
        self._memory = Memory(plan.local_entries, plan.local_bytes, clock=clock)
        self._reading = threading.Lock()
        self._file = None if plan.folder is None else NoticeFile(plan.folder)
        self._file_is_lost = False
        if plan.redis_url:
            self.watch = Watch(plan, self._replica, self.availability, self.apply, clock=clock)
            for notice in () if self._file is None else self._file.owed_before:
                self.availability.owe(notice.invalidation)

    @property
    def is_current(self) -> bool:
        """Whether the process has heard of everything, as far as can be: its memory may answer."""
        return not self._file_is_lost and (self.watch is None or self.watch.is_current)

    @property
    def redis(self) -> Literal["none", "up", "away"]:
        """Whether there is a Redis, and whether it answers."""
        if self.watch is None:
            return "none"
        return "up" if self.availability.is_up else "away"

    @property
    def size(self) -> tuple[int, int]:
        """Values in the memory of the process, and their bytes."""
        return self._memory.size

    def look(self, keys: Sequence[str], accepts: Accepts | None = None) -> Lookup:
        """Ask the memory of the process; what the caller does not accept counts as missing."""
        lookup = self.look_again(keys)
        if accepts is not None:
            lookup = lookup.without(
                [key for key, body in lookup.bodies.items() if not accepts(key, body)]
            )
        self._count("local", keys, lookup.bodies)
        return lookup

    def look_again(self, keys: Sequence[str]) -> Lookup:
        """The same without counting it."""
        self.catch_up()
        known = None if self.watch is None else self.watch.known
        bodies, stamp = self._memory.look(keys if self.is_current else ())
        missing = tuple(dict.fromkeys(key for key in keys if key not in bodies))
        return Lookup(bodies, missing, Moment(stamp, known))

    def accept(
        self, lookup: Lookup, reading: Reading | None, accepts: Accepts | None = None
    ) -> Lookup:
        """Take over what Redis held of the missing; None: it was not asked, or said nothing."""
        if reading is None or self.watch is None:
            return lookup
        bodies = dict(lookup.bodies)
        now = self._clock()
        for key, sealed in reading.values.items():
            left = self.watch.left(sealed.ends_ms, now)
            until = now + min(left, self._local_ttl())
            if accepts is not None and not accepts(key, sealed.body):
                continue
            if left > 0 and self._memory.keep(key, sealed.body, until, lookup.moment.local):
                bodies[key] = sealed.body
        self._count("redis", lookup.missing, bodies)
        missing = tuple(key for key in lookup.missing if key not in bodies)
        return Lookup(bodies, missing, Moment(lookup.moment.local, reading.stamp))

    def keep(
        self, values: Mapping[str, object], ttl: float, moment: Moment
    ) -> tuple[dict[str, bytes], Envelopes]:
        """Hold values in the process; them as bytes, and what is to be written to Redis.

        Raises:
            CacheError: a value is of a type that the cache does not keep.
        """
        bodies = {key: encode(key, value) for key, value in values.items()}
        envelopes: Envelopes = {}
        self.catch_up()
        # Before Redis is told: the time in the process must not begin later than that in Redis.
        now = self._clock()
        for key, body in bodies.items():
            span = ttl * self._jitter()
            if span <= 0 or len(body) > self.plan.largest or not self.is_kept(key):
                continue
            until = now + min(span, self._local_ttl())
            if not self._memory.keep(key, body, until, moment.local):
                continue
            if self.watch is not None and moment.shared is not None:
                span_ms = max(1, int(span * 1000))
                ends_ms = self.watch.redis_ms(now) + span_ms
                envelopes[key] = (seal(key, body, moment.shared, ends_ms), span_ms)
        return bodies, envelopes

    def landing(
        self, lookup: Lookup, given: Mapping[str, object], ttl: float
    ) -> tuple[dict[str, Landed], Envelopes]:
        """What a computation of the missing gave, held; what came of each key of the lookup."""
        values = {key: value for key, value in given.items() if not isinstance(value, Uncached)}
        bodies, envelopes = self.keep(
            {key: values[key] for key in lookup.missing if key in values}, ttl, lookup.moment
        )
        landed = {key: Landed(body=body, held=True) for key, body in lookup.bodies.items()}
        landed |= {key: Landed(body=body) for key, body in bodies.items()}
        for key in lookup.missing:
            loose = given.get(key)
            landed.setdefault(key, Landed(loose=loose if isinstance(loose, Uncached) else None))
        return landed, envelopes

    def is_kept(self, key: str) -> bool:
        """Whether values of this kind are cached at all."""
        return scope_of(key).kind in self.plan.kinds

    def may_join(self, key: str, moment: Moment) -> bool:
        """Whether a computation that began at `moment` is recent enough for one who asks now."""
        return self.is_current and self._memory.holds(key, moment.local)

    def clear(self, invalidation: Invalidation) -> int:
        """Invalidate, and free the room in Redis; how many values there were."""
        dropped = self.invalidate(invalidation)
        return dropped if self.watch is None else max(dropped, self.watch.sweep(invalidation))

    def invalidate(self, invalidation: Invalidation, *, followed: str = "") -> int:
        """Forget, here and in every replica; how many values the process itself held.

        Returns when no replica answers from what is forgotten any more. While Redis does not
        answer it is told when it does again, before it is asked anything. `followed` is the place
        in the change log that is taken care of by this.
        """
        if invalidation.is_empty:
            return 0
        dropped = self._tell(invalidation)
        # Until here another replica may have given out old features, which predictions were made
        # of meanwhile.
        dependants = invalidation.dependants
        if dependants is not None:
            self._tell(dependants, followed)
        return dropped

    def forget(self, invalidation: Invalidation) -> int:
        """Forget in this process alone."""
        return self._memory.forget(invalidation)

    def catch_up(self) -> None:
        """Forget what other processes of the machine have written down."""
        file = self._file
        if file is None or not (self._file_is_lost or file.has_news()):
            return
        with self._reading:
            if self._file is None:
                return
            try:
                news = file.news()
            except OSError as error:
                self._lose_file(error)
                return
            self._file_is_lost = False
            if news.lost:
                self.forget(_EVERYTHING)
            for notice in news.notices:
                if notice.origin != self._replica:
                    if notice.owed and self.watch is not None:
                        self.availability.owe(notice.invalidation)
                    self.forget(notice.invalidation)
            file.done()

    def apply(self, notices: Iterable[Notice] | None) -> None:
        """Forget what other replicas have told Redis; None: everything."""
        if notices is None:
            self.forget(_EVERYTHING)
            return
        for notice in notices:
            if notice.origin != self._replica:
                self.forget(notice.invalidation)

    def close(self) -> None:
        """Let go of Redis and of the file; the cache goes on in the process."""
        watch, self.watch = self.watch, None
        if watch is not None:
            watch.close()
        with self._reading:
            file, self._file = self._file, None
            if file is not None:
                file.close()

    def _tell(self, invalidation: Invalidation, followed: str = "") -> int:
        dropped = self.forget(invalidation)
        watch = self.watch
        notice = Notice(self._replica, invalidation, moment=time.time())
        stamp = None if watch is None else watch.invalidate(notice, followed)
        if self._file is not None:
            try:
                self._file.write(replace(notice, owed=watch is not None and stamp is None))
            except OSError as error:
                self._lose_file(error)
        # A value that was fetched from Redis meanwhile is older than the clear.
        self.forget(invalidation)
        if watch is not None and stamp is not None:
            watch.wait_until_heard(stamp)
        return dropped

    def _lose_file(self, error: OSError) -> None:
        if not self._file_is_lost:
            log.warning(
                "The cache's file of news cannot be used (%s): until it can, nothing is answered "
                "out of the memory of this process",
                error,
            )
        self._file_is_lost = True
        self.forget(_EVERYTHING)

    def _count(self, tier: Tier, keys: Iterable[str], bodies: Mapping[str, bytes]) -> None:
        counts = Counter((scope_of(key).kind, key in bodies) for key in keys)
        for (kind, is_held), count in counts.items():
            if kind in self.plan.kinds:
                self.statistics.record(kind, tier, "hit" if is_held else "miss", count)

    def _jitter(self) -> float:
        return 1.0 - self.plan.jitter * random.random()  # noqa: S311 - spreads load, guards nothing

    def _local_ttl(self) -> float:
        return self.plan.local_ttl_s * self._jitter()
