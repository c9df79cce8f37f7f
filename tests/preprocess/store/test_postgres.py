"""What is PostgreSQL's own: its server, its users, its time-outs, its migrations."""

import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from preprocess.database_url import PostgresURL
from preprocess.errors import StoreError
from preprocess.market.columns import columns_of
from preprocess.market.values import CorporateAction
from preprocess.settings import load_settings
from preprocess.store import open_store
from preprocess.store.migrations import migrations
from preprocess.store.postgres.binary_copy import OneColumnSink
from preprocess.store.postgres.connection import connect
from preprocess.store.postgres.errors import explained
from preprocess.store.postgres.migrations import DIALECT, migrate
from preprocess.store.postgres.store import PostgresStore
from preprocess.store.postgres.upsert import TYPES
from preprocess.store.tables import TABLES
from tests.builders import bars
from tests.integration.stack import free_ports
from tests.postgres import PostgresServer, written_out
from tests.preprocess.store.markets import assert_same_columns


@pytest.fixture
def store(postgres_url: PostgresURL) -> Iterator[PostgresStore]:
    opened = PostgresStore(postgres_url, write=True)
    with opened.transaction() as writer:
        writer.put_prices(bars("500001", [1.0, 2.0]))
    yield opened
    opened.close()


def refused(url: PostgresURL, *, write: bool = False) -> str:
    """What opening a store says."""
    with pytest.raises(StoreError) as told:
        PostgresStore(url, write=write)
    text = str(told.value)
    assert url.password is None or url.password not in text
    return text


def test_the_settings_open_it(postgres_url: PostgresURL, tmp_path: Path) -> None:
    settings = load_settings(
        data_dir=tmp_path, database_url=written_out(postgres_url), postgres_pool_size=3
    )
    with closing(open_store(settings, write=True)) as store:
        assert isinstance(store, PostgresStore)
        assert store.pool.size == 3
    assert not list(tmp_path.iterdir())


def test_an_unreachable_server(postgres_url: PostgresURL) -> None:
    (port,) = free_ports(1)
    assert "check that its server runs" in refused(replace(postgres_url, port=port))
    assert "check that its server runs" in refused(replace(postgres_url, host="no.such.invalid"))


def test_a_wrong_password_user_or_name(postgres_url: PostgresURL) -> None:
    assert "refuses the password" in refused(replace(postgres_url, password="geheim-123"))
    assert "no such user or database" in refused(replace(postgres_url, database="absent"))
    assert "encryption" in refused(replace(postgres_url, options={"sslmode": "require"}))


