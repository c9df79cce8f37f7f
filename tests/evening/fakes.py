"""A Triton that does what a test wants, behind a real gRPC server, and its published models."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from preprocess.features.row import Status
from preprocess.golden import GOLDEN_CODE
from preprocess.repository.labels import Labels, write_labels
from preprocess.repository.publish import write_version
from preprocess.repository.versions import ModelVersion, read_version
from preprocess.settings import Settings, load_settings
from preprocess.triton.tensors import pack_texts, unpack_texts
from tests.graphs import tiny_candidate
from tests.integration.stack import free_ports

Tensor = service_pb2.ModelInferResponse.InferOutputTensor
NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)
GONE = (grpc.StatusCode.UNAVAILABLE, "the server is gone")


@dataclass(frozen=True)
class Row:
    """What the fake answers for one stock."""

    probability: float = 0.2
    as_of: str = "2024-05-31"
    status: str = Status.OK


def usual(code: str) -> Row:
    """A probability of its own for each stock."""
    return Row(probability=int(code[-3:]) / 1000)


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Answers the ensemble; `failures` and `changes` are used up by requests, the golden one not.

    `before` is called with the number of the request (from 1) before it is answered.
    """

    versions_dir: Path
    version: int = 1
    row: Callable[[str], Row] = usual
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    changes: list[Callable[[Any], None]] = field(default_factory=list)
    before: Callable[[int], None] = lambda number: None
    asked: list[list[str]] = field(default_factory=list)
    statistics: bool = True

    def codes(self) -> list[str]:
        """Every code that was asked for, in order."""
        return [code for batch in self.asked for code in batch]

    async def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return service_pb2.ServerLiveResponse(live=True)

    async def ModelStatistics(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        if not self.statistics:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "no statistics here")
        rows = len(self.codes())
        entry = service_pb2.ModelStatistics(name=request.name, version="1", inference_count=rows)
        entry.inference_stats.success.count = len(self.asked)
        entry.inference_stats.compute_infer.ns = rows * 1_000_000
        return service_pb2.ModelStatisticsResponse(model_stats=[entry])

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        codes = unpack_texts(request.raw_input_contents[0], request.inputs[0].shape[0])
        if codes == [GOLDEN_CODE]:
            return self._golden(read_version(self.versions_dir, self.version))
        self.asked.append(codes)
        self.before(len(self.asked))
        if self.failures:
            failure = self.failures.pop(0)
            await context.abort(*failure)
        await asyncio.sleep(0)
        wanted = {output.name for output in request.outputs}
        assert wanted == {"as_of", "status", "probability", "model_version"}
        response = answer([self.row(code) for code in codes], self.version)
        if self.changes:
            self.changes.pop(0)(response)
        return response

    def _golden(self, version: ModelVersion) -> Any:
        probability = version.variants["fp32"].golden_probability
        response = answer([Row(probability)], self.version)
        response.outputs.append(Tensor(name="features", datatype="FP32", shape=[1, 25]))
        features = [float("nan") if value is None else value for value in version.golden.features]
        response.raw_output_contents.append(struct.pack("<25f", *features))
        return response


def answer(rows: list[Row], version: int) -> Any:
    """A response without features."""
    count = len(rows)
    tensors = {
        "as_of": ("BYTES", pack_texts([row.as_of for row in rows])),
        "status": ("BYTES", pack_texts([row.status for row in rows])),
        "probability": ("FP32", struct.pack(f"<{count}f", *[row.probability for row in rows])),
        "model_version": ("INT64", struct.pack(f"<{count}q", *[version] * count)),
    }
    return service_pb2.ModelInferResponse(
        outputs=[
            Tensor(name=name, datatype=kind, shape=[count, 1])
            for name, (kind, _) in tensors.items()
        ],
        raw_output_contents=[raw for _, raw in tensors.values()],
    )


def published(home: Path, *thresholds: float) -> Settings:
    """Settings of a data folder in which a version for each threshold is published."""
    http, triton_http, triton_grpc, metrics = free_ports(4)
    settings = load_settings(
        data_dir=home,
        http_port=http,
        triton_http_port=triton_http,
        triton_grpc_port=triton_grpc,
        triton_metrics_port=metrics,
    )
    for threshold in thresholds:
        write_version(settings, tiny_candidate(home / "model", threshold=threshold), now=NOW)
    write_labels(settings.versions_dir, Labels(), Labels(stable=1, newest=len(thresholds)), now=NOW)
    return settings


@asynccontextmanager
async def serving(servicer: FakeTriton, address: str) -> AsyncIterator[None]:
    """The fake behind gRPC at `address`."""
    server = grpc.aio.server()
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    assert server.add_insecure_port(address)
    await server.start()
    try:
        yield
    finally:
        await server.stop(None)
