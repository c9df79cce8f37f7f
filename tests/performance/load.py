"""Closed-loop load: so many requests in flight, each answer checked, every latency kept."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
from tritonclient.grpc.aio import InferenceServerClient, InferInput

from tests.performance.pairs import Pair
from tests.performance.rest_connection import RestConnection

Ask = Callable[[str, str], Awaitable[None]]


@dataclass(frozen=True)
class Load:
    """What one run measured: a latency in ms for each request, and requests a second."""

    latencies_ms: list[float]
    rate: float


async def closed_loop(ask: Ask, pairs: Iterator[Pair], in_flight: int, seconds: float) -> Load:
    """Keep `in_flight` requests in flight for `seconds`; a wrong answer ends the run."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def worker() -> None:
        while (began := time.perf_counter()) < end:
            await ask(*next(pairs))
            latencies.append((time.perf_counter() - began) * 1e3)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(in_flight)))
    return Load(latencies, len(latencies) / (time.perf_counter() - began))


async def rest_load(url: str, pairs: Iterator[Pair], in_flight: int, seconds: float) -> Load:
    """Single predictions over keep-alive connections."""
    idle = [await RestConnection.open(url) for _ in range(in_flight)]
    connections = list(idle)

    async def ask(code: str, day: str) -> None:
        body = f'{{"bse_code":"{code}","prediction_date":"{day}"}}'.encode()
        connection = idle.pop()
        status, content = await connection.post("/api/v1/predict", body)
        idle.append(connection)
        answer = msgspec.json.decode(content)
        if status != 200 or not 0.0 <= answer["probability"] <= 1.0:
            raise AssertionError(f"{code} {day}: {status} {answer}")

    try:
        return await closed_loop(ask, pairs, in_flight, seconds)
    finally:
        for connection in connections:
            connection.close()


async def grpc_load(address: str, pairs: Iterator[Pair], in_flight: int, seconds: float) -> Load:
    """Single inferences of predict_fp32 over one channel."""
    async with InferenceServerClient(address) as client:

        async def ask(code: str, day: str) -> None:
            tensors = []
            for name, value in (("bse_code", code), ("prediction_date", day)):
                tensor = InferInput(name, [1, 1], "BYTES")
                tensor.set_data_from_numpy(np.array([[value.encode()]], dtype=np.object_))
                tensors.append(tensor)
            result = await client.infer("predict_fp32", tensors, client_timeout=30.0)
            if result.as_numpy("status")[0, 0] != b"OK":
                raise AssertionError(f"{code} {day}: {result.as_numpy('status')}")

        return await closed_loop(ask, pairs, in_flight, seconds)
