"""The data report: planted faults are found, each once, and nothing else."""

import base64
import json
import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from gateway.cli import main
from preprocess.errors import StoreError
from preprocess.market.values import CorporateAction, PriceBand, Stock
from preprocess.quality.checks import Refused
from preprocess.quality.page import html_page
from preprocess.quality.report import DataReport, data_report
from preprocess.store import Writer
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import bars, result, weekdays

DAYS = weekdays(60)
CODES = [f"{500000 + number}" for number in range(30)]
CODE = CODES[7]


def fill(writer: Writer) -> None:
    """Stocks that trade on every session, with a result each, and nothing odd."""
    writer.put_stocks([Stock(code) for code in CODES])
    for code in CODES:
        writer.put_prices(bars(code, [100.0 + row % 5 for row in range(len(DAYS))]))
    writer.put_results([(code, result(2024, 3)) for code in CODES])


def reported(store: SQLiteStore, day: date | None = None, **about: Any) -> DataReport:
    report, _ = data_report(store, day, max_age_sessions=5, named={}, **about)
    return report


def found(report: DataReport) -> dict[str, int]:
    return {check.name: check.found for check in report.checks if check.found}


def fall(writer: Writer, row: int = 30, ratio: float = 2.0) -> None:
    closes = [(100.0 + n % 5) / (ratio if n >= row else 1.0) for n in range(len(DAYS))]
    writer.put_prices(bars(CODE, closes))


def act(writer: Writer, kind: str, ratio: float | None, ex_date: date = DAYS[30]) -> None:
    writer.put_actions([(CODE, CorporateAction(ex_date, kind, ratio))])


def split(writer: Writer, ratio: float, ex_date: date = DAYS[30]) -> None:
    fall(writer)
    act(writer, "split", ratio, ex_date)


def demerger(writer: Writer) -> None:
    fall(writer)
    act(writer, "demerger", None)


def band(writer: Writer, percent: float | None) -> None:
    """A rise of 9 % on the session after the day of a band."""
    fall(writer, 31, 1 / 1.08)
    writer.put_bands([PriceBand(CODE, DAYS[30], percent, "sec_list")])


def quiet_day(writer: Writer) -> None:
    (bar,) = bars(CODE, [100.0], DAYS[10])
    writer.put_prices([replace(bar, volume=0)])


