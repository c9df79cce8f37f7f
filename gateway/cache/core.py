"""What both managers share: the local tier, and how invalidations reach it and Redis."""

import random
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.cache.clears_file import HEARD_S, ClearsFile
from gateway.cache.codec import MISS, decode, encode
from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import Kind, scope_of
from gateway.cache.local import Clock, LocalTier
from gateway.cache.plan import Plan
from gateway.cache.redis.availability import Availability
from gateway.cache.redis.reading import Reading, Stamp, encode_envelope
from gateway.cache.redis.watch import Watch
from gateway.cache.statistics import Result, Statistics, Tier
from preprocess.errors import CacheError

# What is to be written to Redis: the envelope, and for how many ms.
Envelopes = dict[str, tuple[bytes, int]]

_EVERYTHING = Invalidation(everything=True)


class ValueCodec(Protocol):
    """How values of some keys are encoded and decoded."""

    def dump(self, key: str, value: object) -> bytes | None:
        """The value as bytes; None if it is not to be cached.

        Raises:
            CacheError: the value is of a type that cannot be cached.
        """
        ...

    def load(self, key: str, body: bytes) -> object:
        """The value, or MISS for damaged bytes or a value that the caller cannot use."""
        ...


class AnyCodec:
    """Any value that `codec.encode` takes."""

    def dump(self, key: str, value: object) -> bytes | None:
        """See `codec.encode`."""
        return encode(key, value)

    def load(self, key: str, body: bytes) -> object:
        """See `codec.decode`."""
        try:
            return decode(key, body)
        except CacheError:
            return MISS


ANY: ValueCodec = AnyCodec()


