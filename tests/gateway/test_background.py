"""Periodic tasks: named, repeated, not ended by their own errors, cancelled at the end."""

import asyncio

import structlog

from gateway.background import PeriodicTask, running


async def test_tasks_are_repeated_in_spite_of_errors_which_are_logged_once() -> None:
    runs = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal runs
        runs += 1
        if runs == 8:
            enough.set()
        if runs not in (4, 5):
            raise ZeroDivisionError

    with structlog.testing.capture_logs() as lines:
        async with running({"some work": PeriodicTask(work, 0.0)}):
            assert "some work" in {task.get_name() for task in asyncio.all_tasks()}
            await enough.wait()
    assert "some work" not in {task.get_name() for task in asyncio.all_tasks()}
    assert [(line["event"], line["task"]) for line in lines] == [
        ("background task failed", "some work"),
        ("background task failed", "some work"),
    ]


async def test_the_end_does_not_wait_for_a_run_in_flight() -> None:
    started = asyncio.Event()

    async def work() -> None:
        started.set()
        await asyncio.Event().wait()

    async with running({"long work": PeriodicTask(work, 1)}):
        await started.wait()
