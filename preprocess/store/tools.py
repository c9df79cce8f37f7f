"""What a database of either kind offers beside the store itself."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from preprocess.database_url import SQLiteURL
from preprocess.errors import StoreError
from preprocess.market import Mark
from preprocess.samples import Samples
from preprocess.settings import Settings
from preprocess.store.base import Store, Writer
from preprocess.store.indexes import Index
from preprocess.store.laboratory import Laboratory
from preprocess.store.pool import Connection, Pool
from preprocess.store.statements import Observer, Parameters
from preprocess.store.upkeep import Upkeep

POOL_SIZE = 10
POOL_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class Rows:
    """What a query gave."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


@dataclass(frozen=True, slots=True)
class Version:
    """What a query over the market would see: the newest commit, and that of the samples."""

    market: Mark
    samples: Mark


class DatabaseTools(Protocol):
    """The tools of one database. Each raises StoreError with what to do."""

    def observed(self, observer: Observer) -> AbstractContextManager[Store]:
        """The store, for reading, with an observer of its statements."""
        ...

    def laboratory(self) -> AbstractContextManager[Laboratory]:
        """A place to try indexes out."""
        ...

    def upkeep(self, derive: Callable[[Writer], None]) -> AbstractContextManager[Upkeep]:
        """The chores; `derive` brings up to date what follows from rows that were put right."""
        ...

    def pool(self, size: int = POOL_SIZE, wait_s: float = POOL_WAIT_S) -> Pool:
        """A pool of at most `size` connections, of which one is waited for `wait_s` at most."""
        ...

    def create_indexes(self, indexes: Sequence[Index]) -> list[Index]:
        """Make those that are not there, all or none; which they were."""
        ...

    def version(self, connection: Connection) -> Version:
        """What a query on this connection would see now."""
        ...

    def rows(self, connection: Connection, sql: str, parameters: Parameters) -> Rows:
        """Run a query that writes nothing."""
        ...

    def samples(self, bse_codes: Sequence[str] | None = None) -> Samples:
        """The announcement samples as they were refreshed last."""
        ...


def tools_for(settings: Settings) -> DatabaseTools:
    """The tools of the database that the settings name.

    Raises:
        StoreError: there is no database.
    """
    # Each needs its own driver, and its module needs this one.
    if isinstance(settings.database, SQLiteURL):
        from preprocess.store.sqlite_tools import SQLiteTools  # noqa: PLC0415 - see above

        path = settings.database.path
        if not path.exists():
            raise StoreError(
                f"There is no market database at {path}. Make one with `tezi demo`, or bring in "
                "real prices with `tezi import prices FILE`."
            )
        return SQLiteTools(path)
    from preprocess.store.postgres_tools import PostgresTools  # noqa: PLC0415 - see above

    return PostgresTools(settings.database, settings.postgres_statement_timeout_s)
