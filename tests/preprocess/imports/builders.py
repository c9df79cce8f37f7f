"""Files to import, built by hand."""

import gzip
import io
import sqlite3
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from preprocess.imports.context import Context
from preprocess.imports.formats import recognised
from preprocess.imports.identity import Codes
from preprocess.imports.report import ImportReport
from preprocess.imports.run import READERS, Options, run_import
from preprocess.imports.sources import find_sources, members
from preprocess.imports.table import CsvTable
from preprocess.store import Store, Writer

TODAY = date(2026, 8, 22)
PRICE_HEADER = "bse_code,date,open,high,low,close,volume"
BHAVCOPY_HEADER = (
    "SC_CODE,SC_NAME,SC_GROUP,SC_TYPE,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,NO_TRADES,NO_OF_SHRS,"
    "NET_TURNOV,TDCLOINDI"
)


def text_file(path: Path, *lines: str) -> Path:
    """A file of lines."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    return path


def price_file(path: Path, *lines: str) -> Path:
    """A file of prices with its header."""
    return text_file(path, PRICE_HEADER, *lines)


def many_prices(code: str, days: Sequence[date], close: float = 10.0) -> list[str]:
    """One price row a day."""
    return [f"{code},{day},{close},{close},{close},{close},100" for day in days]


def gz_file(path: Path, data: bytes) -> Path:
    """A gzip file of `data`."""
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def zip_file(path: Path, members: Mapping[str, bytes]) -> Path:
    """A zip archive."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tar_file(path: Path, members: Mapping[str, bytes]) -> Path:
    """A .tar.gz archive."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def read_all(kind: str, path: Path, *, adjusted: bool = False) -> list[Any]:
    """What is made of every row of a file, without a store: a value, a Refusal or None."""
    options = Options(TODAY, kind, adjusted)
    items: list[Any] = []
    for source in find_sources([path]):
        for member in members(source, path.parent):
            with member.open() as file:
                table = CsvTable(member.name, file.stream)
                form = recognised(table.names, options.formats)
                context = Context(TODAY, Codes([]), adjusted, file_name=member.file_name)
                items += READERS[form.kind].read(table, form, context)
    return items


def bring_in(
    store: Store,
    kind: str | None,
    *paths: Path,
    adjusted: bool = False,
    unit: str | None = None,
    price_exchange: str = "BSE",
) -> ImportReport:
    """An import with nothing derived from it."""
    options = Options(TODAY, kind, adjusted, unit, price_exchange)
    return run_import(store, options, paths, derive=_derive_nothing)


def _derive_nothing(writer: Writer) -> None:
    pass


def contents(database: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table of a database file."""
    connection = sqlite3.connect(database)
    try:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {
            name: connection.execute(f"SELECT * FROM {name} ORDER BY 1, 2").fetchall()
            for (name,) in tables.fetchall()
        }
    finally:
        connection.close()
