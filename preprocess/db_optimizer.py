"""DBOptimizer: query plans, indexes, cached queries, connection pool and maintenance."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, Self

import msgspec

from preprocess.errors import StoreError
from preprocess.settings import Settings
from preprocess.store import Pool, Upkeep, open_pool, open_upkeep
from preprocess.store.pool import POOL_SIZE, POOL_WAIT_S, Parameters, Plan, Rows
from preprocess.store.queries import NamedQuery, product_queries
from preprocess.store.reading import NEWEST_MARK, PRICE_DAYS
from preprocess.store.upkeep import INDEXES

QUERY_TTL_S = 300.0

_QUERY = re.compile(r"\s*(SELECT|WITH)\b", re.IGNORECASE)
_A_STOCK = "SELECT bse_code FROM stocks ORDER BY bse_code LIMIT 1"


class QueryCache(Protocol):
    """A cache of query results, such as CacheManager."""

    def get(self, key: str, /) -> object:
        """The bytes cached under a key; any other type is a cache miss."""
        ...

    def set(self, key: str, value: bytes, ttl: float, /) -> None:
        """Cache bytes for at most `ttl` seconds."""
        ...


@dataclass(frozen=True, slots=True)
class QueryReport:
    """A query, its plan, and the milliseconds of one run with all of its rows."""

    query: NamedQuery
    plan: Plan


class DBOptimizer:
    """The market database of some settings. Safe to share between threads; close it at the end."""

    def __init__(self, settings: Settings, cache: QueryCache | None = None) -> None:
        """`cache` stores the results of `query_with_cache`; without it each query is run.

        Raises:
            StoreError: there is no database.
        """
        self._settings = settings
        self._cache = cache
        self._pool = self.create_connection_pool()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def analyze_slow_queries(
        self, queries: Sequence[NamedQuery] | None = None
    ) -> list[QueryReport]:
        """Explain and run each of `queries` (default: the product's); the slowest comes first.

        SQLite: EXPLAIN QUERY PLAN and a timed run. PostgreSQL: EXPLAIN (ANALYZE, BUFFERS) in a
        read-only transaction.

        Raises:
            StoreError: a query is refused, or the database cannot be read.
        """
        chosen = self._product_queries() if queries is None else queries
        reports = [
            QueryReport(query, self._pool.explain(query.sql, query.parameters)) for query in chosen
        ]
        return sorted(reports, key=lambda report: report.plan.milliseconds, reverse=True)

    def create_indexes(self) -> list[str]:
        """Create the product's missing indexes; returns the names of all of them.

        Raises:
            StoreError: a writer does not finish.
        """
        with self._upkeep() as upkeep:
            upkeep.create_indexes()
        return list(INDEXES)

    def query_with_cache(
        self, query: str, params: Parameters = (), ttl: float = QUERY_TTL_S
    ) -> Rows:
        """The rows of a read-only query, from the cache for at most `ttl` seconds.

        The key is `query:{hash}` of the SQL, its parameters and the newest change, so that a
        commit that changes the market is seen at once. What the change log does not
        cover (stored predictions, refreshed samples) may be `ttl` seconds old. Results are
        stored as msgpack.

        Raises:
            StoreError: the query is refused or not read-only, or a value cannot be cached.
        """
        if not _QUERY.match(query):
            raise StoreError("query_with_cache() takes a query that begins with SELECT or WITH.")
        if self._cache is None or ttl <= 0:
            return _decoded(self._encoded_rows(query, params))
        key = self._key(query, params)
        found = self._cache.get(key)
        if not isinstance(found, bytes):
            found = self._encoded_rows(query, params)
            self._cache.set(key, found, ttl)
        return _decoded(found)

    def create_connection_pool(
        self, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S
    ) -> Pool[Any]:
        """A pool of at most `size` connections for reading; a caller waits `wait_s` for one."""
        return open_pool(self._settings, size=size, wait_s=wait_s)

    def refresh_samples(self) -> int:
        """Recompute the join of price, results and label of each announcement; its row count."""
        with self._upkeep() as upkeep:
            return upkeep.refresh_samples()

    def vacuum_database(self) -> str:
        """Free the space of deleted rows; returns a note, often empty."""
        with self._upkeep() as upkeep:
            return upkeep.vacuum()

    def analyze_database(self) -> None:
        """Collect the planner's statistics."""
        with self._upkeep() as upkeep:
            upkeep.analyze()

    def reindex(self) -> None:
        """Rebuild every index."""
        with self._upkeep() as upkeep:
            upkeep.reindex()

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()

    @contextmanager
    def _upkeep(self) -> Iterator[Upkeep]:
        with closing(open_upkeep(self._settings)) as upkeep, upkeep.alone():
            yield upkeep

    def _product_queries(self) -> tuple[NamedQuery, ...]:
        """The product's queries, for the first stock and the newest day."""
        stocks, days, newest = (
            self._pool.rows(sql).rows for sql in (_A_STOCK, PRICE_DAYS, NEWEST_MARK)
        )
        return product_queries(
            bse_code=stocks[0][0] if stocks else "000000",
            day=days[0][1] or "2000-01-01",
            sequence=max(newest[0][0] - 1, 0) if newest else 0,
        )

    def _key(self, query: str, params: Parameters) -> str:
        newest = self._pool.rows(NEWEST_MARK).rows
        return f"query:{hashlib.sha256(_encoded((query.strip(), params, newest))).hexdigest()}"

    def _encoded_rows(self, query: str, params: Parameters) -> bytes:
        try:
            found = self._pool.rows(query, params)
        except (TypeError, ValueError, IndexError, OverflowError) as error:  # of parameters
            raise StoreError(f"The query is refused: {error}. ({query.strip()[:200]})") from error
        return _encoded((found.columns, found.rows))


def _encoded(value: object) -> bytes:
    try:
        return msgspec.msgpack.encode(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"A value cannot be stored in the query cache: {error}") from error


def _decoded(encoded: bytes) -> Rows:
    columns, rows = msgspec.msgpack.decode(encoded)
    return Rows(tuple(columns), tuple(map(tuple, rows)))
