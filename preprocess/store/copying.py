"""Copies a market from one database into another, and compares it before the commit."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from preprocess.errors import StoreError
from preprocess.store.base import Store
from preprocess.store.tables import TABLES, Table

# Stocks whose rows are in memory at once: of ten years of prices, about 100,000 rows.
_STOCKS_AT_ONCE = 40

Advance = Callable[[int, int], None]


@dataclass(slots=True)
class Content:
    """The content of a table: its row count, and a SHA-256 over the rows in key order."""

    rows: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def add(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Add the next rows. repr() of a float reads back to the same bits."""
        self.rows += len(rows)
        self._digest.update("".join([f"{row!r}\n" for row in rows]).encode())

    @property
    def checksum(self) -> str:
        """The SHA-256 so far, as hex digits."""
        digest: str = self._digest.hexdigest()
        return digest


@dataclass(frozen=True, slots=True)
class Copied:
    """One table, the same on both sides."""

    table: str
    rows: int
    checksum: str


def copy_market(
    source: Store,
    target: Store,
    *,
    replace: bool = False,
    advance: Advance = lambda _done, _total: None,
) -> list[Copied]:
    """Copy every table in one transaction of the target; returns what was copied.

    The source is read as of one commit, even while others write to it. Before the transaction
    ends, the target's rows are read back and compared. Packs and the change log are the target's
    own. `advance` is called with the stocks done and their total, over all tables and both passes.

    Raises:
        StoreError: the target contains a market and `replace` is not set, or the copy differs from
            the source. The target is then unchanged.
    """
    with source.view() as read, target.transaction() as write:
        if replace:
            write.clear()
        elif any(write.span().counts.values()):
            raise StoreError(
                "The target already contains a market. Name an empty database, or replace its "
                "content with --replace."
            )
        write.put_sectors(read.sector_codes())
        write.put_exchange_calendar(*read.exchange_calendar())
        codes = {table.name: read.codes_in(table) for table in TABLES}
        total, done = 2 * sum(map(len, codes.values())), 0
        sent: dict[str, Content] = {}
        for table in TABLES:
            content = sent[table.name] = Content()
            for some in _chunks(codes[table.name]):
                rows = read.rows_between(table, some[0], some[-1])
                content.add(rows)
                write.append_rows(table, rows)
                done += len(some)
                advance(done, total)
        copied = []
        for table in TABLES:
            content = Content()
            for some in _chunks(codes[table.name]):
                content.add(write.rows_between(table, some[0], some[-1]))
                done += len(some)
                advance(done, total)
            _require_equal(table, sent[table.name], content, write.count(table))
            copied.append(Copied(table.name, content.rows, content.checksum))
    return copied


def _require_equal(table: Table, sent: Content, stored: Content, count: int) -> None:
    if (sent.rows, sent.checksum) == (stored.rows, stored.checksum) and count == sent.rows:
        return
    raise StoreError(
        f"{table.name} differs after the copy: {sent.rows} rows ({sent.checksum[:12]}) were sent, "
        f"{count} rows ({stored.checksum[:12]}) were stored. The copy was rolled back."
    )


def _chunks(codes: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(codes), _STOCKS_AT_ONCE):
        yield codes[start : start + _STOCKS_AT_ONCE]
