"""Files as the exchanges publish them: each sample, and a thousand rows in every form."""

import csv
import itertools
import random
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preprocess.imports.refusal import Rule
from preprocess.imports.report import ImportReport
from preprocess.market.values import Stock, Tally
from preprocess.store.sqlite.store import SQLiteStore
from tests.preprocess.imports.builders import (
    TODAY,
    bring_in,
    contents,
    gz_file,
    tar_file,
    text_file,
    zip_file,
)

SAMPLES = Path(__file__).parent / "samples"


def _bars(store: SQLiteStore, table: str = "price_movements") -> list[tuple[Any, ...]]:
    return contents(store.path)[table]


def _stores_nothing(store: SQLiteStore, *, but: str = "stocks") -> bool:
    return not any(rows for name, rows in contents(store.path).items() if name in TABLES - {but})


TABLES = {"price_movements", "stocks", "corporate_actions", "historical_financials", "price_bands"}


@pytest.mark.parametrize(
    ("sample", "bar"),
    [
        ("udiff_bse", (3180.0, 3217.6, 3165.05, 3180.65, 402310, 3201.8)),
        ("udiff_nse", (3180.0, 3217.6, 3165.05, 3180.65, 5402310, 3201.8)),
        ("nse_full", (3180.0, 3217.6, 3165.05, 3180.65, 5402310, 3201.8)),
    ],
)
def test_shares_of_a_day_go_in_and_other_paper_is_left_out(
    listed: SQLiteStore, sample: str, bar: tuple[float, ...]
) -> None:
    report = bring_in(listed, None, SAMPLES / sample)
    assert (report.complete, report.refused) == (True, 0)
    assert _bars(listed)[0] == ("500325", "2024-07-09", *bar, 0)
    assert report.left_out == report.rows - report.tally.added > 0


def test_the_day_of_a_row_goes_before_that_of_the_name(store: SQLiteStore) -> None:
    report = bring_in(store, None, SAMPLES / "bse_isincode", SAMPLES / "name_contradicts_date")
    assert (report.files, report.tally) == (3, Tally(1, 0, 2))
    assert [(code, day) for code, day, *_ in _bars(store)] == [("500002", "2023-01-03")]
    [note] = report.notes
    assert "EQ040123.CSV: its rows are of 2023-01-03, its name says 2023-01-04" in note


def test_two_records_in_one_line_cost_that_line_alone(store: SQLiteStore) -> None:
    report = bring_in(store, None, SAMPLES / "ran_together")
    assert [(item.line, item.rule) for item in report.first_refused] == [(3, Rule.COLUMN_COUNT)]
    assert [code for code, *_ in _bars(store)] == ["531000", "531241"]


def test_the_old_nse_file_ends_its_lines_with_commas(listed: SQLiteStore) -> None:
    assert bring_in(listed, None, SAMPLES / "nse_old").tally == Tally(1)
    assert _bars(listed)[0][:3] == ("500325", "2020-07-09", 1843.0)


def test_the_file_of_the_session_before_is_refused_whole(store: SQLiteStore) -> None:
    for _ in range(2):
        report = bring_in(store, None, SAMPLES / "weekend_copy")
        [refused] = report.first_refused_files
        assert refused.file.endswith("EQ050125.CSV")
        assert "every row equals that of 2025-01-03" in refused.reason
        assert {day for _, day, *_ in _bars(store)} == {"2025-01-03"}


def test_a_special_session_differs_and_goes_in(tmp_path: Path, store: SQLiteStore) -> None:
    friday, sunday = SAMPLES / "weekend_copy/EQ030125.CSV", tmp_path / "EQ050125.CSV"
    sunday.write_text(friday.read_text().replace(",900,", ",901,"))
    assert bring_in(store, None, sunday, friday).complete


@pytest.mark.parametrize("name", ["EQ100724.CSV", "EQ100724_CSV.ZIP"])
def test_a_web_page_is_told_from_a_file(store: SQLiteStore, name: str) -> None:
    report = bring_in(store, None, SAMPLES / "soft404" / name)
    assert "it is a web page" in report.first_refused_files[0].reason
    assert _stores_nothing(store)


def test_a_rounding_step_widens_high_and_low(store: SQLiteStore) -> None:
    report = bring_in(store, "prices", SAMPLES / "float_noise", adjusted=True)
    assert (report.tally.added, report.refused) == (3, 0)
    assert all(low <= close <= high for _, _, _, high, low, close, *_ in _bars(store))


