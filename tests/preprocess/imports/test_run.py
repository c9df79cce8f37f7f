"""A whole import: one transaction, bad rows and bad files left behind, nothing half done."""

import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocess.imports.prices import PriceImporter
from preprocess.imports.run import run_import
from preprocess.market.calendar import day_number
from preprocess.market.values import Tally
from preprocess.store import Writer
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import weekdays
from tests.paths import PROJECT_ROOT
from tests.preprocess.imports.builders import (
    PRICE_HEADER,
    TODAY,
    bring_in,
    contents,
    gz_file,
    many_prices,
    price_file,
    tar_file,
    zip_file,
)

PRICES = PriceImporter(TODAY)
DAYS = weekdays(60)


def _nothing(_writer: Writer) -> None:
    pass


def test_an_import_again_changes_nothing_and_logs_nothing(
    tmp_path: Path, store: SQLiteStore
) -> None:
    path = price_file(tmp_path / "p.csv", *many_prices("500002", DAYS))
    first = bring_in(store, PRICES, path)
    assert (first.tally, first.stocks_changed, first.complete) == (Tally(60), 1, True)
    before = contents(store.path)
    called: list[Writer] = []
    again = run_import(store, PRICES, [path], derive=called.append)
    assert (again.tally, again.stocks_changed, again.complete) == (Tally(0, 0, 60), 0, True)
    assert (contents(store.path), called) == (before, [])


def test_corrections_are_counted_and_logged_from_their_day_on(
    tmp_path: Path, store: SQLiteStore
) -> None:
    rows = many_prices("500002", DAYS) + many_prices("500003", DAYS)
    bring_in(store, PRICES, price_file(tmp_path / "p.csv", *rows))
    sequence = store.sequence()
    rows[10] = rows[10].replace("10.0,100", "10.0,101")
    rows.append(f"500002,{DAYS[-1] + timedelta(days=1)},1,1,1,1,1")
    report = bring_in(store, PRICES, price_file(tmp_path / "p.csv", *rows))
    assert (report.tally, report.stocks_changed) == (Tally(1, 1, 119), 1)
    changes = [(each.bse_code, each.first_day) for each in store.changes_since(sequence)]
    assert changes == [("500002", DAYS[10])]


