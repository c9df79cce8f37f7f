"""The snapshot file: the market's columns on disk, mapped into memory by every process that reads.

Layout: a magic word, the format's version and the header's length and CRC-32 (four little-endian
uint32), the header as JSON, then each array at a multiple of 64 bytes, as numpy lays it out. The
header says which change-log entry the file holds, and how long it is. A file is written beside,
synced and renamed: a reader has the whole old one or the whole new one, also after a crash.
"""

import json
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from preprocess.columns import SCHEMA, Array, MarketColumns, Table
from preprocess.errors import SnapshotError
from preprocess.market import Mark
from preprocess.repository.files import sync

_MAGIC = b"TEZISNAP"
_VERSION = 1
_PREFIX = struct.Struct("<8sIII")
_ALIGNMENT = 64


def write_snapshot(path: Path, columns: MarketColumns) -> int:
    """Publish `columns` at `path`; the file's size in bytes.

    Only one process may write at a time (preprocess.snapshot.refresh sees to that).

    Raises:
        SnapshotError: the file cannot be written; the one before it is untouched.
    """
    staged = path.with_name(f"{path.name}.staged")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with staged.open("wb") as file:
            _write(file, columns)
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        staged.replace(path)
        sync(path.parent)
    except OSError as error:
        staged.unlink(missing_ok=True)
        raise SnapshotError(
            f"The snapshot {path} cannot be written ({error}); the database is read instead. "
            "Make room or give the folder to this user, then run `tezi features refresh`."
        ) from error
    return size


def read_snapshot(path: Path) -> MarketColumns:
    """The columns of the file, mapped and not copied: pages are read when they are touched.

    Raises:
        SnapshotError: there is no such file, or it is not whole, or of another format.
    """
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise SnapshotError(f"There is no snapshot at {path}.") from None
    except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
        raise SnapshotError(f"The snapshot {path} cannot be read: {error}.") from error
    try:
        return _columns(mapped)
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise SnapshotError(f"The snapshot {path} is damaged: {error}.") from error


def checksum(columns: MarketColumns) -> int:
    """CRC-32 over every array, to compare what is on disk with what the database gives."""
    value = 0
    for _, array in _arrays(columns):
        value = zlib.crc32(np.ascontiguousarray(array).view(np.uint8).data, value)
    return value


def _arrays(columns: MarketColumns) -> Iterator[tuple[str, Array]]:
    yield "codes", columns.codes
    for name, schema in SCHEMA.items():
        table = columns.tables[name]
        yield f"{name}.starts", table.starts
        for column in schema:
            yield f"{name}.{column}", table[column]


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT


def _write(file: Any, columns: MarketColumns) -> None:
    arrays = dict(_arrays(columns))
    entries: dict[str, dict[str, Any]] = {}
    place = 0
    for name, array in arrays.items():
        entries[name] = {"at": place, "rows": len(array), "type": array.dtype.str}
        place = _aligned(place + array.nbytes)
    mark = columns.mark
    header = json.dumps(
        {
            "sequence": mark.sequence,
            "token": mark.token,
            "arrays": entries,
            "bytes": place,
            "crc": checksum(columns),
        }
    ).encode()
    file.write(_PREFIX.pack(_MAGIC, _VERSION, len(header), zlib.crc32(header)))
    file.write(header)
    start = _aligned(file.tell())
    for name, array in arrays.items():
        file.write(bytes(start + entries[name]["at"] - file.tell()))
        file.write(np.ascontiguousarray(array).view(np.uint8).data)
    file.write(bytes(start + place - file.tell()))


def _header(mapped: mmap.mmap) -> tuple[dict[str, Any], int]:
    magic, version, length, crc = _PREFIX.unpack_from(mapped)
    if magic != _MAGIC or version != _VERSION:
        raise ValueError(f"it is no snapshot of format {_VERSION}")
    raw = mapped[_PREFIX.size : _PREFIX.size + length]
    if zlib.crc32(raw) != crc:
        raise ValueError("its header is not what was written")
    header: dict[str, Any] = json.loads(raw)
    start = _aligned(_PREFIX.size + length)
    if len(mapped) != start + header["bytes"]:
        raise ValueError(f"it has {len(mapped)} bytes instead of {start + header['bytes']}")
    return header, start


def _columns(mapped: mmap.mmap) -> MarketColumns:
    header, start = _header(mapped)

    def array(name: str, kind: str) -> Array:
        entry = header["arrays"][name]
        if entry["type"] != kind:
            raise ValueError(f"{name} is {entry['type']} instead of {kind}")
        found: Array = np.frombuffer(mapped, kind, entry["rows"], start + entry["at"])
        return found

    tables = {
        name: Table(
            array(f"{name}.starts", np.dtype(np.int64).str),
            {
                column: array(f"{name}.{column}", np.dtype(kind).str)
                for column, kind in schema.items()
            },
        )
        for name, schema in SCHEMA.items()
    }
    mark = Mark(header["sequence"], header["token"])
    return MarketColumns(mark, array("codes", "|S6"), tables)


def recorded_checksum(path: Path) -> int:
    """The CRC-32 of the arrays as it was when the file was written.

    Raises:
        SnapshotError: the file is absent or damaged.
    """
    read_snapshot(path)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        return int(_header(mapped)[0]["crc"])
