"""Writes the values of preprocess.market.values as rows of the tables, in one transaction."""

import math
import secrets
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, date
from operator import attrgetter
from typing import Any

from preprocess.market.calendar import FiscalQuarter
from preprocess.market.values import (
    FIGURES,
    Bar,
    CircuitLabel,
    CorporateAction,
    DailyPrediction,
    Filing,
    Identity,
    PriceBand,
    QuarterResult,
    StaticRow,
    Stock,
    Tally,
)
from preprocess.store.packs import StalePacks
from preprocess.store.reading import LABELS as STORED_LABELS
from preprocess.store.reading import RESULTS as STORED_RESULTS
from preprocess.store.reading import Reader
from preprocess.store.tables import (
    ACTIONS,
    BANDS,
    EARLIER_RESULTS,
    EVERY_DAY,
    FILINGS,
    IDENTITIES,
    LABELS,
    PREDICTIONS,
    PRICES,
    RESULTS,
    STATICS,
    STOCKS,
    TABLES,
    Table,
)

# Attributes that go unchanged into columns of the same names.
_BAR = attrgetter("open", "high", "low", "close", "volume", "prev_close")
_STOCK = attrgetter(*STOCKS.columns)
_STAMP = attrgetter("month", *STATICS.values)
_PREDICTION = attrgetter("predicted_label", "probability", "confidence", "variant")
# Tables of which no column is in a pack.
_UNPACKED = (BANDS, FILINGS, IDENTITIES)
# A stock that only prices told of, and of which none is left.
_DROP_IF_UNKNOWN = (
    "DELETE FROM stocks WHERE bse_code = ? AND nse_symbol IS NULL AND company_name IS NULL"
    " AND isin IS NULL AND industry IS NULL AND NOT EXISTS (SELECT 1 FROM price_movements p"
    " WHERE p.bse_code = stocks.bse_code) AND NOT EXISTS (SELECT 1 FROM historical_financials f"
    " WHERE f.bse_code = stocks.bse_code) AND NOT EXISTS (SELECT 1 FROM corporate_actions a"
    " WHERE a.bse_code = stocks.bse_code)"
)
RESULTS_OF_STOCK = STORED_RESULTS.select.replace(STORED_RESULTS.table, RESULTS.name)
# The years that a stock has bars of, or a pack.
_YEARS = (
    "SELECT CAST(substr(CAST(date AS text), 1, 4) AS integer) FROM price_movements"
    " WHERE bse_code = ? UNION SELECT year FROM price_packs WHERE bse_code = ?"
)