def test_rows_are_written_in_chunks(
    tmp_path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocess.imports.run.CHUNK_ROWS", 25)
    told: list[tuple[int, int]] = []
    a = price_file(tmp_path / "a.csv", *many_prices("500002", DAYS))
    b = gz_file(tmp_path / "b.csv.gz", a.read_bytes().replace(b"500002", b"500003"))
    report = run_import(
        store, PRICES, [a, b], derive=_nothing, advance=lambda *step: told.append(step)
    )
    assert report.tally == Tally(120)
    total = a.stat().st_size + b.stat().st_size
    assert len(told) == 2 * (2 + 1 + 1)
    assert told == sorted(told)
    assert told[-1] == (total, total)
    assert told[3] == (a.stat().st_size, total)


def test_what_follows_is_derived_once_inside_the_transaction(
    tmp_path: Path, store: SQLiteStore
) -> None:
    paths = [price_file(tmp_path / f"{n}.csv", *many_prices(f"50000{n}", DAYS)) for n in (1, 2)]
    seen: list[object] = []

    def derive(writer: Writer) -> None:
        other = SQLiteStore(store.path)
        seen.append((dict(writer.touched), writer.bse_codes(), other.bse_codes()))
        other.close()

    run_import(store, PRICES, paths, derive=derive)
    touched = {"500001": DAYS[0], "500002": DAYS[0]}
    assert seen == [(touched, ["500001", "500002"], [])]
    before = contents(store.path)

    def fail(_writer: Writer) -> None:
        raise KeyError("on purpose")

    more = price_file(tmp_path / "more.csv", *many_prices("500003", DAYS))
    with pytest.raises(KeyError):
        run_import(store, PRICES, [more], derive=fail)
    assert contents(store.path) == before


def test_a_refused_file_undoes_only_itself(
    tmp_path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("preprocess.imports.run.CHUNK_ROWS", 1_000)
    days = [date(1990, 1, 1) + timedelta(days=n) for n in range(5_000)]
    data = "\n".join([PRICE_HEADER, *many_prices("500009", days), "bad"]).encode()
    broken = gz_file(tmp_path / "2.csv.gz", data)
    broken.write_bytes(broken.read_bytes()[:-9])  # all rows, and half of the checksum
    price_file(tmp_path / "1.csv", *many_prices("500001", DAYS))
    price_file(tmp_path / "3.csv", *many_prices("500003", DAYS), "x")
    report = bring_in(store, PRICES, tmp_path)
    assert (report.files, report.rows, report.refused) == (2, 121, 1)
    assert report.tally == Tally(120)
    [refused] = report.first_refused_files
    assert refused.file == str(broken)
    assert "cut short" in refused.reason
    assert not report.complete
    assert store.bse_codes() == ["500001", "500003"]
    assert {change.bse_code for change in store.changes_since(0)} == {"500001", "500003"}


def _table(code: str, days: list[date]) -> bytes:
    return "\n".join([PRICE_HEADER, *many_prices(code, days), ""]).encode()


@pytest.mark.parametrize("damage", ["cut short", "altered"])
def test_a_damaged_archive_is_refused_with_all_its_members(
    tmp_path: Path, store: SQLiteStore, damage: str
) -> None:
    if damage == "cut short":
        days = [date(1990, 1, 1) + timedelta(days=n) for n in range(9_000)]
        members = {f"{code}.csv": _table(code, days) for code in ("500001", "500002")}
        path = tar_file(tmp_path / "a.tar.gz", {"x.csv": b"", **members})
        path.write_bytes(path.read_bytes()[:-4])
    else:
        path = zip_file(tmp_path / "a.zip", {"1.csv": _table("500001", DAYS), "2.csv": b"nonsense"})
        data = bytearray(path.read_bytes())
        data[data.index(b"2.csv") + len("2.csv")] ^= 0xFF
        path.write_bytes(data)
    report = bring_in(store, PRICES, path)
    assert [refused.file for refused in report.first_refused_files] == [str(path)]
    assert (report.files, report.rows, store.bse_codes()) == (0, 0, [])


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.csv", b"", "empty"),
        ("a.csv", b"\x7fELF\x02\x01\x01\0\0\n" * 99, "NUL"),
        ("a.csv", b"date;open\n1;2\n", "missing columns: bse_code, date"),
        ("a.csv", PRICE_HEADER.encode("utf-16"), "not UTF-8"),
        ("a.csv.gz", b"plain", "damaged"),
        ("a.zip", b"PK\x03\x04", "damaged"),
    ],
)
def test_files_of_another_kind_change_nothing(
    tmp_path: Path, store: SQLiteStore, name: str, data: bytes, reason: str
) -> None:
    bring_in(store, PRICES, price_file(tmp_path / "p.csv", *many_prices("500002", DAYS)))
    before = contents(store.path)
    (tmp_path / name).write_bytes(data)
    report = bring_in(store, PRICES, tmp_path / name)
    [refused] = report.first_refused_files
    assert reason in refused.reason
    assert not report.complete
    assert contents(store.path) == before


# Killing. Each process stops at a known place, and is sent SIGKILL there.

_IMPORT = """
import sys
from pathlib import Path
import preprocess.imports.run as run
from preprocess.imports.prices import PriceImporter
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import TODAY

database, file, stage = sys.argv[1:]
run.CHUNK_ROWS = 1_000
chunks = 0

def here(name):
    if name == stage:
        print(name, flush=True)
        sys.stdin.read()

def advance(done, total):
    global chunks
    chunks += 1
    here(f"chunk {chunks}")

store = SQLiteStore(Path(database), write=True)
run.run_import(
    store, PriceImporter(TODAY), [Path(file)], derive=lambda writer: here("derive"), advance=advance
)
here("done")
"""


def _killed(database: Path, file: Path, stage: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _IMPORT, str(database), str(file), stage],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline() == f"{stage}\n"
        process.kill()
        process.wait()


@pytest.fixture
def before_and_after(tmp_path: Path) -> tuple[Path, Path, list[object]]:
    """A database, a file to import, and what the database holds before and after it."""
    codes = ("500001", "500002", "500003")
    days = [date(1990, 1, 1) + timedelta(days=n) for n in range(4_000)]
    rows = [row for code in codes for row in many_prices(code, days)]
    file = price_file(tmp_path / "p.csv", *rows)
    held: list[object] = []
    for name in ("after.db", "market.db"):
        store = SQLiteStore(tmp_path / name, write=True)
        bring_in(store, PRICES, price_file(tmp_path / "old.csv", "500001,1990-01-01,1,1,1,1,1"))
        if name == "after.db":
            bring_in(store, PRICES, file)
        store.close()
        held.append(_market(tmp_path / name))
    return tmp_path / "market.db", file, held[::-1]


