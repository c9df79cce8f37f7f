"""The database care is tested on both databases, as the store is."""

from tests.preprocess.store.conftest import place, store

__all__ = ["place", "store"]
