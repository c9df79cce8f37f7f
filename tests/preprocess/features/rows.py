"""One stock's row computed twice: by the compiled batch, and by the definition with TA-Lib."""

from datetime import date

import numpy as np

from preprocess.features.adjustment import adjusted
from preprocess.features.batch import STATUSES, as_dates, batch_rows
from preprocess.market.calendar import day_number
from preprocess.market.columns import columns_of
from preprocess.market.values import Floats, StockHistory
from tests.preprocess.features.closeness import assert_same_features
from tests.preprocess.features.definition import FeatureRow, feature_row


def row_of(history: StockHistory, day: date) -> FeatureRow:
    """The batch's row of a stock that lies alone, once it is shown to be the definition's."""
    return _checked(history, day)[0]


def both_rows(history: StockHistory, day: date) -> Floats:
    """Values of the batch and of the definition, [2, 25], which agree to 1e-9.

    For properties that hold bit for bit: compare each computation with itself.
    """
    return np.stack([row.values for row in _checked(history, day)])


def _checked(history: StockHistory, day: date) -> tuple[FeatureRow, FeatureRow]:
    days = np.array([day_number(day)], dtype=np.int32)
    rows = batch_rows(columns_of([history]), np.zeros(1, dtype=np.int64), days)
    found = FeatureRow(STATUSES[int(rows.status[0])], as_dates(rows.as_of)[0], rows.values[0])
    expected = feature_row(history, day)
    context = f"{history.bse_code} on {day}"
    assert (found.status, found.as_of) == (expected.status, expected.as_of), context
    known = adjusted(history.prices.until(day), history.actions, day)
    highest = known.close.max(initial=0.0)
    assert_same_features(found.values, expected.values, context=context, highest=float(highest))
    return found, expected
