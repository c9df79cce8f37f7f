"""`tezi import` as a user runs it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli import main
from preprocess.store.sqlite.store import SQLiteStore
from tests.builders import weekdays
from tests.preprocess.imports.builders import many_prices, price_file, text_file

DAYS = weekdays(60)
SAMPLES = Path(__file__).parent / "samples"


@pytest.fixture
def tezi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Tezi":
    """The command, with a data folder of its own."""
    monkeypatch.setenv("TEZI_DATA_DIR", str(tmp_path / "data"))
    return Tezi(tmp_path / "data" / "market.db")


class Tezi:
    """Runs `tezi import` and looks at the database."""

    def __init__(self, database: Path) -> None:
        self.database = database

    def __call__(self, *arguments: str | Path) -> Result:
        return CliRunner().invoke(main, ["import", *map(str, arguments)])

    def store(self) -> SQLiteStore:
        return SQLiteStore(self.database)


def test_prices_results_and_what_follows_from_them(tmp_path: Path, tezi: Tezi) -> None:
    stocks = text_file(tmp_path / "s.csv", "bse_code,name,industry", "500002,ABB,Machines")
    results = text_file(
        tmp_path / "f.csv",
        "bse_code,fiscal_year,quarter,period_end,announced_on,revenue_cr,pat_cr,"
        "operating_profit_cr,eps",
        f"500002,2024,Q3,2023-12-31,{DAYS[20]},10,2,3,1",
    )
    actions = text_file(
        tmp_path / "a.csv", "bse_code,ex_date,kind,subject", "500002,2024-02-01,bonus,Bonus 1:1"
    )
    rows = many_prices("500002", DAYS[:21]) + many_prices("500002", DAYS[21:], close=11.0)
    prices = price_file(tmp_path / "p.csv", *rows)
    for kind, path in (("stocks", stocks), ("financials", results), ("actions", actions)):
        done = tezi(kind, path)
        assert (done.exit_code, done.exception) == (0, None), done.output
    done = tezi("prices", "--adjusted", prices, "--json", tmp_path / "report.json")
    assert done.exit_code == 0, done.output
    assert "Stocks changed: 1, in" in done.output
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert (report["kind"], report["added"], report["stocks_changed"]) == ("prices", 60, 1)
    store = tezi.store()
    history = store.history("500002")
    store.close()
    assert history is not None
    assert history.prices.adjusted.all()
    assert [label.label for label in history.labels] == [1]
    assert {row.month for row in history.statics} == {"2024-01", "2024-02", "2024-03"}


def test_a_refused_file_is_an_exit_status_and_the_rest_goes_in(tmp_path: Path, tezi: Tezi) -> None:
    good = price_file(tmp_path / "p.csv", *many_prices("500002", DAYS), "500002,x,1,1,1,1,1")
    bad = text_file(tmp_path / "q.csv", "nonsense")
    done = tezi("prices", bad, good)
    assert done.exit_code == 1
    assert f"refused whole: {bad}: its header is of no known kind." in done.output
    assert f"{good}, line 62: no date" in done.output
    store = tezi.store()
    assert store.span().price_rows == 60
    store.close()


def test_a_folder_of_all_kinds_and_again(tmp_path: Path, tezi: Tezi) -> None:
    done = tezi(SAMPLES / "udiff_bse", SAMPLES / "real_action_exports/Corporate_Actions_bse.csv")
    assert done.exit_code == 0, done.output
    assert "BSE and NSE daily prices (UDiFF): 1 file" in done.output
    assert "Nothing new" not in done.output
    again = tezi(SAMPLES / "real_action_exports/Corporate_Actions_bse.csv", SAMPLES / "udiff_bse")
    assert "Nothing new" in again.output
    assert tezi("prices").exit_code == 2


def test_nothing_to_take_is_an_exit_status(tmp_path: Path, tezi: Tezi) -> None:
    assert tezi("prices", price_file(tmp_path / "p.csv")).exit_code == 1


def test_wrong_arguments_are_reported_before_the_import(tmp_path: Path, tezi: Tezi) -> None:
    good = price_file(tmp_path / "p.csv", *many_prices("500002", DAYS))
    assert tezi("prices", tmp_path / "none.csv").exit_code == 2
    done = tezi("prices", good, "--json", tmp_path / "none" / "report.json")
    assert done.exit_code == 2
    assert "there is no folder" in done.output
    assert not tezi.database.exists()


def test_an_unwritable_report_is_an_error_after_the_import(tmp_path: Path, tezi: Tezi) -> None:
    good = price_file(tmp_path / "p.csv", *many_prices("500002", DAYS))
    done = tezi("prices", good, "--json", "/dev/full")
    assert done.exit_code == 1
    assert "the import is done, its report is not" in done.output
    store = tezi.store()
    assert store.span().price_rows == 60
    store.close()
