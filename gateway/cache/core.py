"""What the fronts of the cache share: the memory of the process, and how news reach it."""

import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.cache.cleared import ClearsFile
from gateway.cache.codec import Stamp, decode, encode, seal
from gateway.cache.invalidation import Invalidation, Notice
from gateway.cache.keys import scope_of
from gateway.cache.local import Clock
from gateway.cache.memory import Memory
from gateway.cache.miss import MISS
from gateway.cache.plan import Plan
from gateway.cache.redis.availability import Availability
from gateway.cache.redis.reading import Reading
from gateway.cache.redis.watch import Watch
from gateway.cache.statistics import Statistics, Tier
from preprocess.errors import CacheError

# What is to be written to Redis: the envelope, and for how many ms; 0: the key is deleted.
Envelopes = dict[str, tuple[bytes, int]]

_EVERYTHING = Invalidation(everything=True)


class Form(Protocol):
    """How values of some keys become bytes and come back."""

    def dump(self, key: str, value: object) -> bytes | None:
        """The value as bytes; None if it is not to be kept.

        Raises:
            CacheError: the value is of a type that the cache does not keep.
        """
        ...

    def load(self, key: str, body: bytes) -> object:
        """The value, or MISS for bytes that are none, or none that the caller can use."""
        ...


class AnyForm:
    """Whatever `codec.encode` takes."""

    def dump(self, key: str, value: object) -> bytes | None:
        """See `codec.encode`."""
        return encode(key, value)

    def load(self, key: str, body: bytes) -> object:
        """See `codec.decode`."""
        try:
            return decode(key, body)
        except CacheError:
            return MISS


