"""Who is who: stocks on both exchanges, those of NSE alone, names that change."""

import random
from contextlib import closing
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from preprocess.imports.report import ImportReport
from preprocess.market.values import Identity, Stock
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import weekdays
from tests.preprocess.imports.builders import TODAY, bring_in, text_file

DAYS = weekdays(8)
BOTH, OLD_ISIN, NEW_ISIN = "500001", "INE111A01011", "INE111A01029"
OTHER, OTHER_ISIN = "500002", "INE222A01018"
ALONE_ISIN = "INE333A01015"
HEADER = (
    "TradDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,FinInstrmNm,"
    "OpnPric,HghPric,LwPric,ClsPric,PrvsClsgPric,TtlTradgVol"
)
# BSE's volumes are hundreds, NSE's ten thousands: the two are told apart.
VOLUME = {"BSE": 100, "NSE": 10_000}


@dataclass(frozen=True)
class Line:
    isin: str
    code: str = "1"
    symbol: str = ""


def write(folder: Path, exchange: str, day: date, *lines: Line) -> Path:
    group = "A" if exchange == "BSE" else "EQ"
    # A file that says what the one before said is refused.
    close = 50 + day.day + (exchange == "NSE")
    rows = [
        f"{day},CM,{exchange},STK,{line.code},{line.isin},{line.symbol},{group},NAME,"
        f"{close},{close},{close},{close},{close},{VOLUME[exchange]}"
        for line in lines
    ]
    name = f"BhavCopy_{exchange}_CM_0_0_0_{day:%Y%m%d}_F_0000.CSV"
    return text_file(folder / name, HEADER, *rows)


@pytest.fixture
def known(store: SQLiteStore) -> SQLiteStore:
    with store.transaction() as writer:
        writer.put_stocks(
            [Stock(BOTH, "BOTH", isin=OLD_ISIN), Stock(OTHER, "OTHER", isin=OTHER_ISIN)]
        )
    return store


def volumes(store: SQLiteStore, code: str = BOTH) -> list[float]:
    history = store.history(code)
    return [] if history is None else history.prices.volume.tolist()


def evening(
    store: SQLiteStore, folder: Path, day: date, exchanges: str = "BSE NSE", preferred: str = "BSE"
) -> ImportReport:
    own = folder / f"{day} {exchanges}"
    own.mkdir()
    for exchange in exchanges.split():
        write(own, exchange, day, Line(OLD_ISIN, BOTH if exchange == "BSE" else "7", "BOTH"))
    return bring_in(store, None, own, price_exchange=preferred)


def test_a_series_goes_on_with_one_exchange(known: SQLiteStore, tmp_path: Path) -> None:
    evening(known, tmp_path, DAYS[0])
    alone = evening(known, tmp_path, DAYS[1], "NSE")  # BSE had no trade, or its file failed
    evening(known, tmp_path, DAYS[2])
    assert volumes(known) == [100.0, 100.0]
    assert (alone.tally.added, alone.left_out) == (0, 1)
    [note] = [note for note in alone.notes if "TEZI_PRICE_EXCHANGE" in note]
    assert "1 prices are left out" in note


def test_a_series_turns_once_to_the_preferred_exchange(known: SQLiteStore, tmp_path: Path) -> None:
    for day in DAYS[:2]:
        evening(known, tmp_path, day, "NSE")
    evening(known, tmp_path, DAYS[2])
    for day in DAYS[3:5]:
        evening(known, tmp_path, day, "NSE")
    evening(known, tmp_path, DAYS[5])
    assert volumes(known) == [10_000.0, 10_000.0, 100.0, 100.0]
    again = bring_in(known, None, tmp_path / f"{DAYS[0]} NSE")
    assert again.tally.added + again.tally.changed == 0


def test_the_setting_turns_it_round(known: SQLiteStore, tmp_path: Path) -> None:
    for day, exchanges in zip(DAYS, ("BSE NSE", "BSE", "NSE", "BSE NSE"), strict=False):
        evening(known, tmp_path, day, exchanges, "NSE")
    assert volumes(known) == [10_000.0, 10_000.0, 10_000.0]


@pytest.mark.parametrize("seed", range(6))
def test_a_folder_of_both_gives_one_series_in_any_order(
    known: SQLiteStore, tmp_path: Path, seed: int
) -> None:
    for day in DAYS:
        write(tmp_path, "BSE", day, Line(OLD_ISIN, BOTH), Line(OTHER_ISIN, OTHER))
        write(tmp_path, "NSE", day, Line(OLD_ISIN, symbol="BOTH"), Line(OTHER_ISIN, symbol="OTHER"))
    paths = sorted(tmp_path.glob("*.CSV"))
    random.Random(seed).shuffle(paths)
    bring_in(known, None, *paths)
    assert volumes(known) == volumes(known, OTHER) == [100.0] * len(DAYS)