def test_lists_of_both_exchanges_and_renamed_headers(store: SQLiteStore) -> None:
    bring_in(store, None, SAMPLES / "stock_lists/Equity_bse_list_of_scrips.csv")
    bring_in(store, None, SAMPLES / "udiff_bse", SAMPLES / "stock_lists/EQUITY_L.csv")
    report = bring_in(store, None, SAMPLES / "stock_lists/bse_list_header_renamed.csv")
    assert report.nothing_new
    known = {stock.bse_code: stock for stock in store.stocks()}
    assert known["500002"] == Stock("500002", None, "Delta India Limited", "INE117A01022")
    assert known["500325"].nse_symbol == "ALPHAIND"
    report = bring_in(store, None, SAMPLES / "stock_lists/isin_na_and_lower.csv")
    assert [(item.line, item.rule) for item in report.first_refused] == [(5, Rule.ISIN)]
    assert {stock.bse_code: stock.isin for stock in store.stocks()}["500003"] is None


def test_results_with_groups_brackets_dashes_and_times(store: SQLiteStore) -> None:
    report = bring_in(store, None, SAMPLES / "financials/dashes_commas_brackets.csv")
    assert (report.tally, report.refused) == (Tally(6), 0)
    rows = {row[0]: row[3:9] for row in _bars(store, "historical_financials")}
    assert rows["500002"] == ("2024-03-31", "2024-05-10", 3080.36, 459.3, None, 21.67)
    assert rows["500003"] == ("2024-03-31", "2024-05-10", 100.0, -12.5, 10.0, None)
    assert {rows[code][1] for code in ("500004", "500005", "500006")} == {"2024-05-10"}
    assert rows["500007"][1] is None


def test_a_company_has_its_own_year(store: SQLiteStore) -> None:
    bring_in(store, None, SAMPLES / "financials/december_year_company.csv")
    assert [row[1:4] for row in _bars(store, "historical_financials")] == [
        (2024, "Q4", "2024-03-31"),
        (2025, "Q1", "2024-06-30"),
    ]


def test_exports_of_corporate_actions(listed: SQLiteStore) -> None:
    report = bring_in(listed, None, SAMPLES / "real_action_exports")
    assert (report.tally.added, report.refused) == (2, 0)
    assert [row[:4] for row in _bars(listed, "corporate_actions")] == [
        ("500325", "2024-10-28", "bonus", 2.0),
        ("526209", "2007-07-18", "split", 10.0),
    ]


@pytest.mark.parametrize("order", list(itertools.permutations(["first.csv", "revised.csv"])))
def test_a_revised_ex_date_replaces_the_first(store: SQLiteStore, order: tuple[str, ...]) -> None:
    for name in (*order, *order):
        report = bring_in(store, None, SAMPLES / "revised_ex_date" / name)
        assert report.complete
    assert report.nothing_new
    assert [row[1] for row in _bars(store, "corporate_actions")] == ["2024-10-28"]


def test_an_equal_action_a_year_later_is_another(tmp_path: Path, store: SQLiteStore) -> None:
    header = "Security Code,Security Name,Ex Date,Purpose"
    rows = ["500325,A,28 Oct 2024,Bonus 1:1", "500325,A,28 Oct 2025,Bonus 1:1"]
    others = ["500325,A,1 Feb 2025,Dividend Rs 2", "500325,A,2 Feb 2025,Stock Split"]
    report = bring_in(store, None, text_file(tmp_path / "ca.csv", header, *rows, *others))
    assert (report.tally.added, report.left_out) == (2, 1)
    assert [item.rule for item in report.first_refused] == [Rule.RATIO]


@pytest.mark.parametrize("kind", ["demerger", "rights"])
def test_actions_without_a_ratio_are_one_only_if_one_says_revised(
    tmp_path: Path, store: SQLiteStore, kind: str
) -> None:
    header = "bse_code,ex_date,kind,subject"
    rows = [
        f"500325,{day},{kind},{kind}{said}"
        for day, said in [("2024-01-10", ""), ("2024-03-10", ""), ("2024-03-24", " (Revised)")]
    ]
    bring_in(store, None, text_file(tmp_path / "a.csv", header, *rows[:2]))
    assert [row[1] for row in _bars(store, "corporate_actions")] == ["2024-01-10", "2024-03-10"]
    bring_in(store, None, text_file(tmp_path / "b.csv", header, rows[2]))
    assert [row[1] for row in _bars(store, "corporate_actions")] == ["2024-01-10", "2024-03-24"]


