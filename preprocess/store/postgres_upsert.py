"""Insert-or-correct for PostgreSQL that tells what it did, in one statement."""

from collections.abc import Iterable, Sequence
from functools import cache

from preprocess.market import Tally
from preprocess.store.postgres_connection import Connection
from preprocess.store.row_copy import copy_in, database_value
from preprocess.store.upsert import Table

# Rows beyond this go by COPY into a staging table; below it they travel inside the statement.
_FEW = 100

TYPES = {
    "bse_code": "text",
    "date": "date",
    "open": "float8",
    "high": "float8",
    "low": "float8",
    "close": "float8",
    "volume": "int8",
    "prev_close": "float8",
    "adjusted": "int2",
    "fiscal_year": "int4",
    "quarter": "text",
    "period_end": "date",
    "announced_on": "date",
    "revenue_cr": "float8",
    "pat_cr": "float8",
    "operating_profit_cr": "float8",
    "eps": "float8",
    "ex_date": "date",
    "kind": "text",
    "ratio": "float8",
    "subject": "text",
    "nse_symbol": "text",
    "company_name": "text",
    "isin": "text",
    "industry": "text",
    "status": "text",
    "month": "text",
    "sector": "text",
    "sector_code": "int4",
    "market_cap_cr": "float8",
    "market_cap_tier": "int2",
    "earnings_date": "date",
    "next_day_date": "date",
    "price_change_pct": "float8",
    "label": "int2",
    "prediction_date": "date",
    "model_version": "int4",
    "predicted_label": "int2",
    "probability": "float8",
    "confidence": "text",
    "variant": "text",
    "created_at": "text",
}


def upsert(
    connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]
) -> tuple[Tally, Iterable[tuple[str, str]]]:
    """Write `rows` (columns in the table's order); also return (code, first day) of each change.

    Of two rows with one key the later counts.
    """
    width = len(table.key)
    kept = list({row[:width]: row for row in rows}.values())
    if not kept:
        return Tally(), ()
    if len(kept) <= _FEW:
        columns = [[database_value(cell) for cell in column] for column in zip(*kept, strict=True)]
        different = connection.query_once(_merge(table, _inline(table)), columns)
    else:
        connection.run(_stage(table))
        copy_in(connection, f"pg_temp.staged_{table.name}", table.columns, kept)
        different = connection.query_once(_merge(table, f"pg_temp.staged_{table.name} s"))
    added = sum(new for _, _, new in different)
    tally = Tally(added, len(different) - added, len(kept) - len(different))
    return tally, ((code, day) for code, day, _ in different)


@cache
def _inline(table: Table) -> str:
    arrays = ", ".join(f"?::{TYPES[column]}[]" for column in table.columns)
    return f"unnest({arrays}) AS s({', '.join(table.columns)})"


@cache
def _stage(table: Table) -> str:
    """Makes the staging table, which lives as long as the connection, or empties it."""
    columns = ", ".join(f"{column} {TYPES[column]}" for column in table.columns)
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS staged_{table.name} ({columns}) ON COMMIT DELETE ROWS;"
        f" TRUNCATE pg_temp.staged_{table.name}"
    )


@cache
def _merge(table: Table, source: str) -> str:
    """Writes what is new or differs, and gives a row for each: code, first day, is it new."""
    columns, key = ", ".join(table.columns), ", ".join(table.key)
    on = " AND ".join(f"p.{column} = s.{column}" for column in table.key)
    incoming = ", ".join(table.incoming(column, "s", "p") for column in table.compared)
    present = ", ".join(f"p.{column}" for column in table.compared)
    updates = ", ".join(
        f"{column} = {table.incoming(column, 'excluded', table.name)}" for column in table.values
    )
    return (
        f"WITH different AS MATERIALIZED (SELECT s.*, {table.first_day} AS first_day,"  # noqa: S608 - names are constants
        f" p.bse_code IS NULL AS is_new FROM {source} LEFT JOIN {table.name} p ON {on}"
        f" WHERE p.bse_code IS NULL OR ({incoming}) IS DISTINCT FROM ({present})),"
        f" merged AS (INSERT INTO {table.name} ({columns}) SELECT {columns} FROM different"
        f" ON CONFLICT ({key}) DO UPDATE SET {updates})"
        " SELECT bse_code, first_day, is_new FROM different"
    )