ANY: Form = AnyForm()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a computation began, by the fences in the process and, if known, by those in Redis."""

    local: int
    shared: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """What is held of some keys; what is not, and the moment at which that was so.

    `spoilt` are keys under which Redis has bytes that are of no use.
    """

    values: dict[str, object]
    missing: tuple[str, ...]
    moment: Moment
    spoilt: tuple[str, ...] = ()


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
        self._file = None if plan.folder is None else ClearsFile(plan.folder)
        if plan.redis_url:
            self.watch = Watch(plan, self._replica, self.availability, self.apply, clock=clock)
            if self._file is not None and self._file.is_owed:
                self.availability.owe(_EVERYTHING)

    @property
    def is_current(self) -> bool:
        """Whether the process has heard of everything, as far as can be: its memory may answer."""
        return self.watch is None or self.watch.is_current

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

    def look(self, keys: Sequence[str], form: Form = ANY) -> Lookup:
        """Ask the memory of the process."""
        self.catch_up()
        known = None if self.watch is None else self.watch.known
        bodies, stamp = self._memory.look(keys if self.is_current else ())
        values = _loaded(bodies, form)
        self._count("local", keys, values)
        missing = tuple(dict.fromkeys(key for key in keys if key not in values))
        return Lookup(values, missing, Moment(stamp, known))

    def accept(self, lookup: Lookup, reading: Reading | None, form: Form = ANY) -> Lookup:
        """Take over what Redis held of the missing; None: it was not asked, or said nothing."""
        if reading is None or self.watch is None:
            return lookup
        values = dict(lookup.values)
        now = self._clock()
        loaded = _loaded({key: sealed.body for key, sealed in reading.values.items()}, form)
        for key, value in loaded.items():
            sealed = reading.values[key]
            left = self.watch.left(sealed.ends_ms, now)
            until = now + min(left, self._local_ttl())
            if left > 0 and self._memory.keep(key, sealed.body, until, lookup.moment.local):
                values[key] = value
        self._count("redis", lookup.missing, values)
        missing = tuple(key for key in lookup.missing if key not in values)
        spoilt = tuple(key for key in reading.values if key not in loaded) + reading.spoilt
        return Lookup(values, missing, Moment(lookup.moment.local, reading.stamp), spoilt)

    def keep(
        self, values: Mapping[str, object], ttl: float, moment: Moment, form: Form = ANY
    ) -> Envelopes:
        """Hold values in the process; what is to be written to Redis.

        Raises:
            CacheError: a value is of a type that the cache does not keep.
        """
        bodies = {key: form.dump(key, value) for key, value in values.items()}
        envelopes: Envelopes = {}
        self.catch_up()
        # Before Redis is told: the time in the process must not begin later than that in Redis.
        now = self._clock()
        for key, body in bodies.items():
            span = ttl * self._jitter()
            if body is None or span <= 0 or len(body) > self.plan.largest or not self.is_kept(key):
                continue
            until = now + min(span, self._local_ttl())
            if not self._memory.keep(key, body, until, moment.local):
                continue
            if self.watch is not None and moment.shared is not None:
                span_ms = max(1, int(span * 1000))
                ends_ms = self.watch.redis_ms(now) + span_ms
                envelopes[key] = (seal(key, body, moment.shared, ends_ms), span_ms)
        return envelopes

    def is_kept(self, key: str) -> bool:
        """Whether values of this kind are cached at all."""
        return scope_of(key).kind in self.plan.kinds

    def may_join(self, key: str, moment: Moment) -> bool:
        """Whether a computation that began at `moment` is recent enough for one who asks now."""
        return self.is_current and self._memory.holds(key, moment.local)

    def clear(self, invalidation: Invalidation) -> int:
        """Invalidate, by the file too, and free the room in Redis; how many values there were.

        Raises:
            CacheError: other processes of the data folder cannot be told.
        """
        dropped = self.invalidate(invalidation, by_file=True)
        return dropped if self.watch is None else max(dropped, self.watch.sweep(invalidation))

    def invalidate(
        self, invalidation: Invalidation, *, followed: str = "", by_file: bool = False
    ) -> int:
        """Forget, here and in every replica; how many values the process itself held.

        Returns when no replica answers from what is forgotten any more. While Redis does not
        answer it is told when it does again, before it is asked anything. `followed` is the place
        in the change log that is taken care of by this. `by_file`: tell the processes that share
        the data folder, which do not all ask the same Redis.
        """
        if invalidation.is_empty:
            return 0
        dropped = self._tell(invalidation, "", by_file)
        # Until here another replica may have given out old features, which predictions were made
        # of meanwhile.
        dependants = invalidation.dependants
        if dependants is not None:
            self._tell(dependants, followed, by_file)
        return dropped

    def forget(self, invalidation: Invalidation) -> int:
        """Forget in this process alone."""
        return self._memory.forget(invalidation)

    def catch_up(self) -> None:
        """Forget everything if another process of the data folder has cleared something."""
        file = self._file
        if file is not None and file.is_due:
            with self._reading:
                file.look(self._heard_of_a_clear)

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
        self._file = None

    def _heard_of_a_clear(self) -> None:
        if self.watch is not None and self._file is not None and self._file.is_owed:
            self.availability.owe(_EVERYTHING)
        self.forget(_EVERYTHING)

    def _tell(self, invalidation: Invalidation, followed: str, by_file: bool) -> int:
        dropped = self.forget(invalidation)
        watch, file = self.watch, self._file
        notice = Notice(self._replica, invalidation)
        stamp = None if watch is None else watch.invalidate(notice, followed)
        if file is not None and by_file:
            file.write(owed=watch is not None and stamp is None)
        # A value that was fetched from Redis meanwhile is older than the clear.
        self.forget(invalidation)
        if watch is not None and stamp is not None:
            watch.wait_until_heard(stamp)
        return dropped

    def _count(self, tier: Tier, keys: Iterable[str], held: Mapping[str, object]) -> None:
        counts = Counter((scope_of(key).kind, key in held) for key in keys)
        for (kind, is_held), count in counts.items():
            if kind in self.plan.kinds:
                self.statistics.record(kind, tier, "hit" if is_held else "miss", count)

    def _jitter(self) -> float:
        return 1.0 - self.plan.jitter * random.random()  # noqa: S311 - spreads load, guards nothing

    def _local_ttl(self) -> float:
        return self.plan.local_ttl_s * self._jitter()


def _loaded(bodies: Mapping[str, bytes], form: Form) -> dict[str, object]:
    loaded = {key: form.load(key, body) for key, body in bodies.items()}
    return {key: value for key, value in loaded.items() if value is not MISS}
