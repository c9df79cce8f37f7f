"""The pool: bounded, waited for with an end, and never handing on what is broken."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg2
import pytest

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.store.postgres.connection import Connection, connect
from preprocess.store.postgres.pool import ConnectionPool
from tests.postgres import PostgresServer


class Opener:
    """Opens connections, and counts them."""

    def __init__(self, url: PostgresURL) -> None:
        self.url = url
        self.opened: list[Connection] = []

    def __call__(self) -> Connection:
        self.opened.append(connect(self.url))
        return self.opened[-1]

    @property
    def still_open(self) -> int:
        return sum(not connection.closed for connection in self.opened)


@pytest.fixture
def opener(postgres_url: PostgresURL) -> Opener:
    return Opener(postgres_url)


@pytest.fixture
def pool(opener: Opener) -> Iterator[ConnectionPool]:
    made = ConnectionPool(opener, size=2, wait_s=0.1)
    yield made
    made.close()
    assert opener.still_open == 0


def number(connection: Connection) -> int:
    """The process that serves a connection."""
    return int(connection.query_once("SELECT pg_backend_pid()")[0][0])


def test_a_connection_is_opened_when_needed_and_used_again(
    pool: ConnectionPool, opener: Opener
) -> None:
    assert (pool.idle, opener.opened) == (0, [])
    with pool.connection() as one:
        first = number(one)
        with pool.connection() as other:
            assert number(other) != first
    assert pool.idle == 2
    with pool.connection() as one, pool.connection() as other:
        assert first in (number(one), number(other))
    assert len(opener.opened) == 2


def test_nothing_leaks_under_exceptions(pool: ConnectionPool, opener: Opener) -> None:
    def fail(sql: str) -> None:
        with pool.connection() as connection:
            connection.run("BEGIN")
            connection.run(sql)
            raise KeyError("on purpose")

    for _ in range(5):
        with pytest.raises(KeyError):
            fail("SELECT 1")
        with pytest.raises(psycopg2.errors.DivisionByZero):
            fail("SELECT 1 / 0")
    assert (len(opener.opened), pool.idle) == (1, 1)
    with pool.connection() as connection:
        assert not connection.in_transaction
        assert connection.query_once("SELECT 1") == [(1,)]


def test_one_in_the_middle_of_something_is_thrown_away(
    pool: ConnectionPool, opener: Opener
) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError("no room")

    with (
        pytest.raises(OSError, match="no room"),
        pool.connection() as connection,
        connection.cursor() as cursor,
    ):
        cursor.copy_expert("COPY (SELECT generate_series(1, 100000)) TO STDOUT", Full())
    assert (opener.still_open, pool.idle) == (0, 0)
    with pool.connection() as connection:
        assert connection.query_once("SELECT 1") == [(1,)]


def test_a_session_that_the_server_ended_is_not_handed_out(
    pool: ConnectionPool, opener: Opener, postgres_server: PostgresServer
) -> None:
    with pool.connection() as one, pool.connection() as other:
        ended = [number(one), number(other)]
    for pid in ended:
        postgres_server.run(f"SELECT pg_terminate_backend({pid}, 5000)")
    with pool.connection() as connection:
        assert number(connection) not in ended
    assert opener.still_open == 1


def test_a_connection_that_cannot_be_opened_gives_its_place_back(opener: Opener) -> None:
    asked: list[int] = []

    def fails_twice() -> Connection:
        asked.append(1)
        if len(asked) < 3:
            raise psycopg2.OperationalError("no server")
        return opener()

    pool = ConnectionPool(fails_twice, size=1, wait_s=0.1)
    for _ in range(2):
        with pytest.raises(psycopg2.OperationalError), pool.connection():
            pass
    with pool.connection() as connection:
        assert number(connection)
    pool.close()


def test_a_closed_pool_lends_nothing_and_closes_what_comes_back(opener: Opener) -> None:
    pool = ConnectionPool(opener, size=2, wait_s=0.1)
    with pool.connection():
        pass
    with pool.connection(limit_s=60.0):
        pool.close()
        pool.close()
        assert opener.still_open == 1
    assert opener.still_open == 0
    with pytest.raises(StoreError, match="closed"), pool.connection():
        pass
    assert not [t for t in threading.enumerate() if t.name == "tezi-postgres-watch"]


def test_a_server_that_has_gone_quiet_is_cut_off(
    pool: ConnectionPool, opener: Opener, postgres_server: PostgresServer
) -> None:
    """Its own time-out is of no use then: the session that was to keep it hangs."""
    with (
        pool.connection(limit_s=0.2) as connection,
        postgres_server.hanging(number(connection)),
        pytest.raises(psycopg2.Error),
    ):
        connection.run("SELECT 1")
    assert opener.still_open == 0
    with pool.connection(limit_s=60.0) as connection:
        assert connection.query_once("SELECT 1") == [(1,)]


def test_many_threads_share_few_connections(opener: Opener) -> None:
    pool = ConnectionPool(opener, size=3, wait_s=30.0)
    at_once: list[int] = []
    under_way: set[int] = set()

    def work(turn: int) -> int:
        with pool.connection(limit_s=30.0) as connection:
            under_way.add(turn)
            at_once.append(len(under_way))
            found = connection.query("SELECT ?::int + 1", (turn,))[0][0]
            under_way.discard(turn)
            return int(found)

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(300))) == list(range(1, 301))
    assert max(at_once) <= 3
    assert len(opener.opened) <= 3
    pool.close()
    assert opener.still_open == 0
