"""Tables: true line numbers, one line a row, damage kept to the line it is in."""

import io

import pytest

from preprocess.errors import ImportRefusedError
from preprocess.imports.refusal import Refusal, Rule
from preprocess.imports.table import LONGEST_LINE, CsvTable


def _table(data: bytes) -> CsvTable:
    return CsvTable("t.csv", io.BytesIO(data))


def _rows(data: bytes) -> list[list[str] | Refusal | None]:
    return list(_table(data).parsed(lambda cells: cells))


def _refused(data: bytes) -> list[tuple[int, Rule]]:
    return [(item.line, item.rule) for item in _rows(data) if isinstance(item, Refusal)]


def test_picked_cells_are_split_unquoted_and_trimmed() -> None:
    table = _table(b'a,b\n1,2\r\n "x, ""y""",\t3\n,\n')
    picked = table.picked("b", None, "a")
    assert list(table.parsed(picked)) == [("2", "", "1"), ("3", "", 'x, "y"'), ("", "", "")]


def test_empty_cells_beyond_the_header_are_no_cells() -> None:
    assert _rows(b"a,b\n1,2, ,\n") == [["1", "2"]]
    assert _refused(b"a,b\n1,2,,x\n") == [(2, Rule.COLUMN_COUNT)]


def test_the_last_line_needs_no_end_and_blank_lines_are_no_rows() -> None:
    assert _rows(b"\r\n \na\n\n1\n  \r\n2") == [["1"], ["2"]]
    assert _refused(b"\n\na\n1,2\n") == [(4, Rule.COLUMN_COUNT)]


@pytest.mark.parametrize(
    "header", [b"a,b", b"\xef\xbb\xbfa,b", b'\xef\xbb\xbf"A"," b "', b"A ,B,,"]
)
def test_headers_are_found_whatever_their_case_marks_and_quotes(header: bytes) -> None:
    assert _table(header + b"\n").names[:2] == ["a", "b"]


def test_a_column_may_go_by_several_names() -> None:
    table = _table(b"x,eps_rs,eps\n")
    assert table.index(("eps", "eps_rs")) == 2
    assert table.index("none") is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\r\n" * 1_000, "empty"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not UTF-8"),
        (b"PK\x03\x04\0\0\0\n", "NUL"),
        ("bse_code,date\n".encode("utf-16"), "not UTF-8"),
        (b"a" * LONGEST_LINE * 3, "too long"),
        (b'"a,b\n', "quotes"),
        (b"a,b,a\n", "names 'a' twice"),
    ],
)
def test_a_file_without_a_header_is_refused_whole(data: bytes, reason: str) -> None:
    with pytest.raises(ImportRefusedError, match=reason):
        _table(data)


def test_each_bad_line_is_refused_alone_with_its_own_number() -> None:
    long = b"1," + b"2" * (2 * LONGEST_LINE)
    lines = [b"a,b", b"1,2", b"1", b"1,2,3", b"\xe9,2", b"1,\0", b'"1,2', b"", b'1,"2"x"', long]
    data = b"\n".join([*lines, b"3,4", b""])
    assert _refused(data) == [
        (3, Rule.COLUMN_COUNT),
        (4, Rule.COLUMN_COUNT),
        (5, Rule.ENCODING),
        (6, Rule.ENCODING),
        (7, Rule.QUOTES),
        (9, Rule.QUOTES),
        (10, Rule.TOO_LONG),
    ]
    assert [row for row in _rows(data) if not isinstance(row, Refusal)] == [["1", "2"], ["3", "4"]]


def test_a_long_line_at_the_end_of_the_file_is_refused_once() -> None:
    assert _refused(b"a\n" + b"2" * LONGEST_LINE) == [(2, Rule.TOO_LONG)]
    assert _refused(b"a\n" + b"2" * (LONGEST_LINE - 1) + b"\n1\n") == []