@pytest.mark.parametrize(
    "lines",
    [
        ("SYMBOL,COMPANY NAME,PURPOSE,MEETING DATE", "ALPHAIND,Alpha,Results,28-Oct-2024"),
        ("Security Code,Security Name,Result Date", "500325,ALPHA,28 Oct 2024"),
    ],
)
def test_meetings_to_come_are_known_and_not_kept(
    tmp_path: Path, listed: SQLiteStore, lines: tuple[str, ...]
) -> None:
    report = bring_in(listed, None, text_file(tmp_path / "a.csv", *lines))
    assert (report.left_out, report.refused_files) == (1, 0)
    assert "not kept" in report.notes[0]
    assert _stores_nothing(listed)


@pytest.mark.parametrize(
    ("name", "header", "rows"),
    [
        (
            "sec_list_08072024.csv",
            "Symbol,Series,Security Name,Band,Remarks",
            ["ALPHAIND,EQ,Alpha,20,-", "SGB,GB,Gold,No Band,-", "ALPHAIND,BE,Alpha,3,-"],
        ),
        (
            "eq_band_changes_08072024.csv",
            "Sr. No.,Symbol,Series,Security,From,To",
            ["1,ALPHAIND,EQ,Alpha,10,20", "2,X1,GS,Gilt,5,10", "3,ALPHAIND,EQ,Alpha,5,15"],
        ),
    ],
)
def test_price_bands(
    tmp_path: Path, listed: SQLiteStore, name: str, header: str, rows: list[str]
) -> None:
    report = bring_in(listed, None, text_file(tmp_path / name, header, *rows))
    assert (report.tally, report.left_out) == (Tally(1), 1)
    assert [item.rule for item in report.first_refused] == [Rule.BAND]
    assert _bars(listed, "price_bands") == [("500325", "2024-07-08", 20.0, "NSE")]
    text_file(tmp_path / name, header, rows[0].replace(",20", ",No Band"))
    assert bring_in(listed, None, tmp_path / name).tally == Tally(0, 1)
    assert _bars(listed, "price_bands")[0][2] is None
    text_file(tmp_path / "bands.csv", header, *rows)
    assert (
        "read from its name"
        in bring_in(listed, None, tmp_path / "bands.csv").first_refused_files[0].reason
    )


@pytest.mark.parametrize(
    ("unit", "crores"), [("lakh", 12.5), ("million", 125), ("rupees", 1.25e-4)]
)
@pytest.mark.parametrize("way", ["header", "column", "option"])
def test_money_in_every_unit(
    tmp_path: Path, store: SQLiteStore, unit: str, crores: float, way: str
) -> None:
    name = f" (Rs. in {unit}s)" if way == "header" and unit != "rupees" else f" ({unit})"
    suffix = name if way == "header" else ""
    header = f"Scrip Code,Period Ended,Revenue{suffix},Net Profit{suffix},Operating Profit{suffix}"
    row = '500325,31-Mar-2024,"1,250",(1250),1250,5.5'
    if way == "column":
        header, row = f"unit,{header}", f"{unit},{row}"
    path = text_file(tmp_path / "r.csv", f"{header},EPS (Rs.)", row)
    bring_in(store, None, path, unit=unit if way == "option" else None)
    [stored] = _bars(store, "historical_financials")
    assert stored[5:9] == pytest.approx((crores, -crores, crores, 5.5))
    assert stored[9] == TODAY.isoformat()  # such tables restate EPS


def test_what_is_of_no_known_stock_is_refused_by_line(tmp_path: Path, store: SQLiteStore) -> None:
    report = bring_in(store, None, SAMPLES / "udiff_nse")
    [refusal] = report.first_refused
    assert (refusal.line, refusal.rule) == (2, Rule.STOCK)
    assert "Equity.csv" in refusal.detail


def test_a_symbol_that_another_company_took_is_not_matched(
    tmp_path: Path, store: SQLiteStore
) -> None:
    with store.transaction() as writer:
        writer.put_stocks([Stock("500001", "ALPHAIND", "Old Alpha", "INE999Z01011")])
    assert bring_in(store, None, SAMPLES / "udiff_nse").first_refused[0].rule is Rule.STOCK


def test_a_folder_gives_the_same_in_any_order(tmp_path: Path) -> None:
    chosen = [
        *("stock_lists/EQUITY_L.csv", "stock_lists/Equity_bse_list_of_scrips.csv", "udiff_bse"),
        *("udiff_nse", "nse_full", "nse_old", "real_action_exports", "weekend_copy/EQ030125.CSV"),
        "financials/december_year_company.csv",
    ]
    found = []
    for seed in range(4):
        paths = [SAMPLES / name for name in random.Random(seed).sample(chosen, len(chosen))]
        store = SQLiteStore(tmp_path / f"{seed}.db", write=True)
        bring_in(store, None, *paths)
        again = bring_in(store, None, *reversed(paths))
        assert (again.nothing_new, again.stocks_changed) == (True, 0)
        found.append({name: contents(store.path)[name] for name in TABLES})
        store.close()
    assert found[0]["price_movements"]
    assert all(each == found[0] for each in found)


