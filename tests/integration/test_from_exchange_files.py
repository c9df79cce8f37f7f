"""From files as the exchanges publish them, and nothing else, to a served answer."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from preprocess.features.batch import batch_rows
from preprocess.features.derive import refresh_derived
from preprocess.features.manifest import FEATURE_NAMES
from preprocess.market.calendar import from_day_number
from preprocess.market.values import Bar, QuarterResult, Stock, StockHistory
from preprocess.settings import Settings
from preprocess.store.sqlite.store import SQLiteStore
from tests.integration.clients import rest
from tests.integration.stack import copied, running, tezi

pytestmark = pytest.mark.triton

STOCKS = 30
Market = list[tuple[Stock, StockHistory]]


def isin(number: int) -> str:
    return f"INE{number:03d}D01018"


@pytest.fixture
def market(demo_market: Settings) -> Market:
    """Some stocks of the demo market, with every kind of thing that is known of them."""
    with closing(SQLiteStore(demo_market.database_path)) as store:
        found = [
            (stock, history)
            for stock in store.stocks()
            if (history := store.history(stock.bse_code)) and len(history.prices) > 200
        ]
    with_actions = [each for each in found if each[1].actions]
    assert with_actions
    return [*with_actions[:5], *[each for each in found if not each[1].actions][: STOCKS - 5]]


def _bars(history: StockHistory) -> Iterator[Bar]:
    prices = history.prices
    for row, day in enumerate(prices.days.tolist()):
        columns = (prices.open, prices.high, prices.low, prices.close)
        opening, high, low, close = (round(float(column[row]), 2) for column in columns)
        volume = int(prices.volume[row])
        yield Bar(history.bse_code, from_day_number(day), opening, high, low, close, volume)


def _daily(folder: Path, market: Market) -> None:
    """A UDiFF of BSE for each day; NSE's of other prices, which are not to be taken."""
    lines: dict[tuple[str, str], list[str]] = {}
    for number, (stock, history) in enumerate(market):
        for bar in _bars(history):
            for exchange, factor in (("BSE", 1), ("NSE", 7)):
                lines.setdefault((exchange, f"{bar.day}"), []).append(
                    f"{bar.day},CM,{exchange},STK,{bar.bse_code if factor == 1 else number},"
                    f"{isin(number)},{stock.nse_symbol},{'A' if factor == 1 else 'EQ'},NAME,"
                    f"{bar.open},{bar.high},{bar.low},{bar.close},,{bar.volume * factor}"
                )
    header = (
        "TradDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,FinInstrmNm,"
        "OpnPric,HghPric,LwPric,ClsPric,PrvsClsgPric,TtlTradgVol"
    )
    for (exchange, day), rows in lines.items():
        name = f"BhavCopy_{exchange}_CM_0_0_0_{day.replace('-', '')}_F_0000.csv"
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, "\n".join([header, *rows, ""]))


def _lists(folder: Path, market: Market) -> None:
    (folder / "Equity.csv").write_text(
        "Security Code,Issuer Name,Security Id,Security Name,Status,Group,Face Value,ISIN No,"
        "Industry,Instrument\n"
        + "".join(
            f"{stock.bse_code},{stock.company_name},ID,NAME,Active,A,10.00,{isin(number)},"
            f"{stock.industry or ''},Equity,,,,,\n"
            for number, (stock, _) in enumerate(market)
        )
    )
    (folder / "EQUITY_L.csv").write_text(
        "SYMBOL,NAME OF COMPANY, SERIES, DATE OF LISTING, PAID UP VALUE, MARKET LOT, ISIN NUMBER,"
        " FACE VALUE\n"
        + "".join(
            f"{stock.nse_symbol},{stock.company_name},EQ,29-NOV-1995,10,1,{isin(number)},10\n"
            for number, (stock, _) in enumerate(market)
        )
    )


def _actions(folder: Path, market: Market) -> None:
    words = {"bonus": "Bonus issue {:g}:1", "split": "Stock  Split From Rs.{:g}/- to Rs.1/-"}
    rows = [
        f"{stock.bse_code},NAME,Name,{action.ex_date:%d %b %Y},"
        + words[action.kind].format((action.ratio or 0) - (action.kind == "bonus"))
        + f",{action.ex_date:%d %b %Y},,,,,\n"
        for stock, history in market
        for action in history.actions
    ]
    (folder / "Corporate_Actions.csv").write_text(
        "Security Code,Security Name,Company Name,Ex Date,Purpose,Record Date,BC Start Date,"
        "BC End Date,ND Start Date,ND End Date,Actual Payment Date\n" + "".join(rows)
    )


