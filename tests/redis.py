"""A real Redis of a test's own, on a free port, with the configuration that Tezi ships."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.stack import free_ports
from tests.paths import PROJECT_ROOT

_CONFIG = PROJECT_ROOT / "config" / "redis.conf"


class RedisServer:
    """One redis-server process; killed, stopped and started again as a test needs it."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.port = free_ports(1)[0]
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address as TEZI_REDIS_URL takes it."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process id, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                "redis-server",
                _CONFIG,
                "--port",
                str(self.port),
                "--dir",
                self._folder,
                *self._options,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + 10
        while self._ping() != b"+PONG\r\n":
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < end, "redis-server does not answer"
            time.sleep(0.01)

    def _ping(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as probe:
                probe.sendall(b"PING\r\n")
                return probe.recv(64)
        except OSError:
            return b""

    def freeze(self) -> None:
        """It stays, and does not answer."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It answers again."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """It is gone, with all that it held."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
            self._process = None


@contextmanager
def running_redis(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A server that is up, and gone when the block ends; `options` as on its command line."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.kill()