def test_no_password_at_all(postgres_url: PostgresURL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSFILE", "/dev/null")
    assert "requires a password" in refused(replace(postgres_url, password=None))
    assert postgres_url.password is not None
    monkeypatch.setenv("PGPASSWORD", postgres_url.password)
    PostgresStore(replace(postgres_url, password=None)).close()


def test_an_empty_database_says_what_to_do(postgres_server: PostgresServer) -> None:
    with postgres_server.database("template1") as url:
        assert "tezi demo" in refused(url)
        PostgresStore(url, write=True).close()
        PostgresStore(url).close()


def test_migrations_are_those_of_sqlite_and_applied_once(postgres_server: PostgresServer) -> None:
    numbers = [step.number for step in migrations()]
    assert [step.number for step in migrations(DIALECT)] == numbers
    with (
        postgres_server.database("template1") as url,
        closing(connect(url)) as one,
        closing(connect(url)) as other,
    ):
        applied: list[int] = []
        threads = [
            threading.Thread(target=lambda c=c: applied.extend(s.number for s in migrate(c)))
            for c in (one, other)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(applied) == numbers
        assert migrate(one) == []


def test_a_migration_that_fails_leaves_the_schema_before_it(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = migrations(DIALECT)
    broken = replace(
        steps[0], number=len(steps) + 1, sql="CREATE TABLE extra (a int); CREATE TABLE extra ();"
    )
    monkeypatch.setattr(
        "preprocess.store.postgres.migrations.migrations", lambda _dialect: [*steps, broken]
    )
    with postgres_server.database("template1") as url:
        assert "extra" in refused(url, write=True)
        found = postgres_server.rows(
            "SELECT max(number), to_regclass('extra') FROM schema_migrations", url.database
        )
        assert found == [(len(steps), None)]


def test_every_column_that_is_written_has_its_type(
    postgres_url: PostgresURL, postgres_server: PostgresServer
) -> None:
    found = postgres_server.rows(
        "SELECT column_name::text, udt_name::text FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name IN"
        f" ({', '.join(repr(table.name) for table in TABLES)})",
        postgres_url.database,
    )
    assert dict(found) == TYPES
    assert len(set(found)) == len(TYPES)


@pytest.fixture
def reader_role(postgres_url: PostgresURL, postgres_server: PostgresServer) -> Iterator[str]:
    """A user that may read, and nothing else."""
    name = f"reader_of_{postgres_url.database}"
    postgres_server.run(
        f"CREATE ROLE {name} LOGIN PASSWORD '{postgres_url.password}'; GRANT SELECT ON ALL TABLES"
        f" IN SCHEMA public TO {name}",
        postgres_url.database,
    )
    yield name
    postgres_server.run(f"DROP OWNED BY {name}; DROP ROLE {name}", postgres_url.database)


def test_a_user_that_may_only_read(
    store: PostgresStore, postgres_url: PostgresURL, reader_role: str
) -> None:
    with closing(PostgresStore(replace(postgres_url, user=reader_role))) as reading:
        assert_same_columns(reading.columns(), store.columns())
    with (
        closing(PostgresStore(replace(postgres_url, user=reader_role), write=True)) as writing,
        pytest.raises(StoreError, match="lacks a permission"),
    ):
        put(writing, 9.0)
    assert store.history("500001") is not None


def put(store: PostgresStore, close: float) -> None:
    with store.transaction() as writer:
        writer.put_prices(bars("500001", [close]))


def test_a_server_that_comes_back_is_used_again(
    store: PostgresStore, postgres_server: PostgresServer
) -> None:
    """Killed in the middle of a change: nothing of it is kept, and the store goes on."""
    before = store.columns()
    mark = store.mark()

    def crash() -> None:
        with store.transaction() as writer:
            writer.put_prices(bars("500001", [3.0, 3.0, 3.0]))
            postgres_server.stop(signal.SIGQUIT)
            writer.put_prices(bars("500002", [3.0]))

    try:
        with pytest.raises(StoreError, match="cannot be reached"):
            crash()
        with pytest.raises(StoreError, match="check that its server runs"):
            store.mark()
    finally:
        postgres_server.start()
    assert store.mark() == mark
    assert_same_columns(store.columns(), before)
    put(store, 5.0)
    assert store.has_mark(mark)


def test_a_statement_that_takes_too_long_is_ended(postgres_url: PostgresURL) -> None:
    with closing(PostgresStore(postgres_url, statement_timeout_s=0.05)) as store:
        with (
            store.pool.connection() as connection,
            pytest.raises(StoreError, match="TEZI_POSTGRES_STATEMENT_TIMEOUT_S"),
        ):
            slept(store.url, connection)
        assert store.bse_codes() == []


def slept(url: PostgresURL, connection: object) -> None:
    with explained(url):
        connection.run("SELECT pg_sleep(30)")  # type: ignore[attr-defined]  # a Connection


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("53100", "disk is full and nothing of this change was kept"),
        ("57P03", "check that its server runs"),
        ("22000", "The database refused"),
    ],
)
def test_errors_of_the_server_are_explained(
    store: PostgresStore, postgres_server: PostgresServer, code: str, advice: str
) -> None:
    """The server raises what a full disk or a damaged page would; nothing of the change is kept."""
    name = store.url.database
    postgres_server.run(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END $$;"
        " CREATE TRIGGER fail BEFORE INSERT ON price_packs EXECUTE FUNCTION fail()",
        name,
    )
    before = store.columns()
    with pytest.raises(StoreError, match=f"{advice}.*on purpose"):
        put(store, 9.0)
    assert_same_columns(store.columns(), before)
    postgres_server.run("DROP TRIGGER fail ON price_packs", name)
    put(store, 9.0)
    assert_same_columns(store.columns(), columns_of(store.histories(), store.mark()))


def test_a_change_whose_failure_was_hidden_is_not_kept(store: PostgresStore) -> None:
    """COMMIT of a failed transaction rolls back, and says so nowhere."""

    def hide() -> None:
        with store.transaction() as writer:
            put_prices = writer.put_prices
            put_prices(bars("500002", [1.0]))
            with pytest.raises(Exception, match="price_movements"):
                put_prices([replace(bars("500003", [1.0])[0], high=0.5)])
            writer.finish = lambda: None  # type: ignore[method-assign]  # nothing more to write

    with pytest.raises(StoreError, match="none of its changes were kept"):
        hide()
    assert store.bse_codes() == ["500001"]


def test_text_that_cannot_be_stored_is_an_error(store: PostgresStore) -> None:
    action = CorporateAction(date(2024, 1, 1), "bonus", 2.0, "a\0b")
    for rows in ([("500001", action)], [(f"{n:06d}", action) for n in range(200)]):
        with pytest.raises(StoreError, match="NUL"), store.transaction() as writer:
            writer.put_actions(rows)


def test_a_stream_may_be_cut_anywhere(store: PostgresStore) -> None:
    pieces: list[bytes] = []

    class Pieces:
        def write(self, data: bytes) -> int:
            pieces.append(data)
            return len(data)

    with store.pool.connection() as connection, connection.cursor() as cursor:
        cursor.copy_expert(
            "COPY (SELECT convert_to(repeat('x', n), 'UTF8') FROM generate_series(0, 5) n)"
            " TO STDOUT (FORMAT binary)",
            Pieces(),
        )
    stream = b"".join(pieces)
    for size in (1, 2, 3, 5, 7, 18, 20, len(stream)):
        taken: list[bytes] = []
        sink = OneColumnSink(taken.append)
        for start in range(0, len(stream), size):
            piece = stream[start : start + size]
            assert sink.write(piece) == len(piece)
        assert taken == [b"x" * n for n in range(6)]
    with pytest.raises(StoreError, match="no binary COPY"):
        OneColumnSink(taken.append).write(b"PGCOPY\r\n and something else")
