"""The served feature vector of one stock as of one day."""

from datetime import date

from preprocess.features.row import FeatureRow
from preprocess.market import StockHistory


def feature_row(history: StockHistory, day: date) -> FeatureRow:
    """The 25 features of `history` as of `day`, from nothing dated after it."""
    raise NotImplementedError(history, day)
