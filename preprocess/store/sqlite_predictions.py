"""The table daily_predictions: answers of the evening run, which touch no stock."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
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
_KNOWN = (
    "SELECT count(*) FROM json_each(?) CROSS JOIN daily_predictions"
    " WHERE bse_code = value AND prediction_date = ? AND model_version = ?"
)
# A row that says the same keeps the moment when that was first said.
_PUT = (
    "INSERT INTO daily_predictions (bse_code, prediction_date, model_version,"
    " predicted_label, probability, confidence, variant, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET predicted_label = excluded.predicted_label,"
    " probability = excluded.probability, confidence = excluded.confidence,"
    " variant = excluded.variant, created_at = excluded.created_at"
    " WHERE (predicted_label, probability, confidence, variant) IS NOT"
    " (excluded.predicted_label, excluded.probability, excluded.confidence, excluded.variant)"
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
    by_run: dict[tuple[date, int], dict[str, DailyPrediction]] = {}
    for row in rows:
        by_run.setdefault((row.prediction_date, row.model_version), {})[row.bse_code] = row
    tally = Tally()
    for (day, version), one_run in by_run.items():
        tally += _write_run(connection, day, version, one_run)
    return tally


def _write_run(
    connection: sqlite3.Connection,
    prediction_date: date,
    model_version: int,
    rows: Mapping[str, DailyPrediction],
) -> Tally:
    """Write the rows of one day by one version."""
    day = prediction_date.isoformat()
    parameters = (json.dumps(list(rows)), day, model_version)
    (known,) = connection.execute(_KNOWN, parameters).fetchone()
    written = connection.executemany(
        _PUT,
        [
            (
                code,
                day,
                model_version,
                row.predicted_label,
                row.probability,
                row.confidence,
                row.variant,
                row.created_at.astimezone(UTC).isoformat(),
            )
            for code, row in rows.items()
        ],
    ).rowcount
    added = len(rows) - known
    return Tally(added, written - added, len(rows) - written)


def delete_predictions(
    connection: sqlite3.Connection,
    prediction_date: date,
    model_version: int,
    bse_codes: Sequence[str],
) -> int:
    """Take out the rows of `bse_codes`; how many there were."""
    keys = [(code, prediction_date.isoformat(), model_version) for code in bse_codes]
    return connection.executemany(_DROP, keys).rowcount if keys else 0
