"""The table daily_predictions: answers of the evening run, which touch no stock."""

import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime

from preprocess.market import DailyPrediction, Tally

# Seeks from code to code: the key begins with the code, and a scan would read every day's rows.
_READ = (
    "WITH RECURSIVE codes(code) AS ("
    " SELECT min(bse_code) FROM daily_predictions UNION ALL"
    " SELECT (SELECT min(bse_code) FROM daily_predictions WHERE bse_code > code)"
    " FROM codes WHERE code IS NOT NULL)"
    " SELECT bse_code, predicted_label, probability, confidence, variant, created_at"
    " FROM codes CROSS JOIN daily_predictions"
    " WHERE bse_code = code AND prediction_date = ? AND model_version = ? ORDER BY code"
)
_INSERT = (
    "INSERT INTO daily_predictions (predicted_label, probability, confidence, variant, created_at,"
    " bse_code, prediction_date, model_version) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO NOTHING"
)
# Binds the same row; one that says the same keeps the moment when that was first said.
_CORRECT = (
    "UPDATE daily_predictions SET predicted_label = ?1, probability = ?2, confidence = ?3,"
    " variant = ?4, created_at = ?5"
    " WHERE bse_code = ?6 AND prediction_date = ?7 AND model_version = ?8"
    " AND (predicted_label, probability, confidence, variant) IS NOT (?1, ?2, ?3, ?4)"
)
_DROP = (
    "DELETE FROM daily_predictions WHERE bse_code = ? AND prediction_date = ? AND model_version = ?"
)


def read_predictions(
    connection: sqlite3.Connection, prediction_date: date, model_version: int
) -> list[DailyPrediction]:
    """The rows of a day by a version, ascending by code."""
    rows = connection.execute(_READ, (prediction_date.isoformat(), model_version))
    return [
        DailyPrediction(
            bse_code=code,
            prediction_date=prediction_date,
            model_version=model_version,
            predicted_label=label,
            probability=probability,
            confidence=confidence,
            variant=variant,
            created_at=datetime.fromisoformat(created_at),
        )
        for code, label, probability, confidence, variant, created_at in rows
    ]


def write_predictions(connection: sqlite3.Connection, rows: Sequence[DailyPrediction]) -> Tally:
    """Insert or replace; a row that says the same as the stored one is left as it is."""
    # The last of several rows with one key counts.
    bound = list(
        {
            (row.bse_code, row.prediction_date, row.model_version): (
                row.predicted_label,
                row.probability,
                row.confidence,
                row.variant,
                row.created_at.astimezone(UTC).isoformat(),
                row.bse_code,
                row.prediction_date.isoformat(),
                row.model_version,
            )
            for row in rows
        }.values()
    )
    added = connection.executemany(_INSERT, bound).rowcount if bound else 0
    changed = connection.executemany(_CORRECT, bound).rowcount if added < len(bound) else 0
    return Tally(added, changed, len(bound) - added - changed)


def delete_predictions(
    connection: sqlite3.Connection,
    prediction_date: date,
    model_version: int,
    bse_codes: Sequence[str],
) -> int:
    """Take out the rows of `bse_codes`; how many there were."""
    keys = [(code, prediction_date.isoformat(), model_version) for code in bse_codes]
    return connection.executemany(_DROP, keys).rowcount if keys else 0
