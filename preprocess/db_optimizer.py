"""DBOptimizer: what makes queries quick and keeps them quick, under one name."""

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

from preprocess.cache_manager import CacheManager
from preprocess.database.analysis import Analysis, Progress, Recommendation, analyse, logged_queries
from preprocess.database.cached_queries import is_logged, query_key
from preprocess.derive import refresh_derived
from preprocess.errors import StoreError
from preprocess.samples import Refreshed, Samples
from preprocess.settings import Settings
from preprocess.store.base import Writer
from preprocess.store.indexes import Index
from preprocess.store.pool import Pool
from preprocess.store.slow_log import slow_queries
from preprocess.store.statements import Parameters
from preprocess.store.tools import POOL_SIZE, POOL_WAIT_S, Rows, tools_for
from preprocess.store.workload import is_query, product_queries


class DBOptimizer:
    """The market database of some settings. Safe to share between threads; close it at the end."""

    def __init__(self, settings: Settings, cache: CacheManager | None = None) -> None:
        """`cache`: where `query_with_cache` keeps results; default: one of its own.

        Raises:
            StoreError: there is no database.
        """
        self._settings = settings
        self._tools = tools_for(settings)
        self._cache = cache or CacheManager.from_settings(settings)
        self._owns_cache = cache is None
        self._pool: Pool = self._tools.pool()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def analyze_slow_queries(self, progress: Progress = lambda _done, _total: None) -> Analysis:
        """Look at the plans of what the product runs and of what was logged as slow.

        Each index that a plan asks for is built where nobody else sees it and measured; only one
        that was used and saved time is recommended. It takes from seconds to minutes.

        Raises:
            StoreError: there is no room for a copy, or the database cannot be read.
        """
        queries = product_queries(self._tools.observed)
        queries += logged_queries(slow_queries(self._settings.slow_query_log))
        with self._tools.laboratory() as laboratory:
            return analyse(laboratory, queries, progress)

    def create_indexes(self, recommendations: Iterable[Recommendation | Index]) -> list[Index]:
        """Make the indexes that are not there yet, all or none; which they were.

        Raises:
            StoreError: another index has such a name, or a writer does not end.
        """
        wanted = [
            found.index if isinstance(found, Recommendation) else found for found in recommendations
        ]
        return self._tools.create_indexes(wanted)

    def query_with_cache(self, query: str, params: Parameters = (), ttl: float = 300) -> Rows:
        """The rows of a query that only reads, out of the cache for at most `ttl` seconds.

        A commit that changes the market, or the samples, is seen at once: it is part of the key.
        A query over tables that no mark covers (stored predictions) is run each time.

        Raises:
            StoreError: the query is refused, or is none.
            CacheError: the result has a value of a type that the cache does not keep.
        """
        if not is_query(query):
            raise StoreError("query_with_cache() takes a query that begins with SELECT or WITH.")
        with self._pool.connection() as connection:
            version = self._tools.version(connection)
        key = query_key(query, params, version)
        if not is_logged(query, version):
            return self._run(query, params)
        found: Any = self._cache.get_or_compute(key, self._computation(query, params), ttl)
        columns, rows = found
        return Rows(tuple(columns), tuple(map(tuple, rows)))

    def create_connection_pool(self, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> Pool:
        """A pool of at most `size` connections; a caller waits at most `wait_s` for one."""
        return self._tools.pool(size, wait_s)

    def refresh_samples(self) -> Refreshed:
        """Bring the announcement samples (price, results and label as of each day) up to date."""
        with self._tools.upkeep(self._derive) as upkeep:
            return upkeep.refresh_samples()

    def samples(self, bse_codes: Sequence[str] | None = None) -> Samples:
        """The announcement samples as they were refreshed last, with the mark that they hold."""
        return self._tools.samples(bse_codes)

    def vacuum_database(self) -> str:
        """Give the room of deleted rows back; what is left to say, or nothing."""
        with self._tools.upkeep(self._derive) as upkeep, upkeep.alone():
            return upkeep.vacuum()

    def analyze_database(self) -> None:
        """Count what the planner goes by."""
        with self._tools.upkeep(self._derive) as upkeep, upkeep.alone():
            upkeep.analyze()

    def reindex(self) -> None:
        """Build every index anew."""
        with self._tools.upkeep(self._derive) as upkeep, upkeep.alone():
            upkeep.reindex()

    def close(self) -> None:
        """Let go of the connections."""
        self._pool.close()
        if self._owns_cache:
            self._cache.close()

    def _computation(self, query: str, params: Parameters) -> Callable[[], object]:
        def run() -> object:
            found = self._run(query, params)
            return [found.columns, found.rows]

        return run

    def _run(self, query: str, params: Parameters) -> Rows:
        with self._pool.connection() as connection:
            return self._tools.rows(connection, query, params)

    def _derive(self, writer: Writer) -> None:
        refresh_derived(writer, circuit_pct=self._settings.circuit_pct)
