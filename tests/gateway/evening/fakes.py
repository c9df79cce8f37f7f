"""A Triton that does what a test wants, behind a real gRPC server, and its published models."""

import struct
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from gateway.triton.tensors import pack_texts, unpack_texts
from preprocess.features.row import Status
from preprocess.market.golden_row import GOLDEN_CODE
from preprocess.repository.labels import Labels, write_labels
from preprocess.repository.publish import write_version
from preprocess.repository.versions import read_version
from preprocess.settings import Settings
from tests.graphs import tiny_candidate
from tests.integration.stack import fresh_settings

Tensor = service_pb2.ModelInferResponse.InferOutputTensor
NOW = datetime(2024, 6, 3, 14, tzinfo=UTC)
GONE = (grpc.StatusCode.UNAVAILABLE, "the server is gone")


@dataclass(frozen=True)
class Row:
    """What the fake answers for one stock."""

    probability: float = 0.2
    as_of: str = "2024-05-31"
    status: str = Status.OK


SHORT = Row(status="SHORT_HISTORY", probability=float("nan"), as_of="")


def usual(code: str) -> Row:
    """A probability of its own for each stock; one has no prices."""
    return SHORT if code == "599998" else Row(probability=int(code[-3:]) / 1000)


@dataclass
class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated, untyped
    """Answers the ensemble of version 1 as `version`. Each request but the golden one uses up one
    of `failures`, and `before` is called with its number (from 1).
    """

    versions_dir: Path
    version: int = 1
    golden_probability: float | None = None
    row: Callable[[str], Row] = usual
    failures: list[tuple[grpc.StatusCode, str]] = field(default_factory=list)
    before: Callable[[int], object] = lambda number: None
    cut: int = 0
    asked: list[list[str]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    def ServerLive(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        return service_pb2.ServerLiveResponse(live=True)

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        codes = unpack_texts(request.raw_input_contents[0], request.inputs[0].shape[0])
        if request.model_name != "predict_fp32_v1":
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {request.model_name}")
        if codes == [GOLDEN_CODE]:
            return self._golden()
        self.asked.append(codes)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            self.before(len(self.asked))
            if self.failures:
                context.abort(*self.failures.pop(0))
            time.sleep(0.01)
        finally:
            self.at_once -= 1
        return answer([self.row(code) for code in codes][self.cut :], self.version)

    def _golden(self) -> Any:
        known = read_version(self.versions_dir, 1)
        probability = self.golden_probability or known.variants["fp32"].golden_probability
        response = answer([Row(probability)], 1)
        response.outputs.append(Tensor(name="features", datatype="FP32", shape=[1, 25]))
        features = [float("nan") if value is None else value for value in known.golden.features]
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


def published(home: Path) -> Settings:
    """Settings of a data folder in which version 1 is stable, with a threshold of 0.5."""
    settings = fresh_settings(home)
    write_version(settings, tiny_candidate(home / "model", threshold=0.5), now=NOW)
    write_labels(settings.versions_dir, Labels(), Labels(stable=1, newest=1), now=NOW)
    return settings


@contextmanager
def serving(servicer: FakeTriton, address: str) -> Iterator[None]:
    """The fake behind gRPC at `address`."""
    server = grpc.server(ThreadPoolExecutor(16))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(servicer, server)
    assert server.add_insecure_port(address)
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()
