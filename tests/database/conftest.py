"""The database care is tested on both databases, as the store is."""

from tests.store.conftest import place, store

__all__ = ["place", "store"]
