"""A server in front of Redis that makes its answers late, or puts others in their place."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SlowProxy:
    """Passes bytes on; those that come back, `delay_s` late, `times`, or `says` in their place.

    One thread a direction.
    """

    def __init__(self, port: int) -> None:
        self.delay_s = 0.0
        self.times = 1
        self.says: bytes | None = None
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except ConnectionRefusedError:
                    client.close()
                    continue
                self._sockets += [client, server]
                for source, sink, late in ((client, server, False), (server, client, True)):
                    threading.Thread(
                        target=self._pass_on, args=(source, sink, late), daemon=True
                    ).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, late: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if late:
                    time.sleep(self.delay_s)
                    data = (self.says or data) * self.times
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """No connection is left."""
        for end in self._sockets:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def slow_proxy(port: int) -> Iterator[SlowProxy]:
    """A proxy that is gone when the block ends."""
    proxy = SlowProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