FAULTS: dict[str, tuple[Callable[[Writer], object], dict[str, int]]] = {
    "clean": (lambda _writer: None, {}),
    "unknown split": (fall, {"jumps": 1}),
    "known split": (lambda writer: split(writer, 2.0), {}),
    "split of a day without a session": (
        lambda writer: split(writer, 2.0, DAYS[30] - timedelta(days=1)),
        {},
    ),
    "split with a wrong ratio": (lambda writer: split(writer, 10.0), {"jumps": 1}),
    "split too early": (lambda writer: split(writer, 2.0, DAYS[20]), {"jumps": 2}),
    "demerger": (demerger, {}),
    "penny stock": (
        lambda writer: writer.put_prices(bars(CODE, [0.15 - 0.05 * (n % 2) for n in range(60)])),
        {},
    ),
    "gap": (lambda writer: writer.delete_prices(CODE, DAYS[20], DAYS[30]), {"gaps": 1}),
    "gap of ten": (lambda writer: writer.delete_prices(CODE, DAYS[20], DAYS[29]), {}),
    "stale": (lambda writer: writer.delete_prices(CODE, DAYS[54], DAYS[59]), {"stale": 1}),
    "five sessions old": (lambda writer: writer.delete_prices(CODE, DAYS[55], DAYS[59]), {}),
    "gone": (
        lambda writer: writer.delete_prices(CODE, DAYS[39], DAYS[59]),
        {"stale": 1, "dead_names": 1},
    ),
    "gone and known to be": (
        lambda writer: (
            writer.delete_prices(CODE, DAYS[39], DAYS[59]),
            writer.put_stocks([Stock(CODE, status="delisted")]),
        ),
        {"dead_names": 1},
    ),
    "no volume": (quiet_day, {"zero_volumes": 1}),
    "undated": (
        lambda writer: writer.put_results([(CODE, result(2023, 2, announced=None))]),
        {"undated_results": 1},
    ),
    "no results": (lambda writer: writer.put_prices(bars("600000", [9.0] * 60)), {"no_results": 1}),
    "out of the band": (lambda writer: band(writer, 5.0), {"band_violations": 1}),
    "within the band": (lambda writer: band(writer, 10.0), {}),
    "no band": (lambda writer: band(writer, None), {}),
    "no session": (
        lambda writer: writer.put_exchange_calendar("test", [*DAYS, DAYS[-1] - timedelta(days=3)]),
        {},
    ),
    "a holiday": (
        lambda writer: writer.put_exchange_calendar("test", [*DAYS[:40], *DAYS[41:]]),
        {"calendar": 1},
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_and_nothing_else(store: SQLiteStore, fault: str) -> None:
    plant, expected = FAULTS[fault]
    with store.transaction() as writer:
        fill(writer)
        plant(writer)
    report = reported(store)
    assert found(report) == expected
    for check in report.checks:
        assert len(check.examples) == check.found
        assert check.name == "dead_names" or check.look == (check.found > 0)
        if check.found and check.name not in {"calendar", "dead_names"}:
            assert check.examples[0].startswith("600000" if check.name == "no_results" else CODE)


def test_nothing_after_the_day_is_looked_at(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        fill(writer)
    before = reported(store, DAYS[29])
    assert (before.bars, before.sessions) == (30 * 30, 30)
    with store.transaction() as writer:
        split(writer, 10.0)
        writer.put_bands([PriceBand(CODE, DAYS[30], 1.0, "sec_list")])
        writer.put_results([(CODE, result(2024, 4, announced=None))])
        writer.put_prices(bars("600000", [9.0] * 20, DAYS[40]))
        writer.delete_prices(CODES[3], DAYS[31], DAYS[50])
    assert reported(store, DAYS[29]) == before
    assert found(reported(store)) != found(before)


def test_a_long_history_without_a_dead_name_holds_survivors(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        for code in CODES:
            writer.put_prices(bars(code, [100.0] * 260))
        writer.put_results([(code, result(2024, 3)) for code in CODES])
    assert [check.name for check in reported(store).to_look_at] == ["dead_names"]
    with store.transaction() as writer:
        writer.delete_prices(CODE, DAYS[59], date(2026, 1, 1))
        writer.put_stocks([Stock(CODE, status="delisted")])
    report = reported(store)
    assert report.to_look_at == []
    assert report.verdict == "None of 10 checks found anything to look at."


def test_without_prices_up_to_the_day_there_is_no_report(store: SQLiteStore) -> None:
    with pytest.raises(StoreError, match="tezi import"):
        reported(store)
    with store.transaction() as writer:
        fill(writer)
    with pytest.raises(StoreError, match="no prices up to 2023-01-01"):
        reported(store, date(2023, 1, 1))


def test_the_page_stands_alone_and_escapes_what_files_say(store: SQLiteStore) -> None:
    with store.transaction() as writer:
        fill(writer)
    hostile = '<script>alert(1)</script>.csv: "no"'
    report, of = data_report(store, max_age_sessions=5, named={}, refused=Refused(10, 1, [hostile]))
    page = html_page(report, of)
    assert page == html_page(report, of)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.csv" in page
    assert "<script" not in page
    outside = [link for link in re.findall(r'(?:src|href)="([^"]*)', page) if link[:5] != "data:"]
    assert outside == []
    for image in re.findall(r'base64,([^"]+)"', page):
        assert ET.fromstring(base64.b64decode(image)).tag.endswith("svg")
    assert page.count("<img alt=") == 4


def test_the_command_writes_what_it_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path))
    with (
        closing(SQLiteStore(tmp_path / "market.db", write=True)) as opened,
        opened.transaction() as writer,
    ):
        fill(writer)
        fall(writer)
    for day, refused in ((DAYS[58], 3), (DAYS[59] + timedelta(days=1), 99)):
        evening = tmp_path / "reports" / "predictions" / day.isoformat()
        evening.mkdir(parents=True)
        document = {
            "rows": 7,
            "refused": {
                "total": refused,
                "first": [{"file": "a.csv", "line": 2, "detail": "high is below low"}],
            },
            "refused_files": {"total": 1, "first": [{"file": "b.zip", "reason": "is damaged"}]},
        }
        (evening / "import.json").write_text(json.dumps(document))
    newest = DAYS[59].isoformat()
    done = CliRunner().invoke(main, ["report", "data", "--date", newest], env={"COLUMNS": "140"})
    assert done.exit_code == 0, done.output
    assert "2 of 10 checks are to be looked at: jumps 1, refused 4." in done.output
    folder = tmp_path / "reports" / "data" / newest
    assert str(folder / "report.html") in done.output
    written = json.loads((folder / "report.json").read_bytes())
    checks = {check["name"]: check for check in written["checks"]}
    assert checks["jumps"]["examples"] == [f"{CODE} on {DAYS[30]}: -52%"]
    assert checks["refused"]["of"] == 10
    assert checks["refused"]["examples"] == [
        "b.zip: is damaged",
        "a.csv, line 2: high is below low",
    ]
    assert "b.zip: is damaged" in (folder / "report.html").read_text(encoding="utf-8")
    early = CliRunner().invoke(main, ["report", "data", "--date", "1999-01-01"])
    assert early.exit_code == 1
    assert "no prices up to 1999-01-01" in early.stderr
    (folder / "report.json").unlink()
    (folder / "report.json").mkdir()
    blocked = CliRunner().invoke(main, ["report", "data"])
    assert blocked.exit_code == 1
    assert "directory" in blocked.stderr


@pytest.mark.market_data
def test_on_real_data_as_pandas_reads_them(real_store: SQLiteStore) -> None:
    report = reported(real_store)
    frame = pd.DataFrame(
        [
            (h.bse_code, day, close, volume)
            for h in real_store.histories()
            for day, close, volume in zip(
                h.prices.days.tolist(), h.prices.close, h.prices.volume, strict=True
            )
        ],
        columns=["code", "day", "close", "volume"],
    )
    counts = frame.groupby("day")["code"].count()
    sessions = counts[counts > len(set(frame["code"])) / 5].index
    rank = pd.Series(np.arange(len(sessions)), index=sessions)
    frame["rank"] = rank.reindex(frame["day"]).to_numpy()
    step = frame.groupby("code")["rank"].diff()
    newest = frame.groupby("code")["rank"].max()
    ages = len(sessions) - 1 - newest
    active = {stock.bse_code for stock in real_store.stocks() if stock.status == "active"}
    checks = found(report)
    assert report.bars == len(frame)
    assert report.sessions == len(sessions) == 840
    assert checks["gaps"] == int((step > 11).sum())
    assert checks["stale"] == int((ages[ages.index.isin(active)] > 5).sum())
    assert checks["dead_names"] == int((ages > 20).sum())
    assert checks.get("zero_volumes", 0) == int((frame["volume"] == 0).sum())
    assert checks["calendar"] == 6
    # Six are splits of exchange-traded funds that the list of actions lacks.
    jumps = next(check for check in report.checks if check.name == "jumps")
    assert jumps.found == 12
    assert jumps.examples[:2] == ["533172 on 2026-04-30: -99%", "590110 on 2026-02-13: -90%"]
