"""The materialised view announcement_samples: as of the newest commit, beside its readers."""

from collections.abc import Sequence

from preprocess.market import Mark
from preprocess.samples import Refreshed, Samples
from preprocess.store.postgres_connection import Connection
from preprocess.store.postgres_migrations import WRITERS_LOCK
from preprocess.store.postgres_session import PostgresReader
from preprocess.store.sample_rows import COLUMNS, TABLE, sample_of


def refresh_samples(connection: Connection) -> Refreshed:
    """Bring the view to the newest commit, unless it is there already.

    Under the writers' lock: what it holds is then exactly the mark that is stored with it. Its
    readers go on meanwhile, which a plain REFRESH would stop.
    """
    connection.run("BEGIN")
    try:
        connection.run("SELECT pg_advisory_xact_lock(?)", (WRITERS_LOCK,))
        reader = PostgresReader(connection)
        mark, held = reader.mark(), held_mark(connection)
        known = held != Mark() and reader.has_mark(held)
        stocks = _changed(connection, held) if known else _all(connection)
        if stocks:
            connection.run(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {TABLE}")
        connection.run(
            "UPDATE derived_marks SET sequence = ?, token = ? WHERE name = ?",
            (mark.sequence, mark.token, TABLE),
        )
        rows = connection.query_once(f"SELECT count(*) FROM {TABLE}")[0][0] if stocks else 0  # noqa: S608 - a constant
        connection.run("COMMIT")
    except BaseException:
        if not connection.closed and connection.in_transaction:
            connection.run("ROLLBACK")
        raise
    return Refreshed(stocks, int(rows), mark, not known)


def read_samples(connection: Connection, bse_codes: Sequence[str] | None = None) -> Samples:
    """The view as it was refreshed last, of all stocks or of `bse_codes`."""
    chosen = "" if bse_codes is None else " WHERE bse_code = ANY(?)"
    query = f"SELECT {COLUMNS} FROM {TABLE}{chosen} ORDER BY bse_code, earnings_date"  # noqa: S608 - names are constants
    parameters = () if bse_codes is None else (sorted(set(bse_codes)),)
    connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        held = held_mark(connection)
        rows = connection.query_once(query, parameters)
    finally:
        if not connection.closed:
            connection.run("ROLLBACK")
    return Samples(held, tuple(map(sample_of, rows)))


def held_mark(connection: Connection) -> Mark:
    """The mark of the commit that the view holds."""
    (row,) = connection.query("SELECT sequence, token FROM derived_marks WHERE name = ?", (TABLE,))
    return Mark(*row)


def _changed(connection: Connection, held: Mark) -> int:
    query = "SELECT count(DISTINCT bse_code) FROM change_log WHERE sequence > ?"
    return int(connection.query_once(query, (held.sequence,))[0][0])


def _all(connection: Connection) -> int:
    return int(connection.query_once("SELECT count(*) FROM stocks")[0][0])
