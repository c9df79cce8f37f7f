"""A whole import: one transaction, bad rows and bad files left behind, nothing half done."""

from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from pathlib import Path

import pytest

from preprocess.features.derive import refresh_derived
from preprocess.imports.run import Options, run_import
from preprocess.market.values import Bar, Tally
from preprocess.store import Writer
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import weekdays
from tests.preprocess.imports.builders import (
    PRICE_HEADER,
    TODAY,
    bring_in,
    contents,
    gz_file,
    many_prices,
    price_file,
    zip_file,
)

PRICES = "prices"
OPTIONS = Options(TODAY, PRICES)
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
    again = run_import(store, OPTIONS, [path], derive=called.append)
    assert (again.tally, again.stocks_changed, again.complete) == (Tally(0, 0, 60), 0, True)
    assert (contents(store.path), called) == (before, [])


def test_corrections_are_counted_and_logged_from_their_day_on(
    tmp_path: Path, store: SQLiteStore
) -> None:
    rows = many_prices("500002", DAYS) + many_prices("500003", DAYS)
    bring_in(store, PRICES, price_file(tmp_path / "p.csv", *rows))
    sequence = store.mark().sequence
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
        store, OPTIONS, [a, b], derive=_nothing, advance=lambda *step: told.append(step)
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

    run_import(store, OPTIONS, paths, derive=derive)
    touched = {"500001": DAYS[0], "500002": DAYS[0]}
    assert seen == [(touched, ["500001", "500002"], [])]
    before = contents(store.path)

    def fail(_writer: Writer) -> None:
        raise KeyError("on purpose")

    more = price_file(tmp_path / "more.csv", *many_prices("500003", DAYS))
    with pytest.raises(KeyError):
        run_import(store, OPTIONS, [more], derive=fail)
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


def test_a_damaged_archive_is_refused_with_all_its_members(
    tmp_path: Path, store: SQLiteStore
) -> None:
    good = "\n".join([PRICE_HEADER, *many_prices("500001", DAYS)]).encode()
    path = zip_file(tmp_path / "a.zip", {"1.csv": good, "2.csv": b"nonsense"})
    data = bytearray(path.read_bytes())
    data[data.index(b"2.csv") + len("2.csv")] ^= 0xFF
    path.write_bytes(data)
    report = bring_in(store, PRICES, path)
    assert [refused.file for refused in report.first_refused_files] == [str(path)]
    assert (report.files, report.rows, store.bse_codes()) == (0, 0, [])


@pytest.mark.parametrize("error", [MemoryError, RecursionError])
def test_what_exhausts_the_machine_refuses_its_file_alone(
    tmp_path: Path, store: SQLiteStore, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    price_file(tmp_path / "1.csv", *many_prices("500001", DAYS))
    price_file(tmp_path / "2.csv", *many_prices("500002", DAYS))
    put = Writer.put_prices

    def exhausted(writer: Writer, bars: list[Bar]) -> Tally:
        if bars[0].bse_code == "500001":
            raise error
        return put(writer, bars)

    monkeypatch.setattr(Writer, "put_prices", exhausted)
    report = bring_in(store, None, tmp_path)
    assert [refused.file for refused in report.first_refused_files] == [str(tmp_path / "1.csv")]
    assert store.bse_codes() == ["500002"]


def test_prices_of_a_day_without_a_session_are_pointed_out(
    tmp_path: Path, store: SQLiteStore
) -> None:
    """They go in; a file of sessions settles the matter."""
    saturday = date(2026, 8, 15)
    rows = [f"500002,{day},1,1,1,1,1" for day in (saturday, date(2026, 8, 14))]
    path = price_file(tmp_path / "p.csv", *rows)
    derive = partial(refresh_derived, circuit_pct=5.0)
    report = run_import(store, OPTIONS, [path], derive=derive)
    assert report.complete
    assert report.notes == [
        "2026-08-15: prices of a day on which the exchange's calendar has no session"
    ]
    named = replace(OPTIONS, named_days={saturday: True})
    assert run_import(store, named, [path], derive=derive).notes == []