def _document(code: str, result: QuarterResult, *, dated: bool) -> str:
    """A filing in XBRL; the day on which it was announced is in it, or in the list of filings."""
    end = result.period_end
    crores = {
        "RevenueFromOperations": result.revenue_cr,
        "ProfitLossForPeriod": result.pat_cr,
        "ProfitBeforeExceptionalItemsAndTax": result.operating_profit_cr,
    }
    eps = "BasicEarningsLossPerShareFromContinuingAndDiscontinuedOperations"
    facts: dict[str, object] = {
        "ScripCode": code,
        "DateOfStartOfReportingPeriod": (end - timedelta(days=89)).replace(day=1),
        "DateOfEndOfReportingPeriod": end,
        "NatureOfReportStandaloneConsolidated": "Consolidated",
        "FinanceCosts": 0,
        "DepreciationDepletionAndAmortisationExpense": 0,
        "OtherIncome": 0,
        **{k: f"{value * 1e7:.0f}" for k, value in crores.items() if not math.isnan(value)},
        **({} if math.isnan(result.eps) else {eps: result.eps}),
    }
    if dated:
        facts["DateOfBoardMeetingWhenFinancialResultsWereApproved"] = result.announced_on
    lines = "".join(f'<f:{k} contextRef="OneD">{v}</f:{k}>' for k, v in facts.items())
    space = 'xmlns="http://www.xbrl.org/2003/instance" xmlns:f="urn:in-bse-fin"'
    return f'<?xml version="1.0"?><xbrl {space}><context id="OneD"/>{lines}</xbrl>'


def _results(folder: Path, market: Market) -> None:
    listed = []
    with zipfile.ZipFile(folder / "xbrl.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (stock, history) in enumerate(market):
            for result in history.results:
                dated = result.announced_on is not None and number % 2 == 0
                name = f"{stock.bse_code}_{result.period_end}.xml"
                archive.writestr(name, _document(stock.bse_code, result, dated=dated))
                if result.announced_on and not dated:
                    listed.append(
                        f"{stock.nse_symbol},{result.period_end:%d-%b-%Y},Consolidated,"
                        f"{result.announced_on:%d-%b-%Y} 18:05:11\n"
                    )
    (folder / "CF-Financial-Results.csv").write_text(
        "SYMBOL,PERIOD ENDED,CONSOLIDATED / NON-CONSOLIDATED,BROADCAST DATE/TIME\n"
        + "".join(listed)
    )


def _store(path: Path, market: Market) -> SQLiteStore:
    """The same market, written without any file."""
    store = SQLiteStore(path, write=True)
    with store.transaction() as writer:
        writer.put_stocks(
            [
                Stock(s.bse_code, s.nse_symbol, s.company_name, isin(n), s.industry)
                for n, (s, _) in enumerate(market)
            ]
        )
        for stock, history in market:
            writer.put_prices(list(_bars(history)))
            writer.put_actions([(stock.bse_code, action) for action in history.actions])
            writer.put_results(
                [
                    (
                        stock.bse_code,
                        QuarterResult(
                            *(r.quarter, r.period_end, r.announced_on),
                            *(r.revenue_cr, r.pat_cr, r.operating_profit_cr, r.eps),
                        ),
                    )
                    for r in history.results
                ]
            )
        refresh_derived(writer, circuit_pct=5.0)
    return store


def test_exchange_files_alone_lead_to_the_same_answers(
    demo_market: Settings, market: Market, tmp_path: Path
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    for write in (_daily, _lists, _actions, _results):
        write(files, market)
    settings = copied(demo_market.home, tmp_path / "home")
    for old in settings.home.glob("market.db*"):
        old.unlink()
    done = tezi(settings, "import", files, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "0 refused" not in done.stdout
    assert "TEZI_PRICE_EXCHANGE" in done.stdout  # NSE's prices of the same stocks
    plain = _store(tmp_path / "plain.db", market)
    with closing(SQLiteStore(settings.database_path)) as imported:
        for stock, _ in market:
            found, expected = (each.history(stock.bse_code) for each in (imported, plain))
            assert found is not None
            assert expected is not None
            assert [(s.month, s.sector, s.market_cap_tier) for s in found.statics] == [
                (s.month, s.sector, s.market_cap_tier) for s in expected.statics
            ]
            assert found.labels == expected.labels
            assert [(a.ex_date, a.kind, a.ratio) for a in found.actions] == [
                (a.ex_date, a.kind, a.ratio) for a in expected.actions
            ]
    columns = plain.columns()
    plain.close()
    day = int(columns.prices["day"].max())
    codes = [code.decode() for code in columns.codes.tolist()]
    rows = batch_rows(columns, np.arange(len(codes)), np.full(len(codes), day, dtype=np.int32))
    with running(settings):
        pairs = [(code, from_day_number(day).isoformat()) for code in codes]
        answers = rest(settings, pairs)
    assert [answer["error"] for answer in answers] == [None] * len(codes)
    for row, answer in zip(rows.values, answers, strict=True):
        values = [answer["features"][name] for name in FEATURE_NAMES]
        served = [math.nan if value is None else value for value in values]
        assert served == pytest.approx(row.tolist(), rel=1e-6, abs=1e-6, nan_ok=True)
