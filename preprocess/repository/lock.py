"""One change of versions at a time, across all processes that share the data folder."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from filelock import AsyncFileLock, Timeout

from preprocess.errors import PublishError
from preprocess.settings import Settings

_WAIT_S = 30.0


@asynccontextmanager
async def only_change(settings: Settings, *, wait_s: float = _WAIT_S) -> AsyncIterator[None]:
    """Lock the versions for the block, after waiting for another change to finish.

    Raises:
        PublishError: the other change takes longer than `wait_s`, or the folder cannot be written.
    """
    folder = settings.versions_dir
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
    except OSError as error:
        raise PublishError(f"{folder} cannot be written: {error.strerror}.") from error
    try:
        yield
    finally:
        await lock.release()
