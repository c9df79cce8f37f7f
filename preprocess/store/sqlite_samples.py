"""The table announcement_samples: kept up from the change log, stock by stock."""

import sqlite3
from collections.abc import Sequence
from datetime import date

from preprocess.calendar import FiscalQuarter, announcement_limit
from preprocess.market import Mark
from preprocess.samples import Refreshed, Samples
from preprocess.store.sample_rows import COLUMNS, TABLE, sample_of
from preprocess.store.sqlite_session import SQLiteReader

# filing_limit() is calendar.announcement_limit: the rule is written there and nowhere else. The
# newest results are those of the latest quarter that was known, as in features.financial.
_FILL = f"""
INSERT INTO announcement_samples ({COLUMNS})
SELECT l.bse_code, l.earnings_date, p.date, p.close, p.volume, f.fiscal_year, f.quarter,
       coalesce(f.announced_on, filing_limit(f.fiscal_year, f.quarter, f.period_end)),
       f.revenue_cr, f.pat_cr, f.operating_profit_cr, f.eps,
       l.next_day_date, l.price_change_pct, l.label
FROM stocks s JOIN upper_circuit_labels l ON l.bse_code = s.bse_code
LEFT JOIN price_movements p ON p.bse_code = l.bse_code AND p.date = (
    SELECT max(date) FROM price_movements
    WHERE bse_code = l.bse_code AND date <= l.earnings_date)
LEFT JOIN historical_financials f ON f.bse_code = l.bse_code
    AND (f.fiscal_year, f.quarter) = (
        SELECT fiscal_year, quarter FROM historical_financials
        WHERE bse_code = l.bse_code
          AND coalesce(announced_on, filing_limit(fiscal_year, quarter, period_end))
              <= l.earnings_date
        ORDER BY fiscal_year DESC, quarter DESC LIMIT 1)
WHERE s.bse_code IN (SELECT bse_code FROM temp.stale)
"""  # noqa: S608 - names are constants

_CHANGED = "INSERT INTO temp.stale SELECT DISTINCT bse_code FROM change_log WHERE sequence > ?"
# Beside the stocks there are, those that the table still holds and the market no longer does.
_EVERYTHING = (
    "INSERT INTO temp.stale SELECT bse_code FROM stocks"
    " UNION SELECT bse_code FROM announcement_samples"
)


def refresh_samples(connection: sqlite3.Connection) -> Refreshed:
    """Bring the table to the newest commit, in one transaction.

    Only stocks that changed since the mark that it holds are computed; all of them if that mark is
    not in the log (another database's table, or an older log put back).
    """
    connection.create_function("filing_limit", 3, _filing_limit, deterministic=True)
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS stale (bse_code TEXT PRIMARY KEY)")
    connection.execute("BEGIN IMMEDIATE")
    try:
        refreshed = _refreshed(connection)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return refreshed


def _refreshed(connection: sqlite3.Connection) -> Refreshed:
    reader = SQLiteReader(connection)
    mark, held = reader.mark(), held_mark(connection)
    whole = held == Mark() or not reader.has_mark(held)
    connection.execute("DELETE FROM temp.stale")
    if whole:
        connection.execute(_EVERYTHING)
    else:
        connection.execute(_CHANGED, (held.sequence,))
    stocks = connection.execute("SELECT count(*) FROM temp.stale").fetchone()[0]
    connection.execute(
        "DELETE FROM announcement_samples WHERE bse_code IN (SELECT bse_code FROM temp.stale)"
    )
    rows = connection.execute(_FILL).rowcount
    connection.execute(
        "UPDATE derived_marks SET sequence = ?, token = ? WHERE name = ?",
        (mark.sequence, mark.token, TABLE),
    )
    return Refreshed(int(stocks), int(rows), mark, whole)


def read_samples(connection: sqlite3.Connection, bse_codes: Sequence[str] | None = None) -> Samples:
    """The table as it was refreshed last, of all stocks or of `bse_codes`."""
    query = f"SELECT {COLUMNS} FROM announcement_samples"  # noqa: S608 - names are constants
    connection.execute("BEGIN")
    try:
        held = held_mark(connection)
        if bse_codes is None:
            rows = connection.execute(f"{query} ORDER BY bse_code, earnings_date").fetchall()
        else:
            rows = [
                row
                for code in sorted(set(bse_codes))
                for row in connection.execute(
                    f"{query} WHERE bse_code = ? ORDER BY earnings_date", (code,)
                )
            ]
    finally:
        connection.execute("COMMIT")
    return Samples(held, tuple(map(sample_of, rows)))


def held_mark(connection: sqlite3.Connection) -> Mark:
    """The mark of the commit that the table holds."""
    row = connection.execute(
        "SELECT sequence, token FROM derived_marks WHERE name = ?", (TABLE,)
    ).fetchone()
    return Mark(*row)


def _filing_limit(
    fiscal_year: int | None, quarter: str | None, period_end: str | None
) -> str | None:
    if fiscal_year is None or quarter is None or period_end is None:
        return None  # the row of a stock without known results
    label = FiscalQuarter(fiscal_year, int(quarter[1]))
    return announcement_limit(label, date.fromisoformat(period_end)).isoformat()
