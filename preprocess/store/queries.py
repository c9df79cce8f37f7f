"""The queries that the product runs all the time, to be explained and timed."""

from dataclasses import dataclass

from preprocess.store.pool import Parameters
from preprocess.store.reading import (
    ACTIONS,
    CHANGES_SINCE,
    DAILY_PREDICTIONS,
    LABELS,
    LISTED_STOCKS,
    LISTINGS,
    NEWEST_MARK,
    PRICE_DAYS,
    RESULTS,
    SECTOR_CODES,
    STAMPED_MONTHS,
    STATICS,
)

BARS = (
    "SELECT date, open, high, low, close, volume, adjusted FROM price_movements"
    " WHERE bse_code = ? ORDER BY date"
)
SAMPLES = "SELECT * FROM announcement_samples ORDER BY bse_code, earnings_date"


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A read-only query with example parameters."""

    name: str
    sql: str
    parameters: Parameters = ()


def product_queries(bse_code: str, day: str, sequence: int) -> tuple[NamedQuery, ...]:
    """The product's queries for a stock, a day (ISO) and a number of the change log."""
    stock = (bse_code,)
    return (
        NamedQuery("newest mark", NEWEST_MARK),
        NamedQuery("changes since", CHANGES_SINCE, (sequence,)),
        NamedQuery("packs of a stock", "SELECT * FROM stock_packs WHERE bse_code = ?", stock),
        NamedQuery(
            "price packs of a stock",
            "SELECT data FROM price_packs WHERE bse_code = ? ORDER BY year",
            stock,
        ),
        NamedQuery("bars of a stock", BARS, stock),
        NamedQuery("results of a stock", RESULTS.select, stock),
        NamedQuery("actions of a stock", ACTIONS.select, stock),
        NamedQuery("labels of a stock", LABELS.select, stock),
        NamedQuery("stamps of a stock", STATICS.select, stock),
        NamedQuery("stocks", LISTED_STOCKS),
        NamedQuery("listings", LISTINGS),
        NamedQuery("first and last day", PRICE_DAYS),
        NamedQuery("sector codes", SECTOR_CODES),
        NamedQuery("stamped months", STAMPED_MONTHS),
        NamedQuery("predictions of a day", DAILY_PREDICTIONS, (day, 1)),
        NamedQuery("samples", SAMPLES),
    )
