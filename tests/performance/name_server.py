"""A name server for one name, whose addresses change when they are told to."""

import socket
import struct
import threading
from types import TracebackType
from typing import Self

_HEADER = struct.Struct(">HHHHHH")
_ADDRESS = struct.Struct(">HHIH")
_ANSWER, _IPV4, _TTL_S = 0x8580, 1, 1
_QUESTION_AGAIN = b"\xc0\x0c"  # the name that was asked for, by its place in the message


def answer(question: bytes, addresses: list[str]) -> bytes:
    """The DNS message that answers `question` with IPv4 addresses; none for other kinds."""
    ident, _, _, _, _, _ = _HEADER.unpack_from(question)
    end = _HEADER.size
    while question[end]:
        end += question[end] + 1
    (kind,) = struct.unpack_from(">H", question, end + 1)
    end += 5
    found = addresses if kind == _IPV4 else []
    records = [
        _QUESTION_AGAIN + _ADDRESS.pack(_IPV4, 1, _TTL_S, 4) + socket.inet_aton(address)
        for address in found
    ]
    header = _HEADER.pack(ident, _ANSWER, 1, len(records), 0, 0)
    return header + question[_HEADER.size : end] + b"".join(records)


class NameServer:
    """Answers on loopback until the block ends; whatever name is asked for has `addresses`."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(timeout=5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            question, caller = self._socket.recvfrom(2048)
            if not question:
                return
            self._socket.sendto(answer(question, list(self.addresses)), caller)
