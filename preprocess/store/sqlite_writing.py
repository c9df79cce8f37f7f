"""The values of preprocess.market to rows of SQLite, within one transaction."""

import math
import secrets
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date

from preprocess.market import (
    Bar,
    CircuitLabel,
    CorporateAction,
    DailyPrediction,
    QuarterResult,
    StaticRow,
    Stock,
    Tally,
)
from preprocess.store.packs import StalePacks
from preprocess.store.sqlite_packs import write_packs
from preprocess.store.sqlite_predictions import delete_predictions, write_predictions
from preprocess.store.sqlite_reading import SQLiteReader
from preprocess.store.upsert import Table, upsert

# First days for the change log: an industry moves features on every day, a name on none.
EVERY_DAY = date.min
NO_DAY = date.max

PRICES = Table(
    "price_movements",
    ("bse_code", "date"),
    ("open", "high", "low", "close", "volume", "prev_close", "adjusted"),
    first_day="s.date",
)
RESULTS = Table(
    "historical_financials",
    ("bse_code", "fiscal_year", "quarter"),
    ("period_end", "announced_on", "revenue_cr", "pat_cr", "operating_profit_cr", "eps"),
    first_day="s.period_end",  # results, and a wrong date that is corrected, are known only later
    keep_known=True,
)
ACTIONS = Table(
    "corporate_actions",
    ("bse_code", "ex_date", "kind"),
    ("ratio", "subject"),
    first_day="s.ex_date",
)
STOCKS = Table(
    "stocks",
    ("bse_code",),
    ("nse_symbol", "company_name", "isin", "industry", "status"),
    first_day=(
        "CASE WHEN coalesce(s.industry, p.industry) IS NOT p.industry"
        f" THEN '{EVERY_DAY.isoformat()}' ELSE '{NO_DAY.isoformat()}' END"
    ),
    keep_known=True,
)
STATICS = Table(
    "static_features",
    ("bse_code", "month"),
    ("sector", "sector_code", "market_cap_cr", "market_cap_tier"),
    first_day="s.month || '-01'",
)
LABELS = Table(
    "upper_circuit_labels",
    ("bse_code", "earnings_date"),
    ("next_day_date", "price_change_pct", "label"),
    first_day="s.next_day_date",
)


