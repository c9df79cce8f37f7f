"""Rows of the announcement samples, which look alike in both databases."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from preprocess.samples import AnnouncementSample

TABLE = "announcement_samples"

_NAMES = (
    "bse_code",
    "earnings_date",
    "price_date",
    "close",
    "volume",
    "fiscal_year",
    "quarter",
    "known_on",
    "revenue_cr",
    "pat_cr",
    "operating_profit_cr",
    "eps",
    "next_day_date",
    "price_change_pct",
    "label",
)
_DAYS = ("earnings_date", "price_date", "known_on", "next_day_date")

COLUMNS = ", ".join(_NAMES)


def sample_of(row: Sequence[Any]) -> AnnouncementSample:
    """The sample of a row whose days are ISO text or None."""
    values = dict(zip(_NAMES, row, strict=True))
    for name in _DAYS:
        values[name] = values[name] and date.fromisoformat(values[name])
    return AnnouncementSample(**values)
