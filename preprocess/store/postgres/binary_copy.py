"""COPY ... TO STDOUT (FORMAT binary): values as they are stored, without text in between."""

import struct
from collections.abc import Callable

from preprocess.errors import StoreError

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = struct.Struct(f">{len(_SIGNATURE)}sii")
_FIELDS = struct.Struct(">h")
_LENGTH = struct.Struct(">i")


class OneColumnSink:
    """A file for psycopg2's copy_expert() that passes on the only value of each row, in order."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._rest = b""
        self._begun = False
        self._ended = False

    def write(self, data: bytes) -> int:
        """Parse the next bytes of the stream, wherever they were cut."""
        size = len(data)
        if self._rest:
            data, self._rest = self._rest + data, b""
        at = 0
        if not self._begun:
            if len(data) < _HEADER.size:
                self._rest = data
                return size
            signature, flags, extension = _HEADER.unpack_from(data)
            if signature != _SIGNATURE or flags or extension:
                raise StoreError("PostgreSQL sent no binary COPY that this Tezi can read.")
            self._begun, at = True, _HEADER.size
        start = at + _FIELDS.size + _LENGTH.size
        while not self._ended and len(data) >= at + _FIELDS.size:
            if _FIELDS.unpack_from(data, at)[0] < 0:
                self._ended = True
                break
            if len(data) < start:
                break
            end = start + _LENGTH.unpack_from(data, at + _FIELDS.size)[0]
            if len(data) < end:
                break
            self._take(data[start:end])
            at, start = end, end + _FIELDS.size + _LENGTH.size
        self._rest = b"" if self._ended else data[at:]
        return size
