"""Where a run's time goes: our own steps by the clock, Triton's by its statistics."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.triton.channel import open_channel

_TIMEOUT_S = 5.0


class Stopwatch:
    """Seconds by step; a step that is entered again goes on."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count the block's time under `name`."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began

    @property
    def elapsed(self) -> float:
        """Seconds since it was made."""
        return time.perf_counter() - self.began


@dataclass(frozen=True, slots=True)
class ModelTime:
    """What a model of Triton has done: requests and rows, seconds in all, waiting and at work."""

    requests: int = 0
    rows: int = 0
    total: float = 0.0
    queue: float = 0.0
    compute: float = 0.0

    def __add__(self, other: "ModelTime") -> "ModelTime":
        return ModelTime(
            self.requests + other.requests,
            self.rows + other.rows,
            self.total + other.total,
            self.queue + other.queue,
            self.compute + other.compute,
        )

    def since(self, before: "ModelTime") -> "ModelTime":
        """What was done after `before`; nothing when the counters began anew."""
        if self.rows < before.rows:
            return self
        return ModelTime(
            self.requests - before.requests,
            self.rows - before.rows,
            self.total - before.total,
            self.queue - before.queue,
            self.compute - before.compute,
        )


Statistics = dict[tuple[str, str], ModelTime]
"""By model and version."""


async def read_statistics(address: str, models: Sequence[str]) -> Statistics | None:
    """The counters of `models`; None when Triton does not give them."""
    found: Statistics = {}
    channel = open_channel(address)
    try:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        for model in models:
            request = service_pb2.ModelStatisticsRequest(name=model)
            response = await stub.ModelStatistics(request, timeout=_TIMEOUT_S)
            for entry in response.model_stats:
                found[model, entry.version] = _model_time(entry)
    except grpc.aio.AioRpcError:
        return None
    finally:
        await channel.close()
    return found


def between(before: Statistics | None, after: Statistics | None, model: str) -> ModelTime | None:
    """What `model` did between two readings, all its versions together; None if not known."""
    if before is None or after is None:
        return None
    done = ModelTime()
    for key, counters in after.items():
        if key[0] == model:
            done += counters.since(before.get(key, ModelTime()))
    return done


def _model_time(entry: service_pb2.ModelStatistics) -> ModelTime:
    stats = entry.inference_stats
    work = stats.compute_input.ns + stats.compute_infer.ns + stats.compute_output.ns
    return ModelTime(
        requests=stats.success.count,
        rows=entry.inference_count,
        total=stats.success.ns / 1e9,
        queue=stats.queue.ns / 1e9,
        compute=work / 1e9,
    )
