"""AsyncCacheManager: the cache of computed values for coroutines."""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, Self, TypeVar

from gateway.cache.calls import CallKeys
from gateway.cache.codec import MISS, decode, encode
from gateway.cache.core import ANY, Core, Lookup, ValueCodec
from gateway.cache.invalidation import Invalidation
from gateway.cache.keys import Kind
from gateway.cache.local import Clock
from gateway.cache.plan import Plan
from gateway.cache.redis.remote import RemoteTier
from gateway.cache.single_flight import Flight, MayCancel, SingleFlight, outcome_of
from gateway.cache.statistics import CacheStats
from preprocess.errors import CacheError
from preprocess.settings import Settings

Compute = Callable[[], Awaitable[object]]
ComputeMany = Callable[[Sequence[str]], Awaitable[Mapping[str, object]]]

_Arguments = ParamSpec("_Arguments")
_Given = TypeVar("_Given")


def _never(_flight: Flight) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Fetched:
    """Values by key, and the errors of those that could not be computed."""

    values: Mapping[str, object]
    errors: Mapping[str, Exception]


class AsyncCacheManager:
    """Values by key, until their TTL ends or they are invalidated. For one event loop.

    After an invalidation has returned no replica answers with what was computed, or begun, before
    it. Without Redis, or while it does not answer, the local tier serves alone. A caller that
    leaves does not cancel a computation; see `fetch_many`.
    """

    def __init__(self, plan: Plan | None = None, *, clock: Clock = time.monotonic) -> None:
        """Nothing is sent to Redis yet.

        Raises:
            SettingsError: the address of Redis is malformed.
            CacheError: the folder of the plan cannot be written to.
        """
        self.core = Core(plan or Plan(), clock=clock)
        self._remote: RemoteTier | None = None
        self._flights = SingleFlight(self.core.may_join)

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The cache that the settings name; an empty TEZI_REDIS_URL means no Redis."""
        return cls(Plan.from_settings(settings))

    async def get(self, key: str) -> object:
        """The value, or MISS."""
        return (await self.get_many([key])).values.get(key, MISS)

    async def get_many(self, keys: Sequence[str], *, codec: ValueCodec = ANY) -> Lookup:
        """The cached values of the keys, with one request to Redis, and when it was looked up."""
        await self._opened()
        return await self.fetched(self.core.look(keys, codec), codec)

    async def set(
        self, key: str, value: object, ttl: float, *, since: Lookup | None = None
    ) -> None:
        """Cache a value for at most `ttl` seconds; see `set_many`."""
        await self.set_many({key: value}, ttl, since=since)

    async def set_many(
        self,
        values: Mapping[str, object],
        ttl: float,
        *,
        since: Lookup | None = None,
        codec: ValueCodec = ANY,
    ) -> None:
        """Cache values, with one write to Redis; `since`: the lookup before they were computed.

        Without it they count as computed now. A value that is too large is not cached.

        Raises:
            CacheError: a value is of a type that cannot be cached.
        """
        await self._opened()
        moment = self.core.look(()).moment if since is None else since.moment
        envelopes = self.core.keep(values, ttl, moment, codec)
        remote = await self._opened()
        if envelopes and remote is not None:
            await remote.write(envelopes)

    async def get_or_compute(self, key: str, compute: Compute, ttl: float) -> object:
        """The cached value; if it is missing, one computation serves all callers of that time.

        They get the same value, or the same error. A value whose computation began before an
        invalidation is not cached after it.

        Raises:
            CacheError: the value is of a type that cannot be cached.
        """

        async def one(_keys: Sequence[str]) -> Mapping[str, object]:
            return {key: await compute()}

        return (await self.get_or_compute_many([key], one, ttl))[key]

    async def get_or_compute_many(
        self, keys: Sequence[str], compute: ComputeMany, ttl: float
    ) -> dict[str, object]:
        """The values; those neither cached nor in flight are computed by one call of `compute`.

        `compute` gets these keys; a key that it leaves out is missing in the result. Values are
        copies: a tuple comes back as a list, also for the caller that computed it.

        Raises:
            CacheError: a value is of a type that cannot be cached.
        """

        async def copied(missing: Sequence[str]) -> Mapping[str, object]:
            given = await compute(missing)
            return {key: decode(key, encode(key, value)) for key, value in given.items()}

        fetched = await self.fetch_many(keys, copied, ttl)
        for error in fetched.errors.values():
            raise error
        return dict(fetched.values)

    async def fetch_many(
        self,
        keys: Sequence[str],
        compute: ComputeMany,
        ttl: float,
        *,
        codec: ValueCodec = ANY,
        may_cancel: MayCancel = _never,
    ) -> Fetched:
        """As `get_or_compute_many`; an error of a computation does not affect the other keys.

        `codec` says how values are encoded, and which are not cached. What `compute` returns goes
        to all waiting callers, and is not copied. Once all of them have left, a computation that
        it `may_cancel` is cancelled.
        """
        await self._opened()
        looked = self.core.look(keys, codec)
        found = looked.values
        errors: dict[str, Exception] = {}
        flights = self._flights_for(looked, compute, ttl, codec)
        try:
            for flight, wanted in flights.items():
                landed = await outcome_of(flight)
                if isinstance(landed, Exception):
                    errors |= dict.fromkeys(wanted, landed)
                    continue
                found |= {key: landed[key] for key in wanted if key in landed}
        finally:
            self._flights.leave(flights, may_cancel)
        return Fetched(found, errors)

    async def invalidate(
        self, *, kind: Kind | None = None, stocks: Sequence[str] | None = None
    ) -> int:
        """Forget all of a kind, all of some stocks, both, or everything, in every replica.

        The number of values that were dropped, as far as Redis says. Returns when no replica
        answers from them: with Redis after `Plan.lease_s`, twice that where predictions follow
        their features; with the data folder alone after 0.22 s. A Redis that does not answer is
        told before it is used again.

        Raises:
            CacheError: keys of this kind name no stock, or the data folder cannot be written to.
        """
        return await self._forget(Invalidation.of(kind=kind, stocks=stocks))

    async def invalidate_pattern(self, pattern: str) -> int:
        """Forget every key that matches a glob pattern of Redis, as `invalidate` does.

        It forgets more than matches: see `Invalidation.matching`.
        """
        return await self._forget(Invalidation.matching(pattern))

    def cached(
        self, ttl: float
    ) -> Callable[
        [Callable[_Arguments, Awaitable[_Given]]],
        Callable[_Arguments, Coroutine[Any, Any, _Given]],
    ]:
        """A decorator: the function's results are cached for `ttl` seconds, by its arguments.

        Raises:
            CacheError: the function is not a coroutine function; at a call, see `CallKeys.key`.
        """

        def decorate(
            function: Callable[_Arguments, Awaitable[_Given]],
        ) -> Callable[_Arguments, Coroutine[Any, Any, _Given]]:
            if not inspect.iscoroutinefunction(function):
                raise CacheError(f"{function!r} is not async: decorate it with CacheManager.cached")
            keys = CallKeys(function)

            @functools.wraps(function)
            async def cached(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Given:
                key = keys.key(args, kwargs)
                given: Any = await self.get_or_compute(key, lambda: function(*args, **kwargs), ttl)
                return given  # type: ignore[no-any-return]  # what the function gave, or a copy

            return cached

        return decorate

    @property
    def stats(self) -> CacheStats:
        """The counts of all kinds so far; `core.statistics` has them by kind and recent ones."""
        return self.core.statistics.of()

    def get_hit_rate(self, kind: Kind | None = None, *, recent: bool = False) -> float:
        """Share of the lookups that were hits, 0 to 1; `recent`: of the last five minutes."""
        return self.core.statistics.of(kind, recent=recent).hit_rate

    async def close(self) -> None:
        """Cancel the computations in flight, and close the connections to Redis."""
        await self._flights.close()
        if self._remote is not None:
            await self._remote.close()
            self._remote = None
        await asyncio.to_thread(self.core.close)

    def _flights_for(
        self, looked: Lookup, compute: ComputeMany, ttl: float, codec: ValueCodec
    ) -> dict[Flight, list[str]]:
        """The computations in flight that the missing keys may join, and one for all the rest."""
        if not looked.missing:
            return {}
        flights = self._flights.join(looked.missing)
        theirs = frozenset(key for keys in flights.values() for key in keys)
        mine = [key for key in looked.missing if key not in theirs]
        if mine:
            lookup = Lookup({}, tuple(mine), looked.moment)
            computation = self._computed(lookup, compute, ttl, codec)
            flights[self._flights.start(mine, looked.moment, computation)] = mine
        return flights

    async def _computed(
        self, lookup: Lookup, compute: ComputeMany, ttl: float, codec: ValueCodec
    ) -> dict[str, object]:
        lookup = await self.fetched(lookup, codec)
        if not lookup.missing:
            return lookup.values
        given = await compute(lookup.missing)
        computed = {key: given[key] for key in lookup.missing if key in given}
        envelopes = self.core.keep(computed, ttl, lookup.moment, codec)
        if envelopes and self._remote is not None:
            self._remote.write_later(envelopes)  # no caller has to wait for it
        return lookup.values | computed

    async def fetched(self, looked: Lookup, codec: ValueCodec = ANY) -> Lookup:
        """A lookup in the local tier, with what Redis has of the missing keys."""
        if not any(map(self.core.is_kept, looked.missing)):
            return looked
        remote = await self._opened()
        if remote is None:
            return looked
        return self.core.accept(looked, await remote.read(looked.missing), codec)

    async def _forget(self, invalidation: Invalidation) -> int:
        # In a thread, and to its end even if the caller leaves: all replicas must hear of it.
        work = asyncio.create_task(asyncio.to_thread(self.core.clear, invalidation))
        return await asyncio.shield(work)

    async def _opened(self) -> RemoteTier | None:
        watch = self.core.watch
        if watch is None:
            return None
        if not watch.is_started:
            await asyncio.to_thread(watch.start)
        if self._remote is None:
            self._remote = RemoteTier(self.core.plan, self.core.availability)
        return self._remote
