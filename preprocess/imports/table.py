"""A CSV file as rows of cells, with true line numbers. One line is one row."""

import csv
from collections import Counter
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import BinaryIO, TypeVar

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import NotListedError, Refusal, RowRefusedError, Rule, shown

LONGEST_LINE = 65_536  # bytes
MOST_BLANK = 20  # lines before the header

T = TypeVar("T")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class CsvTable:
    """The rows of one file, without its header.

    A row never continues on the next line, so that a stray quote costs one row and not the rest of
    the file.
    """

    def __init__(self, name: str, stream: BinaryIO) -> None:
        """Read the header.

        Raises:
            ImportRefusedError: it is missing, or is not a line of text.
        """
        self.name = name
        self._stream = stream
        self._line = 0
        self._indices = self._header()

    @property
    def names(self) -> list[str]:
        """The names in the header, in small letters."""
        return list(self._indices)

    def _header(self) -> dict[str, int]:
        raw = b"\n"
        while raw and not raw.strip() and self._line < MOST_BLANK:
            raw = self._stream.readline(LONGEST_LINE).removeprefix(_BYTE_ORDER_MARK)
            self._line += 1
        if not raw.strip():
            raise ImportRefusedError("it is empty")
        if raw.lstrip().startswith(b"<"):
            raise ImportRefusedError(
                "it is a web page and not a CSV file: an exchange answers with one where it has no"
                " such file; download it again"
            )
        try:
            cells = self._cells(raw)
        except RowRefusedError as refused:
            raise ImportRefusedError(
                f"it is not a CSV file: line {self._line} is not a header, {refused.rule}"
                f" ({refused.detail})"
            ) from None
        names = [cell.strip().lower() for cell in cells or []]
        twice = sorted(name for name, count in Counter(names).items() if name and count > 1)
        if twice:
            raise ImportRefusedError(f"the header names {shown(','.join(twice))} twice")
        self._width = len(names)
        return {name: index for index, name in enumerate(names)}

    def picked(
        self, *columns: str | tuple[str, ...] | None
    ) -> Callable[[list[str]], tuple[str, ...]]:
        """A function from a row's cells to those of `columns`, without blanks around them.

        A column that is missing is "" in every row.
        """
        indices = [self.index(column) if column else None for column in columns]
        pick = itemgetter(*(self._width if index is None else index for index in indices))

        def cells(row: list[str]) -> tuple[str, ...]:
            row.append("")
            return tuple(map(str.strip, pick(row)))

        return cells

    def index(self, column: str | tuple[str, ...]) -> int | None:
        """Index of the first of a column's names in the header; None if it has none of them."""
        names = (column,) if isinstance(column, str) else column
        return next((self._indices[name] for name in names if name in self._indices), None)

    def parsed(self, parse: Callable[[list[str]], T | None]) -> Iterator[T | Refusal | None]:
        """What `parse` makes of each row: a value, or None for a row that is left out.

        `parse` gets the cells, as many as the header has, and raises RowRefusedError for a row
        that breaks a rule. Blank lines are skipped.

        Raises:
            ImportRefusedError: the file turns out to be damaged.
        """
        line = self._line
        while raw := self._stream.readline(LONGEST_LINE):
            line += 1
            try:
                cells = self._row(raw)
                if cells is not None:
                    yield parse(cells)
            except NotListedError:
                yield None
            except RowRefusedError as refused:
                yield Refusal(self.name, line, refused.rule, refused.detail)

    def _row(self, raw: bytes) -> list[str] | None:
        cells = self._cells(raw)
        if cells is not None and len(cells) != self._width:
            # BSE's lists end their rows, but not their header, with commas.
            if len(cells) > self._width and not "".join(cells[self._width :]).strip():
                return cells[: self._width]
            raise RowRefusedError(
                Rule.COLUMN_COUNT, f"{len(cells)} cells, the header has {self._width}"
            )
        return cells

    def _cells(self, raw: bytes) -> list[str] | None:
        if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
            while (rest := self._stream.readline(LONGEST_LINE)) and not rest.endswith(b"\n"):
                pass
            raise RowRefusedError(Rule.TOO_LONG, f"more than {LONGEST_LINE} bytes")
        try:
            line = raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise RowRefusedError(
                Rule.ENCODING, f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
            ) from None
        if "\0" in line:
            raise RowRefusedError(Rule.ENCODING, "a NUL byte: binary data, or UTF-16")
        if not line or line.isspace():
            return None
        return line.split(",") if '"' not in line else _quoted(line)


def _quoted(line: str) -> list[str]:
    try:
        return next(csv.reader([line], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise RowRefusedError(Rule.QUOTES, str(error)) from None
