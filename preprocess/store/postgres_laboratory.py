"""PostgreSQL's laboratory: temporary tables that stand in for those of the market.

In one's own session a temporary table hides the table of its name. So queries run unchanged on a
copy that nobody else sees, no lock is taken that an import would wait for, and all of it is gone
when the session ends.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import errors

from preprocess.errors import StoreError
from preprocess.store.indexes import Index, candidates
from preprocess.store.laboratory import LONGEST_RUN_S, Built, Plan, median_ms
from preprocess.store.postgres_connection import Connection
from preprocess.store.postgres_errors import explanation
from preprocess.store.sql_text import wanted_columns, words
from preprocess.store.workload import NamedQuery

LARGEST_COPY = 2 * 1024**3

_TABLES = (
    "SELECT c.relname::text, c.relkind::text, pg_total_relation_size(c.oid) FROM pg_class c"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'm')"
    " ORDER BY c.relname"
)
_COLUMNS = (
    "SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(?) AND attnum > 0"
    " AND NOT attisdropped ORDER BY attnum"
)
_INDEXES = (
    "SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index i"
    " CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY AS k(number, place)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number"
    " WHERE i.indrelid = to_regclass(?) GROUP BY i.indexrelid"
)

_SAMPLE = (
    " WHERE bse_code IN (SELECT bse_code FROM ("
    " SELECT bse_code, row_number() OVER (ORDER BY bse_code) AS place FROM {schema}.stocks) s"
    " WHERE place % {every} = 0)"
)


class PostgresLaboratory:
    """Copies of the market's tables in the session of `connection`. Used by one thread."""

    def __init__(self, connection: Connection, *, largest_copy: int = LARGEST_COPY) -> None:
        """Copy every table, or the rows of some stocks if they are larger than `largest_copy`.

        The session must not have touched the tables in a prepared statement yet.
        """
        self._connection = connection
        self._tables: list[str] = []
        connection.run(f"SET statement_timeout = {round(LONGEST_RUN_S * 30e3)}")
        connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ")
        try:
            ((schema,),) = connection.query_once("SELECT quote_ident(current_schema())")
            tables = connection.query_once(_TABLES)
            self._every = max(1, -(-sum(size for *_, size in tables) // largest_copy))
            for table, kind, _ in tables:
                self._copy(schema, table, kind)
            connection.run("COMMIT")
        except BaseException:
            if not connection.closed and connection.in_transaction:
                connection.run("ROLLBACK")
            raise
        for table in self._tables:
            connection.run(f"ANALYZE pg_temp.{table}")
        # Temporary tables are never read by several workers: neither are the plans to be.
        connection.run("SET max_parallel_workers_per_gather = 0")
        connection.run(f"SET statement_timeout = {round(LONGEST_RUN_S * 1e3)}")

    def _copy(self, schema: str, table: str, kind: str) -> None:
        run = self._connection.run
        source = f"{schema}.{table}"
        columns = self._columns(source)
        chosen = ""
        if "bse_code" in columns and self._every > 1:
            chosen = _SAMPLE.format(schema=schema, every=self._every)
        if kind == "m":
            run(f"CREATE TEMP TABLE {table} AS SELECT * FROM {source}{chosen}")  # noqa: S608 - names out of the catalogue
        else:
            run(f"CREATE TEMP TABLE {table} (LIKE {source} INCLUDING ALL EXCLUDING IDENTITY)")
            listed = ", ".join(columns)
            run(f"INSERT INTO pg_temp.{table} ({listed}) SELECT {listed} FROM {source}{chosen}")  # noqa: S608 - as above
        self._tables.append(table)

    @property
    def what(self) -> str:
        """What the measurements were made on."""
        share = f"one stock in {self._every} of" if self._every > 1 else "all of"
        return f"a copy of {share} the database in temporary tables, after ANALYZE"

    def plan(self, query: NamedQuery) -> Plan:
        """EXPLAIN (ANALYZE, BUFFERS), with the tables that are scanned or whose rows are sorted."""
        tree = self._explained(query, "ANALYZE, BUFFERS, FORMAT JSON")
        lines: list[str] = []
        scanned: list[str] = []
        sorts = False
        for depth, node in _nodes(tree["Plan"]):
            lines.append("  " * depth + _line(node))
            if node["Node Type"] == "Seq Scan":
                scanned.append(node["Relation Name"])
            sorts = sorts or "Sort" in node["Node Type"]
        if sorts:
            said = words(query.sql)
            scanned += [table for table in self._tables if table in said]
        return Plan(tuple(lines), tuple(dict.fromkeys(scanned)))

    def measure(self, query: NamedQuery) -> float | None:
        """Median milliseconds in the server; None if a run takes longer than LONGEST_RUN_S."""

        def run() -> float | None:
            try:
                tree = self._explained(query, "ANALYZE, TIMING OFF, FORMAT JSON")
            except TooLongError:
                return None
            return float(tree["Planning Time"]) + float(tree["Execution Time"])

        return median_ms(run)

    def candidates(self, query: NamedQuery, plan: Plan) -> Sequence[Index]:
        """Indexes of the tables that the plan scans or sorts."""
        wanted = wanted_columns(query.sql)
        return [
            index
            for table in plan.slow_tables
            if table in self._tables
            for index in candidates(
                table,
                self._columns(f"pg_temp.{table}"),
                (
                    names
                    for (names,) in self._connection.query_once(_INDEXES, (f"pg_temp.{table}",))
                ),
                wanted,
            )
        ]

    @contextmanager
    def built(self, index: Index) -> Iterator[Built]:
        """The index on the copy."""
        began = time.perf_counter()
        self._connection.run(index.sql)  # the table's name means the copy
        spent = (time.perf_counter() - began) * 1000.0
        try:
            ((size,),) = self._connection.query_once(
                "SELECT pg_relation_size(to_regclass(?))", (f"pg_temp.{index.name}",)
            )
            yield Built(int(size), spent)
        finally:
            self._connection.run(f"DROP INDEX pg_temp.{index.name}")

    def _columns(self, table: str) -> list[str]:
        return [name for (name,) in self._connection.query_once(_COLUMNS, (table,))]

    def _explained(self, query: NamedQuery, options: str) -> dict[str, Any]:
        """The plan of a query that is run for it, with nothing that it might do kept."""
        connection = self._connection
        connection.run("BEGIN READ ONLY")
        try:
            ((document,),) = connection.query_once(
                f"EXPLAIN ({options}) {query.sql}",
                tuple(query.parameters),
            )
        except errors.QueryCanceled as error:
            raise TooLongError(f"The query {query.name} takes longer than its limit.") from error
        except (psycopg2.Error, ValueError, TypeError) as error:
            detail = explanation(error) if isinstance(error, psycopg2.Error) else str(error)
            raise StoreError(f"The query {query.name} is refused: {detail}") from error
        finally:
            if not connection.closed and connection.in_transaction:
                connection.run("ROLLBACK")
        tree: dict[str, Any] = document[0]
        return tree


class TooLongError(StoreError):
    """A query ran into LONGEST_RUN_S."""


_CONDITIONS = ("Index Cond", "Filter", "Sort Key")


def _nodes(node: dict[str, Any], depth: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, node
    for child in node.get("Plans", []):
        yield from _nodes(child, depth + 1)


def _line(node: dict[str, Any]) -> str:
    """A step as EXPLAIN prints it, and what it read."""
    parts = [node["Node Type"]]
    if "Index Name" in node:
        parts.append(f"using {node['Index Name']}")
    if "Relation Name" in node:
        parts.append(f"on {node['Relation Name']}")
    parts += [f"{name}: {node[name]}" for name in _CONDITIONS if name in node]
    hit = sum(node.get(f"{kind} Hit Blocks", 0) for kind in ("Shared", "Local"))
    read = sum(node.get(f"{kind} Read Blocks", 0) for kind in ("Shared", "Local"))
    parts.append(f"({node.get('Actual Rows', 0)} rows, blocks {hit} hit {read} read)")
    return " ".join(parts)
