"""Background tasks: named, repeated, not ended by their own bugs, cancelled at the end."""

import asyncio

import structlog

from gateway.background import PeriodicTask, running


async def test_chores_run_again_and_again_until_the_end() -> None:
    done = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal done
        done += 1
        if done == 3:
            enough.set()

    async with running({"some work": PeriodicTask(work, 0.001)}):
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert "some work" in names
        await enough.wait()
    after = done
    await asyncio.sleep(0.01)
    assert done == after
    assert "some work" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_bug_is_logged_once_and_the_chore_goes_on() -> None:
    calls = 0
    enough = asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 8:
            enough.set()
        if calls not in (4, 5):
            raise ZeroDivisionError

    with structlog.testing.capture_logs() as lines:
        async with running({"some work": PeriodicTask(work, 0.001)}):
            await enough.wait()
    assert [(line["event"], line["task"]) for line in lines] == [
        ("background task failed", "some work"),
        ("background task failed", "some work"),
    ]


async def test_the_end_does_not_wait_for_work_under_way() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async with running({"long work": PeriodicTask(work, 1)}):
        await asyncio.sleep(0.01)