class Writer(Reader):
    """One transaction: its reads see its writes, which take effect at its end or not at all."""

    def __init__(self) -> None:
        self._touched: dict[str, str] = {}
        self._stale = StalePacks()

    @abstractmethod
    def _run(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Run a statement without a result; returns the number of rows it wrote."""

    @abstractmethod
    def _in_transaction(self) -> bool:
        """Whether the transaction is still open."""

    @abstractmethod
    def _enter_stocks(self, codes: Iterable[str]) -> set[str]:
        """Enter the unknown codes into `stocks`; returns those that were unknown."""

    @abstractmethod
    def _upsert(
        self, table: Table, rows: Sequence[tuple[object, ...]]
    ) -> tuple[Tally, Iterable[tuple[str, str]]]:
        """Write `rows`; also return (code, first day) of each change."""

    @abstractmethod
    def _append(self, table: Table, rows: Sequence[tuple[object, ...]]) -> None:
        """Write `rows`, all of them new."""

    @abstractmethod
    def _write_packs(self, stale: StalePacks) -> set[str]:
        """Rewrite stale packs from the rows; returns the stocks of which a pack changed."""

    @abstractmethod
    def _log_changes(self, changes: Sequence[tuple[str, str]], token: str) -> None:
        """Write the change log: codes and first days, in this order."""

    @property
    def touched(self) -> Mapping[str, date]:
        """Stocks changed by this transaction, with the first day whose answers may differ."""
        return {code: date.fromisoformat(day) for code, day in self._touched.items()}

    @property
    def only_repriced(self) -> Set[str]:
        """Touched stocks that were known before and had only bars or bands changed."""
        return self._touched.keys() - self._stale.stocks

    def label_may_change(self, bse_code: str, announced: date, changed: date) -> bool:
        """Whether a label from bars of `changed` or later may differ, or be new.

        Such are those of announcements on or after `announced` unless a stored label's next session
        lies before `changed`. Only recorded dates count: a filing limit announces nothing.
        """
        days = (bse_code, announced.isoformat(), changed.isoformat())
        found = self._row(
            "SELECT 1 FROM historical_financials f WHERE f.bse_code = ? AND f.announced_on >= ?"
            " AND NOT EXISTS (SELECT 1 FROM upper_circuit_labels l WHERE l.bse_code = f.bse_code"
            " AND l.earnings_date = f.announced_on AND l.next_day_date < ?)"
            " UNION ALL SELECT 1 FROM upper_circuit_labels WHERE bse_code = ?"
            " AND earnings_date >= ? AND next_day_date >= ? LIMIT 1",
            days * 2,
        )
        return found is not None

    def _results(self, bse_code: str) -> Iterable[QuarterResult]:
        """A stock's results as they are known today."""
        rows = self._rows(RESULTS_OF_STOCK, (bse_code,))
        return map(STORED_RESULTS.value, rows)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo only what is written inside the block, if it raises."""
        before = dict(self._touched), self._stale.copy()
        self._run("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # A full disk may have ended the whole transaction already.
            if self._in_transaction():
                self._run("ROLLBACK TO SAVEPOINT part")
                self._run("RELEASE SAVEPOINT part")
            self._touched, self._stale = before
            raise
        self._run("RELEASE SAVEPOINT part")

    def put_prices(self, bars: Sequence[Bar]) -> Tally:
        """Insert or correct daily bars; a stock not yet known is entered into `stocks`."""
        self._stale.stocks |= self._enter_stocks({bar.bse_code for bar in bars})
        rows = [(bar.bse_code, bar.day.isoformat(), *_BAR(bar), int(bar.adjusted)) for bar in bars]
        return self._write(PRICES, rows)

    def put_result_states(self, bse_code: str, states: Sequence[QuarterResult]) -> None:
        """Replace all that was known of one quarter by `states`, ascending by announcement.

        A figure that the last one misses does not erase a known one. A state without figures dates
        a known result, unless it was restated: those have dates of their own.
        """
        quarter = states[-1].quarter
        key = (bse_code, quarter.fiscal_year, f"Q{quarter.quarter}")
        of_quarter = "FROM earlier_results WHERE bse_code = ? AND fiscal_year = ? AND quarter = ?"
        known = [day for (day,) in self._rows(f"SELECT announced_on {of_quarter}", key)]
        if known and all(map(math.isnan, FIGURES(states[-1]))):
            return
        earlier = [_earlier_row(bse_code, state) for state in states[:-1]]
        removed = set(known) - {row[3] for row in earlier}
        for day in removed:
            self._run(f"DELETE {of_quarter} AND announced_on = ?", (*key, day))
        self._touch(EARLIER_RESULTS, [(bse_code, day) for day in removed])
        self._write(EARLIER_RESULTS, earlier)
        self._write(RESULTS, [_result_row(bse_code, states[-1])])

    def put_results(self, rows: Sequence[tuple[str, QuarterResult]]) -> Tally:
        """Insert or correct quarterly results; a missing figure does not erase a known one.

        Of one quarter, other figures announced on a later day are a restatement, in whichever order
        the two arrive, and both states are kept: those of before stay known until that day.
        """
        states = {
            code: {state.quarter: state for state in self._results(code)}
            for code in {code for code, _ in rows}
        }
        newest: dict[tuple[str, FiscalQuarter], QuarterResult] = {}
        restated, originals = [], []
        for code, result in rows:
            state = states[code].get(result.quarter)
            if state is not None and _restates(state, result):
                originals.append(_earlier_row(code, result))
                continue
            if state is not None and _restates(result, state):
                restated.append(_earlier_row(code, state))
            newest[code, result.quarter] = states[code][result.quarter] = result
        self._write(EARLIER_RESULTS, restated)
        tally = self._write(EARLIER_RESULTS, originals)
        tally += self._write(
            RESULTS, [_result_row(code, result) for (code, _), result in newest.items()]
        )
        return tally

    def put_actions(self, rows: Sequence[tuple[str, CorporateAction]]) -> Tally:
        """Insert or correct corporate actions."""
        return self._write(
            ACTIONS,
            [
                (code, action.ex_date.isoformat(), action.kind, action.ratio, action.subject)
                for code, action in rows
            ],
        )

    def put_bands(self, bands: Sequence[PriceBand]) -> Tally:
        """Insert or correct price bands."""
        return self._write(
            BANDS,
            [(each.bse_code, each.day.isoformat(), each.percent, each.source) for each in bands],
        )

    def put_filings(self, filings: Sequence[Filing]) -> Tally:
        """Insert or correct filings; a line of a list does not erase figures."""
        return self._write(
            FILINGS,
            [
                (
                    each.bse_code,
                    each.period_end.isoformat(),
                    each.basis,
                    each.filed_at,
                    *map(_or_null, FIGURES(each)),
                )
                for each in filings
            ],
        )

    def put_sectors(self, codes: Mapping[str, int]) -> None:
        """Enter sectors that have no code yet."""
        enter = "INSERT INTO sectors (name, code) VALUES (?, ?) ON CONFLICT DO NOTHING"
        for sector, code in codes.items():
            self._run(enter, (sector, code))

    def put_exchange_calendar(self, source: str, days: Iterable[date]) -> None:
        """Replace the exchange's calendar by the sessions of another release."""
        listed = ",".join(day.isoformat() for day in days)
        self._run("DELETE FROM exchange_calendar")
        self._run("INSERT INTO exchange_calendar VALUES (?, ?)", (source, listed))

    def drop_action(self, bse_code: str, ex_date: date, kind: str) -> None:
        """Delete a corporate action."""
        removed = self._run(
            "DELETE FROM corporate_actions WHERE bse_code = ? AND ex_date = ? AND kind = ?",
            (bse_code, ex_date.isoformat(), kind),
        )
        self._touch(ACTIONS, [(bse_code, ex_date.isoformat())] * removed)

    def put_stocks(self, stocks: Sequence[Stock]) -> Tally:
        """Insert or correct listings; a missing field does not erase a known one."""
        return self._write(STOCKS, list(map(_STOCK, stocks)))

    def put_identities(self, identities: Sequence[Identity]) -> None:
        """Replace what some stocks were called when; all identities of each must be given."""
        for code in {each.bse_code for each in identities}:
            self._run("DELETE FROM identities WHERE bse_code = ?", (code,))
        self._write(
            IDENTITIES,
            [
                (each.bse_code, each.valid_from.isoformat(), each.isin, each.nse_symbol)
                for each in identities
            ],
        )

    def put_statics(self, rows: Sequence[tuple[str, StaticRow]]) -> Tally:
        """Insert or correct monthly stamps."""
        return self._write(STATICS, [(code, *_STAMP(row)) for code, row in rows])

    def put_predictions(self, rows: Sequence[DailyPrediction]) -> Tally:
        """Insert or replace stored predictions. They are results, so no stock counts as changed.

        A prediction equal to the stored one is not written: its `created_at` stays.
        """
        given = [
            (
                row.bse_code,
                row.prediction_date.isoformat(),
                row.model_version,
                *_PREDICTION(row),
                row.created_at.astimezone(UTC).isoformat(timespec="microseconds"),
            )
            for row in rows
        ]
        return self._upsert(PREDICTIONS, given)[0]

    def drop_predictions(
        self, prediction_date: date, model_version: int, bse_codes: Sequence[str]
    ) -> int:
        """Delete the predictions of a version for some stocks and a day; returns their number."""
        drop = (
            "DELETE FROM daily_predictions"
            " WHERE bse_code = ? AND prediction_date = ? AND model_version = ?"
        )
        day = prediction_date.isoformat()
        return sum(self._run(drop, (code, day, model_version)) for code in bse_codes)

    def delete_prices(self, bse_code: str, first: date, last: date) -> int:
        """Delete a stock's bars dated `first` to `last`, both included; returns their number."""
        removed = [
            (code, day)
            for code, day in self._rows(
                "DELETE FROM price_movements WHERE bse_code = ? AND date BETWEEN ? AND ?"
                " RETURNING bse_code, date",
                (bse_code, first.isoformat(), last.isoformat()),
            )
        ]
        self._touch(PRICES, removed)
        if removed and self._run(_DROP_IF_UNKNOWN, (bse_code,)):
            for table in ("static_features", "stock_packs", "price_packs"):
                self._run(f"DELETE FROM {table} WHERE bse_code = ?", (bse_code,))  # noqa: S608 - names are constants
            self.touch(bse_code)
        return len(removed)

    def replace_labels(self, bse_code: str, labels: Sequence[CircuitLabel]) -> Tally:
        """Replace all labels of a stock by `labels`."""
        kept = {label.earnings_date.isoformat() for label in labels}
        removed = [
            (bse_code, following)
            for day, following, *_ in list(self._rows(STORED_LABELS.select, (bse_code,)))
            if day not in kept
            and self._run(
                "DELETE FROM upper_circuit_labels WHERE bse_code = ? AND earnings_date = ?",
                (bse_code, day),
            )
        ]
        self._touch(LABELS, removed)
        kept_rows = [
            (
                bse_code,
                label.earnings_date.isoformat(),
                label.next_day_date.isoformat(),
                label.price_change_pct,
                label.label,
                label.upper_circuit,
            )
            for label in labels
        ]
        tally = self._write(LABELS, kept_rows)
        tally.changed += len(removed)
        return tally

    def append_rows(self, table: Table, rows: Sequence[tuple[Any, ...]]) -> None:
        """Add new rows that have the table's columns in its order.

        Their stocks count as changed on every day.
        """
        self._append(table, rows)
        codes = {row[0] for row in rows}
        for code in codes:
            self.touch(code)
        if table is PRICES:
            self._stale.price_years |= {(code, int(day[:4])) for code, day, *_ in rows}
        else:
            self._stale.stocks |= codes

    def clear(self) -> None:
        """Delete every row of the market; each stock counts as changed on every day."""
        for code in self.bse_codes():
            self.touch(code)
        for table in (*(each.name for each in TABLES), "sectors", "price_packs", "stock_packs"):
            self._run(f"DELETE FROM {table}")  # noqa: S608 - names are constants

    def rebuild_packs(self, bse_codes: Sequence[str]) -> set[str]:
        """Rewrite the packs of some stocks from their rows; returns those whose packs were wrong.

        Those count as changed on every day.
        """
        years = {
            (code, int(year)) for code in bse_codes for (year,) in self._rows(_YEARS, (code, code))
        }
        wrong = self._write_packs(StalePacks(years, set(bse_codes)))
        self._stale.stocks |= wrong
        for code in wrong:
            self.touch(code)
        return wrong

    def drop_stray_packs(self) -> set[str]:
        """Delete packs of stocks that no longer exist: readers of columns would see them."""
        strays = {
            code
            for table in ("price_packs", "stock_packs")
            for (code,) in self._rows(
                f"DELETE FROM {table} WHERE bse_code NOT IN (SELECT bse_code FROM stocks)"  # noqa: S608 - names are constants
                " RETURNING bse_code"
            )
        }
        for code in strays:
            self.touch(code)
        return strays

    def touch(self, bse_code: str) -> None:
        """Count a stock as changed on every day."""
        self._touched[bse_code] = EVERY_DAY.isoformat()

    def finish(self) -> None:
        """Write the packs and the change log, just before the commit."""
        self._write_packs(self._stale)
        self._log_changes(sorted(self._touched.items()), secrets.token_hex(8))

    def _write(self, table: Table, rows: Sequence[tuple[object, ...]]) -> Tally:
        tally, changes = self._upsert(table, rows)
        self._touch(table, changes)
        return tally

    def _touch(self, table: Table, changes: Iterable[tuple[str, str]]) -> None:
        for code, day in changes:
            self._touched[code] = min(day, self._touched.get(code, day))
            if table is PRICES:
                self._stale.add_price(code, day)
            elif table is STOCKS:  # no pack holds a name, but every stock has packs
                if self._row("SELECT 1 FROM stock_packs WHERE bse_code = ?", (code,)) is None:
                    self._stale.stocks.add(code)
            elif table not in _UNPACKED:
                self._stale.stocks.add(code)


def _restates(result: QuarterResult, known: QuarterResult) -> bool:
    if not result.announced_on or not known.announced_on:
        return False
    if result.announced_on <= known.announced_on:
        return False
    pairs = zip(FIGURES(result), FIGURES(known), strict=True)
    return any(new != old and not math.isnan(new) and not math.isnan(old) for new, old in pairs)


def _result_row(code: str, result: QuarterResult) -> tuple[object, ...]:
    return (
        code,
        result.quarter.fiscal_year,
        f"Q{result.quarter.quarter}",
        result.period_end.isoformat(),
        result.announced_on.isoformat() if result.announced_on else None,
        *map(_or_null, FIGURES(result)),
        result.eps_as_of.isoformat() if result.eps_as_of else None,
    )


def _earlier_row(code: str, result: QuarterResult) -> tuple[object, ...]:
    *key, period_end, announced_on = _result_row(code, result)[:5]
    return *key, announced_on, period_end, *_result_row(code, result)[5:]


def _or_null(figure: float) -> float | None:
    return None if math.isnan(figure) else figure
