"""Input files for perf_analyzer: many rows of the market, so that none is asked for again soon."""

import base64
import json
from pathlib import Path

import numpy as np

from preprocess.calendar import from_day_number
from preprocess.columns import Array, MarketColumns
from preprocess.features.batch import batch_rows
from preprocess.features.row import MINIMUM_ROWS
from tests.performance.market import SEED

ROWS = 20_000


def write_pairs(columns: MarketColumns, target: Path, count: int = ROWS) -> None:
    """Stocks and trading days with enough history, for the ensembles."""
    places, days = _chosen(columns, count)
    codes = columns.codes[places].astype("U6").tolist()
    _write(
        target,
        [
            {"bse_code": [code], "prediction_date": [from_day_number(day).isoformat()]}
            for code, day in zip(codes, days.tolist(), strict=True)
        ],
    )


def write_features(columns: MarketColumns, target: Path, count: int = ROWS) -> None:
    """The features of the same, for the classifiers; as bytes, since JSON has no NaN."""
    values = batch_rows(columns, *_chosen(columns, count)).values.astype(np.float32)
    _write(
        target,
        [{"features": {"b64": base64.b64encode(row.tobytes()).decode()}} for row in values],
    )


def _chosen(columns: MarketColumns, count: int) -> tuple[Array, Array]:
    prices = columns.prices
    places = np.repeat(np.arange(len(columns)), np.diff(prices.starts))
    enough = np.flatnonzero(np.arange(prices.rows) - prices.starts[places] >= MINIMUM_ROWS)
    chosen = np.random.default_rng(SEED).permutation(enough)[:count]
    return places[chosen], prices["day"][chosen]


def _write(target: Path, rows: list[dict[str, object]]) -> None:
    target.write_text(json.dumps({"data": rows}), encoding="utf-8")
