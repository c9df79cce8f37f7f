"""The market database: an interface (`Store`) and what stands behind it."""

from preprocess.errors import StoreError
from preprocess.settings import Settings
from preprocess.store.base import Reader, Store, Writer
from preprocess.store.sqlite import SQLiteStore

__all__ = ["Reader", "SQLiteStore", "Store", "Writer", "open_store"]


def open_store(settings: Settings, *, write: bool = False) -> Store:
    """The store that the settings name.

    With `write` the database is made if it is not there and brought to the newest schema.

    Raises:
        StoreError: there is no database to read, or it cannot be opened.
    """
    path = settings.database_path
    if not write and not path.exists():
        raise StoreError(
            f"There is no market database at {path}. Make one with `tezi demo`, or bring in real "
            "prices with `tezi import prices FILE`."
        )
    return SQLiteStore(path, write=write)