class SQLiteWriter(SQLiteReader):
    """The writes of one transaction on a connection that is inside BEGIN IMMEDIATE."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection)
        self._touched: dict[str, str] = {}
        self._stale = StalePacks()

    @property
    def touched(self) -> Mapping[str, date]:
        """Stocks changed so far, each with the first day whose answers may differ."""
        return {code: date.fromisoformat(day) for code, day in self._touched.items()}

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what is written inside the block if it raises, and nothing else."""
        before = dict(self._touched), self._stale.copy()
        self._connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # A full disk may have ended the whole transaction already.
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK TO part")
                self._connection.execute("RELEASE part")
            self._touched, self._stale = before
            raise
        self._connection.execute("RELEASE part")

    def put_prices(self, bars: Sequence[Bar]) -> Tally:
        """Insert or correct daily bars; a stock not yet known is entered into `stocks`."""
        new = {
            code
            for code in {bar.bse_code for bar in bars}
            if self._connection.execute(
                "INSERT INTO stocks (bse_code) VALUES (?) ON CONFLICT DO NOTHING", (code,)
            ).rowcount
        }
        self._stale.stocks |= new
        return self._write(
            PRICES,
            [
                (
                    bar.bse_code,
                    bar.day.isoformat(),
                    bar.open,
                    bar.high,
                    bar.low,
                    bar.close,
                    bar.volume,
                    bar.prev_close,
                    int(bar.adjusted),
                )
                for bar in bars
            ],
        )

    def put_results(self, rows: Sequence[tuple[str, QuarterResult]]) -> Tally:
        """Insert or correct quarterly results; a missing figure does not erase a known one."""
        return self._write(
            RESULTS,
            [
                (
                    code,
                    result.quarter.fiscal_year,
                    f"Q{result.quarter.quarter}",
                    result.period_end.isoformat(),
                    result.announced_on.isoformat() if result.announced_on else None,
                    _or_null(result.revenue_cr),
                    _or_null(result.pat_cr),
                    _or_null(result.operating_profit_cr),
                    _or_null(result.eps),
                )
                for code, result in rows
            ],
        )

    def put_actions(self, rows: Sequence[tuple[str, CorporateAction]]) -> Tally:
        """Insert or correct corporate actions."""
        return self._write(
            ACTIONS,
            [
                (code, action.ex_date.isoformat(), action.kind, action.ratio, action.subject)
                for code, action in rows
            ],
        )

    def put_stocks(self, stocks: Sequence[Stock]) -> Tally:
        """Insert or correct listings; a missing field does not erase a known one."""
        return self._write(
            STOCKS,
            [
                (
                    stock.bse_code,
                    stock.nse_symbol,
                    stock.company_name,
                    stock.isin,
                    stock.industry,
                    stock.status,
                )
                for stock in stocks
            ],
        )

    def put_statics(self, rows: Sequence[tuple[str, StaticRow]]) -> Tally:
        """Insert or correct monthly stamps."""
        return self._write(
            STATICS,
            [
                (
                    code,
                    row.month,
                    row.sector,
                    row.sector_code,
                    row.market_cap_cr,
                    row.market_cap_tier,
                )
                for code, row in rows
            ],
        )

    def put_predictions(self, rows: Sequence[DailyPrediction]) -> Tally:
        """Insert or replace stored predictions; one that says the same is left as it is."""
        return write_predictions(self._connection, rows)

    def drop_predictions(
        self, prediction_date: date, model_version: int, bse_codes: Sequence[str]
    ) -> int:
        """Take out the predictions of some stocks; how many there were."""
        return delete_predictions(self._connection, prediction_date, model_version, bse_codes)

    def delete_prices(self, bse_code: str, first: date, last: date) -> int:
        """Take out a stock's bars dated `first` to `last`, both included; how many there were."""
        removed = self._connection.execute(
            "DELETE FROM price_movements WHERE bse_code = ? AND date BETWEEN ? AND ?"
            " RETURNING bse_code, date",
            (bse_code, first.isoformat(), last.isoformat()),
        ).fetchall()
        self._touch(PRICES, removed)
        return len(removed)

    def replace_labels(self, bse_code: str, labels: Sequence[CircuitLabel]) -> Tally:
        """Make `labels` all the labels of a stock."""
        kept = [label.earnings_date.isoformat() for label in labels]
        marks = ", ".join("?" * len(kept))
        removed = self._connection.execute(
            "DELETE FROM upper_circuit_labels WHERE bse_code = ?"  # noqa: S608 - question marks only
            f" AND earnings_date NOT IN ({marks}) RETURNING bse_code, next_day_date",
            (bse_code, *kept),
        ).fetchall()
        self._touch(LABELS, removed)
        tally = self._write(
            LABELS,
            [
                (
                    bse_code,
                    label.earnings_date.isoformat(),
                    label.next_day_date.isoformat(),
                    label.price_change_pct,
                    label.label,
                )
                for label in labels
            ],
        )
        tally.changed += len(removed)
        return tally

    def finish(self) -> None:
        """Write the packs and the change log; the last thing before the commit."""
        write_packs(self._connection, self, self._stale)
        token = secrets.token_hex(8)
        self._connection.executemany(
            "INSERT INTO change_log (bse_code, date, token) VALUES (?, ?, ?)",
            [(code, day, token) for code, day in sorted(self._touched.items())],
        )

    def _write(self, table: Table, rows: Sequence[tuple[object, ...]]) -> Tally:
        tally, changes = upsert(self._connection, table, rows)
        self._touch(table, changes)
        return tally

    def _touch(self, table: Table, changes: Iterable[tuple[str, str]]) -> None:
        for code, day in changes:
            self._touched[code] = min(day, self._touched.get(code, day))
            if table is PRICES:
                self._stale.add_price(code, day)
            else:
                self._stale.stocks.add(code)


def pack_everything(connection: sqlite3.Connection) -> None:
    """Write every pack from the rows: what the migration that brought packs ends with."""
    codes = connection.execute("SELECT bse_code FROM stocks").fetchall()
    years = connection.execute(
        "SELECT DISTINCT bse_code, CAST(substr(date, 1, 4) AS INTEGER) FROM price_movements"
    ).fetchall()
    stale = StalePacks(set(years), {code for (code,) in codes})
    write_packs(connection, SQLiteReader(connection), stale)


def _or_null(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
