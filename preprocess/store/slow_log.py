"""The slow-query log: one JSON object a line, in a file that never grows beyond its bound."""

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from preprocess.store.statements import Parameters, Statement

# The file is renamed to *.1 at this size, over the one before: twice as much lies on disk.
LARGEST_FILE = 1_000_000
LONGEST_SQL = 4_000
LONGEST_VALUE = 200
MOST_PARAMETERS = 50

log = logging.getLogger("tezi.store")


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A statement as it was logged; `parameters` is None where they were too many or too long."""

    at: str
    milliseconds: float
    sql: str
    parameters: list[Any] | dict[str, Any] | None


class SlowQueryLog:
    """Writes the statements that took longer than a bound. An observer of a store.

    Several processes may write to one file. A log that cannot be written costs a warning, once,
    and never an answer.
    """

    def __init__(
        self,
        path: Path,
        *,
        slower_than_ms: float,
        largest_file: int = LARGEST_FILE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._bound = slower_than_ms
        self._largest_file = largest_file
        self._now = now
        self._warned = False

    def __call__(self, statement: Statement) -> None:
        """Log the statement if it was slow."""
        if statement.milliseconds <= self._bound:
            return
        try:
            self._append(self._line(statement))
        except OSError as error:
            if not self._warned:
                self._warned = True
                log.warning("The slow-query log %s cannot be written: %s", self._path, error)

    def _line(self, statement: Statement) -> bytes:
        entry = {
            "at": self._now().isoformat(timespec="milliseconds"),
            "milliseconds": round(statement.milliseconds, 3),
            "sql": statement.sql[:LONGEST_SQL],
            "parameters": _short(statement.parameters),
        }
        return json.dumps(entry).encode() + b"\n"

    def _append(self, line: bytes) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line)  # O_APPEND: one write is one line, whoever else writes
            if os.fstat(descriptor).st_size > self._largest_file:
                self._rotate(descriptor)
        finally:
            os.close(descriptor)

    def _rotate(self, descriptor: int) -> None:
        """Rename the full file, unless another process has done it already."""
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return
        if os.path.samestat(current, os.fstat(descriptor)):
            self._path.replace(older(self._path))


def older(path: Path) -> Path:
    """The file that was full before."""
    return path.with_name(f"{path.name}.1")


def slow_queries(path: Path) -> Iterator[SlowQuery]:
    """What has been logged, oldest first; a line that a full disk cut off is left out."""
    for file in (older(path), path):
        try:
            lines = file.read_bytes().splitlines()
        except FileNotFoundError:
            continue
        for line in lines:
            try:
                entry = json.loads(line)
                yield SlowQuery(
                    str(entry["at"]),
                    float(entry["milliseconds"]),
                    str(entry["sql"]),
                    entry["parameters"],
                )
            except (ValueError, KeyError, TypeError):
                continue


_UNKNOWN = "(not kept)"


def _short(parameters: Parameters) -> list[Any] | dict[str, Any] | None:
    if isinstance(parameters, Mapping):
        values = _plain(list(parameters.values()))
        return None if values == _UNKNOWN else dict(zip(parameters, values, strict=True))
    values = _plain(list(parameters))
    return None if values == _UNKNOWN else list(values)


def _plain(value: object) -> Any:
    """The value as JSON has it; arrays go along, what is long or has another type does not."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        values = [_plain(item) for item in value]
        return _UNKNOWN if len(values) > MOST_PARAMETERS or _UNKNOWN in values else values
    text = value.isoformat() if isinstance(value, date) else value
    return text if isinstance(text, str) and len(text) <= LONGEST_VALUE else _UNKNOWN