def test_a_file_with_nothing_but_a_header_says_so(tmp_path: Path, store: SQLiteStore) -> None:
    header = (SAMPLES / "nse_old/cm09JUL2020bhav.csv").read_text().splitlines()[0]
    report = bring_in(store, None, text_file(tmp_path / "cm09JUL2020bhav.csv", header))
    assert "it has a header and no rows" in report.notes[0]
    assert not report.complete


# A thousand rows in each form, each read back against pandas.


def _rows() -> pd.DataFrame:
    chance = random.Random(7)
    rows = []
    for number in range(1_000):
        low, high = sorted(chance.sample(range(100, 5_000_00), 2))
        opening, close = (chance.randint(low, high) for _ in range(2))
        prices = [paise / 100 for paise in (opening, high, low, close, chance.randint(low, high))]
        code = 500_000 + number
        rows.append(
            (str(code), f"S{number}", f"INE{number:04d}01018", *prices, chance.randint(0, 10**7))
        )
    names = ["code", "symbol", "isin", "open", "high", "low", "close", "previous", "volume"]
    return pd.DataFrame(rows, columns=names)


MARKET = _rows()
PRICES = ["open", "high", "low", "close", "previous"]
_OLD = dict(zip(["OPEN", "HIGH", "LOW", "CLOSE", "PREVCLOSE"], PRICES, strict=True))
_OLD_BSE = {"SC_CODE": "code", "SC_NAME": "=NAME    ", "SC_TYPE": "=Q", **_OLD}
# Of each form its name, and for each of its columns one of MARKET, or what stands in every row.
FORMS = {
    "BhavCopy_BSE_CM_0_0_0_20240709_F_0000.CSV": {
        "TradDt": "=2024-07-09",
        "Sgmt": "=CM",
        "Src": "=BSE",
        "FinInstrmTp": "=STK",
        "FinInstrmId": "code",
        "ISIN": "isin",
        "SctySrs": "=A",
        "FinInstrmNm": "=NAME",
        "OpnPric": "open",
        "HghPric": "high",
        "LwPric": "low",
        "ClsPric": "close",
        "PrvsClsgPric": "previous",
        "TtlTradgVol": "volume",
    },
    "EQ090724.CSV": {**_OLD_BSE, "NO_OF_SHRS": "volume"},
    "EQ_ISINCODE_090724.CSV": {
        **_OLD_BSE,
        "NO_OF_SHRS": "volume",
        "ISIN_CODE": "isin",
        "TRADING_DATE": "=09-Jul-24",
    },
    "cm09JUL2024bhav.csv": {
        "SYMBOL": "symbol",
        "SERIES": "=EQ",
        **_OLD,
        "TOTTRDQTY": "volume",
        "TIMESTAMP": "=09-JUL-2024",
        "ISIN": "isin",
    },
    "sec_bhavdata_full_09072024.csv": {
        "SYMBOL": "symbol",
        " SERIES": "= EQ",
        " DATE1": "= 09-Jul-2024",
        " PREV_CLOSE": "previous",
        " OPEN_PRICE": "open",
        " HIGH_PRICE": "high",
        " LOW_PRICE": "low",
        " CLOSE_PRICE": "close",
        " TTL_TRD_QNTY": "volume",
        " DELIV_QTY": "= -",
    },
}


def _written(name: str) -> str:
    columns = {
        title: value[1:] if value.startswith("=") else MARKET[value]
        for title, value in FORMS[name].items()
    }
    text: str = pd.DataFrame(columns, index=MARKET.index).to_csv(index=False)
    return text.replace("\n", ",\n") if name.startswith("cm") else text


