"""A caller's deadline, its hanging up, and cancellation from outside."""

import asyncio

import pytest
from starlette.types import Message

from gateway.api import deadline as module
from gateway.api.deadline import Deadline
from gateway.errors import CallerGoneError, DeadlineExceededError


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LISTEN_AFTER_S", 0.01)


async def hung_up() -> Message:
    return {"type": "http.disconnect"}


async def test_what_is_done_in_time_is_done() -> None:
    with Deadline(60.0) as deadline:
        await asyncio.sleep(0)
        assert 30 < deadline.remaining_s <= 60
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


@pytest.mark.parametrize("seconds", [0.02, 0.08], ids=["before listening", "after"])
async def test_the_deadline_ends_the_block(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(DeadlineExceededError), Deadline(seconds):
        await asyncio.Event().wait()
    assert loop.time() - began + 0.002 >= seconds
    await asyncio.sleep(0)  # nothing of the cancellation is left


async def test_hanging_up_ends_the_block(soon: None) -> None:
    async def block() -> None:
        with Deadline(60.0) as deadline:
            deadline.listen(hung_up)
            await asyncio.Event().wait()

    with pytest.raises(CallerGoneError):
        await block()


async def test_listening_begins_at_once_when_the_body_came_late(soon: None) -> None:
    async def block() -> None:
        with Deadline(60.0) as deadline:
            await asyncio.sleep(0.03)
            deadline.listen(hung_up)
            await asyncio.Event().wait()

    with pytest.raises(CallerGoneError):
        await block()


async def test_a_caller_who_stays_is_waited_for_and_the_listener_goes(soon: None) -> None:
    heard = asyncio.Event()

    async def receive() -> Message:
        heard.set()
        await asyncio.Event().wait()
        raise AssertionError

    with Deadline(60.0) as deadline:
        deadline.listen(receive)
        await heard.wait()
    await asyncio.sleep(0)
    assert "disconnect" not in {task.get_name() for task in asyncio.all_tasks()}


async def test_cancellation_from_outside_stays_one() -> None:
    async def block() -> None:
        with Deadline(60.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_both_at_once_is_a_cancellation() -> None:
    async def block() -> None:
        with Deadline(60.0) as deadline:
            deadline._expire()
            task.cancel()
            await asyncio.Event().wait()

    task = asyncio.create_task(block())
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()


async def test_the_first_reason_counts(soon: None) -> None:
    async def block() -> None:
        with Deadline(60.0) as deadline:
            deadline._expire()
            await deadline._disconnected(hung_up)
            await asyncio.Event().wait()

    with pytest.raises(DeadlineExceededError):
        await block()


async def test_an_error_of_the_block_itself_passes() -> None:
    with pytest.raises(ZeroDivisionError), Deadline(60.0):
        raise ZeroDivisionError


def test_a_deadline_needs_a_task() -> None:
    with pytest.raises(RuntimeError), Deadline(1.0):
        pass