def test_a_bar_that_is_known_from_elsewhere_stays(known: SQLiteStore, tmp_path: Path) -> None:
    own = text_file(
        tmp_path / "own.csv",
        "bse_code,date,open,high,low,close,volume",
        f"{BOTH},{DAYS[0]},9,9,9,9,5",
    )
    bring_in(known, None, own)
    evening(known, tmp_path, DAYS[0], "NSE")
    assert volumes(known) == [5.0]


def test_a_split_changes_the_isin_and_not_the_stock(known: SQLiteStore, tmp_path: Path) -> None:
    for day, isin in zip(DAYS, (OLD_ISIN, NEW_ISIN, NEW_ISIN), strict=False):
        bring_in(known, None, write(tmp_path, "NSE", day, Line(isin, symbol="BOTH")))
    bring_in(known, None, listing(tmp_path, f"BOTH,Both Limited,EQ,{NEW_ISIN},1"))
    # An older file comes last.
    friday = write(tmp_path, "NSE", date(2023, 12, 29), Line(OLD_ISIN, symbol="BOTH"))
    bring_in(known, None, friday)
    assert len(volumes(known)) == 4
    assert {stock.bse_code for stock in known.stocks()} == {BOTH, OTHER}


def test_a_split_is_followed_without_a_symbol(known: SQLiteStore, tmp_path: Path) -> None:
    bring_in(known, None, write(tmp_path, "NSE", DAYS[0], Line(NEW_ISIN, symbol="UNHEARD")))
    assert volumes(known) == [10_000.0]


def test_a_company_whose_code_changed_keeps_both_histories_apart(
    known: SQLiteStore, tmp_path: Path
) -> None:
    old = "500009"
    with known.transaction() as writer:
        writer.put_stocks([Stock(old, isin=OLD_ISIN, status="delisted")])
    bring_in(known, None, write(tmp_path, "BSE", DAYS[0], Line(OLD_ISIN, old)))
    bring_in(known, None, write(tmp_path, "BSE", DAYS[1], Line(OLD_ISIN, BOTH)))
    bring_in(known, None, write(tmp_path, "NSE", DAYS[2], Line(OLD_ISIN, symbol="BOTH")))
    assert (volumes(known, old), volumes(known)) == ([100.0], [100.0])
    assert [stock.status for stock in known.stocks()] == ["active", "active", "delisted"]


def test_stocks_of_nse_alone_are_left_out_with_one_note(known: SQLiteStore, tmp_path: Path) -> None:
    alone = [Line(f"INE{n:03d}B01015", symbol=f"ALONE{n}") for n in range(3)]
    lines = [Line(OTHER_ISIN, symbol="OTHER"), *alone]
    report = bring_in(known, None, write(tmp_path, "NSE", DAYS[0], *lines))
    assert (report.tally.added, report.left_out, report.refused) == (1, 3, 0)
    [note] = report.notes
    assert "3 rows of stocks that BSE does not list are left out" in note
    assert "Equity.csv" in note


def test_another_company_of_the_same_symbol_is_refused(known: SQLiteStore, tmp_path: Path) -> None:
    report = bring_in(known, None, write(tmp_path, "NSE", DAYS[0], Line(ALONE_ISIN, symbol="BOTH")))
    assert (report.refused, report.left_out) == (1, 0)
    assert volumes(known) == []


def listing(folder: Path, *rows: str) -> Path:
    header = "SYMBOL,NAME OF COMPANY, SERIES, ISIN NUMBER, FACE VALUE"
    return text_file(folder / "EQUITY_L.csv", header, *rows)


def full(folder: Path, day: date, symbol: str) -> Path:
    """NSE's file without ISINs."""
    close = 90 + day.day
    return text_file(
        folder / f"sec_bhavdata_full_{day:%d%m%Y}.csv",
        "SYMBOL, SERIES, DATE1, PREV_CLOSE, OPEN_PRICE, HIGH_PRICE, LOW_PRICE, LAST_PRICE,"
        " CLOSE_PRICE, AVG_PRICE, TTL_TRD_QNTY, TURNOVER_LACS, NO_OF_TRADES, DELIV_QTY, DELIV_PER",
        f"{symbol}, EQ, {day:%d-%b-%Y}, {close}, {close}, {close}, {close}, {close}, {close},"
        f" {close}, 10000, 1.0, 1, 1, 1.0",
    )


