"""The served feature vector of one stock as of one day."""

from datetime import date

import numpy as np

from preprocess.features.adjustment import adjusted
from preprocess.features.event import event_features
from preprocess.features.financial import financial_features
from preprocess.features.row import MINIMUM_ROWS, FeatureRow, Status
from preprocess.features.static import static_features
from preprocess.features.technical import technical_features
from preprocess.market.calendar import from_day_number
from preprocess.market.values import StockHistory

_LARGEST_SERVED = float(np.finfo(np.float32).max)


def feature_row(history: StockHistory, day: date) -> FeatureRow:
    """The 25 features of `history` as of `day`, from nothing dated after it.

    Values that float32 cannot hold count as missing, so that infinity never leaves.
    """
    prices = history.prices.until(day)
    if len(prices) < MINIMUM_ROWS:
        return FeatureRow.without_values(Status.SHORT_HISTORY)
    prices = adjusted(prices, history.actions, day)
    values = np.array(
        technical_features(prices)
        + financial_features(history.results, day)
        + event_features(prices, history.labels, day)
        + static_features(history.statics, day)
    )
    values[np.abs(values) > _LARGEST_SERVED] = np.nan
    return FeatureRow(Status.OK, from_day_number(prices.days[-1]), values)
