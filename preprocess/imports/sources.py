"""Where rows come from: files, plain, compressed or in archives, and folders of them."""

import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from preprocess.errors import ImportRefusedError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FILE_ENDINGS = (".csv", ".csv.gz", ".xml", ".xml.gz", ".xhtml", ".html", ".htm")
ARCHIVE_ENDINGS = (".zip", ".tar.gz", ".tgz")
ENDINGS = FILE_ENDINGS + ARCHIVE_ENDINGS

# Bounds that no file of an exchange comes near. An archive that breaks one is refused whole.
LARGEST_UNPACKED = 8 << 30  # bytes of one source
LARGEST_RATIO = 200  # unpacked to packed bytes, beyond the first RATIO_FREE bytes
RATIO_FREE = 64 << 20
MOST_MEMBERS = 20_000
LARGEST_HEADER = 64 << 10  # bytes of a member's name, link or PAX attributes in a tar archive
LARGEST_DIRECTORY = 16 << 20  # bytes of a zip archive's list of members

_BUFFER_BYTES = 1 << 18

# What the standard library raises for bytes that are cut short, altered, encrypted or not of
# the format that the name promises (zipfile: RuntimeError and its NotImplementedError).
_DAMAGE = (
    OSError,
    EOFError,
    UnicodeError,
    ValueError,
    OverflowError,
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
    """One file to read: a file on disk, or one inside an archive.

    `name` says where it lies, `file_name` is its own name, `weight` its share of the bytes on disk.
    """

    name: str
    file_name: str
    weight: int
    source: Source
    archive: Path | None = None  # the archive, unpacked where it was a .tar.gz
    entry: str = ""

    @contextmanager
    def open(self) -> Iterator["OpenMember"]:
        """Its bytes, unpacked.

        Raises:
            DamagedFileError: it cannot be read to its end.
            ImportRefusedError: it cannot be opened.
        """
        with ExitStack() as stack:
            disk = _opened(self.archive or self.source.path, stack)
            packed: IO[bytes] = disk
            with _damage_explained():
                if self.archive is None:
                    pass
                elif self.archive == self.source.path:
                    packed = stack.enter_context(_zip(disk, stack).open(self.entry))
                else:
                    tar = stack.enter_context(tarfile.open(fileobj=disk, mode="r:"))
                    inside = tar.extractfile(self.entry)
                    if inside is None:
                        raise DamagedFileError(f"{self.entry} is no file")
                    packed = stack.enter_context(inside)
            stream = _guarded(packed, self.source.size)
            if stream.peek(2).startswith(b"\x1f\x8b"):
                unzipped = stack.enter_context(gzip.GzipFile(fileobj=stream))
                stream = _guarded(cast("BinaryIO", unzipped), self.source.size)
            yield OpenMember(stream, disk if self.archive is None else None)


@dataclass(frozen=True, slots=True)
class OpenMember:
    """The bytes of a member; `stream` can be peeked into."""

    stream: io.BufferedReader
    _disk: BinaryIO | None

    @property
    def bytes_read(self) -> int:
        """Bytes of a file on disk that have been read; 0 inside an archive."""
        return self._disk.tell() if self._disk else 0


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """The files that `paths` name; of folders, all files below with a known ending, sorted."""
    found: list[Source] = []
    for path in paths:
        below = sorted(_below(path)) if path.is_dir() else []
        found += [Source(each, _size(each)) for each in below or [path]]
    return found


def members(source: Source, folder: Path) -> list[Member]:
    """The files inside a source; a .tar.gz is unpacked into `folder`, so that they can be read in
    any order. An archive has been read to its end, so that damage is known before its first row.

    Raises:
        DamagedFileError: the file cannot be read to its end.
        ImportRefusedError: it is no file, or no file that can be imported is in the archive.
    """
    path = source.path
    if path.is_dir():
        raise ImportRefusedError(f"no {', '.join(ENDINGS)} file is in this folder")
    if not path.is_file():
        raise ImportRefusedError("there is no such file")
    with ExitStack() as stack:
        file = _opened(path, stack)
        head = file.peek(4)[:4]
        if head.startswith(b"PK"):
            return _in_zip(source, _zip(file, stack))
        if path.name.lower().endswith((".tar.gz", ".tgz")) and head.startswith(b"\x1f\x8b"):
            return _in_tar(source, file, folder)
    if path.name.lower().endswith(ARCHIVE_ENDINGS) and not head.lstrip().startswith(b"<"):
        raise DamagedFileError("it is damaged or cut short: it is not an archive")
    return [Member(source.name, path.name, source.size, source)]


def _in_zip(source: Source, archive: zipfile.ZipFile) -> list[Member]:
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        raise ImportRefusedError(f"it holds more than {MOST_MEMBERS:,} files")
    found = [entry for entry in entries if _is_file(entry.filename)]
    unpacked = 0
    for entry in found:
        with _damage_explained():
            stream = archive.open(entry)
        with stream:
            guard = _guarded(stream, source.size, unpacked)
            while piece := guard.read(_BUFFER_BYTES):
                unpacked += len(piece)
    return _inside(source, source.path, [(entry.filename, entry.compress_size) for entry in found])


def _in_tar(source: Source, file: BinaryIO, folder: Path) -> list[Member]:
    unpacked = folder / f"{len(list(folder.iterdir()))}.tar"
    with (
        gzip.GzipFile(fileobj=file) as packed,
        unpacked.open("wb") as plain,
        _damage_explained(),
    ):
        guarded = _guarded(cast("BinaryIO", packed), source.size)
        shutil.copyfileobj(guarded, plain, _BUFFER_BYTES)
    with _damage_explained(), tarfile.open(unpacked, "r:", tarinfo=_BoundedEntry) as archive:
        found: list[tuple[str, int]] = []
        for count, entry in enumerate(archive):
            if count >= MOST_MEMBERS:
                raise ImportRefusedError(f"it holds more than {MOST_MEMBERS:,} files")
            if entry.isfile() and _is_file(entry.name):
                found.append((entry.name, entry.size))
    return _inside(source, unpacked, found)


def _inside(source: Source, archive: Path, entries: list[tuple[str, int]]) -> list[Member]:
    if not entries:
        raise ImportRefusedError(f"no {', '.join(FILE_ENDINGS)} file is in this archive")
    whole = sum(size for _, size in entries) or 1
    return [
        Member(
            f"{source.name}: {_printable(path)}",
            PurePosixPath(path).name,
            source.size * size // whole,
            source,
            archive,
            path,
        )
        for path, size in sorted(entries)
    ]


class _BoundedEntry(tarfile.TarInfo):
    """A tar header; tarfile reads long names and PAX attributes whole, so they are bounded."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        entry = super().frombuf(buf, encoding, errors)
        if entry.type not in tarfile.REGULAR_TYPES and entry.size > LARGEST_HEADER:
            raise DamagedFileError(f"a header of {entry.size:,} bytes is in this archive")
        return entry


def _zip(file: BinaryIO, stack: ExitStack) -> zipfile.ZipFile:
    with _damage_explained():
        return stack.enter_context(zipfile.ZipFile(_BoundedReads(file)))


class _BoundedReads:
    """A file whose reads have a bound: zipfile reads a zip archive's list of members in one."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._file = file.seek, file.tell, file

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        if size > LARGEST_DIRECTORY:
            raise DamagedFileError("its list of members is too large")
        return self._file.read(size)


def _opened(path: Path, stack: ExitStack) -> io.BufferedReader:
    try:
        return stack.enter_context(path.open("rb"))
    except OSError as error:
        raise ImportRefusedError(f"it cannot be opened: {error.strerror}") from error


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class _Guard(io.RawIOBase):
    """Passes bytes on within the bounds, and turns damage into the error that refuses the file."""

    def __init__(self, inner: _Readable, packed: int, before: int) -> None:
        self._inner = inner
        self._passed = before
        self._most = min(LARGEST_UNPACKED, max(RATIO_FREE, LARGEST_RATIO * packed))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        with _damage_explained():
            data = self._inner.read(len(view))
        view[: len(data)] = data
        self._passed += len(data)
        if self._passed > self._most:
            raise DamagedFileError(
                f"it unpacks to more than {self._most >> 20:,} MiB, far more than it should"
            )
        return len(data)


def _guarded(inner: _Readable, packed: int, before: int = 0) -> io.BufferedReader:
    return io.BufferedReader(_Guard(inner, packed, before), _BUFFER_BYTES)


@contextmanager
def _damage_explained() -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        if isinstance(error, OSError) and error.errno:  # of the disk; gzip's errors have no number
            raise ImportRefusedError(f"it cannot be read or unpacked: {error.strerror}") from error
        what = str(error) or type(error).__name__
        raise DamagedFileError(f"it is damaged or cut short: {what}") from error


def _below(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.name.lower().endswith(ENDINGS) and path.is_file():
            yield path


def _is_file(path: str) -> bool:
    # Names that begin with a dot are the resource forks of macOS's archives.
    name = PurePosixPath(path).name.lower()
    return name.endswith(FILE_ENDINGS) and not name.startswith(".") and not path.endswith("/")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
