"""The trading sessions that a market shows."""

from collections.abc import Mapping, Sequence
from datetime import date

from preprocess.market.sessions import Sessions, seen_days
from preprocess.market.values import Listing
from preprocess.store.base import Store

# So many stocks that were traded last have, between them, a price of every session.
_TRADED_LAST = 50


def read_sessions(
    store: Store, named: Mapping[date, bool], listings: Sequence[Listing] | None = None
) -> Sessions:
    """The sessions of the store's prices and of the calendar; `listings` are the store's.

    Raises:
        StoreError: the database cannot be read.
    """
    listings = store.listings() if listings is None else listings
    newest = sorted(listings, key=lambda listing: listing.newest_price)[-_TRADED_LAST:]
    columns = store.columns([listing.stock.bse_code for listing in newest])
    return Sessions(seen_days(columns), store.exchange_calendar()[1], named)
