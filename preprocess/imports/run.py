"""One import, in one transaction: all of it is stored, or nothing."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from preprocess.errors import ImportRefusedError
from preprocess.imports import actions, bands, filings, financials, prices, stocks, xbrl
from preprocess.imports.context import Context
from preprocess.imports.formats import BSE, FORMATS, XBRL, Format, recognised
from preprocess.imports.identity import Codes
from preprocess.imports.refusal import Refusal
from preprocess.imports.report import ImportReport
from preprocess.imports.sources import (
    Member,
    OpenMember,
    find_sources,
    members,
)
from preprocess.imports.table import CsvTable
from preprocess.market.sessions import Sessions
from preprocess.store import Store, Writer

CHUNK_ROWS = 20_000

Advance = Callable[[int, int], None]

# What reads and writes each kind. `read` checks that the file is of this kind before it returns;
# later, only damage of the file on disk can refuse it. `write` may refuse it at the first call.
READERS: dict[str, Any] = {
    "stocks": stocks,
    "prices": prices,
    "bands": bands,
    "actions": actions,
    "financials": financials,
    "filings": filings,
    "xbrl": xbrl,
}


@dataclass(frozen=True)
class Options:
    """What a user says of the files: the kind that all must be of, and what they do not say."""

    today: date
    kind: str | None = None
    adjusted: bool = False
    unit: str | None = None
    price_exchange: str = BSE
    named_days: Mapping[date, bool] = field(default_factory=dict)

    @property
    def formats(self) -> list[Format]:
        """The formats that are taken."""
        wanted = "prices" if self.kind == "bhavcopy" else self.kind
        return [
            each
            for each in FORMATS
            if wanted in (None, each.kind) and (self.kind != "bhavcopy" or each.dated)
        ]


@dataclass(frozen=True)
class _Found:
    """A file that was recognised."""

    member: Member
    form: Format
    day: date | None

    @property
    def order(self) -> tuple[int, date, str]:
        return FORMATS.index(self.form), self.day or date.min, self.member.name


def run_import(
    store: Store,
    options: Options,
    paths: Sequence[Path],
    *,
    derive: Callable[[Writer], None],
    advance: Advance = lambda _done, _total: None,
) -> ImportReport:
    """Import the files of `paths` (files, folders, archives) into the store, in any order.

    A row that breaks a rule is skipped, and a refused file undoes only itself. `derive`
    is called at the end, inside the transaction, if anything changed: it brings up to date what
    follows from the data. `advance` is called with the bytes read and their total.

    Raises:
        StoreError: the database cannot be written; nothing of the import is kept.
    """
    report = ImportReport(options.kind or "files of all kinds")
    with tempfile.TemporaryDirectory(prefix="tezi-import-") as folder:
        found = sorted(_found(paths, options, Path(folder), report), key=lambda each: each.order)
        total, done = sum(each.member.weight for each in found) or 1, 0
        with store.transaction() as writer:
            context = _context(writer, options)
            for each in found:
                start = done

                def at(read: int, start: int = start, each: _Found = each) -> None:
                    advance(start + min(read, each.member.weight), total)

                if not _take(writer, each, context, report, at):
                    # What it taught is undone as well.
                    context = _context(writer, options, context)
                done += each.member.weight
                advance(done, total)
            filings.settle(writer, context)
            touched = writer.touched
            report.stocks_changed = len(touched)
            if touched:
                derive(writer)
            calendar = Sessions(context.days, writer.exchange_calendar()[1], options.named_days)
    for day, traded in calendar.disagreements():
        if traded:
            report.note(f"{day}", "prices of a day on which the exchange's calendar has no session")
    return report


def _context(writer: Writer, options: Options, before: Context | None = None) -> Context:
    codes = Codes(writer.stocks(), writer.identities(), today=options.today)
    context = Context(options.today, codes, options.adjusted, options.unit)
    context.price_exchange = options.price_exchange
    if before is not None:
        context.quarters, context.days = before.quarters, before.days
    return context


def _found(
    paths: Sequence[Path], options: Options, folder: Path, report: ImportReport
) -> Iterator[_Found]:
    """The files of `paths` that are recognised; the others are refused."""
    for source in find_sources(paths):
        name = source.name
        try:
            inside = members(source, folder)
        except (ImportRefusedError, MemoryError, RecursionError) as refused:
            report.refuse_file(name, _reason(refused))
            continue
        for member in inside:
            try:
                with member.open() as file:
                    form = _form(member, file, options)
            except (ImportRefusedError, MemoryError, RecursionError) as refused:
                report.refuse_file(member.name, _reason(refused))
            else:
                yield _Found(member, form, form.day_of(_dated_name(member, form)))


def _form(member: Member, file: OpenMember, options: Options) -> Format:
    head = file.stream.peek(4096).removeprefix(b"\xef\xbb\xbf").lstrip()
    if options.kind in (None, "financials") and xbrl.is_xbrl(head):
        return XBRL
    return recognised(CsvTable(member.name, file.stream).names, options.formats)


def _dated_name(member: Member, form: Format) -> str:
    """The name that a file's day is read from: its own, or that of its archive."""
    own = member.file_name
    return own if form.day_of(own) or member.archive is None else member.source.path.name


def _reason(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


def _take(
    writer: Writer,
    found: _Found,
    context: Context,
    report: ImportReport,
    advance: Callable[[int], None],
) -> bool:
    """Import one file; whether it went in."""
    member = found.member
    context.file_name = _dated_name(member, found.form)
    context.second, context.other_prices = set(), 0
    try:
        with writer.savepoint(), member.open() as file:
            part = _read(writer, found, context, file, advance)
    except (ImportRefusedError, MemoryError, RecursionError) as refused:
        report.refuse_file(member.name, _reason(refused))
        return False
    report.merge(part)
    return True


def _read(
    writer: Writer,
    found: _Found,
    context: Context,
    file: OpenMember,
    advance: Callable[[int], None],
) -> ImportReport:
    form = found.form
    part = ImportReport(form.name, files=1)
    context.note = partial(part.note, found.member.name)
    reader = READERS[form.kind]
    source = file.stream if form is XBRL else CsvTable(found.member.name, file.stream)
    chunk: list[Any] = []
    elsewhere = context.codes.elsewhere
    for item in reader.read(source, form, context):
        part.rows += 1
        if item is None:
            part.left_out += 1
        elif isinstance(item, Refusal):
            part.refuse(item)
        else:
            chunk.append(item)
        if len(chunk) >= CHUNK_ROWS:
            part.tally += reader.write(writer, chunk, form, context)
            chunk.clear()
            advance(file.bytes_read)
    part.tally += reader.write(writer, chunk, form, context)
    advance(file.bytes_read)
    elsewhere = context.codes.elsewhere - elsewhere
    if elsewhere:
        context.note(
            f"{elsewhere:,} rows of stocks that BSE does not list are left out; if it does, import"
            " BSE's list of securities (Equity.csv) and NSE's (EQUITY_L.csv)"
        )
    if context.other_prices:
        context.note(
            f"{context.other_prices:,} prices are left out: the series of those stocks are of the"
            f" other exchange; TEZI_PRICE_EXCHANGE is {context.price_exchange}"
        )
    if not part.rows:
        context.note("it has a header and no rows")
    return part
