"""One import, in one transaction: all of it is stored, or nothing."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from preprocess.errors import ImportRefusedError
from preprocess.imports.importer import Importer
from preprocess.imports.refusal import Refusal
from preprocess.imports.report import ImportReport
from preprocess.imports.sources import DamagedFileError, Member, Source, find_sources, opened
from preprocess.imports.table import CsvTable
from preprocess.store import Store, Writer

CHUNK_ROWS = 20_000

T = TypeVar("T")
Advance = Callable[[int, int], None]


def run_import(
    store: Store,
    importer: Importer[T],
    paths: Sequence[Path],
    *,
    derive: Callable[[Writer], None],
    advance: Advance = lambda _done, _total: None,
) -> ImportReport:
    """Import the files of `paths` (files, folders, archives) into the store.

    A row that breaks a rule is skipped, and a refused file undoes only itself. `derive`
    is called at the end, inside the transaction, if anything changed: it brings up to date what
    follows from the data. `advance` is called with the bytes read and their total.

    Raises:
        StoreError: the database cannot be written; nothing of the import is kept.
    """
    report = ImportReport(importer.kind)
    sources = find_sources(paths)
    total, done = sum(source.size for source in sources), 0
    with store.transaction() as writer:
        for source in sources:
            report.merge(
                _take_source(writer, importer, source, partial(_ahead, advance, done, total))
            )
            done += source.size
            advance(done, total)
        touched = writer.touched
        report.stocks_changed = len(touched)
        if touched:
            derive(writer)
    return report


def _ahead(advance: Advance, done: int, total: int, read: int) -> None:
    advance(done + read, total)


def _take_source(
    writer: Writer, importer: Importer[T], source: Source, advance: Callable[[int], None]
) -> ImportReport:
    report = ImportReport(importer.kind)
    try:
        with writer.savepoint(), opened(source) as file:
            for member in file.members():
                _take_member(writer, importer, member, report, lambda: advance(file.bytes_read))
    except ImportRefusedError as refused:
        report = ImportReport(importer.kind)
        report.refuse_file(source.name, str(refused))
    return report


def _take_member(
    writer: Writer,
    importer: Importer[T],
    member: Member,
    report: ImportReport,
    advance: Callable[[], None],
) -> None:
    try:
        items = importer.read(CsvTable(member))
    except DamagedFileError:
        raise  # refuses the whole archive: the rest of it cannot be trusted either
    except ImportRefusedError as refused:
        report.refuse_file(member.name, str(refused))
        return
    report.files += 1
    chunk: list[T] = []
    for item in items:
        report.rows += 1
        if item is None:
            report.left_out += 1
        elif isinstance(item, Refusal):
            report.refuse(item)
        else:
            chunk.append(item)
        if len(chunk) >= CHUNK_ROWS:
            report.tally += importer.write(writer, chunk)
            chunk.clear()
            advance()
    report.tally += importer.write(writer, chunk)
    advance()