def _market(database: Path) -> object:
    tables = contents(database)
    del tables["schema_migrations"]  # has the time of day
    tables["change_log"] = [entry[:-1] for entry in tables["change_log"]]  # a token is random
    return tables


@pytest.mark.parametrize(
    ("stage", "which"), [("chunk 1", 0), ("chunk 6", 0), ("derive", 0), ("done", 1)]
)
def test_an_import_that_is_killed_leaves_all_or_nothing(
    before_and_after: tuple[Path, Path, list[object]], stage: str, which: int
) -> None:
    database, file, held = before_and_after
    _killed(database, file, stage)
    assert _market(database) == held[which]
    store = SQLiteStore(database, write=True)  # and it can be done again
    bring_in(store, PRICES, file)
    store.close()
    assert _market(database) == held[1]


# Any mix of good and bad rows.

_CENT = st.integers(1, 10_000_000).map(lambda cents: cents / 100)
_GOOD = st.builds(
    lambda code, day, prices, at, volume: (
        code,
        day,
        min(prices),
        max(prices),
        prices[at[0] % len(prices)],
        prices[at[1] % len(prices)],
        volume,
    ),
    st.sampled_from(["500001", "000042", "999999"]),
    st.dates(date(2024, 1, 1), date(2024, 1, 6)),
    st.lists(_CENT, min_size=1, max_size=4),
    st.tuples(st.integers(0, 3), st.integers(0, 3)),
    st.integers(0, 2**53),
)
_SPOILS: list[Callable[[list[str]], str]] = [
    lambda cells: ",".join([cells[0][:5], *cells[1:]]),
    lambda cells: ",".join([cells[0], cells[1].replace("-", ""), *cells[2:]]),
    lambda cells: ",".join([cells[0], "2026-08-23", *cells[2:]]),
    lambda cells: ",".join([*cells[:2], f"-{cells[2]}", *cells[3:]]),
    lambda cells: ",".join([*cells[:3], "nan", *cells[4:]]),
    lambda cells: ",".join([*cells[:3], "0.005", *cells[4:]]),
    lambda cells: ",".join([*cells[:6], f"{cells[6]}.5"]),
    lambda cells: ",".join(cells[:6]),
    lambda cells: ",".join([*cells, ""]),
    lambda cells: f'"{",".join(cells)}',
    lambda cells: f"{','.join(cells)}\udcff",  # a byte that is no UTF-8
    lambda cells: f"{','.join(cells)}\0",
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(_GOOD, st.none() | st.sampled_from(_SPOILS)), max_size=25))
def test_exactly_the_good_rows_of_any_mix_are_stored(
    rows: list[tuple[tuple[str, date, float, float, float, float, int], object]],
) -> None:
    lines, bad, expected = [PRICE_HEADER], [], {}
    for number, ((code, day, low, high, opening, close, volume), spoil) in enumerate(rows, 2):
        cells = [code, str(day), *map(str, (opening, high, low, close)), str(volume)]
        lines.append(spoil(cells) if callable(spoil) else ",".join(cells))
        if spoil is not None or (code, day_number(day)) in expected:
            bad.append(number)
        else:
            expected[code, day_number(day)] = (opening, high, low, close, float(volume))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "p.csv"
        path.write_text("\n".join(lines), encoding="utf-8", errors="surrogateescape", newline="")
        store = SQLiteStore(Path(folder) / "m.db", write=True)
        report = bring_in(store, PRICES, path)
        stored = {}
        for history in store.histories():
            prices = history.prices
            columns = (prices.open, prices.high, prices.low, prices.close, prices.volume)
            for place, day in enumerate(prices.days.tolist()):
                stored[history.bse_code, day] = tuple(float(column[place]) for column in columns)
        store.close()
    assert stored == expected
    assert [refusal.line for refusal in report.first_refused] == bad
    assert (report.rows, report.tally) == (len(rows), Tally(len(expected)))
