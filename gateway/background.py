"""Periodic background tasks: named, and cancelled at the end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class PeriodicTask:
    """An action, repeated `interval_s` seconds after its last run ended."""

    action: Callable[[], Awaitable[None]]
    interval_s: float


@asynccontextmanager
async def running(periodic: Mapping[str, PeriodicTask]) -> AsyncIterator[None]:
    """Run the tasks while the block runs. An error in one is logged; the task is run again."""
    tasks = [asyncio.create_task(_repeat(name, one), name=name) for name, one in periodic.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _repeat(name: str, periodic: PeriodicTask) -> None:
    failing = False
    while True:
        try:
            await periodic.action()
            failing = False
        except Exception:
            if not failing:  # log the first failure only, not one a second
                log.exception("background task failed", task=name)
            failing = True
        await asyncio.sleep(periodic.interval_s)
