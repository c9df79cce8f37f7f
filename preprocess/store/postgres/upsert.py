"""Upsert for PostgreSQL that reports its changes, in one statement."""

from collections.abc import Iterable, Sequence
from functools import cache

from preprocess.market.values import Tally
from preprocess.store.postgres.connection import Connection
from preprocess.store.postgres.row_copy import copy_in, database_value
from preprocess.store.tables import Table

# More rows than this go by COPY into a staging table; fewer travel inside the statement.
_FEW = 100

_COLUMNS_OF = {
    "text": "bse_code quarter kind subject nse_symbol company_name isin industry status month"
    " price_exchange"
    " sector confidence variant created_at basis filed_at source",
    "date": "date period_end announced_on ex_date earnings_date next_day_date prediction_date"
    " eps_as_of valid_from",
    "float8": "open high low close prev_close revenue_cr pat_cr operating_profit_cr eps ratio"
    " market_cap_cr price_change_pct probability band",
    "int8": "volume",
    "int4": "fiscal_year sector_code model_version",
    "int2": "adjusted market_cap_tier label upper_circuit predicted_label",
}
TYPES = {name: kind for kind, names in _COLUMNS_OF.items() for name in names.split()}


def upsert(
    connection: Connection, table: Table, rows: Sequence[tuple[object, ...]]
) -> tuple[Tally, Iterable[tuple[str, str]]]:
    """Write `rows` (columns in the table's order); also return (code, first day) of each change.

    Of two rows with one key the later wins.
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
    """Creates the staging table, which lives as long as the connection, or empties it."""
    columns = ", ".join(f"{column} {TYPES[column]}" for column in table.columns)
    return (
        f"CREATE TEMP TABLE IF NOT EXISTS staged_{table.name} ({columns}) ON COMMIT DELETE ROWS;"
        f" TRUNCATE pg_temp.staged_{table.name}"
    )


@cache
def _merge(table: Table, source: str) -> str:
    """Writes the rows that are new or differ, and returns for each: code, first day, is it new."""
    columns = ", ".join(table.columns)
    return (
        f"WITH different AS MATERIALIZED (SELECT s.*, {table.first_day} AS first_day,"  # noqa: S608 - names are constants
        f" p.bse_code IS NULL AS is_new {table.changed_rows(source)}),"
        f" merged AS (INSERT INTO {table.name} ({columns}) SELECT {columns} FROM different"
        f" {table.on_conflict})"
        " SELECT bse_code, first_day, is_new FROM different"
    )
