"""One change of versions at a time, across all processes that share the data folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from filelock import AsyncFileLock, Timeout

from preprocess.errors import PublishError
from preprocess.repository.versions import require_published
from preprocess.settings import Settings

_WAIT_S = 30.0


@asynccontextmanager
async def only_change(
    settings: Settings, *, wait_s: float = _WAIT_S, first: bool = False
) -> AsyncIterator[None]:
    """Lock the versions for the block, after waiting for another change to finish.

    Only a change that may be the `first` one makes the folder: another may have a mistyped name.

    Raises:
        PublishError: the other change takes longer than `wait_s`.
        ModelError: there is no folder of versions.
        OSError: the folder cannot be written.
    """
    folder = settings.versions_dir
    if not first:
        require_published(folder)
    # An attempt takes no time; in a thread, a cancelled one could leave the lock acquired.
    lock = AsyncFileLock(
        folder / "change.lock",
        timeout=wait_s,
        run_in_executor=False,
        fallback_to_soft=False,
        preserve_lock_file=True,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        await lock.acquire()
    except Timeout:
        raise PublishError(
            "Another command is changing the versions; run this one again."
        ) from None
    try:
        yield
    finally:
        await lock.release()