@dataclass(frozen=True, slots=True)
class Moment:
    """When a computation began: the generation of the local tier and, if known, Redis's stamp."""

    local: int
    shared: Stamp | None = None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The cached values of some keys, the keys that are missing, and when this was looked up."""

    values: dict[str, object]
    missing: tuple[str, ...]
    moment: Moment


class Core:
    """The cache without reading and writing Redis, which the managers do. Thread-safe."""

    def __init__(self, plan: Plan, *, clock: Clock = time.monotonic) -> None:
        """Nothing is sent to Redis yet.

        Raises:
            SettingsError: the address of Redis is malformed.
            CacheError: the folder cannot be written to.
        """
        self.plan = plan
        self.statistics = Statistics(clock=clock)
        self.availability = Availability(plan.retry_s, warns=plan.warns)
        self.watch: Watch | None = None
        self._clock = clock
        self._memory = LocalTier(plan.local_entries, plan.local_bytes, clock=clock)
        self._reading = threading.Lock()
        self._file = None if plan.folder is None else ClearsFile(plan.folder)
        if plan.redis_url:
            self.watch = Watch(
                plan, self.availability, lambda: self.forget(_EVERYTHING), clock=clock
            )
            if self._file is not None and self._file.is_owed:
                self.availability.owe(_EVERYTHING)

    @property
    def is_current(self) -> bool:
        """Whether the local tier may answer: no clear was missed, as far as can be known."""
        return self.watch is None or self.watch.is_current

    @property
    def redis(self) -> Literal["none", "up", "away"]:
        """Whether there is a Redis, and whether it answers."""
        if self.watch is None:
            return "none"
        return "up" if self.availability.is_up else "away"

    @property
    def size(self) -> tuple[int, int]:
        """The number of values in the local tier, and their bytes."""
        return self._memory.size

    def look(self, keys: Sequence[str], codec: ValueCodec = ANY) -> Lookup:
        """Look in the local tier."""
        self.catch_up()
        known = None if self.watch is None else self.watch.stamp
        bodies, stamp = self._memory.look(keys if self.is_current else ())
        values = _loaded(bodies, codec)
        self._count("local", keys, values)
        missing = tuple(dict.fromkeys(key for key in keys if key not in values))
        return Lookup(values, missing, Moment(stamp, known))

    def accept(self, lookup: Lookup, reading: Reading | None, codec: ValueCodec = ANY) -> Lookup:
        """Add what Redis has of the missing keys; None: it was not read, or did not answer."""
        if reading is None or self.watch is None:
            return lookup
        values = dict(lookup.values)
        now = self._clock()
        found = {key: reading.values[key].body for key in lookup.missing if key in reading.values}
        loaded = _loaded(found, codec)
        for key, value in loaded.items():
            sealed = reading.values[key]
            left = self.watch.left(sealed.ends_ms, now)
            until = now + min(left, self._local_ttl())
            if left > 0 and self._memory.keep(key, sealed.body, until, lookup.moment.local):
                values[key] = value
        self._count("redis", lookup.missing, values)
        missing = tuple(key for key in lookup.missing if key not in values)
        return Lookup(values, missing, Moment(lookup.moment.local, reading.stamp))

    def keep(
        self, values: Mapping[str, object], ttl: float, moment: Moment, codec: ValueCodec = ANY
    ) -> Envelopes:
        """Keep values in the local tier; returns what is to be written to Redis.

        Raises:
            CacheError: a value is of a type that cannot be cached.
        """
        bodies = {key: codec.dump(key, value) for key, value in values.items()}
        envelopes: Envelopes = {}
        self.catch_up()
        # Before Redis is written: the local expiry must not be later than that in Redis.
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
                envelopes[key] = (encode_envelope(key, body, moment.shared, ends_ms), span_ms)
        return envelopes

    def is_kept(self, key: str) -> bool:
        """Whether values of this kind are cached at all."""
        return scope_of(key).kind in self.plan.kinds

    def may_join(self, moment: Moment) -> bool:
        """Whether a computation that began at `moment` is recent enough for a new caller."""
        return self.is_current and self._memory.is_current(moment.local)

    def clear(self, invalidation: Invalidation) -> int:
        """Forget in every replica, and delete in Redis; how many values there were.

        Returns when no replica answers from what is forgotten. While Redis does not answer, it
        will be told before it is used again.

        Raises:
            CacheError: the other processes of the data folder cannot be told.
        """
        if invalidation.is_empty:
            return 0
        dropped = self._clear(invalidation)
        # Until now another replica may have answered with old features, from which predictions
        # were computed.
        dependants = invalidation.dependants
        if dependants is not None:
            self._clear(dependants)
        return dropped if self.watch is None else max(dropped, self.watch.sweep(invalidation))

    def follow(self, invalidation: Invalidation, position: str) -> None:
        """Forget what the change log makes old, up to a position in it.

        Other replicas follow the log themselves, so there is nothing to wait for.
        """
        if self.watch is not None and self.watch.followed() != position:
            self.watch.invalidate(invalidation, position)
        self.forget(invalidation)

    def forget(self, invalidation: Invalidation) -> int:
        """Forget in this process alone."""
        return self._memory.forget(invalidation)

    def catch_up(self) -> None:
        """Forget everything if another process of the data folder has cleared something."""
        file = self._file
        if file is not None and file.is_due:
            with self._reading:
                file.look(self._heard_of_a_clear)

    def close(self) -> None:
        """Close the connections to Redis; the local tier still works."""
        watch, self.watch = self.watch, None
        if watch is not None:
            watch.close()
        self._file = None

    def _heard_of_a_clear(self) -> None:
        if self.watch is not None and self._file is not None and self._file.is_owed:
            self.availability.owe(_EVERYTHING)
        self.forget(_EVERYTHING)

    def _clear(self, invalidation: Invalidation) -> int:
        wait_s = 0.0
        told = self.watch is not None and self.watch.invalidate(invalidation)
        if told:
            wait_s = self.plan.lease_s
        try:
            if self._file is not None:
                self._file.write(owed=self.watch is not None and not told)
                wait_s = max(wait_s, HEARD_S)
        finally:
            # Last: a value that was read from Redis before it was told goes as well.
            dropped = self.forget(invalidation)
        time.sleep(wait_s)
        return dropped

    def _count(self, tier: Tier, keys: Iterable[str], held: Mapping[str, object]) -> None:
        counts: dict[tuple[Kind, Result], int] = {}
        for key in keys:
            name: tuple[Kind, Result] = (scope_of(key).kind, "hit" if key in held else "miss")
            counts[name] = counts.get(name, 0) + 1
        for (kind, result), count in counts.items():
            if kind in self.plan.kinds:
                self.statistics.record(kind, tier, result, count)

    def _jitter(self) -> float:
        return 1.0 - self.plan.jitter * random.random()  # noqa: S311 - spreads load, not for security

    def _local_ttl(self) -> float:
        return self.plan.local_ttl_s * self._jitter()


def _loaded(bodies: Mapping[str, bytes], codec: ValueCodec) -> dict[str, object]:
    loaded = {key: codec.load(key, body) for key, body in bodies.items()}
    return {key: value for key, value in loaded.items() if value is not MISS}
