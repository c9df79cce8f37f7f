"""A market in a PostgreSQL server of its own, for as long as it is measured."""

import io
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from preprocess.database_url import PostgresURL
from preprocess.settings import Settings, load_settings
from preprocess.store.postgres.connection import Connection, connect
from preprocess.store.postgres.row_copy import copy_in
from tests.performance.market import BenchMarket
from tests.postgres import running_server, written_out

_TABLES = (
    "stocks",
    "price_movements",
    "historical_financials",
    "corporate_actions",
    "upper_circuit_labels",
    "static_features",
    "price_packs",
    "stock_packs",
    "change_log",
)
_AT_ONCE = {"price_packs": 500}  # 8 KB each
_MOST_AT_ONCE = 20_000


@dataclass(frozen=True)
class PostgresMarket:
    """The product's settings for it, and the connection string of the naive way."""

    settings: Settings
    dsn: str
    version: str


@contextmanager
def postgres_market(market: BenchMarket) -> Iterator[PostgresMarket]:
    """The tables of `market`, loaded by COPY in the order of their keys."""
    with running_server() as server, server.database() as url:
        with closing(connect(url, statement_timeout_s=600.0)) as connection:
            _load(market.database, connection)
            ((version,),) = connection.query_once("SHOW server_version")
        settings = load_settings(data_dir=market.database.parent, database_url=written_out(url))
        yield PostgresMarket(settings, _dsn(url), str(version).split()[0])


def _load(database: Path, connection: Connection) -> None:
    with closing(sqlite3.connect(database)) as source:
        for table in _TABLES:
            cursor = source.execute(f"SELECT * FROM {table} ORDER BY 1, 2")
            columns = [column[0] for column in cursor.description]
            copy = _copy_plain if table == "price_movements" else copy_in
            while rows := cursor.fetchmany(_AT_ONCE.get(table, _MOST_AT_ONCE)):
                copy(connection, table, columns, rows)
    connection.run("VACUUM ANALYZE")


def _copy_plain(
    connection: Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """As copy_in, in a sixth of the time, for rows whose text has nothing to escape."""
    text = "".join(["\t".join(map(str, row)) + "\n" for row in rows])
    copy = f"COPY {table} ({', '.join(columns)}) FROM STDIN WITH (NULL 'None')"
    with connection.cursor() as cursor:
        cursor.copy_expert(copy, io.BytesIO(text.encode()))


def _dsn(url: PostgresURL) -> str:
    return (
        f"host={url.host} port={url.port} user={url.user} dbname={url.database}"
        f" password={url.password} connect_timeout=5"
    )
