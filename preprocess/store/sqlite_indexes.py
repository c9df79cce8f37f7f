"""Indexes that were found to help, made in the database itself."""

import sqlite3
from collections.abc import Sequence

from preprocess.errors import StoreError
from preprocess.store.indexes import Index


def create_indexes(connection: sqlite3.Connection, indexes: Sequence[Index]) -> list[Index]:
    """Make those that are not there, all or none; which they were.

    The connection must be in autocommit mode. SQLite locks writers out while an index is built;
    readers go on.

    Raises:
        StoreError: an index of that name is over other columns.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        made = [index for index in dict.fromkeys(indexes) if _make(connection, index)]
        for index in made:
            connection.execute(f"ANALYZE {index.name}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return made


def _make(connection: sqlite3.Connection, index: Index) -> bool:
    row = connection.execute(
        "SELECT tbl_name FROM sqlite_master WHERE type = 'index' AND name = ?", (index.name,)
    ).fetchone()
    if row is None:
        connection.execute(index.sql)
        return True
    columns = connection.execute("SELECT name FROM pragma_index_info(?)", (index.name,)).fetchall()
    if row[0] != index.table or tuple(name for (name,) in columns) != index.columns:
        raise StoreError(
            f"There is an index {index.name} already, over other columns: drop it, or keep it and "
            "do without this one."
        )
    return False