def symbols(store: SQLiteStore) -> dict[str, str | None]:
    return {stock.bse_code: stock.nse_symbol for stock in store.stocks()}


def test_a_symbol_that_another_company_took_over(known: SQLiteStore, tmp_path: Path) -> None:
    """BOTH was called so until it became LATER; then OTHER took its symbol."""
    renamed = [
        write(tmp_path, "NSE", DAYS[0], Line(OLD_ISIN, symbol="BOTH")),
        write(tmp_path, "NSE", DAYS[2], Line(OLD_ISIN, symbol="LATER")),
        write(tmp_path, "NSE", DAYS[4], Line(OTHER_ISIN, symbol="BOTH")),
    ]
    for path in random.Random(2).sample(renamed, 3):
        bring_in(known, None, path)
    assert symbols(known) == {BOTH: "LATER", OTHER: "BOTH"}
    for day, symbol in ((DAYS[1], "BOTH"), (DAYS[3], "LATER"), (DAYS[5], "BOTH")):
        report = bring_in(known, None, full(tmp_path, day, symbol))
        assert report.tally.added == 1, report
    assert len(volumes(known)) == 4
    assert len(volumes(known, OTHER)) == 2
    # In between nobody was called so.
    between = bring_in(known, None, full(tmp_path, DAYS[3], "BOTH"))
    assert (between.refused, between.left_out) == (1, 0)
    assert f"called so on {DAYS[3]}" in between.first_refused[0].detail


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("list_of_today", [True, False])
def test_names_over_time_are_the_same_in_any_order(
    store: SQLiteStore, tmp_path: Path, seed: int, list_of_today: bool
) -> None:
    if list_of_today:
        with store.transaction() as writer:
            writer.put_stocks([Stock(BOTH)])
        own = text_file(tmp_path / "own.csv", "bse_code,isin", f"{BOTH},{NEW_ISIN}")
        bring_in(store, None, own, listing(tmp_path, f"LATER,Both,EQ,{NEW_ISIN},1"))
    else:
        with store.transaction() as writer:
            writer.put_stocks([Stock(BOTH, "BOTH", isin=OLD_ISIN)])
    paths = [
        write(
            tmp_path,
            "NSE",
            day,
            Line(OLD_ISIN if number < 3 else NEW_ISIN, symbol="BOTH" if number < 5 else "LATER"),
        )
        for number, day in enumerate(DAYS)
    ]
    for path in random.Random(seed).sample(paths, len(paths)):
        bring_in(store, None, path)
    assert store.identities() == [
        Identity(BOTH, DAYS[0] if list_of_today else date.min, OLD_ISIN, "BOTH"),
        Identity(BOTH, DAYS[3], NEW_ISIN, "BOTH"),
        Identity(BOTH, DAYS[5], NEW_ISIN, "LATER"),
    ]
    assert symbols(store)[BOTH] == "LATER"
    assert len(volumes(store)) == len(DAYS)
    again = bring_in(store, None, *paths)
    assert (again.nothing_new, again.stocks_changed) == (True, 0)


def test_a_list_of_today_names_what_a_stock_is_called_now(
    known: SQLiteStore, tmp_path: Path
) -> None:
    bring_in(known, None, write(tmp_path, "NSE", DAYS[0], Line(OLD_ISIN, symbol="BOTH")))
    bring_in(known, None, listing(tmp_path, f"LATER,Both Limited,EQ,{OLD_ISIN},1"))
    assert symbols(known)[BOTH] == "LATER"
    assert bring_in(known, None, full(tmp_path, DAYS[1], "BOTH")).tally.added == 1
    assert bring_in(known, None, full(tmp_path, TODAY, "LATER")).tally.added == 1
    copied = [each.nse_symbol for each in known.identities() if each.bse_code == BOTH]
    assert copied == ["BOTH", "LATER"]


@pytest.mark.parametrize(("named", "volume"), [("BSE", 100.0), ("NSE", 10_000.0)])
def test_the_command_takes_the_exchange_of_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, volume: float
) -> None:
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("TEZI_PRICE_EXCHANGE", named)
    write(tmp_path, "BSE", DAYS[0], Line(OLD_ISIN, BOTH))
    write(tmp_path, "NSE", DAYS[0], Line(OLD_ISIN, symbol="BOTH"))
    done = CliRunner().invoke(main, ["import", *map(str, sorted(tmp_path.glob("*.CSV")))])
    assert done.exit_code == 0, done.output
    with closing(SQLiteStore(tmp_path / "data" / "market.db")) as store:
        assert volumes(store) == [volume]
