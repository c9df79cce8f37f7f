"""How long a caller waits: until its deadline, or until it hangs up."""

import asyncio
from types import TracebackType

from starlette.types import Receive

from gateway.errors import CallerGoneError, DeadlineExceededError, GatewayError

# Most requests are answered before this, and never pay for listening.
LISTEN_AFTER_S = 0.05


class Patience:
    """A block that ends with an error when its caller no longer waits.

    with Patience(timeout_s) as patience:
        body = await read_body(receive)
        patience.listen(receive)
        ...

    Raises:
        DeadlineExceededError: `timeout_s` seconds went by.
        CallerGoneError: the caller hung up.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._reason: GatewayError | None = None
        self._receive: Receive | None = None
        self._listener: asyncio.Task[None] | None = None

    def __enter__(self) -> "Patience":
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("patience is had inside a task")
        self._task = task
        self._cancelling = task.cancelling()
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + self._timeout_s
        self._timer = self._loop.call_later(min(LISTEN_AFTER_S, self._timeout_s), self._wake)
        self._awake = False
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
        # As asyncio.timeout does: a cancellation by somebody else stays a cancellation.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._reason from None

    @property
    def remaining_s(self) -> float:
        """Seconds that are left; not positive when none are."""
        return self._end - self._loop.time()

    def listen(self, receive: Receive) -> None:
        """Watch for a caller that hangs up. Only once the whole body has been read."""
        self._receive = receive
        if self._awake:
            self._start_listening(receive)

    def _wake(self) -> None:
        """One timer serves both ends: first it is time to listen, then it is too late."""
        self._awake = True
        self._timer = self._loop.call_at(self._end, self._expire)
        if self._receive is not None:
            self._start_listening(self._receive)

    def _start_listening(self, receive: Receive) -> None:
        self._listener = self._loop.create_task(self._hear(receive), name="caller hangs up")

    async def _hear(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._end_with(CallerGoneError("the caller hung up"))

    def _expire(self) -> None:
        self._end_with(DeadlineExceededError(f"no answer within {self._timeout_s:g} s"))

    def _end_with(self, reason: GatewayError) -> None:
        if self._reason is None:
            self._reason = reason
            self._task.cancel()