def _list_all(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        writer.put_stocks(
            [Stock(row.code, row.symbol, "N", row.isin) for row in MARKET.itertuples()]
        )


def _dressed(name: str, dress: str) -> bytes:
    text = _written(name)
    if dress == "BOM, CRLF, blank lines":
        return b"\xef\xbb\xbf\r\n" + text.replace("\n", "\r\n\r\n").encode()
    if dress == "thousands separators":
        rows = list(csv.reader(text.splitlines()))
        place = list(FORMS[name].values()).index("volume")
        for row in rows[1:]:
            row[place] = f"{int(row[place]):,}"
        return "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows).encode()
    return text.encode()


@pytest.mark.parametrize("dress", ["plain", "BOM, CRLF, blank lines", "thousands separators"])
@pytest.mark.parametrize("name", FORMS)
def test_a_thousand_rows_in_every_form_read_as_pandas_reads_them(
    tmp_path: Path, store: SQLiteStore, name: str, dress: str
) -> None:
    if "code" not in FORMS[name].values():
        _list_all(store)
    path = tmp_path / name
    path.write_bytes(_dressed(name, dress))
    report = bring_in(store, None, path)
    assert (report.tally.added, report.refused, report.notes) == (1_000, 0, [])
    stored = pd.DataFrame(_bars(store)).iloc[:, [0, 1, 2, 3, 4, 5, 7, 6]]
    second = MARKET[["code", *PRICES, "volume"]].copy()
    second.insert(1, "day", "2024-07-09")
    assert stored.to_numpy().tolist() == second.to_numpy().tolist()


@pytest.mark.parametrize("pack", ["gz", "zip", "tar.gz"])
def test_every_form_in_one_archive(tmp_path: Path, store: SQLiteStore, pack: str) -> None:
    data = {name: _written(name).encode() for name in FORMS}
    if pack == "gz":
        paths = [gz_file(tmp_path / f"{name}.gz", each) for name, each in data.items()]
    else:
        paths = [(zip_file if pack == "zip" else tar_file)(tmp_path / f"all.{pack}", data)]
    _list_all(store)
    report = bring_in(store, None, *paths)
    assert (report.files, report.tally) == (5, Tally(1_000, 0, 2_000))
    assert report.left_out == 2_000  # the same shares on NSE


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("damage", ["renamed", "missing", "doubled", "2-digit year", "future"])
def test_a_damaged_form_is_refused(
    tmp_path: Path, store: SQLiteStore, name: str, damage: str
) -> None:
    _list_all(store)
    lines = _written(name).splitlines()[:4]
    if damage in ("renamed", "missing", "doubled"):
        titles = lines[0].split(",")
        place = list(FORMS[name].values()).index("open")
        titles[place] = {"renamed": "Opening", "missing": "", "doubled": titles[place - 1]}[damage]
        lines[0] = ",".join(titles)
    else:
        wrong = "09-07-24" if damage == "2-digit year" else "2030-07-09"
        lines = [
            line.replace("2024-07-09", wrong)
            .replace("09-Jul-2024", wrong)
            .replace("09-JUL-2024", wrong)
            .replace("09-Jul-24", wrong)
            for line in lines
        ]
        name = name.replace("EQ0907" + "24", "EQ0907" + "30")
    report = bring_in(store, None, text_file(tmp_path / name, *lines))
    assert not report.complete
    assert report.first_refused or report.first_refused_files
    assert not _bars(store)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(where=st.floats(0, 1), name=st.sampled_from([*FORMS, "x.csv.gz", "x.zip", "x.tar.gz"]))
def test_a_file_cut_anywhere_gives_whole_rows_or_nothing(
    tmp_path: Path, where: float, name: str
) -> None:
    original = "EQ_ISINCODE_090724.CSV" if name.startswith("x.") else name
    data = "".join(_written(original).splitlines(keepends=True)[:20]).encode()
    path = tmp_path / (f"{original}.gz" if name == "x.csv.gz" else name)
    if name == "x.csv.gz":
        gz_file(path, data)
    elif name.startswith("x."):
        (zip_file if name == "x.zip" else tar_file)(path, {original: data})
    else:
        path.write_bytes(data)
    path.write_bytes(path.read_bytes()[: int(where * path.stat().st_size)])
    (tmp_path / "market.db").unlink(missing_ok=True)
    store = SQLiteStore(tmp_path / "market.db", write=True)
    _list_all(store)
    report: ImportReport = bring_in(store, None, path)
    whole = {(row.code, row.open, row.high, row.low, row.close) for row in MARKET[:20].itertuples()}
    assert {(code, *prices[:4]) for code, _, *prices in _bars(store)} <= whole
    assert report.refused + report.refused_files <= 1
    store.close()
    shutil.rmtree(tmp_path / "unpacked", ignore_errors=True)


def test_text_of_another_encoding_costs_its_line(tmp_path: Path, store: SQLiteStore) -> None:
    data = _written("EQ090724.CSV").encode().replace(b"NAME ", b"CAF\xc9 ", 1)
    (tmp_path / "EQ090724.CSV").write_bytes(data)
    report = bring_in(store, None, tmp_path)
    assert [(item.line, item.rule) for item in report.first_refused] == [(2, Rule.ENCODING)]
    assert report.tally.added == 999
