"""One connection to PostgreSQL, whose rows look like those of SQLite."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import psycopg2
from psycopg2 import extensions

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_S = 10.0
# A writer that hangs inside a transaction blocks the others for at most this long.
IDLE_IN_TRANSACTION_S = 600

# A dead peer is noticed within about a minute, and within 30 s when data was sent.
_KEEPALIVES = {
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}

# Days as ISO text, as SQLite stores them: one way of reading rows serves both.
_DAY = extensions.new_type((1082,), "TEZI_DAY", lambda value, _cursor: value)
_DAYS = extensions.new_array_type((1182,), "TEZI_DAYS", _DAY)
_BYTES = extensions.new_type(
    (17,),
    "TEZI_BYTES",
    lambda value, _cursor: None if value is None else bytes.fromhex(str(value[2:])),
)


class Connection(extensions.connection):
    """A connection in autocommit mode that prepares each statement once."""

    def __init__(self, dsn: str) -> None:
        try:
            super().__init__(dsn)
        except psycopg2.Error:
            self.close()  # or the server waits for as long as the error is referenced
            raise
        self._prepared: dict[str, str] = {}
        self.autocommit = True
        for kind in (_DAY, _DAYS, _BYTES):
            extensions.register_type(kind, self)

    def run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement with question marks for parameters; returns the rows it wrote."""
        with self.cursor() as cursor:
            cursor.execute(percent_marks(sql, parameters), parameters or None)
            return cursor.rowcount

    def query_once(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement that is not prepared.

        Lists of dates, or of None alone, need it: a prepared statement would read them as text.
        """
        with self.cursor() as cursor:
            cursor.execute(percent_marks(sql, parameters), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement with a question mark for each parameter, prepared once."""
        with self.cursor() as cursor:
            name = self._prepared.get(sql)
            if name is None:
                name = f"tezi_{len(self._prepared)}"
                cursor.execute(f"PREPARE {name} AS {numbered(sql)}")
                self._prepared[sql] = name
            marks = f"({', '.join(['%s'] * len(parameters))})" if parameters else ""
            cursor.execute(f"EXECUTE {name}{marks}", parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, even a failed one."""
        return self.info.transaction_status in (
            extensions.TRANSACTION_STATUS_INTRANS,
            extensions.TRANSACTION_STATUS_INERROR,
        )

    @contextmanager
    def transaction(self, begin: str = "BEGIN") -> Iterator[None]:
        """A transaction for the length of the block, rolled back if the block raises.

        Raises:
            StoreError: a statement failed and its error was swallowed.
        """
        self.run(begin)
        try:
            yield
            self._require_unfailed()
            self.run("COMMIT")
        except BaseException:
            self.roll_back()
            raise

    def _require_unfailed(self) -> None:
        # COMMIT of a failed transaction would roll back without an error.
        if self.info.transaction_status == extensions.TRANSACTION_STATUS_INERROR:
            raise StoreError(
                "A statement of this transaction failed; none of its changes were kept."
            )

    def roll_back(self) -> None:
        """Roll back what is open; a lost connection has done so already."""
        if not self.closed and self.in_transaction:
            with suppress(psycopg2.Error):
                self.run("ROLLBACK")


def percent_marks(sql: str, parameters: Sequence[object]) -> str:
    """SQL with psycopg2's marks for its question marks; without parameters it reads none."""
    return sql.replace("%", "%%").replace("?", "%s") if parameters else sql


@cache
def numbered(sql: str) -> str:
    """SQL with $1, $2 and so on for its question marks."""
    parts = re.split(r"\?", sql)
    return parts[0] + "".join(f"${number}{part}" for number, part in enumerate(parts[1:], start=1))


def connect(
    url: PostgresURL,
    *,
    read_only: bool = False,
    statement_timeout_s: float = 0,
) -> Connection:
    """A new connection.

    `statement_timeout_s` limits each statement; 0 disables the limit.

    Raises:
        psycopg2.Error: the server cannot be reached, or refuses.
    """
    server_settings = {
        "default_transaction_read_only": "on" if read_only else "off",
        "statement_timeout": f"{round(statement_timeout_s * 1e3)}",
        "lock_timeout": f"{round(LOCK_TIMEOUT_S * 1e3)}",
        "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_S * 1_000}",
        "client_min_messages": "warning",
        "datestyle": "ISO",
        "extra_float_digits": "1",  # doubles as the shortest text that reads back to the same bits
        "bytea_output": "hex",
    }
    parameters: dict[str, Any] = {
        "application_name": "tezi",
        "host": url.host,
        **url.options,
        "port": url.port,
        "user": url.user,
        "password": url.password,
        "dbname": url.database,
        "connect_timeout": CONNECT_TIMEOUT_S,
        "client_encoding": "UTF8",
        "options": " ".join(f"-c {name}={value}" for name, value in server_settings.items()),
        **_KEEPALIVES,
    }
    connection: Connection = psycopg2.connect(
        connection_factory=Connection,
        **{name: value for name, value in parameters.items() if value not in (None, "")},
    )
    return connection
