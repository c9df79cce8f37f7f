"""The database care is tested on both databases, as the store is."""

from tests.preprocess.store.conftest import database, store

__all__ = ["database", "store"]
