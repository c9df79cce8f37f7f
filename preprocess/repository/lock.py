"""One change of versions at a time, over all processes that share the data folder."""

import asyncio
import fcntl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from preprocess.errors import PublishError
from preprocess.settings import Settings

_WAIT_S = 30.0
_LOOK_AGAIN_S = 0.05


@asynccontextmanager
async def only_change(settings: Settings, *, wait_s: float = _WAIT_S) -> AsyncIterator[None]:
    """Hold the versions for the block; another one at work is waited for.

    Raises:
        PublishError: it is still at work after `wait_s`.
    """
    settings.versions_dir.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + wait_s
    with (settings.versions_dir / "change.lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise PublishError(
                        "Another command is changing the versions; run this one again."
                    ) from None
                await asyncio.sleep(_LOOK_AGAIN_S)
        yield
