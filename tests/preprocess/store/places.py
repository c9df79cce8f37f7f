"""A place for a market in either database, for tests that hold for both."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from preprocess.database_url import DatabaseURL
from preprocess.settings import Settings, load_settings
from preprocess.store import Store, open_database
from tests.postgres import written_out


@dataclass
class Place:
    """Where a market lies; what is opened there is closed with the test."""

    url: DatabaseURL
    break_down: Callable[[], None]  # takes a table away
    closing: ExitStack = field(default_factory=ExitStack)

    def settings(self, **overrides: Any) -> Settings:
        """Settings that name this place."""
        return load_settings(database_url=written_out(self.url), **overrides)

    def open(self, *, write: bool = True, **overrides: Any) -> Store:
        """A store here."""
        store = open_database(self.url, self.settings(**overrides), write=write)
        self.closing.callback(store.close)
        return store
