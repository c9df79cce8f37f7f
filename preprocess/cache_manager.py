"""CacheManager: the cache of computed values, a small tier in the process in front of Redis."""

import functools
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, Self, TypeVar, cast

from preprocess.async_cache_manager import AsyncCacheManager
from preprocess.cache.calls import CallKeys
from preprocess.cache.codec import decode
from preprocess.cache.core import Accepts, Core, Lookup
from preprocess.cache.flight import Flight, Flights
from preprocess.cache.invalidation import Invalidation
from preprocess.cache.keys import Kind
from preprocess.cache.local import Clock
from preprocess.cache.miss import MISS
from preprocess.cache.outcome import Landed, Uncached
from preprocess.cache.plan import Plan
from preprocess.cache.remote import RemoteTier
from preprocess.cache.statistics import CacheStats
from preprocess.settings import Settings

__all__ = ["MISS", "CacheManager", "CacheStats", "Lookup", "Plan", "Uncached"]

Compute = Callable[[], object]
ComputeMany = Callable[[Sequence[str]], Mapping[str, object]]

_Arguments = ParamSpec("_Arguments")
_Given = TypeVar("_Given")


class CacheManager:
    """Values by key, for a time, until they are invalidated. Safe to share between threads.

    Values are what `preprocess.cache.codec` can encode, and come back as copies. After an
    invalidation has returned no replica answers with what was computed, or begun, before it.
    Without Redis, or while it does not answer, the tier in the process serves alone.
    """

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        core: Core | None = None,
        clock: Clock = time.monotonic,
    ) -> None:
        """`core`: that of another front, which then closes it.

        Raises:
            SettingsError: the address of Redis is malformed.
            CacheError: the folder of the plan cannot be written to.
        """
        self.core = core or Core(plan or Plan(), clock=clock)
        self._owns_core = core is None
        self._remote = (
            None if self.core.watch is None else RemoteTier(self.core.plan, self.core.availability)
        )
        self._flights = Flights(self.core.may_join)
        self._asynchronous: AsyncCacheManager | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The cache that the settings name; an empty TEZI_REDIS_URL means no Redis."""
        return cls(Plan.from_settings(settings))

    def get(self, key: str) -> object:
        """The value, or MISS."""
        return self.get_many([key]).values.get(key, MISS)

    def get_many(self, keys: Sequence[str], *, accepts: Accepts | None = None) -> Lookup:
        """What is held of the keys, with one question to Redis, and the moment it was looked at.

        A value that `accepts` says no to, given its key and its bytes, is a miss.
        """
        self._start()
        return self._fetched(self.core.look(keys, accepts), accepts)

    def set(self, key: str, value: object, ttl: float, *, since: Lookup | None = None) -> None:
        """Hold a value for at most `ttl` seconds; see `set_many`."""
        self.set_many({key: value}, ttl, since=since)

    def set_many(
        self, values: Mapping[str, object], ttl: float, *, since: Lookup | None = None
    ) -> None:
        """Hold values, with one write to Redis; `since`: the lookup before they were computed.

        Without it they count as computed now. What is too large is not held.

        Raises:
            CacheError: a value is of a type that the cache does not keep.
        """
        self._start()
        moment = self.core.look(()).moment if since is None else since.moment
        _, envelopes = self.core.keep(values, ttl, moment)
        if envelopes and self._remote is not None:
            self._remote.write(envelopes)

    def get_or_compute(self, key: str, compute: Compute, ttl: float) -> object:
        """The value, computed once for all who ask meanwhile if it is not held.

        They get the same answer, or the same error. What was begun before an invalidation is not
        kept after it. `compute` may give `Uncached(value)`.

        Raises:
            CacheError: the value is of a type that the cache does not keep.
        """
        return self.get_or_compute_many([key], lambda _keys: {key: compute()}, ttl)[key]

    def get_or_compute_many(
        self, keys: Sequence[str], compute: ComputeMany, ttl: float
    ) -> dict[str, object]:
        """The values; those that are neither held nor being computed, by one call of `compute`.

        `compute` is given these keys; a key that it leaves out is left out of the answer, and a
        value given as `Uncached` is answered and not kept.

        Raises:
            CacheError: a value is of a type that the cache does not keep.
        """
        self._start()
        looked = self.core.look(keys)
        found = looked.values
        if not looked.missing:
            return found
        mine, others = self._flights.board(looked.missing, looked.moment)
        landed = self._lead(mine, compute, ttl) if mine else {}
        for key, flight in others.items():
            result = flight.wait(self.core.plan.wait_s)
            # The one that led is stuck or was stopped: nobody else must be.
            landed |= {key: result} if result is not None else self._computed((key,), compute, ttl)
        for key, result in landed.items():
            if result.loose is not None:
                found[key] = result.loose.value
            elif result.body is not None:
                found[key] = decode(key, result.body)
        return found

    def invalidate(self, *, kind: Kind | None = None, stocks: Sequence[str] | None = None) -> int:
        """Forget all of a kind, all of some stocks, both, or everything, in every replica.

        How many values there were, as far as Redis says. Returns when no replica answers from
        them any more: in milliseconds, or when the lease of one that does not say so is over.
        While Redis does not answer it is told when it does again, before it is asked anything.

        Raises:
            CacheError: keys of this kind name no stock.
        """
        return self.core.clear(Invalidation.of(kind=kind, stocks=stocks))

    def invalidate_pattern(self, pattern: str) -> int:
        """Forget every key that matches a glob pattern of Redis, as `invalidate` does."""
        return self.core.clear(Invalidation.matching(pattern))

    def cached(
        self, ttl: float
    ) -> Callable[[Callable[_Arguments, _Given]], Callable[_Arguments, _Given]]:
        """A decorator: the answers of a function, or of a coroutine, are cached by its arguments.

        A call with an argument that has no canonical form raises CacheError.
        """

        def decorate(function: Callable[_Arguments, _Given]) -> Callable[_Arguments, _Given]:
            if inspect.iscoroutinefunction(function):
                if self._asynchronous is None:
                    self._asynchronous = AsyncCacheManager(core=self.core)
                return cast(
                    "Callable[_Arguments, _Given]", self._asynchronous.cached(ttl)(function)
                )
            keys = CallKeys(function)

            @functools.wraps(function)
            def cached(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Given:
                key = keys.key(args, kwargs)
                given: Any = self.get_or_compute(key, lambda: function(*args, **kwargs), ttl)
                return given  # type: ignore[no-any-return]  # what the function gave, or a copy

            return cached

        return decorate

    @property
    def stats(self) -> CacheStats:
        """The counts so far, of all kinds; `core.statistics` has them by kind and lately."""
        return self.core.statistics.of()

    def get_hit_rate(self, kind: Kind | None = None, *, recent: bool = False) -> float:
        """Share of the keys asked for that the cache held, 0 to 1; `recent`: in five minutes."""
        return self.core.statistics.of(kind, recent=recent).hit_rate

    def close(self) -> None:
        """Let go of Redis; the cache goes on in the process."""
        remote, self._remote = self._remote, None
        if remote is not None:
            remote.close()
        if self._owns_core:
            self.core.close()

    def _lead(self, mine: dict[str, Flight], compute: ComputeMany, ttl: float) -> dict[str, Landed]:
        try:
            landed = self._computed(tuple(mine), compute, ttl)
        except Exception as error:
            for flight in mine.values():
                flight.land(error=error)
            raise
        else:
            for key, flight in mine.items():
                flight.land(landed[key])
            return landed
        finally:
            self._flights.leave(mine)

    def _computed(
        self, keys: tuple[str, ...], compute: ComputeMany, ttl: float
    ) -> dict[str, Landed]:
        # Another's computation may have ended between the look and now.
        lookup = self._fetched(self.core.look_again(keys))
        given = compute(lookup.missing) if lookup.missing else {}
        landed, envelopes = self.core.landing(lookup, given, ttl)
        if envelopes and self._remote is not None:
            self._remote.write(envelopes)
        return landed

    def _fetched(self, looked: Lookup, accepts: Accepts | None = None) -> Lookup:
        """With what Redis holds of what is missing."""
        if self._remote is None or not any(map(self.core.is_kept, looked.missing)):
            return looked
        return self.core.accept(looked, self._remote.read(looked.missing), accepts)

    def _start(self) -> None:
        if self.core.watch is not None:
            self.core.watch.start()
