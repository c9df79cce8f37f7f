"""CacheManager: the cache of computed values for threads."""

import asyncio
import functools
import inspect
import os
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Mapping, Sequence
from queue import SimpleQueue
from typing import Any, ParamSpec, Self, TypeVar

from gateway.cache.async_cache_manager import AsyncCacheManager
from gateway.cache.calls import CallKeys
from gateway.cache.codec import MISS
from gateway.cache.core import ANY, Lookup, ValueCodec
from gateway.cache.keys import Kind
from gateway.cache.local import Clock
from gateway.cache.plan import Plan
from gateway.cache.statistics import CacheStats
from preprocess.errors import CacheError
from preprocess.settings import Settings

__all__ = ["MISS", "CacheManager", "CacheStats", "Lookup", "Plan"]

Compute = Callable[[], object]
ComputeMany = Callable[[Sequence[str]], Mapping[str, object]]

_Arguments = ParamSpec("_Arguments")
_Given = TypeVar("_Given")


class CacheManager:
    """AsyncCacheManager, on an event loop in a thread of its own. Safe to share between threads.

    Values are what `gateway.cache.codec` can encode, and come back as copies. A process that
    was forked has its own tier in memory and its own connections to the same Redis.
    """

    _running: tuple[asyncio.AbstractEventLoop, threading.Thread] | None

    def __init__(self, plan: Plan | None = None, *, clock: Clock = time.monotonic) -> None:
        """Nothing is sent to Redis yet.

        Raises:
            SettingsError: the address of Redis is malformed.
            CacheError: the folder of the plan cannot be written to.
        """
        self._plan = plan or Plan()
        self._clock = clock
        self._begin()
        # A forked child has none of its parent's threads, and cannot release the locks they hold.
        begin = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (again := begin()) and again())

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """The cache that the settings name; an empty TEZI_REDIS_URL means no Redis."""
        return cls(Plan.from_settings(settings))

    def get(self, key: str) -> object:
        """The value, or MISS."""
        return self.get_many([key]).values.get(key, MISS)

    def get_many(self, keys: Sequence[str], *, codec: ValueCodec = ANY) -> Lookup:
        """As `AsyncCacheManager.get_many`."""
        watch = self.core.watch
        if watch is not None and not watch.is_started:
            return self._run(self._cache.get_many(keys, codec=codec))
        looked = self.core.look(keys, codec)
        if watch is None or not looked.missing:
            return looked
        return self._run(self._cache.fetched(looked, codec))

    def set(self, key: str, value: object, ttl: float, *, since: Lookup | None = None) -> None:
        """Cache a value for at most `ttl` seconds; see `AsyncCacheManager.set_many`."""
        self.set_many({key: value}, ttl, since=since)

    def set_many(
        self,
        values: Mapping[str, object],
        ttl: float,
        *,
        since: Lookup | None = None,
        codec: ValueCodec = ANY,
    ) -> None:
        """As `AsyncCacheManager.set_many`."""
        if self.core.watch is None:
            moment = (self.core.look(()) if since is None else since).moment
            self.core.keep(values, ttl, moment, codec)
        else:
            self._run(self._cache.set_many(values, ttl, since=since, codec=codec))

    def get_or_compute(self, key: str, compute: Compute, ttl: float) -> object:
        """As `AsyncCacheManager.get_or_compute`; `compute` runs in a caller's thread."""
        return self.get_or_compute_many([key], lambda _keys: {key: compute()}, ttl)[key]

    def get_or_compute_many(
        self, keys: Sequence[str], compute: ComputeMany, ttl: float
    ) -> dict[str, object]:
        """As `AsyncCacheManager.get_or_compute_many`; `compute` runs in the caller's thread."""
        tasks: SimpleQueue[tuple[Sequence[str], asyncio.Future[Any]] | None] = SimpleQueue()

        async def computed(missing: Sequence[str]) -> Mapping[str, object]:
            given: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            tasks.put((missing, given))
            values, error = await given
            if error is not None:
                raise error
            found: Mapping[str, object] = values
            return found

        loop = self._started()
        found = asyncio.run_coroutine_threadsafe(
            self._cache.get_or_compute_many(keys, computed, ttl), loop
        )
        found.add_done_callback(lambda _: tasks.put(None))
        while (task := tasks.get()) is not None:
            missing, given = task
            try:
                outcome: tuple[Any, Exception | None] = (compute(missing), None)
            except Exception as error:  # noqa: BLE001 - raised in all waiting callers
                outcome = (None, error)
            except BaseException:  # the thread is told to end: other callers must not wait for it
                outcome = (None, CacheError("The computation was interrupted."))
                raise
            finally:
                loop.call_soon_threadsafe(_settle, given, outcome)
        return found.result()

    def invalidate(self, *, kind: Kind | None = None, stocks: Sequence[str] | None = None) -> int:
        """As `AsyncCacheManager.invalidate`."""
        return self._run(self._cache.invalidate(kind=kind, stocks=stocks))

    def invalidate_pattern(self, pattern: str) -> int:
        """As `AsyncCacheManager.invalidate_pattern`."""
        return self._run(self._cache.invalidate_pattern(pattern))

    def cached(
        self, ttl: float
    ) -> Callable[[Callable[_Arguments, _Given]], Callable[_Arguments, _Given]]:
        """A decorator: the function's results are cached for `ttl` seconds, by its arguments.

        Raises:
            CacheError: it is a coroutine function; at a call, see `CallKeys.key`.
        """

        def decorate(function: Callable[_Arguments, _Given]) -> Callable[_Arguments, _Given]:
            if inspect.iscoroutinefunction(function):
                raise CacheError(
                    f"{function!r} is async: decorate it with AsyncCacheManager.cached"
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
        """The counts of all kinds so far; `core.statistics` has them by kind and recent ones."""
        return self.core.statistics.of()

    def get_hit_rate(self, kind: Kind | None = None, *, recent: bool = False) -> float:
        """Share of the lookups that were hits, 0 to 1; `recent`: of the last five minutes."""
        return self.core.statistics.of(kind, recent=recent).hit_rate

    def close(self) -> None:
        """End the thread and close the connections; the local tier still works."""
        with self._starting:
            running, self._running = self._running, None
        if running is not None:
            loop, thread = running
            asyncio.run_coroutine_threadsafe(self._end(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        self.core.close()

    async def _end(self) -> None:
        await self._cache.close()
        await asyncio.get_running_loop().shutdown_default_executor()

    def _begin(self) -> None:
        self._starting = threading.Lock()
        self._cache = AsyncCacheManager(self._plan, clock=self._clock)
        self.core = self._cache.core
        self._running = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._running is None:
                loop = asyncio.new_event_loop()
                thread = threading.Thread(target=loop.run_forever, name="tezi-cache", daemon=True)
                thread.start()
                self._running = loop, thread
            return self._running[0]

    def _run(self, work: Coroutine[Any, Any, _Given]) -> _Given:
        return asyncio.run_coroutine_threadsafe(work, self._started()).result()


def _settle(given: "asyncio.Future[Any]", outcome: tuple[Any, Exception | None]) -> None:
    if not given.done():
        given.set_result(outcome)
