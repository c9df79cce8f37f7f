"""Background tasks: named, held, and cancelled at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do again and again, `interval_s` seconds after it was last done."""

    action: Callable[[], Awaitable[None]]
    interval_s: float


@asynccontextmanager
async def running(chores: Mapping[str, Chore]) -> AsyncIterator[None]:
    """Do the chores while the block runs. A bug in one is logged and ends neither it nor others."""
    tasks = [asyncio.create_task(_repeat(name, chore), name=name) for name, chore in chores.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(name: str, chore: Chore) -> None:
    failing = False
    while True:
        try:
            await chore.action()
            failing = False
        except Exception:
            if not failing:  # once, not every second
                log.exception("a background task fails", task=name)
            failing = True
        await asyncio.sleep(chore.interval_s)
