"""What a pool of connections is, whichever the database."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

# Connections are PEP 249's: cursor(), commit(), rollback(). Their types belong to the drivers.
Connection = Any


class Pool(Protocol):
    """At most so many connections, lent one at a time. Safe to share between threads."""

    @property
    def size(self) -> int:
        """Most connections that there are at once."""
        ...

    @property
    def idle(self) -> int:
        """Connections that are open and not in use."""
        ...

    def connection(self) -> AbstractContextManager[Connection]:
        """One connection for the time of the block, as nobody else uses it.

        It comes back without an open transaction, whatever happened in the block.

        Raises:
            StoreError: none became free in time, or the pool is closed.
        """
        ...

    def close(self) -> None:
        """Close every connection; one that is lent is closed when it comes back."""
        ...
