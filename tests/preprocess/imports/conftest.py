"""A store for imports."""

import pytest

from preprocess.market.values import Stock
from preprocess.store.sqlite.store import SQLiteStore


@pytest.fixture
def listed(store: SQLiteStore) -> SQLiteStore:
    """A store that knows one stock of both exchanges."""
    with store.transaction() as writer:
        writer.put_stocks([Stock("500325", "ALPHAIND", "Alpha", "INE002A01018")])
    return store
