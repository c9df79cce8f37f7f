"""Stocks through Triton: batches, several under way at once, each tried a few times at most."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import date
from typing import Any, Self, TypeVar

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.errors import EveningError
from preprocess.evening.outcome import Outcome, Reason, Scored, Skipped
from preprocess.features.row import Status
from preprocess.repository.names import ensemble_name
from preprocess.triton.channel import open_channel
from preprocess.triton.ensemble import ensemble_request, raw_outputs, row_status
from preprocess.triton.tensors import TensorError, unpack_floats, unpack_ints, unpack_texts

# The features stay where they are: they are three quarters of an answer, and nobody reads them.
_OUTPUTS = ("as_of", "status", "probability", "model_version")

# Measured: docs/decisions/0012-evening-transport.md.
BATCH_ROWS = 512
IN_FLIGHT = 4

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a batch may take and how often it is tried; seconds.

    The pauses double from `first_pause` on, together about six seconds: a Triton that `tezi up`
    starts again is back by then.
    """

    answer: float = 30.0
    tries: int = 6
    first_pause: float = 0.2


PATIENCE = Patience()


@dataclass(slots=True)
class Traffic:
    """What went over the wire. `seconds` is the sum over requests, which overlap."""

    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    sent: int = 0
    received: int = 0


class TritonScorer:
    """Asks the ensemble of one variant. The channel is opened by the first request."""

    def __init__(self, address: str, variant: str, *, patience: Patience = PATIENCE) -> None:
        """`address` is host:port of Triton's gRPC service."""
        self.traffic = Traffic()
        self._address = address
        self._variant = variant
        self._patience = patience
        self._channel = open_channel(address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def batches(self, codes: Sequence[str], day: date) -> AsyncGenerator[list[Outcome], None]:
        """The outcomes of all codes in their order, a batch at a time.

        Raises:
            EveningError: a batch had no usable answer in any of its tries.
        """
        parts = (codes[at : at + BATCH_ROWS] for at in range(0, len(codes), BATCH_ROWS))
        asked = (self._batch(part, day.isoformat()) for part in parts)
        async with aclosing(in_order(asked, width=IN_FLIGHT)) as answered:
            async for outcomes in answered:
                yield outcomes

    async def _batch(self, codes: Sequence[str], day: str) -> list[Outcome]:
        request = ensemble_request(
            ensemble_name(self._variant), codes, [day] * len(codes), outputs=_OUTPUTS
        )
        pause = self._patience.first_pause
        for attempt in range(1, self._patience.tries + 1):
            try:
                return await self._ask(request, codes, day)
            except grpc.aio.AioRpcError as error:
                trouble = f"{error.code().name}: {str(error.details())[:300]}"
            except TensorError as error:
                trouble = f"its answer cannot be used: {error}"
            if attempt < self._patience.tries:
                self.traffic.retries += 1
                await asyncio.sleep(pause)
                pause *= 2
        raise EveningError(
            f"{ensemble_name(self._variant)} of Triton at {self._address} did not answer in "
            f"{self._patience.tries} tries: {trouble}. What was scored is kept: run the same "
            "command again when Triton is up (`tezi up`)."
        )

    async def _ask(
        self, request: service_pb2.ModelInferRequest, codes: Sequence[str], day: str
    ) -> list[Outcome]:
        began = time.perf_counter()
        response = await self._stub.ModelInfer(request, timeout=self._patience.answer)
        traffic = self.traffic
        traffic.seconds += time.perf_counter() - began
        traffic.requests += 1
        traffic.sent += request.ByteSize()
        traffic.received += response.ByteSize()
        return read_outcomes(response, codes, day)


def read_outcomes(
    response: service_pb2.ModelInferResponse, codes: Sequence[str], day: str
) -> list[Outcome]:
    """One outcome for each code.

    Raises:
        TensorError: the response is not one for these codes, or the features found no database.
    """
    count = len(codes)
    raw = raw_outputs(response, count, outputs=_OUTPUTS)
    rows = zip(
        codes,
        unpack_texts(raw["status"], count),
        unpack_texts(raw["as_of"], count),
        unpack_floats(raw["probability"], count),
        unpack_ints(raw["model_version"], count),
        strict=True,
    )
    return [_outcome(*row, day=day) for row in rows]


def _outcome(
    code: str, word: str, as_of: str, probability: float, version: int, *, day: str
) -> Outcome:
    status = row_status(word)
    if status is Status.STORE_UNAVAILABLE:
        raise TensorError("the features model finds no market database")
    if status is not Status.OK:
        return Skipped(code, Reason(status))
    # No working model answers this, and a wrong number is worse than none.
    if not as_of or as_of > day or not 0.0 <= probability <= 1.0:
        return Skipped(code, Reason.INVALID_ANSWER)
    return Scored(code, probability, as_of, version)


async def in_order(
    work: Iterable[Coroutine[Any, Any, T]], *, width: int
) -> AsyncGenerator[T, None]:
    """The results of `work` in its order, with at most `width` pieces under way or waiting."""
    pending: deque[asyncio.Task[T]] = deque()
    pieces = iter(work)
    try:
        for piece in pieces:
            pending.append(asyncio.create_task(piece))
            if len(pending) == width:
                yield await pending.popleft()
        while pending:
            yield await pending.popleft()
    finally:
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
