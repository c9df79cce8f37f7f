"""Where rows come from: CSV files, plain, compressed or in archives, and folders of them."""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol

from preprocess.errors import ImportRefusedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

TABLE_ENDINGS = (".csv", ".csv.gz")
ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz")
ENDINGS = TABLE_ENDINGS + ARCHIVE_ENDINGS

_BUFFER_BYTES = 1 << 18

# What the standard library raises for bytes that are cut short, altered, encrypted or not of
# the format that the name promises (zipfile: RuntimeError and its NotImplementedError).
_DAMAGE = (
    OSError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    tarfile.TarError,
    RuntimeError,
)


class DamagedFileError(ImportRefusedError):
    """A file or archive on disk cannot be read to its end, so nothing of it is kept."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file on disk, or a path at which no file is found when it is opened."""

    path: Path
    size: int

    @property
    def name(self) -> str:
        """The path, fit for a terminal."""
        return _printable(str(self.path))


@dataclass(frozen=True, slots=True)
class Member:
    """One CSV file as bytes; `file_name` is its own name, `name` says where it lies."""

    name: str
    file_name: str
    stream: BinaryIO


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """The files that `paths` name; of folders, all CSV files and archives below, sorted."""
    found: list[Source] = []
    for path in paths:
        below = sorted(_below(path)) if path.is_dir() else []
        found += [Source(each, _size(each)) for each in below or [path]]
    return found


class OpenSource:
    """An open file: its members, one after another, and how far it has been read."""

    def __init__(self, source: Source, file: BinaryIO, stack: ExitStack) -> None:
        self._source = source
        self._file = file
        self._stack = stack

    @property
    def bytes_read(self) -> int:
        """Bytes of the file on disk that have been read."""
        return min(self._file.tell(), self._source.size)

    def members(self) -> Iterator[Member]:
        """The CSV files inside. Each must be read before the next one.

        Raises:
            DamagedFileError: the file cannot be read to its end.
            ImportRefusedError: there is no CSV file in the archive.
        """
        ending = self._source.path.name.lower()
        if ending.endswith(TABLE_ENDINGS):
            name = self._source.path.name
            yield Member(self._source.name, name, self._unpacked(name, self._file))
            return
        inside = self._in_zip() if ending.endswith(".zip") else self._in_tar()
        empty = True
        for path, stream in inside:
            empty = False
            name = PurePosixPath(path).name
            where = f"{self._source.name}: {_printable(path)}"
            yield Member(where, name, self._unpacked(name, stream))
        if empty:
            raise ImportRefusedError("no .csv or .csv.gz file is in this archive")

    def _in_zip(self) -> Iterator[tuple[str, BinaryIO]]:
        with _damage_explained():
            archive = self._stack.enter_context(zipfile.ZipFile(self._file))
        for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
            if entry.is_dir() or not _is_table(entry.filename):
                continue
            with _damage_explained():
                stream = archive.open(entry)
            with stream:
                yield entry.filename, _guarded(stream)

    def _in_tar(self) -> Iterator[tuple[str, BinaryIO]]:
        # Forward only, so that progress is true and nothing is unpacked twice.
        unpacked = _guarded(self._stack.enter_context(gzip.GzipFile(fileobj=self._file)))
        with _damage_explained():
            archive = self._stack.enter_context(
                tarfile.open(fileobj=unpacked, mode="r|")  # noqa: SIM115 - the stack closes it
            )
        while True:
            with _damage_explained():
                entry = archive.next()
                stream = archive.extractfile(entry) if entry and entry.isfile() else None
            if entry is None:
                break
            if stream is not None and _is_table(entry.name):
                with stream:
                    yield entry.name, _guarded(stream)
        # The checksum follows the last block, where tarfile does not read.
        while unpacked.read(_BUFFER_BYTES):
            pass

    def _unpacked(self, name: str, stream: BinaryIO) -> BinaryIO:
        if name.lower().endswith(".gz"):
            return _guarded(self._stack.enter_context(gzip.GzipFile(fileobj=stream)))
        return _guarded(stream)


@contextmanager
def opened(source: Source) -> Iterator[OpenSource]:
    """Open a source for reading.

    Raises:
        ImportRefusedError: it is not a file, cannot be opened, or has an unknown ending.
    """
    path = source.path
    if path.is_dir():
        raise ImportRefusedError(f"no {', '.join(ENDINGS)} file is in this folder")
    if not path.is_file():
        raise ImportRefusedError("there is no such file")
    if not path.name.lower().endswith(ENDINGS):
        raise ImportRefusedError(f"the name must end in one of {', '.join(ENDINGS)}")
    with ExitStack() as stack:
        try:
            file = stack.enter_context(path.open("rb"))
        except OSError as error:
            raise ImportRefusedError(f"it cannot be opened: {error.strerror}") from error
        yield OpenSource(source, file, stack)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Guard(io.RawIOBase):
    """Passes bytes on, and turns damage into the error that refuses the file."""

    def __init__(self, inner: _Readable) -> None:
        self._inner = inner

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        with _damage_explained():
            data = self._inner.read(len(view))
        view[: len(data)] = data
        return len(data)


def _guarded(inner: _Readable) -> BinaryIO:
    return io.BufferedReader(_Guard(inner), _BUFFER_BYTES)


@contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        what = str(error) or type(error).__name__
        raise DamagedFileError(f"it is damaged or cut short: {what}") from error


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name.lower().endswith(ENDINGS) and path.is_file():
            yield path


def _is_table(path: str) -> bool:
    # Names that begin with a dot are the resource forks of macOS's archives.
    name = PurePosixPath(path).name.lower()
    return name.endswith(TABLE_ENDINGS) and not name.startswith(".")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
