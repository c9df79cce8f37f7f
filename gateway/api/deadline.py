"""Ends work for a caller at its deadline, or when it hangs up."""

import asyncio
from types import TracebackType

from starlette.types import Receive

from gateway.errors import CallerGoneError, DeadlineExceededError, GatewayError

# Most requests are answered sooner, so they never pay for a listening task.
LISTEN_AFTER_S = 0.05


class Deadline:
    """A block that ends with an error when its caller no longer waits for the result.

    with Deadline(timeout_s) as deadline:
        body = await read_body(receive)
        deadline.listen(receive)
        ...

    Raises:
        DeadlineExceededError: `timeout_s` seconds have passed.
        CallerGoneError: the caller hung up.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._reason: GatewayError | None = None
        self._receive: Receive | None = None
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> "Deadline":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a running task to cancel")
        self._task = task
        self._cancellations_before = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + self._timeout_s
        self._timer = self._loop.call_later(min(LISTEN_AFTER_S, self._timeout_s), self._on_timer)
        self._listening_due = False
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        if self._listener is not None:
            self._listener.cancel()
        if self._reason is None:
            return
        # As asyncio.timeout does: a cancellation from outside stays a cancellation.
        if self._task.uncancel() <= self._cancellations_before and kind is asyncio.CancelledError:
            raise self._reason from None

    @property
    def remaining_s(self) -> float:
        """Seconds left; zero or negative once the deadline has passed."""
        return self._end - self._loop.time()

    def listen(self, receive: Receive) -> None:
        """Watch for the caller hanging up. Call it only when the whole body has been read."""
        self._receive = receive
        if self._listening_due:
            self._start_listening(receive)

    def _on_timer(self) -> None:
        """One timer serves both purposes: it starts the listening, then it ends the block."""
        self._listening_due = True
        self._timer = self._loop.call_at(self._end, self._expire)
        if self._receive is not None:
            self._start_listening(self._receive)

    def _start_listening(self, receive: Receive) -> None:
        self._listener = self._loop.create_task(self._disconnected(receive), name="disconnect")

    async def _disconnected(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._end_with(CallerGoneError("the caller hung up"))

    def _expire(self) -> None:
        self._end_with(DeadlineExceededError(f"no answer within {self._timeout_s:g} s"))

    def _end_with(self, reason: GatewayError) -> None:
        if self._reason is None:
            self._reason = reason
            self._task.cancel()
