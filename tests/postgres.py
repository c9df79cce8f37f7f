"""A PostgreSQL server of the tests' own, on a free port, in a folder that goes with it."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from preprocess.database_url import DatabaseURL, PostgresURL, SQLiteURL
from preprocess.store.postgres.connection import connect
from preprocess.store.postgres.store import PostgresStore
from tests.integration.stack import free_ports

USER = "tezi"
# PostgreSQL refuses to run as root: the package's user does it then.
UNPRIVILEGED = "postgres" if os.geteuid() == 0 else None

_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "shared_buffers": "64MB",
    "max_connections": "60",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "dynamic_shared_memory_type": "mmap",
}


def programs() -> Path:
    """The folder of initdb and postgres, of the newest release here."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
    if not found:
        raise FileNotFoundError("no PostgreSQL here: run config/setup/debian-packages test")
    return found[-1]


def written_out(url: DatabaseURL) -> str:
    """A URL as TEZI_DATABASE_URL takes it, with the password."""
    if isinstance(url, SQLiteURL):
        return f"sqlite:///{url.path}"
    return str(url).replace("@", f":{url.password}@", 1)


class PostgresServer:
    """A running server with one empty market to copy databases from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._data = folder / "data"
        self._password = secrets.token_hex(8)
        (self.port,) = free_ports(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0

    def url(self, database: str, **changes: Any) -> PostgresURL:
        """The address of a database, with other fields if they are given."""
        fields: dict[str, Any] = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": USER,
            "database": database,
            "password": self._password,
            **changes,
        }
        return PostgresURL(**fields)

    def create(self) -> None:
        """Make the server's folder, start it, and make the market that others are copied from."""
        secret = self._folder / "password"
        secret.write_text(self._password)
        if UNPRIVILEGED is not None:
            for path in (self._folder, secret):
                shutil.chown(path, UNPRIVILEGED)
        initdb: list[str | Path] = [
            *(programs() / "initdb", "-D", self._data, "-U", USER, "--pwfile", secret),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"),
        ]
        subprocess.run(
            initdb, check=True, capture_output=True, user=UNPRIVILEGED, cwd=self._folder, timeout=60
        )
        self.start()
        self.run("CREATE DATABASE empty_market")
        PostgresStore(self.url("empty_market"), write=True).close()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self._data, "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                user=UNPRIVILEGED,
                cwd=self._folder,
            )
        end = time.monotonic() + 30
        while True:
            try:
                connect(self.url("postgres")).close()
            except psycopg2.OperationalError:
                if self._process.poll() is not None or time.monotonic() > end:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT ends its sessions, SIGQUIT is a crash."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(timeout=30)

    @contextmanager
    def hanging(self, pid: int) -> Iterator[None]:
        """Let one session hang for the length of the block."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def run(self, sql: str, database: str = "postgres") -> None:
        """Run statements as the owner of everything."""
        self.rows(sql, database)

    def rows(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """The rows of a statement."""
        connection = connect(self.url(database))
        try:
            return connection.query_once(sql)
        finally:
            connection.close()

    @contextmanager
    def database(self, template: str = "empty_market") -> Iterator[PostgresURL]:
        """A database of its own, with the newest schema unless another template is named."""
        self._databases += 1
        name = f"market_{self._databases}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """A server that is gone at the end, with all that it wrote."""
    folder = Path(tempfile.mkdtemp(prefix="tezi-postgres-"))
    server = PostgresServer(folder)
    try:
        server.create()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
